package executor

import (
	"bytes"
	"slices"
	"strings"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

func (e *execution) putRows(op *msgs.PutRows) error {
	if op.Conflict == nil {
		for i := range op.Rows {
			if i%Abreast == 0 && i+1 < len(op.Rows) {
				announceRows(e.w, op, op.Rows[i:])
			}
			if err := putRow(e.w, op.Table, op.Mode, &op.Rows[i]); err != nil {
				return err
			}
		}
		return nil
	}
	affected := 0
	for i := range op.Rows {
		row := &op.Rows[i]
		old, found := e.conflicting(op, row)
		changed, err := true, error(nil)
		if found {
			changed, err = e.resolve(op.Conflict, old, row)
		} else {
			err = putRow(e.w, op.Table, op.Mode, row)
		}
		if err != nil {
			return err
		}
		affected += count(changed)
	}
	e.tell(msgs.Reply{Affected: affected})
	return nil
}

// conflicting returns the row that is in the place of a proposed one, with a key
// of its own. A Null in a unique index conflicts with nothing.
func (e *execution) conflicting(op *msgs.PutRows, row *msgs.BoundRow) (old record.Row, found bool) {
	old = record.Row{Table: op.Table, Key: row.Key}
	if i := op.Conflict.Index; i >= 0 {
		entry := &row.Indexes[i]
		if !entry.Exclusive {
			return old, false
		}
		key, _, found := e.w.Get(op.Table.Indexes[i].ID, entry.Key)
		if !found {
			return old, false
		}
		old.Key = clone(key)
	}
	old.Data, _, found = e.w.Get(op.Table.ID, old.Key)
	return old, found
}

// resolve does to the row that is there what the conflict action says, and reports
// whether it was written.
func (e *execution) resolve(c *msgs.BoundConflict, old record.Row, row *msgs.BoundRow) (changed bool, err error) {
	if len(c.Set) == 0 || c.Where != nil && c.Where.Eval(old.Column) != query.True {
		return false, nil
	}
	proposed := record.Row{Table: old.Table, Key: row.Key, Data: row.Data}
	r, err := e.assign(old, c.Set, proposed.Column)
	if err != nil {
		return false, err
	}
	return true, rewriteRows(e.w, old.Table, []rewrite{r})
}

func putRow(w *state.Working, t *catalog.Table, mode msgs.WriteMode, row *msgs.BoundRow) error {
	data, _, found := w.Get(t.ID, row.Key)
	if found && mode == msgs.WriteInsert {
		return errs.New(errs.CodeDuplicatePrimaryKey, "table %s has a row with this primary key already", t).On(t.Name)
	}
	old := record.Row{Table: t, Key: row.Key, Data: data}
	for i, ix := range t.Indexes {
		if err := moveEntry(w, t, ix, old, found, &row.Indexes[i]); err != nil {
			return err
		}
	}
	w.Put(t.ID, row.Key, row.Data)
	return nil
}

// moveEntry replaces a row's entry in an index. The old row is read before any
// write to its own space, so that it is still valid here.
func moveEntry(w *state.Working, t *catalog.Table, ix *catalog.Index, old record.Row, found bool, entry *record.IndexEntry) error {
	if found {
		was := record.Index(ix, old.Column, old.Key)
		if bytes.Equal(was.Key, entry.Key) {
			return nil
		}
		w.Delete(ix.ID, was.Key)
	}
	return putEntry(w, t, ix, entry)
}

func putEntry(w *state.Working, t *catalog.Table, ix *catalog.Index, entry *record.IndexEntry) error {
	if entry.Exclusive {
		if _, _, taken := w.Get(ix.ID, entry.Key); taken {
			return errs.New(errs.CodeUniqueViolation, "unique index %q on %s (%s) has a row with these values already",
				ix.Name, t, columnList(t, ix)).On(ix.Name)
		}
	}
	w.Put(ix.ID, entry.Key, entry.Value)
	return nil
}

func columnList(t *catalog.Table, ix *catalog.Index) string {
	names := make([]string, len(ix.Columns))
	for i, p := range ix.Columns {
		names[i] = t.Columns[p].Name
	}
	return strings.Join(names, ", ")
}

// rewriteRows replaces rows of a table. All index entries that move leave before
// the first of the new ones comes, so that unique values may move among the rows.
func rewriteRows(w *state.Working, t *catalog.Table, list []rewrite) error {
	type move struct {
		index *catalog.Index
		entry record.IndexEntry
	}
	var moves []move
	for i := range list {
		r := &list[i]
		before := func(p int) value.Value { return r.before[p] }
		after := func(p int) value.Value { return r.after[p] }
		for _, ix := range t.Indexes {
			if !slices.ContainsFunc(ix.Columns, func(p int) bool { return r.before[p] != r.after[p] }) {
				continue
			}
			entry := record.Index(ix, after, r.key)
			if err := checkIndexKeySize(ix, entry.Key); err != nil {
				return err
			}
			w.Delete(ix.ID, record.Index(ix, before, r.key).Key)
			moves = append(moves, move{ix, entry})
		}
	}
	for i := range moves {
		if err := putEntry(w, t, moves[i].index, &moves[i].entry); err != nil {
			return err
		}
	}
	for i := range list {
		w.Put(t.ID, list[i].key, record.AppendRow(nil, t, list[i].after))
	}
	return nil
}

// rowOf returns the row with a key, which has to be there.
func rowOf(w *state.Working, t *catalog.Table, key []byte) (row record.Row, version uint64, err error) {
	data, version, found := w.Get(t.ID, key)
	if !found {
		return row, 0, errs.New(errs.CodeRowNotFound, "table %s has no row with this primary key", t).On(t.Name)
	}
	return record.Row{Table: t, Key: key, Data: data}, version, nil
}

func setFields(w *state.Working, op *msgs.SetFields) error {
	old, _, err := rowOf(w, op.Table, op.Key)
	if err != nil {
		return err
	}
	r := rewrite{key: op.Key, before: old.Values(nil)}
	r.after = slices.Clone(r.before)
	for _, f := range op.Fields {
		r.after[f.Position] = f.Value
	}
	return rewriteRows(w, op.Table, []rewrite{r})
}

func (e *execution) setRows(op *msgs.SetRows) error {
	rows, err := e.gather(&op.Selection)
	if err != nil {
		return err
	}
	reply := msgs.Reply{Affected: len(rows)}
	list := make([]rewrite, len(rows))
	for i, row := range rows {
		if list[i], err = e.assign(row, op.Set, nil); err != nil {
			return err
		}
		if op.Source.Return {
			reply.Rows = append(reply.Rows, msgs.RowChange{Before: list[i].before, After: list[i].after})
		}
	}
	e.tell(reply)
	return rewriteRows(e.w, op.Selection.Table, list)
}

func (e *execution) removeRows(op *msgs.RemoveRows) error {
	rows, err := e.gather(&op.Selection)
	if err != nil {
		return err
	}
	reply := msgs.Reply{Affected: len(rows)}
	for _, row := range rows {
		if op.Source.Return {
			reply.Rows = append(reply.Rows, msgs.RowChange{Before: row.Values(nil)})
		}
		eraseRow(e.w, row)
	}
	e.tell(reply)
	return nil
}

// removeRow removes a row and returns how many there were.
func removeRow(w *state.Working, op *msgs.RemoveRow) int {
	data, _, found := w.Get(op.Table.ID, op.Key)
	if found {
		eraseRow(w, record.Row{Table: op.Table, Key: op.Key, Data: data})
	}
	return count(found)
}

func eraseRow(w *state.Working, row record.Row) {
	for _, ix := range row.Table.Indexes {
		w.Delete(ix.ID, record.Index(ix, row.Column, row.Key).Key)
	}
	w.Delete(row.Table.ID, row.Key)
}
