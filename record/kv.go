package record

import (
	"encoding/binary"

	"github.com/empyrealapp/aedb-go/errs"
)

// AppendKV appends the stored value of a key-value entry: the commit seq of its
// first write, then the user's bytes.
func AppendKV(dst []byte, created uint64, payload []byte) []byte {
	return append(binary.AppendUvarint(dst, created), payload...)
}

// SplitKV takes a stored value apart. The payload aliases raw.
func SplitKV(raw []byte) (created uint64, payload []byte, err error) {
	created, n := binary.Uvarint(raw)
	if n <= 0 {
		return 0, nil, errs.New(errs.CodeIntegrity, "key-value entry has no creation seq")
	}
	return created, raw[n:], nil
}

// KVRoom is the space that AppendNewKV leaves in front of a payload.
const KVRoom = binary.MaxVarintLen64

// AppendNewKV appends a payload with room in front of it, for PlaceKV to complete
// when the commit that writes it is known.
func AppendNewKV(dst, payload []byte) []byte {
	return append(append(dst, make([]byte, KVRoom)...), payload...)
}

// PlaceKV completes what AppendNewKV has appended, in place, and returns the
// stored value, which aliases it.
func PlaceKV(buf []byte, created uint64) []byte {
	var seq [KVRoom]byte
	n := binary.PutUvarint(seq[:], created)
	stored := buf[KVRoom-n:]
	copy(stored, seq[:n])
	return stored
}

// CounterPrefix begins the keys under which counters are kept, in the space of
// their scope. Other mutations cannot write there, and readers leave them out.
// A counter is
//
//	prefix, length of the name as 4 bytes, name            number of shards, 4 bytes
//	prefix, length of the name as 4 bytes, name, 2 bytes   a shard, 8 bytes
//
// with all numbers big-endian, so it is one range of keys, its head in front.
const CounterPrefix = "__aedb_counter_shard__"
