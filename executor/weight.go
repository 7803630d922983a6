package executor

import "github.com/empyrealapp/aedb-go/msgs"

// selectionWeight stands for what a selection looks at.
const selectionWeight = 1 << 10

// Unbounded is the weight of what may take any time, such as to fill an index.
const Unbounded = 1 << 20

// Weight returns about how many entries the execution of a request looks at or writes.
func Weight(r *msgs.Request) int {
	n := len(r.Mutations) + weightOfAll(r.Conditions)
	for _, op := range r.Operations {
		n = min(n+weightOf(op), Unbounded)
	}
	return n
}

func weightOf(op msgs.Operation) int {
	switch op := op.(type) {
	case *msgs.PutKeys:
		return len(op.Pairs)
	case *msgs.PutRows:
		return len(op.Rows)
	case *msgs.SetRows, *msgs.RemoveRows:
		return selectionWeight
	case *msgs.Guard:
		return weightOfAll(op.Conditions) + weightOf(op.Operation)
	case *msgs.Check:
		return weightOfAll(op.Conditions)
	case *msgs.Alter:
		return Unbounded
	}
	return 0
}

func weightOfAll(list []msgs.Condition) (n int) {
	for i := range list {
		if c := &list[i]; c.Selection != nil {
			n += selectionWeight
		} else {
			n += 1 + weightOfAll(c.Inner)
		}
	}
	return n
}
