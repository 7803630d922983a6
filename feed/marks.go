package feed

import (
	"slices"
	"sync"

	"github.com/empyrealapp/aedb-go/wal"
)

// maxMarks is how many places a Log remembers. A subscriber that keeps falling behind
// uses one at a time.
const maxMarks = 64

// marks are places in the log where readings have ended, the newest last: whoever
// comes to read behind one of them need not begin with the segment.
type marks struct {
	mu     sync.Mutex // guards places
	places []wal.Place
}

// add remembers a place, and forgets the oldest where there are too many.
func (m *marks) add(p wal.Place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.places = slices.DeleteFunc(m.places, func(q wal.Place) bool { return q.SameSegment(&p) && q.Offset == p.Offset })
	if len(m.places) == maxMarks {
		m.places = slices.Delete(m.places, 0, 1)
	}
	m.places = append(m.places, p)
}

// before returns the last place known in a segment that is not behind the commit with
// a seq: at worst the beginning.
func (m *marks) before(begin wal.Place, seq uint64) wal.Place {
	m.mu.Lock()
	defer m.mu.Unlock()
	best := begin
	for _, p := range m.places {
		if p.SameSegment(&begin) && p.NextSeq <= seq && p.Offset > best.Offset {
			best = p
		}
	}
	return best
}
