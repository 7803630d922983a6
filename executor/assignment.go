package executor

import (
	"slices"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// bindAssignments resolves assignments to columns outside the primary key.
func (x *Executor) bindAssignments(t *catalog.Table, set []query.Assignment, proposed bool) ([]msgs.BoundAssignment, error) {
	if len(set) == 0 {
		return nil, errs.New(errs.CodeValidation, "an update of %s assigns no column", t).On(t.Name)
	}
	out := make([]msgs.BoundAssignment, len(set))
	for i, a := range set {
		p, err := assignable(t, a.Column)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out[:i], func(b msgs.BoundAssignment) bool { return b.Position == p }) {
			return nil, errs.New(errs.CodeValidation, "column %q is assigned twice", a.Column).On(a.Column)
		}
		c := &t.Columns[p]
		if v, ok := a.To.Literal(); ok {
			if err := x.checkCell(c, v); err != nil {
				return nil, err
			}
		}
		out[i].Position = p
		if out[i].To, err = query.BindTerm(a.To, layout{t}, c.Kind, proposed); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// assignable returns the position of a column that may be assigned.
func assignable(t *catalog.Table, name string) (int, error) {
	p, ok := t.Column(name)
	if !ok {
		return 0, unknownColumn(t, name)
	}
	if t.KeyOrdinal(p) >= 0 {
		return 0, errs.New(errs.CodeValidation, "column %q is part of the primary key and cannot be assigned", name).On(name)
	}
	return p, nil
}

func (x *Executor) checkCell(c *catalog.Column, v value.Value) error {
	return value.Check(c.Name, c.Kind, c.Nullable, x.Limits.MaxTableValue, v)
}

// bindConflict resolves what a write does with rows that are there.
func (x *Executor) bindConflict(t *catalog.Table, given []string, c *msgs.OnConflict) (*msgs.BoundConflict, error) {
	b := &msgs.BoundConflict{Source: *c}
	b.Source.Columns = slices.Clone(c.Columns)
	var err error
	if b.Index, err = target(t, c); err != nil {
		return nil, err
	}
	if !c.Where.IsZero() {
		if b.Where, err = query.Bind(c.Where, layout{t}); err != nil {
			return nil, err
		}
	}
	if c.Action != msgs.ConflictUpdate && len(c.Set) > 0 {
		return nil, errs.New(errs.CodeValidation, "a conflict action on %s has assignments that it does not make", t).On(t.Name)
	}
	switch c.Action {
	case msgs.ConflictKeep:
		return b, nil
	case msgs.ConflictMerge:
		// From here on it is an update, which says by itself what is merged.
		b.Source.Action, b.Source.Set = msgs.ConflictUpdate, merge(t, given)
		if len(b.Source.Set) == 0 {
			b.Source.Action = msgs.ConflictKeep
			return b, nil
		}
	case msgs.ConflictUpdate:
		b.Source.Set = slices.Clone(c.Set)
	default:
		return nil, errs.New(errs.CodeValidation, "a write to %s has the unknown conflict action %d", t, c.Action).On(t.Name)
	}
	b.Set, err = x.bindAssignments(t, b.Source.Set, true)
	return b, err
}

// merge returns the assignments that merge the given columns of a proposed row.
func merge(t *catalog.Table, given []string) (set []query.Assignment) {
	if given == nil {
		given = t.ColumnNames()
	}
	for _, name := range given {
		if p, ok := t.Column(name); ok && t.KeyOrdinal(p) < 0 {
			set = append(set, query.Assign(name, query.Coalesce(query.Proposed(name), query.Col(name))))
		}
	}
	return set
}

// target returns the place of a conflict's target among the indexes of a table,
// or -1 for the primary key.
func target(t *catalog.Table, c *msgs.OnConflict) (int, error) {
	switch {
	case c.Index != "" && c.Columns != nil:
		return 0, errs.New(errs.CodeValidation, "the conflict target of a write to %s is given twice", t).On(t.Name)
	case c.Index != "":
		i := slices.IndexFunc(t.Indexes, func(ix *catalog.Index) bool { return ix.Name == c.Index })
		if i < 0 {
			return 0, errs.New(errs.CodeIndexNotFound, "table %s has no index %q", t, c.Index).On(c.Index)
		}
		if !t.Indexes[i].Unique {
			return 0, errs.New(errs.CodeValidation, "index %q of %s is not unique, so it is no conflict target", c.Index, t).On(c.Index)
		}
		return i, nil
	case c.Columns == nil:
		return -1, nil
	}
	columns := make([]int, len(c.Columns))
	for i, name := range c.Columns {
		var ok bool
		if columns[i], ok = t.Column(name); !ok {
			return 0, unknownColumn(t, name)
		}
	}
	slices.Sort(columns)
	are := func(key []int) bool { return slices.Equal(slices.Sorted(slices.Values(key)), columns) }
	if are(t.PrimaryKey) {
		return -1, nil
	}
	for i, ix := range t.Indexes {
		if ix.Unique && are(ix.Columns) {
			return i, nil
		}
	}
	return 0, errs.New(errs.CodeValidation, "the conflict target of a write to %s has the columns of neither its primary key nor a unique index", t).On(t.Name)
}

// rewrite is a row to be replaced by one with the same key.
type rewrite struct {
	key           []byte
	before, after value.Row
}

// assign computes what assignments make of a row. Proposed gives the columns of
// the proposed row, if there is one.
func (e *execution) assign(old record.Row, set []msgs.BoundAssignment, proposed func(int) value.Value) (rewrite, error) {
	r := rewrite{key: old.Key, before: old.Values(nil)}
	r.after = slices.Clone(r.before)
	column := func(p int) value.Value { return r.before[p] }
	for i := range set {
		v, err := set[i].To.Eval(column, proposed)
		c := &old.Table.Columns[set[i].Position]
		if err == nil {
			err = value.Check(c.Name, c.Kind, c.Nullable, e.x.Limits.MaxTableValue, v)
		}
		if err != nil {
			return r, err
		}
		r.after[set[i].Position] = v
	}
	return r, nil
}
