package executor

import (
	"slices"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/value"
)

// bindConditions binds a list of assertions, counting nested ones. room is for what has
// to be copied.
func (x *Executor) bindConditions(cat *catalog.Catalog, list []msgs.Assertion, room *room) ([]msgs.Condition, error) {
	if len(list) == 0 {
		return nil, nil
	}
	b := conditionBinder{x: x, cat: cat, room: room}
	return b.bind(list, 1)
}

// conditionBinder binds the assertions of one list.
type conditionBinder struct {
	x     *Executor
	cat   *catalog.Catalog
	room  *room
	count int // of assertions so far
}

func (b *conditionBinder) bind(list []msgs.Assertion, depth int) ([]msgs.Condition, error) {
	if depth > msgs.MaxAssertionDepth {
		return nil, tooDeep(depth)
	}
	out := make([]msgs.Condition, len(list))
	for i, a := range list {
		if b.count++; b.count > b.x.Limits.MaxAssertions {
			return nil, tooManyAssertions(b.count, b.x.Limits.MaxAssertions)
		}
		c, err := b.bindOne(a, depth)
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return out, nil
}

func tooDeep(depth int) error {
	return errs.Exceeded("assertion nesting", "max_assertion_depth", int64(depth), msgs.MaxAssertionDepth)
}

func tooManyAssertions(n, max int) error {
	return errs.Exceeded("envelope assertions", "max_read_assertions_per_envelope", int64(n), int64(max))
}

// countConditions counts conditions with those inside them.
func countConditions(list []msgs.Condition) int {
	n := len(list)
	for i := range list {
		n += countConditions(list[i].Inner)
	}
	return n
}

// assertionsOf returns the assertions that conditions were bound from.
func assertionsOf(list []msgs.Condition) []msgs.Assertion {
	out := make([]msgs.Assertion, len(list))
	for i := range list {
		out[i] = list[i].Assertion
	}
	return out
}

// bindOne binds one assertion. The condition holds a copy of it that shares nothing with
// what the caller may modify.
func (b *conditionBinder) bindOne(a msgs.Assertion, depth int) (c msgs.Condition, err error) {
	x, cat := b.x, b.cat
	switch a := a.(type) {
	case msgs.KeyEquals:
		a.Key, a.Expected = b.room.clone(a.Key), b.room.clone(a.Expected)
		c = keyCondition(cat, a.Scope, a.Key)
		c.Assertion = a
	case msgs.KeyCompare:
		a.Key, a.Threshold = b.room.clone(a.Key), b.room.clone(a.Threshold)
		c = keyCondition(cat, a.Scope, a.Key)
		c.Assertion, err = a, checkComparison(a)
	case msgs.KeyExists:
		a.Key = b.room.clone(a.Key)
		c = keyCondition(cat, a.Scope, a.Key)
		c.Assertion = a
	case msgs.KeyVersion:
		a.Key = b.room.clone(a.Key)
		c = keyCondition(cat, a.Scope, a.Key)
		c.Assertion = a
	case msgs.RowExists:
		a.Key = slices.Clone(a.Key)
		c, err = x.rowCondition(cat, a.Table, a.Key)
		c.Assertion = a
	case msgs.RowVersion:
		a.Key = slices.Clone(a.Key)
		c, err = x.rowCondition(cat, a.Table, a.Key)
		c.Assertion = a
	case msgs.RowColumnCompare:
		a.Key = slices.Clone(a.Key)
		c, err = x.columnCondition(cat, a)
		c.Assertion = a
	case msgs.CountCompare:
		c, err = aggregateCondition(cat, a.Table, a.Where, a.Op)
		c.Assertion = a
	case msgs.SumCompare:
		c, err = x.sumCondition(cat, a)
		c.Assertion = a
	case msgs.All:
		c.Inner, err = b.bindInner(a, depth)
		c.Assertion = msgs.All(assertionsOf(c.Inner))
	case msgs.Any:
		c.Inner, err = b.bindInner(a, depth)
		c.Assertion = msgs.Any(assertionsOf(c.Inner))
	case msgs.Not:
		if c.Inner, err = b.bindInner([]msgs.Assertion{a.Inner}, depth); err == nil {
			c.Assertion = msgs.Not{Inner: c.Inner[0].Assertion}
		}
	default:
		err = unknown(a)
	}
	return c, err
}

func (x *Executor) columnCondition(cat *catalog.Catalog, a msgs.RowColumnCompare) (msgs.Condition, error) {
	c, err := x.rowCondition(cat, a.Table, a.Key)
	if err != nil {
		return c, err
	}
	p, ok := c.Table.Column(a.Column)
	if !ok {
		return c, unknownColumn(c.Table, a.Column)
	}
	if err := checkOperator(a.Op); err != nil {
		return c, err
	}
	c.Position = p
	return c, x.checkCell(&c.Table.Columns[p], a.Threshold)
}

func checkOperator(op msgs.CompareOp) error {
	if op > msgs.Lte {
		return errs.New(errs.CodeValidation, "unknown comparison %d in an assertion", op)
	}
	return nil
}

func (b *conditionBinder) bindInner(list []msgs.Assertion, depth int) ([]msgs.Condition, error) {
	if len(list) == 0 {
		return nil, errs.New(errs.CodeValidation, "an assertion over an empty list")
	}
	return b.bind(list, depth+1)
}

// keyCondition binds to a key; in a scope that does not exist it is absent.
func keyCondition(cat *catalog.Catalog, scope msgs.ScopeName, key []byte) msgs.Condition {
	c := msgs.Condition{Key: key}
	if s, err := cat.Scope(scope.Project, scope.Scope); err == nil {
		c.Space = s.ID
	}
	return c
}

func (x *Executor) rowCondition(cat *catalog.Catalog, n msgs.TableName, key []value.Value) (msgs.Condition, error) {
	t, enc, err := x.bindRowKey(cat, n, key)
	if err != nil {
		return msgs.Condition{}, err
	}
	return msgs.Condition{Space: t.ID, Key: enc, Table: t}, nil
}
