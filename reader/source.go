package reader

import (
	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
)

// Source is the database at one commit: a state.Image, or a state.Working that
// is not written to while it is read. Its slices are shared.
type Source interface {
	Seq() uint64
	Catalog() *catalog.Catalog
	Get(space catalog.SpaceID, key []byte) (val []byte, version uint64, ok bool)
	// GetMany sets found to the entries under keys. The Value of one that is not
	// there, and of no other, is nil.
	GetMany(space catalog.SpaceID, keys [][]byte, found []blocktree.Entry)
	Cursor(space catalog.SpaceID) blocktree.Cursor
	Len(space catalog.SpaceID) int
}

// Recorder is told what a read depended on. It must copy the slices it keeps.
// A nil Recorder is allowed wherever one is asked for.
type Recorder interface {
	// Point says that the entry under the key was read, or found missing.
	Point(space catalog.SpaceID, key []byte)
	// Range says that all entries in [start, end) and the gaps between them were
	// looked at. A nil end is the end of the space.
	Range(space catalog.SpaceID, start, end []byte)
}

// KeyRange is the keys in [Start, End). A nil End is the end of the space.
type KeyRange struct {
	Start, End []byte
}

// meets reports whether any key can be both in the range and in [start, end).
func (r KeyRange) meets(start, end []byte) bool {
	return below(r.Start, end) && below(start, r.End)
}
