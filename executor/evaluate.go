package executor

import (
	"bytes"
	"cmp"

	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// evaluate checks conditions in order and reports the first that fails.
func (e *execution) evaluate(list []msgs.Condition) error {
	for i := range list {
		holds, actual, err := e.holds(&list[i])
		if err != nil {
			return err
		}
		if !holds {
			return &msgs.AssertionError{Index: i, Assertion: list[i].Assertion, Actual: actual}
		}
	}
	return nil
}

// holds evaluates one condition. The actual value is owned by the caller. What
// cannot be evaluated is an error, within Any and Not too.
func (e *execution) holds(c *msgs.Condition) (bool, msgs.Actual, error) {
	switch a := c.Assertion.(type) {
	case msgs.All:
		for i := range c.Inner {
			if ok, actual, err := e.holds(&c.Inner[i]); err != nil || !ok {
				return false, actual, err
			}
		}
		return true, msgs.Actual{}, nil
	case msgs.Any:
		var last msgs.Actual
		for i := range c.Inner {
			ok, actual, err := e.holds(&c.Inner[i])
			if err != nil || ok {
				return ok, msgs.Actual{}, err
			}
			last = actual
		}
		return false, last, nil
	case msgs.Not:
		ok, _, err := e.holds(&c.Inner[0])
		return !ok, msgs.Actual{Kind: msgs.ActualBool, Bool: true}, err
	case msgs.CountCompare:
		n, err := e.countRows(c)
		return a.Op.Holds(cmp.Compare(n, a.Threshold)), msgs.Actual{Kind: msgs.ActualCount, Count: n}, err
	case msgs.SumCompare:
		return e.compareSum(c, a)
	default:
		return e.leaf(c, a)
	}
}

// leaf evaluates a condition on one entry.
func (e *execution) leaf(c *msgs.Condition, a msgs.Assertion) (bool, msgs.Actual, error) {
	raw, version, found := e.w.Get(c.Space, c.Key)
	switch a := a.(type) {
	case msgs.KeyEquals:
		return e.compareKey(c, raw, found, func(payload []byte) (bool, error) {
			return bytes.Equal(payload, a.Expected), nil
		})
	case msgs.KeyCompare:
		return e.compareKey(c, raw, found, func(payload []byte) (bool, error) {
			order, err := compareForms(a.Form, payload, a.Threshold)
			return a.Op.Holds(order), err
		})
	case msgs.KeyExists:
		return found == a.Expected, msgs.Actual{Kind: msgs.ActualBool, Bool: found}, nil
	case msgs.RowExists:
		return found == a.Expected, msgs.Actual{Kind: msgs.ActualBool, Bool: found}, nil
	case msgs.KeyVersion:
		return version == a.Seq, msgs.Actual{Kind: msgs.ActualVersion, Version: version}, nil
	case msgs.RowVersion:
		return version == a.Seq, msgs.Actual{Kind: msgs.ActualVersion, Version: version}, nil
	case msgs.RowColumnCompare:
		if !found {
			return false, msgs.Actual{}, nil
		}
		if err := e.charge(len(c.Key) + len(raw)); err != nil {
			return false, msgs.Actual{}, err
		}
		v := record.Row{Table: c.Table, Key: c.Key, Data: raw}.Column(c.Position)
		if a.Op.Holds(value.Compare(v, a.Threshold)) {
			return true, msgs.Actual{}, nil
		}
		return false, msgs.Actual{Kind: msgs.ActualValue, Value: v}, nil
	}
	return false, msgs.Actual{}, unknown(a)
}

// compareKey evaluates a condition on the bytes under a key.
func (e *execution) compareKey(c *msgs.Condition, raw []byte, found bool, passes func([]byte) (bool, error)) (bool, msgs.Actual, error) {
	if !found {
		return false, msgs.Actual{}, nil
	}
	_, payload, err := record.SplitKV(raw)
	if err == nil {
		err = e.charge(len(c.Key) + len(payload))
	}
	if err != nil {
		return false, msgs.Actual{}, err
	}
	if ok, err := passes(payload); ok || err != nil {
		return ok && err == nil, msgs.Actual{}, err
	}
	return false, msgs.Actual{Kind: msgs.ActualBytes, Bytes: clone(payload)}, nil
}

// checkComparison refuses a comparison with a threshold that is not of its form.
func checkComparison(a msgs.KeyCompare) error {
	if err := checkOperator(a.Op); err != nil {
		return err
	}
	if a.Form > msgs.FormSigned {
		return errs.New(errs.CodeValidation, "unknown form %d in an assertion", a.Form)
	}
	return checkForm(a.Form, a.Threshold)
}

func checkForm(form msgs.KeyForm, b []byte) error {
	if n := len(b); form == msgs.FormUnsigned && n != 8 && n != 32 || form == msgs.FormSigned && n != 8 {
		return errs.New(errs.CodeValidation, "invalid number bytes length: %d bytes are not of the form compared", n)
	}
	return nil
}

// compareForms compares the bytes of a key with a threshold that is of the form.
func compareForms(form msgs.KeyForm, payload, threshold []byte) (int, error) {
	if err := checkForm(form, payload); err != nil {
		return 0, err
	}
	switch form {
	case msgs.FormUnsigned:
		var a, b uint256.Int
		return a.SetBytes(payload).Cmp(b.SetBytes(threshold)), nil
	case msgs.FormSigned:
		// Two's complement has the order of its bytes once the sign is turned.
		if c := cmp.Compare(payload[0]^0x80, threshold[0]^0x80); c != 0 {
			return c, nil
		}
		return bytes.Compare(payload[1:], threshold[1:]), nil
	}
	return bytes.Compare(payload, threshold), nil
}
