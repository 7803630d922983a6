package executor

import (
	"bytes"
	"slices"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// layout makes a table a query.Layout.
type layout struct{ *catalog.Table }

func (l layout) Lookup(column string) (position int, kind value.Kind, ok bool) {
	if position, ok = l.Column(column); ok {
		kind = l.Columns[position].Kind
	}
	return position, kind, ok
}

// bindSelection resolves a selection of rows that are to be changed.
func bindSelection(cat *catalog.Catalog, s msgs.Selection) (b msgs.BoundSelection, err error) {
	t, err := bindTable(cat, s.Table)
	if err != nil {
		return b, err
	}
	if err := writable(t); err != nil {
		return b, err
	}
	if s.Limit < 0 {
		return b, errs.New(errs.CodeValidation, "the limit of a selection from %s is %d", t, s.Limit).On(t.Name)
	}
	where, err := query.Bind(s.Where, layout{t})
	if err != nil {
		return b, err
	}
	b = find(t, where)
	b.Backward, b.Limit = s.Backward, s.Limit
	if s.Index != "" {
		var ok bool
		if b.Path, ok = t.Index(s.Index); !ok {
			return b, errs.New(errs.CodeIndexNotFound, "table %s has no index %q", t, s.Index).On(s.Index)
		}
		b.Sort = false
		b.Ranges, _ = rangesOf(t, b.Path.Columns, where)
	}
	return b, nil
}

// find selects all rows for which a condition is true: by the primary key, unless
// the condition leaves that open and says something about an index.
func find(t *catalog.Table, where *query.Predicate) msgs.BoundSelection {
	b := msgs.BoundSelection{Table: t, Where: where}
	var bound bool
	if b.Ranges, bound = rangesOf(t, t.PrimaryKey, where); bound {
		return b
	}
	for _, ix := range t.Indexes {
		if ranges, bound := rangesOf(t, ix.Columns, where); bound {
			b.Path, b.Ranges, b.Sort = ix, ranges, true
			break
		}
	}
	return b
}

// rangesOf returns where the rows for which a condition is true lie, in a space
// whose keys begin with some columns. Leading columns with one value make a
// prefix, and the next one spreads it. Bound is false if that is all of the space.
func rangesOf(t *catalog.Table, columns []int, where *query.Predicate) (ranges []msgs.KeyRange, bound bool) {
	var prefix []byte
	for _, p := range columns {
		set := where.Domain(p)
		nullable := t.Columns[p].Nullable
		set.Null = set.Null && nullable
		if set.IsAll() && set.Null == nullable {
			break
		}
		v, ok := single(set)
		if !ok {
			return spread(prefix, set), true
		}
		prefix = value.AppendKey(prefix, v)
	}
	return []msgs.KeyRange{{Start: prefix, End: value.PrefixEnd(prefix)}}, len(prefix) > 0
}

// single returns the value of a set that has one.
func single(s query.Set) (value.Value, bool) {
	switch {
	case s.Null:
		return value.Null(), len(s.Intervals) == 0
	case len(s.Intervals) == 1:
		return s.Intervals[0].Point()
	}
	return value.Value{}, false
}

// spread returns the ranges of the keys that begin with a prefix and go on with a
// value of the set.
func spread(prefix []byte, s query.Set) []msgs.KeyRange {
	with := func(v value.Value) []byte { return value.AppendKey(slices.Clone(prefix), v) }
	ranges := make([]msgs.KeyRange, 0, len(s.Intervals)+1)
	null := with(value.Null())
	if s.Null {
		ranges = append(ranges, msgs.KeyRange{Start: null, End: value.PrefixEnd(null)})
	}
	for _, i := range s.Intervals {
		r := msgs.KeyRange{Start: value.PrefixEnd(null), End: value.PrefixEnd(prefix)}
		if low := i.Low; !low.Value.IsNull() {
			if r.Start = with(low.Value); low.Open {
				r.Start = value.PrefixEnd(r.Start)
			}
		}
		if high := i.High; !high.Value.IsNull() {
			if r.End = with(high.Value); !high.Open {
				r.End = value.PrefixEnd(r.End)
			}
		}
		ranges = append(ranges, r)
	}
	return ranges
}

// scan visits the rows of a selection in the order of its path, whatever its
// limit, as long as visit wants more. What a row is made of is valid until the
// visit ends or something is written.
func (e *execution) scan(s *msgs.BoundSelection, visit func(record.Row) (more bool, err error)) error {
	examined := 0
	for i := range s.Ranges {
		r := s.Ranges[i]
		if s.Backward {
			r = s.Ranges[len(s.Ranges)-1-i]
		}
		more, err := e.scanRange(s, r, &examined, visit)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (e *execution) scanRange(s *msgs.BoundSelection, r msgs.KeyRange, examined *int, visit func(record.Row) (bool, error)) (more bool, err error) {
	space := s.Table.ID
	if s.Path != nil {
		space = s.Path.ID
	}
	cur := e.w.Cursor(space)
	switch {
	case !s.Backward:
		cur.SeekGE(r.Start)
	case r.End == nil:
		cur.Last()
	default:
		cur.SeekLT(r.End)
	}
	row := record.Row{Table: s.Table}
	column := func(p int) value.Value { return row.Column(p) }
	for cur.Valid() {
		if s.Backward && bytes.Compare(cur.Key(), r.Start) < 0 || !s.Backward && r.End != nil && bytes.Compare(cur.Key(), r.End) >= 0 {
			return true, nil
		}
		if *examined++; *examined > e.x.Limits.scanRows() {
			return false, errs.Exceeded("rows examined in "+s.Table.String(), "max_scan_rows", int64(*examined), int64(e.x.Limits.scanRows()))
		}
		if row.Key, row.Data = cur.Key(), cur.Value(); s.Path != nil {
			if row, err = e.indexed(s, cur.Key(), cur.Value()); err != nil {
				return false, err
			}
		}
		if err := e.charge(len(row.Key) + len(row.Data)); err != nil {
			return false, err
		}
		if s.Where.Eval(column) == query.True {
			if more, err := visit(row); err != nil || !more {
				return false, err
			}
		}
		if s.Backward {
			cur.Prev()
		} else {
			cur.Next()
		}
	}
	return true, nil
}

// indexed returns the row that an index entry points to.
func (e *execution) indexed(s *msgs.BoundSelection, key, val []byte) (record.Row, error) {
	rowKey, err := record.IndexedRowKey(s.Path, key, val)
	if err != nil {
		return record.Row{}, err
	}
	data, _, found := e.w.Get(s.Table.ID, rowKey)
	if !found {
		return record.Row{}, errs.New(errs.CodeIntegrity, "index %q of table %s points to a row that does not exist",
			s.Path.Name, s.Table).On(s.Path.Name)
	}
	return record.Row{Table: s.Table, Key: rowKey, Data: data}, nil
}

// gather returns the rows of a selection, with memory of their own.
func (e *execution) gather(s *msgs.BoundSelection) ([]record.Row, error) {
	var rows []record.Row
	err := e.scan(s, func(r record.Row) (bool, error) {
		r.Key, r.Data = clone(r.Key), clone(r.Data)
		rows = append(rows, r)
		return s.Sort || s.Limit == 0 || len(rows) < s.Limit, nil
	})
	if err != nil || !s.Sort {
		return rows, err
	}
	slices.SortFunc(rows, func(a, b record.Row) int {
		if s.Backward {
			a, b = b, a
		}
		return bytes.Compare(a.Key, b.Key)
	})
	if s.Limit > 0 && len(rows) > s.Limit {
		rows = rows[:s.Limit]
	}
	return rows, nil
}
