package executor

import (
	"encoding/binary"

	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

func putKeys(w *state.Working, op *msgs.PutKeys) {
	w.Reserve(len(op.Pairs))
	for i := range op.Pairs {
		if i%Abreast == 0 && i+1 < len(op.Pairs) {
			for _, p := range op.Pairs[i:min(i+Abreast, len(op.Pairs))] {
				w.Expect(op.Space, p.Key)
			}
			w.Fetch()
		}
		putKey(w, op.Space, op.Pairs[i].Key, op.Pairs[i].Value)
	}
}

// putKey stores a value that is in a buffer with room in front.
func putKey(w *state.Working, space msgs.SpaceID, key, val []byte) {
	w.Replace(space, key, func(before []byte, found bool) []byte {
		// An entry knows the seq of its first write: this one, if there is none.
		created := w.Seq()
		if found {
			if seq, _, err := record.SplitKV(before); err == nil {
				created = seq
			}
		}
		return record.PlaceKV(val, created)
	})
}

// stored is a number under a key.
type stored struct {
	payload []byte // nil if the key is missing
	first   uint64 // the seq of the entry's first write, or of this commit
	version uint64 // 0 if the key is missing
}

// readNumber returns what is under a key that holds numbers of a width.
func readNumber(w *state.Working, space msgs.SpaceID, key []byte, width int, missing msgs.MissingPolicy) (n stored, err error) {
	raw, version, found := w.Get(space, key)
	if !found {
		if missing == msgs.MissingReject {
			return n, errs.New(errs.CodeValidation, "the key of an arithmetic mutation is missing")
		}
		return stored{first: w.Seq()}, nil
	}
	n.version = version
	if n.first, n.payload, err = record.SplitKV(raw); err == nil && len(n.payload) != width {
		err = errs.New(errs.CodeValidation, "invalid number bytes length: the key holds %d bytes, want %d", len(n.payload), width)
	}
	return n, err
}

// putNumber stores a number that was read as n before.
func putNumber(w *state.Working, space msgs.SpaceID, key []byte, n stored, payload []byte) {
	w.Put(space, key, record.AppendKV(w.Room(record.KVRoom+len(payload)), n.first, payload))
}

func (e *execution) compute(op *msgs.Compute) error {
	n, err := readNumber(e.w, op.Space, op.Key, int(op.Width), op.OnMissing)
	if err != nil {
		return err
	}
	var current uint256.Int
	current.SetBytes(n.payload)
	next, write, err := calculate(&current, n.payload == nil, op)
	if err != nil {
		return err
	}
	reply := msgs.Reply{Affected: count(write), Version: n.version}
	if write {
		var payload [32]byte
		next.PutUint256(payload[:])
		putNumber(e.w, op.Space, op.Key, n, payload[32-op.Width:])
		reply.Version = e.w.Seq()
	}
	switch {
	case reply.Version == 0: // still missing
	case op.Width == msgs.Width64:
		reply.Value = value.U64(next.Uint64())
	default:
		reply.Value = value.U256(&next)
	}
	e.tell(reply)
	return nil
}

// calculate returns what is under the key after an operation, and whether that is
// to be written.
func calculate(current *uint256.Int, missing bool, op *msgs.Compute) (next uint256.Int, write bool, err error) {
	switch op.Op {
	case msgs.ArithmeticSet:
		return op.Amount, true, nil
	case msgs.ArithmeticMax, msgs.ArithmeticMin:
		if op.Amount.Gt(current) == (op.Op == msgs.ArithmeticMax) && !op.Amount.Eq(current) {
			return op.Amount, true, nil
		}
		return *current, missing, nil
	case msgs.ArithmeticSub:
		if _, under := next.SubOverflow(current, &op.Amount); !under {
			return next, true, nil
		}
		if op.OnLimit == msgs.LimitNoOp {
			return *current, false, nil
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

func (e *execution) addSigned(op *msgs.AddSigned) error {
	n, err := readNumber(e.w, op.Space, op.Key, int(msgs.Width64), op.OnMissing)
	if err != nil {
		return err
	}
	var current int64
	if n.payload != nil {
		current = int64(binary.BigEndian.Uint64(n.payload))
	}
	sum, err := query.Sum(value.Int(current), value.Int(op.Delta))
	if err != nil {
		return err
	}
	next := sum.AsInt()
	if op.Least != nil && next < *op.Least || op.Greatest != nil && next > *op.Greatest {
		return errs.New(errs.CodeValidation, "the sum leaves its bounds")
	}
	putNumber(e.w, op.Space, op.Key, n, binary.BigEndian.AppendUint64(nil, uint64(next)))
	e.tell(msgs.Reply{Affected: 1, Value: sum, Version: e.w.Seq()})
	return nil
}
