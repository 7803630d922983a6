package executor

import (
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
)

// room is memory for what an envelope is bound to: keys and values are copied, since the
// caller may use its slices again, and a load is made of thousands. Where there is none
// left, there is more.
type room struct {
	puts  []msgs.PutKey
	bytes []byte // of puts
	keys  []byte // of everything else
	// piece is the memory taken at once for keys: some for each assertion, and for each
	// mutation but those whose keys are in bytes.
	piece int
}

// usualKey is the memory for a key that is reckoned with, in bytes.
const usualKey = 24

// roomFor returns the room that the mutations of a request need, and so many assertions.
// It holds no more than they do.
func roomFor(q *msgs.Request, assertions int) (r room) {
	puts, bytes := 0, 0
	for _, m := range q.Mutations {
		if set, ok := m.(msgs.KvSet); ok {
			puts++
			bytes += pairBytes(set.Key, set.Value)
		}
	}
	r.piece = usualKey * (len(q.Mutations) - puts + assertions)
	switch {
	case len(q.Mutations) == 1:
		r.puts = q.RoomForPut()
	case puts > 1:
		r.puts, r.bytes = make([]msgs.PutKey, 0, puts), make([]byte, 0, bytes)
	}
	return r
}

// pairBytes is what the key and the value of a put take.
func pairBytes(key, val []byte) int { return len(key) + record.KVRoom + len(val) }

// clone returns a copy of a key or a small value.
func (r *room) clone(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	if cap(r.keys)-len(r.keys) < len(b) {
		r.keys = make([]byte, 0, max(len(b), min(r.piece, largestPiece)))
	}
	from := len(r.keys)
	r.keys = append(r.keys, b...)
	return r.keys[from:len(r.keys):len(r.keys)]
}

// largestPiece bounds the memory that is taken at once for keys, of which one may be kept
// for longer than the others.
const largestPiece = 4 << 10

// put binds a put.
func (r *room) put(space msgs.SpaceID, m msgs.KvSet) *msgs.PutKey {
	if len(r.puts) == cap(r.puts) {
		r.puts = make([]msgs.PutKey, 0, 1)
	}
	key, val := r.pair(m.Key, m.Value)
	r.puts = append(r.puts, msgs.PutKey{Space: space, Key: key, Value: val})
	return &r.puts[len(r.puts)-1]
}

// pair copies a key and a value, with room in front of that.
func (r *room) pair(key, val []byte) (k, v []byte) {
	if need := pairBytes(key, val); cap(r.bytes)-len(r.bytes) < need {
		r.bytes = make([]byte, 0, need)
	}
	from := len(r.bytes)
	r.bytes = append(r.bytes, key...)
	middle := len(r.bytes)
	r.bytes = record.AppendNewKV(r.bytes, val)
	to := len(r.bytes)
	return r.bytes[from:middle:middle], r.bytes[middle:to:to]
}
