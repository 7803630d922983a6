package executor

import (
	"bytes"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/value"
)

// Reliance returns the read set by which a request that was prepared at a commit
// fails with conflict if what it replaces has changed since.
//
// It has a point for each key and row that is written or removed as a whole, is
// changed in part, or is subtracted from down to a limit, and a band for each
// range that rows are selected from by their primary key; where that leaves them
// open, it has all of the table. It has nothing for what commutes or is decided at
// the commit point: other arithmetic, counters, inserts with a conflict action,
// events, definitions, checks, guards, and the assertions of the envelope. Neither
// has it anything for what the request itself makes.
func Reliance(r *msgs.Request, at uint64) msgs.ReadSet {
	l := reliance{catalog: r.Catalog, at: at}
	for i, op := range r.Operations {
		l.add(r.Mutations[i], op)
	}
	return l.set
}

type reliance struct {
	catalog *catalog.Catalog
	at      uint64
	set     msgs.ReadSet
}

func (l *reliance) add(m msgs.Mutation, op msgs.Operation) {
	switch m := m.(type) {
	case msgs.KvSet:
		l.key(m.Scope, m.Key)
	case msgs.KvSetMany:
		for _, p := range m.Pairs {
			l.key(m.Scope, p.Key)
		}
	case msgs.KvDel:
		l.key(m.Scope, m.Key)
	case msgs.KvArithmetic:
		if m.Op == msgs.ArithmeticSub && m.OnLimit == msgs.LimitReject {
			l.key(m.Scope, m.Key)
		}
	case msgs.WriteRows:
		if m.OnConflict == nil {
			l.written(m.Table, op.(*msgs.PutRows))
		}
	case msgs.UpdateFields:
		l.row(m.Table, op.(*msgs.SetFields).Table, m.Key)
	case msgs.DeleteRow:
		l.row(m.Table, op.(*msgs.RemoveRow).Table, m.Key)
	case msgs.CellArithmetic:
		l.row(m.Table, op.(*msgs.ComputeCell).Table, m.Key)
	case msgs.UpdateRows:
		l.selected(m.Table, &op.(*msgs.SetRows).Selection)
	case msgs.DeleteRows:
		l.selected(m.Table, &op.(*msgs.RemoveRows).Selection)
	case msgs.Guarded:
		l.add(m.Do, op.(*msgs.Guard).Operation)
	}
}

func (l *reliance) key(scope msgs.ScopeName, key []byte) {
	if _, err := l.catalog.Scope(scope.Project, scope.Scope); err == nil {
		l.set.Keys = append(l.set.Keys, msgs.KeyRead{Scope: scope, Key: key, Version: l.at})
	}
}

// knows reports whether a name means the same table before the request.
func (l *reliance) knows(name msgs.TableName, t *catalog.Table) bool {
	before, err := bindTable(l.catalog, name)
	return err == nil && before.ID == t.ID
}

func (l *reliance) row(name msgs.TableName, t *catalog.Table, key []value.Value) {
	if l.knows(name, t) {
		l.set.Rows = append(l.set.Rows, msgs.RowRead{Table: name, Key: key, Version: l.at})
	}
}

func (l *reliance) written(name msgs.TableName, op *msgs.PutRows) {
	if !l.knows(name, op.Table) {
		return
	}
	for i := range op.Rows {
		// The key was encoded by us just now.
		key, _, _ := value.DecodeKeyRow(op.Rows[i].Key, len(op.Table.PrimaryKey))
		l.set.Rows = append(l.set.Rows, msgs.RowRead{Table: name, Key: key, Version: l.at})
	}
}

func (l *reliance) selected(name msgs.TableName, s *msgs.BoundSelection) {
	if !l.knows(name, s.Table) {
		return
	}
	bands := make([]msgs.RowRangeRead, 0, len(s.Ranges))
	for _, r := range s.Ranges {
		prefix, ok := band(r)
		if !ok || s.Path != nil {
			bands = append(bands[:0], msgs.RowRangeRead{Table: name, Version: l.at})
			break
		}
		bands = append(bands, msgs.RowRangeRead{Table: name, Prefix: prefix, Version: l.at})
	}
	l.set.RowRanges = append(l.set.RowRanges, bands...)
}

// band returns the values that the keys of a range begin with, if it holds all of
// those and no others.
func band(r msgs.KeyRange) (prefix []value.Value, ok bool) {
	for rest := r.Start; len(rest) > 0; {
		v, next, err := value.DecodeKey(rest)
		if err != nil {
			return nil, false
		}
		prefix, rest = append(prefix, v), next
	}
	end := value.PrefixEnd(r.Start)
	return prefix, bytes.Equal(r.End, end) && (r.End == nil) == (end == nil)
}
