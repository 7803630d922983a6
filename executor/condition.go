package executor

import (
	"slices"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/value"
)

// bindConditions binds a list of assertions, counting nested ones.
func (x *Executor) bindConditions(cat *catalog.Catalog, list []msgs.Assertion) ([]msgs.Condition, error) {
	if len(list) == 0 {
		return nil, nil
	}
	count := 0
	return x.bindNested(cat, list, 1, &count)
}

func (x *Executor) bindNested(cat *catalog.Catalog, list []msgs.Assertion, depth int, count *int) ([]msgs.Condition, error) {
	if depth > msgs.MaxAssertionDepth {
		return nil, tooDeep(depth)
	}
	out := make([]msgs.Condition, len(list))
	for i, a := range list {
		if *count++; *count > x.Limits.MaxAssertions {
			return nil, tooManyAssertions(*count, x.Limits.MaxAssertions)
		}
		c, err := x.bindCondition(cat, a, depth, count)
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

// bindCondition binds one assertion. The condition holds a copy of it that shares
// nothing with what the caller may modify.
func (x *Executor) bindCondition(cat *catalog.Catalog, a msgs.Assertion, depth int, count *int) (c msgs.Condition, err error) {
	switch a := a.(type) {
	case msgs.KeyEquals:
		a.Key, a.Expected = clone(a.Key), clone(a.Expected)
		c = keyCondition(cat, a.Scope, a.Key)
		c.Assertion = a
	case msgs.KeyCompare:
		a.Key, a.Threshold = clone(a.Key), clone(a.Threshold)
		c = keyCondition(cat, a.Scope, a.Key)
		c.Assertion, err = a, checkComparison(a)
	case msgs.KeyExists:
		a.Key = clone(a.Key)
		c = keyCondition(cat, a.Scope, a.Key)
		c.Assertion = a
	case msgs.KeyVersion:
		a.Key = clone(a.Key)
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
		c.Inner, err = x.bindInner(cat, a, depth, count)
		c.Assertion = msgs.All(assertionsOf(c.Inner))
	case msgs.Any:
		c.Inner, err = x.bindInner(cat, a, depth, count)
		c.Assertion = msgs.Any(assertionsOf(c.Inner))
	case msgs.Not:
		if c.Inner, err = x.bindInner(cat, []msgs.Assertion{a.Inner}, depth, count); err == nil {
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

func (x *Executor) bindInner(cat *catalog.Catalog, list []msgs.Assertion, depth int, count *int) ([]msgs.Condition, error) {
	if len(list) == 0 {
		return nil, errs.New(errs.CodeValidation, "an assertion over an empty list")
	}
	return x.bindNested(cat, list, depth+1, count)
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
