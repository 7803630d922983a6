package executor

import (
	"encoding/binary"

	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
)

func putKey(w *state.Working, op *msgs.PutKey) {
	w.Put(op.Space, op.Key, record.PlaceKV(op.Value, created(w, op.Space, op.Key)))
}

// created returns the seq of an entry's first write: this one, if there is none.
func created(w *state.Working, space msgs.SpaceID, key []byte) uint64 {
	if raw, _, found := w.Get(space, key); found {
		if seq, _, err := record.SplitKV(raw); err == nil {
			return seq
		}
	}
	return w.Seq()
}

func compute(w *state.Working, op *msgs.Compute) error {
	var current uint256.Int
	first := w.Seq()
	raw, _, found := w.Get(op.Space, op.Key)
	switch {
	case found:
		seq, payload, err := record.SplitKV(raw)
		if err != nil {
			return err
		}
		if len(payload) != int(op.Width) {
			return errs.New(errs.CodeValidation, "invalid number bytes length: the key holds %d bytes, want %d", len(payload), op.Width)
		}
		first = seq
		current.SetBytes(payload)
	case op.OnMissing == msgs.MissingReject:
		return errs.New(errs.CodeValidation, "the key of an arithmetic mutation is missing")
	}
	next, write, err := calculate(&current, op)
	if err != nil || !write {
		return err
	}
	payload := make([]byte, op.Width)
	if op.Width == msgs.Width64 {
		binary.BigEndian.PutUint64(payload, next.Uint64())
	} else {
		next.PutUint256(payload)
	}
	w.Put(op.Space, op.Key, record.AppendKV(nil, first, payload))
	return nil
}

// calculate returns the result of an operation, and whether to write it.
func calculate(current *uint256.Int, op *msgs.Compute) (next uint256.Int, write bool, err error) {
	if op.Op == msgs.ArithmeticSub {
		if _, under := next.SubOverflow(current, &op.Amount); !under {
			return next, true, nil
		}
		if op.OnLimit == msgs.LimitNoOp {
			return next, false, nil
		}
		return next, false, errs.New(errs.CodeUnderflow, "the subtraction goes below zero")
	}
	_, over := next.AddOverflow(current, &op.Amount)
	if op.Width == msgs.Width64 {
		over = !next.IsUint64()
	}
	if !over {
		return next, true, nil
	}
	if op.OnLimit != msgs.LimitSaturate {
		return next, false, errs.New(errs.CodeOverflow, "the addition exceeds %d bits", 8*int(op.Width))
	}
	next.SetAllOne()
	if op.Width == msgs.Width64 {
		next.SetUint64(^uint64(0))
	}
	return next, true, nil
}
