package executor

import (
	"cmp"
	"math"
	"math/big"

	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// aggregateCondition binds to the rows for which a condition is true.
func aggregateCondition(cat *catalog.Catalog, n msgs.TableName, where query.Expr, op msgs.CompareOp) (c msgs.Condition, err error) {
	if c.Table, err = bindTable(cat, n); err != nil {
		return c, err
	}
	if err := checkOperator(op); err != nil {
		return c, err
	}
	predicate, err := query.Bind(where, layout{c.Table})
	if err != nil {
		return c, err
	}
	selection := find(c.Table, predicate)
	c.Space, c.Selection = c.Table.ID, &selection
	return c, nil
}

func (x *Executor) sumCondition(cat *catalog.Catalog, a msgs.SumCompare) (msgs.Condition, error) {
	c, err := aggregateCondition(cat, a.Table, a.Where, a.Op)
	if err != nil {
		return c, err
	}
	var ok bool
	if c.Position, ok = c.Table.Column(a.Column); !ok {
		return c, unknownColumn(c.Table, a.Column)
	}
	column := &c.Table.Columns[c.Position]
	if column.Kind == value.KindFloat { // whose sum depends on the order
		c.Selection.Path, c.Selection.Sort = nil, false
		c.Selection.Ranges, _ = rangesOf(c.Table, c.Table.PrimaryKey, c.Selection.Where)
	} else if !query.Computable(column.Kind) {
		return c, errs.New(errs.CodeTypeMismatch, "column %q holds %s, of which there is no sum", a.Column, column.Kind).On(a.Column)
	}
	return c, value.Check(column.Name, column.Kind, false, x.Limits.MaxTableValue, a.Threshold)
}

func (e *execution) countRows(c *msgs.Condition) (n uint64, err error) {
	err = e.scan(c.Selection, func(record.Row) (bool, error) {
		n++
		return true, nil
	})
	return n, err
}

func (e *execution) compareSum(c *msgs.Condition, a msgs.SumCompare) (bool, msgs.Actual, error) {
	order, sum := 0, value.Value{}
	var err error
	if kind := a.Threshold.Kind(); kind == value.KindFloat {
		sum, err = e.sumFloats(c)
		order = cmp.Compare(sum.AsFloat(), a.Threshold.AsFloat())
	} else {
		var total big.Int
		err = e.scan(c.Selection, func(r record.Row) (bool, error) {
			if v := r.Column(c.Position); !v.IsNull() {
				total.Add(&total, wide(v))
			}
			return true, nil
		})
		order, sum = total.Cmp(wide(a.Threshold)), narrow(&total, kind)
	}
	return a.Op.Holds(order), msgs.Actual{Kind: msgs.ActualValue, Value: sum}, err
}

func (e *execution) sumFloats(c *msgs.Condition) (value.Value, error) {
	total := 0.0
	err := e.scan(c.Selection, func(r record.Row) (bool, error) {
		total += r.Column(c.Position).AsFloat()
		return true, nil
	})
	if err == nil && (math.IsInf(total, 0) || math.IsNaN(total)) {
		err = errs.New(errs.CodeOverflow, "the sum of an assertion is not finite")
	}
	return value.Float(total), err
}

// wide returns the number in a value of an integral kind.
func wide(v value.Value) *big.Int {
	switch v.Kind() {
	case value.KindInteger, value.KindTimestamp:
		return big.NewInt(v.AsInt())
	case value.KindU256:
		return v.AsUint256().ToBig()
	case value.KindI256:
		n := v.AsUint256()
		if n.Sign() < 0 {
			return new(big.Int).Neg(n.Neg(n).ToBig())
		}
		return n.ToBig()
	}
	return new(big.Int).SetUint64(v.AsU64())
}

// narrow returns a number as a value of the kind, or of the 256-bit kind of its
// sign, or Null, whichever is the first to hold it.
func narrow(n *big.Int, kind value.Kind) value.Value {
	signed := value.KindU256
	if n.Sign() < 0 {
		signed = value.KindI256
	}
	for _, k := range []value.Kind{kind, signed} {
		least, greatest, _ := query.Extremes(k)
		if n.Cmp(wide(least)) < 0 || n.Cmp(wide(greatest)) > 0 {
			continue
		}
		bits, _ := uint256.FromBig(n) // two's complement
		switch k {
		case value.KindU8:
			return value.U8(uint8(bits.Uint64()))
		case value.KindU64:
			return value.U64(bits.Uint64())
		case value.KindInteger:
			return value.Int(int64(bits.Uint64()))
		case value.KindTimestamp:
			return value.Timestamp(int64(bits.Uint64()))
		case value.KindU256:
			return value.U256(bits)
		}
		return value.I256(bits)
	}
	return value.Null()
}
