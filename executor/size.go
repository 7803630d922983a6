package executor

import (
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
)

func (x *Executor) checkSize(r *msgs.Request) error {
	if r.Size > int64(x.Limits.MaxTransactionSize) {
		return errs.Exceeded("envelope bytes", "max_transaction_bytes", r.Size, int64(x.Limits.MaxTransactionSize))
	}
	return nil
}

// mutationOverhead is counted for every mutation, whatever it holds.
const mutationOverhead = 64

// sizeOf is what an operation counts against the size of its envelope: what it
// holds that can be large.
func sizeOf(op msgs.Operation) int64 {
	n := mutationOverhead
	switch op := op.(type) {
	case *msgs.PutKey:
		n += len(op.Key) + len(op.Value)
	case *msgs.PutKeys:
		for i := range op.Pairs {
			n += itemOverhead + len(op.Pairs[i].Key) + len(op.Pairs[i].Value)
		}
	case *msgs.RemoveKey:
		n += len(op.Key)
	case *msgs.Compute:
		n += len(op.Key) + 32
	case *msgs.PutRows:
		for i := range op.Rows {
			row := &op.Rows[i]
			n += len(row.Key) + len(row.Data)
			for _, e := range row.Indexes {
				n += len(e.Key)
			}
		}
		if op.Conflict != nil {
			n += sizeOfExpr(op.Conflict.Source.Where) + sizeOfAssignments(op.Conflict.Source.Set)
		}
	case *msgs.SetFields:
		n += len(op.Key)
		for _, f := range op.Fields {
			n += f.Value.Size()
		}
	case *msgs.RemoveRow:
		n += len(op.Key)
	case *msgs.SetRows:
		n += sizeOfExpr(op.Source.Where) + sizeOfAssignments(op.Source.Set)
	case *msgs.RemoveRows:
		n += sizeOfExpr(op.Source.Where)
	case *msgs.ComputeCell:
		n += len(op.Key) + op.Source.Amount.Size()
	case *msgs.AddSigned:
		n += len(op.Key) + 8
	case *msgs.Count:
		n += len(op.Key) + 8
	case *msgs.Guard:
		return sizeOfConditions(op.Conditions) + sizeOf(op.Operation)
	case *msgs.Emit:
		n += len(op.Topic) + len(op.Key) + len(op.PayloadJSON)
	case *msgs.Check:
		return int64(n) + sizeOfConditions(op.Conditions)
	}
	return int64(n)
}

func sizeOfExpr(e query.Expr) int {
	if e.IsZero() {
		return 0
	}
	return len(e.AppendCanonical(nil))
}

func sizeOfAssignments(set []query.Assignment) (n int) {
	for _, a := range set {
		n += a.To.Size()
	}
	return n
}

// itemOverhead is counted for every assertion, every read, and every pair of a write of
// many keys.
const itemOverhead = 32

func sizeOfConditions(list []msgs.Condition) (n int64) {
	for i := range list {
		c := &list[i]
		n += itemOverhead + int64(len(c.Key)) + sizeOfConditions(c.Inner)
		switch a := c.Assertion.(type) {
		case msgs.KeyEquals:
			n += int64(len(a.Expected))
		case msgs.KeyCompare:
			n += int64(len(a.Threshold))
		case msgs.RowColumnCompare:
			n += int64(a.Threshold.Size())
		case msgs.CountCompare:
			n += int64(sizeOfExpr(a.Where))
		case msgs.SumCompare:
			n += int64(sizeOfExpr(a.Where) + a.Threshold.Size())
		}
	}
	return n
}

func sizeOfReads(d *msgs.Dependencies) (n int64) {
	for i := range d.Points {
		n += itemOverhead + int64(len(d.Points[i].Key))
	}
	for i := range d.Ranges {
		n += itemOverhead + int64(len(d.Ranges[i].Start)+len(d.Ranges[i].End))
	}
	return n
}
