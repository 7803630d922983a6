package executor

import (
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

// execution is one request being performed.
type execution struct {
	x *Executor
	w *state.Working
	// mutation is the place of the one at work, and mutations how many there are.
	mutation, mutations int
	replies             []msgs.Reply
	// read counts the bytes that assertions and selections have read.
	read int64
}

// tell adds what the mutation at work has to tell.
func (e *execution) tell(r msgs.Reply) {
	r.Mutation = e.mutation
	if e.replies == nil { // most envelopes have a few mutations, all of one kind
		e.replies = make([]msgs.Reply, 0, min(e.mutations-e.mutation, 8))
	}
	e.replies = append(e.replies, r)
}

// charge counts bytes that were read.
func (e *execution) charge(n int) error {
	e.read += int64(n)
	if most := e.x.Limits.readBytes(); e.read > most {
		return errs.Exceeded("bytes read by the envelope", "max_read_bytes_per_envelope", e.read, most)
	}
	return nil
}

// perform carries out one operation.
func (e *execution) perform(op msgs.Operation) error {
	switch op := op.(type) {
	case *msgs.PutKey:
		putKey(e.w, op.Space, op.Key, op.Value)
		return nil
	case *msgs.PutKeys:
		putKeys(e.w, op)
		return nil
	case *msgs.PutRows:
		return e.putRows(op)
	case *msgs.SetFields:
		return setFields(e.w, op)
	case *msgs.RemoveRow:
		e.tell(msgs.Reply{Affected: removeRow(e.w, op)})
		return nil
	case *msgs.RemoveKey:
		e.tell(msgs.Reply{Affected: count(e.w.Delete(op.Space, op.Key))})
		return nil
	case *msgs.Compute:
		return e.compute(op)
	case *msgs.AddSigned:
		return e.addSigned(op)
	case *msgs.Count:
		return countUp(e.w, op)
	case *msgs.ComputeCell:
		return e.computeCell(op)
	case *msgs.SetRows:
		return e.setRows(op)
	case *msgs.RemoveRows:
		return e.removeRows(op)
	case *msgs.Guard:
		if err := e.evaluate(op.Conditions); err != nil {
			return err
		}
		return e.perform(op.Operation)
	case *msgs.Emit:
		return e.emit(op)
	case *msgs.Check:
		return e.evaluate(op.Conditions)
	case *msgs.Alter:
		return alter(e.w, op.Statement)
	}
	return unknown(op)
}

// count is 1 for what has happened, else 0.
func count(happened bool) int {
	if happened {
		return 1
	}
	return 0
}
