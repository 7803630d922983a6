package executor

import (
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
)

// room is memory for what the puts of an envelope are bound to: their keys and
// values are copied, since the caller may use its slices again, and a load is
// made of thousands. Where there is none left, a put gets its own.
type room struct {
	puts  []msgs.PutKey
	bytes []byte
}

// roomFor returns the room that the mutations of a request need. It holds no more than
// they do.
func roomFor(q *msgs.Request) (r room) {
	if len(q.Mutations) == 1 {
		return room{puts: q.RoomForPut()}
	}
	puts, bytes := 0, 0
	for _, m := range q.Mutations {
		if set, ok := m.(msgs.KvSet); ok {
			puts++
			bytes += pairBytes(set.Key, set.Value)
		}
	}
	if puts > 1 {
		r = room{make([]msgs.PutKey, 0, puts), make([]byte, 0, bytes)}
	}
	return r
}

// pairBytes is what the key and the value of a put take.
func pairBytes(key, val []byte) int { return len(key) + record.KVRoom + len(val) }

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
