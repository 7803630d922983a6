package executor

import (
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

// Abreast is how many requests, operations or rows are announced together: what
// they need of memory is waited for once, and still in the caches when it is their
// turn.
const Abreast = 16

// Announce lets the Working fetch what the first of some requests, at most Abreast
// of them, are going to look for, before they are run one after the other.
func (x *Executor) Announce(w *state.Working, requests []*msgs.Request) {
	for _, r := range requests[:min(len(requests), Abreast)] {
		if len(r.Operations) > 0 {
			expect(w, r.Operations[0])
		}
	}
	w.Fetch()
}

// announce is Announce for the operations of one request.
func announce(w *state.Working, operations []msgs.Operation) {
	for _, op := range operations[:min(len(operations), Abreast)] {
		expect(w, op)
	}
	w.Fetch()
}

// announceRows is Announce for the rows of one operation.
func announceRows(w *state.Working, op *msgs.PutRows, rows []msgs.BoundRow) {
	for i := range rows[:min(len(rows), Abreast)] {
		expectRow(w, op, &rows[i])
	}
	w.Fetch()
}

// expect tells the Working of the entries that an operation names. Those that it
// finds by looking are not known.
func expect(w *state.Working, op msgs.Operation) {
	switch op := op.(type) {
	case *msgs.PutKey:
		w.Expect(op.Space, op.Key)
	case *msgs.RemoveKey:
		w.Expect(op.Space, op.Key)
	case *msgs.Compute:
		w.Expect(op.Space, op.Key)
	case *msgs.AddSigned:
		w.Expect(op.Space, op.Key)
	case *msgs.SetFields:
		w.Expect(op.Table.ID, op.Key)
	case *msgs.ComputeCell:
		w.Expect(op.Table.ID, op.Key)
	case *msgs.RemoveRow:
		w.Expect(op.Table.ID, op.Key)
	case *msgs.PutRows:
		if len(op.Rows) == 1 {
			expectRow(w, op, &op.Rows[0])
		}
	}
}

func expectRow(w *state.Working, op *msgs.PutRows, row *msgs.BoundRow) {
	w.Expect(op.Table.ID, row.Key)
	for i := range row.Indexes {
		w.Expect(op.Table.Indexes[i].ID, row.Indexes[i].Key)
	}
}
