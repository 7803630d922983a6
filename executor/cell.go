package executor

import (
	"errors"
	"slices"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

func (x *Executor) bindCell(cat *catalog.Catalog, m msgs.CellArithmetic) (msgs.Operation, error) {
	t, key, err := x.bindRowKey(cat, m.Table, m.Key)
	if err != nil {
		return nil, err
	}
	if err := writable(t); err != nil {
		return nil, err
	}
	p, err := assignable(t, m.Column)
	if err != nil {
		return nil, err
	}
	if kind := t.Columns[p].Kind; !query.Computable(kind) || m.Amount.Kind() != kind {
		return nil, errs.New(errs.CodeTypeMismatch, "arithmetic with an amount of kind %s on column %q, which is %s",
			m.Amount.Kind(), m.Column, kind).On(m.Column)
	}
	if err := checkPolicies(m.Op, msgs.MissingReject, m.OnLimit); err != nil {
		return nil, err
	}
	m.Key = slices.Clone(m.Key)
	return &msgs.ComputeCell{Table: t, Key: key, Position: p, Source: m}, nil
}

// checkPolicies refuses arithmetic that makes no sense.
func checkPolicies(op msgs.ArithmeticOp, missing msgs.MissingPolicy, limit msgs.LimitPolicy) error {
	switch {
	case op > msgs.ArithmeticMin || missing > msgs.MissingReject || limit > msgs.LimitNoOp:
		return errs.New(errs.CodeValidation, "an arithmetic mutation has an unknown operation or policy")
	case limit == msgs.LimitSaturate && op != msgs.ArithmeticAdd,
		limit == msgs.LimitNoOp && op != msgs.ArithmeticSub:
		return errs.New(errs.CodeValidation, "saturate goes with addition, no-op with subtraction")
	}
	return nil
}

func (e *execution) computeCell(op *msgs.ComputeCell) error {
	old, version, err := rowOf(e.w, op.Table, op.Key)
	if err != nil {
		return err
	}
	r := rewrite{key: op.Key, before: old.Values(nil)}
	current := r.before[op.Position]
	if current.IsNull() {
		return errs.New(errs.CodeValidation, "column %q holds no number to calculate with", op.Source.Column).On(op.Source.Column)
	}
	next, write, err := calculateCell(current, &op.Source)
	if err != nil {
		return err
	}
	if write {
		r.after = slices.Clone(r.before)
		r.after[op.Position] = next
		if err := rewriteRows(e.w, op.Table, []rewrite{r}); err != nil {
			return err
		}
		version = e.w.Seq()
	}
	e.tell(msgs.Reply{Affected: count(write), Value: next, Version: version})
	return nil
}

// calculateCell returns what the cell holds after an operation, and whether that
// is to be written.
func calculateCell(current value.Value, m *msgs.CellArithmetic) (next value.Value, write bool, err error) {
	switch m.Op {
	case msgs.ArithmeticSet:
		return m.Amount, true, nil
	case msgs.ArithmeticMax, msgs.ArithmeticMin:
		c := value.Compare(m.Amount, current)
		if c > 0 && m.Op == msgs.ArithmeticMax || c < 0 && m.Op == msgs.ArithmeticMin {
			return m.Amount, true, nil
		}
		return current, false, nil
	case msgs.ArithmeticSub:
		next, err = query.Difference(current, m.Amount)
	default:
		next, err = query.Sum(current, m.Amount)
	}
	if err == nil {
		return next, true, nil
	}
	switch m.OnLimit {
	case msgs.LimitNoOp:
		return current, false, nil
	case msgs.LimitSaturate:
		least, greatest, _ := query.Extremes(current.Kind())
		if errors.Is(err, errs.ErrUnderflow) {
			return least, true, nil
		}
		return greatest, true, nil
	}
	return current, false, errs.Wrap(errs.CodeOf(err), err, "column %q", m.Column).On(m.Column)
}
