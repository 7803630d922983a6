package executor

import (
	"bytes"
	"strings"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

func putRows(w *state.Working, op *msgs.PutRows) error {
	for i := range op.Rows {
		if err := putRow(w, op.Table, op.Mode, &op.Rows[i]); err != nil {
			return err
		}
	}
	return nil
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

func setFields(w *state.Working, op *msgs.SetFields) error {
	t := op.Table
	data, _, found := w.Get(t.ID, op.Key)
	if !found {
		return errs.New(errs.CodeRowNotFound, "table %s has no row with this primary key", t).On(t.Name)
	}
	old := record.Row{Table: t, Key: op.Key, Data: data}
	full := old.Values(nil)
	changed := make([]bool, len(t.Columns))
	for _, f := range op.Fields {
		full[f.Position], changed[f.Position] = f.Value, true
	}
	at := func(p int) value.Value { return full[p] }
	for _, ix := range t.Indexes {
		if !touches(ix, changed) {
			continue
		}
		entry := record.Index(ix, at, op.Key)
		if err := checkIndexKeySize(ix, entry.Key); err != nil {
			return err
		}
		if err := moveEntry(w, t, ix, old, true, &entry); err != nil {
			return err
		}
	}
	w.Put(t.ID, op.Key, record.AppendRow(nil, t, full))
	return nil
}

func touches(ix *catalog.Index, changed []bool) bool {
	for _, p := range ix.Columns {
		if changed[p] {
			return true
		}
	}
	return false
}

func removeRow(w *state.Working, op *msgs.RemoveRow) {
	data, _, found := w.Get(op.Table.ID, op.Key)
	if !found {
		return
	}
	old := record.Row{Table: op.Table, Key: op.Key, Data: data}
	for _, ix := range op.Table.Indexes {
		w.Delete(ix.ID, record.Index(ix, old.Column, op.Key).Key)
	}
	w.Delete(op.Table.ID, op.Key)
}
