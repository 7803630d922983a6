package executor

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
)

// counterRoom is how much longer the key of a shard is than the counter's name.
const counterRoom = len(record.CounterPrefix) + 4 + 2

func counterHead(name []byte) []byte {
	key := append(make([]byte, 0, counterRoom+len(name)), record.CounterPrefix...)
	return append(binary.BigEndian.AppendUint32(key, uint32(len(name))), name...)
}

// reserved refuses keys of the engine's own.
func reserved(key []byte) error {
	if bytes.HasPrefix(key, []byte(record.CounterPrefix)) {
		return errs.New(errs.CodeValidation, "keys that begin with %q are managed", record.CounterPrefix).On(record.CounterPrefix)
	}
	return nil
}

// countUp adds to a shard of a counter.
func countUp(w *state.Working, op *msgs.Count) error {
	head := counterHead(op.Key)
	n, err := readNumber(w, op.Space, head, 4, msgs.MissingTreatAsZero)
	if err != nil {
		return err
	}
	switch shards := shardsOf(n.payload); {
	case n.payload == nil:
		putNumber(w, op.Space, head, n, binary.BigEndian.AppendUint32(nil, uint32(op.Shards)))
	case shards != op.Shards:
		return errs.New(errs.CodeValidation, "the counter has %d shards, not %d", shards, op.Shards)
	}
	shard := binary.BigEndian.AppendUint16(bytes.Clone(head), uint16(op.Hint%uint32(op.Shards)))
	if n, err = readNumber(w, op.Space, shard, 8, msgs.MissingTreatAsZero); err != nil {
		return err
	}
	var current uint64
	if n.payload != nil {
		current = binary.BigEndian.Uint64(n.payload)
	}
	if op.Amount > math.MaxUint64-current {
		return errs.New(errs.CodeOverflow, "the addition exceeds 64 bits in a shard of the counter")
	}
	putNumber(w, op.Space, shard, n, binary.BigEndian.AppendUint64(nil, current+op.Amount))
	return nil
}

func shardsOf(payload []byte) int {
	if len(payload) != 4 {
		return 0
	}
	return int(binary.BigEndian.Uint32(payload))
}

// Source is a state of the store to be read, such as state.Image.
type Source interface {
	Get(space catalog.SpaceID, key []byte) (val []byte, version uint64, ok bool)
	Cursor(space catalog.SpaceID) blocktree.Cursor
}

// ReadCounter returns the sum of a counter and its number of shards, both 0 for a
// counter that has never been added to. It fails with overflow if 64 bits do not
// hold the sum.
func ReadCounter(src Source, scope msgs.SpaceID, name []byte) (sum uint64, shards int, err error) {
	head := counterHead(name)
	cur := src.Cursor(scope)
	for cur.SeekGE(head); cur.Valid() && bytes.HasPrefix(cur.Key(), head); cur.Next() {
		_, payload, err := record.SplitKV(cur.Value())
		if err != nil {
			return 0, 0, err
		}
		if len(cur.Key()) == len(head) {
			shards = shardsOf(payload)
			continue
		}
		if len(payload) != 8 {
			return 0, 0, errs.New(errs.CodeIntegrity, "a shard of a counter has %d bytes", len(payload))
		}
		n := binary.BigEndian.Uint64(payload)
		if n > math.MaxUint64-sum {
			return 0, 0, errs.New(errs.CodeOverflow, "the sum of the counter exceeds 64 bits")
		}
		sum += n
	}
	return sum, shards, nil
}
