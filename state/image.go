// Package state holds the database at one commit: an Image that readers share,
// and the Working image that one owner changes.
//
// Both are a set of spaces, each an ordered map of keys to values and versions.
// Nothing outside this package and blocktree knows how entries are kept.
//
// Invariants:
//
//  1. An Image never changes. Any number of goroutines may read it for as long
//     as they hold it.
//  2. A Working has one owner. Freezing it costs as much as there are spaces
//     changed since the last time, whatever the store holds.
//  3. Every change of a Working is recorded as an effect, and applying the
//     effects of all commits in order to an empty Working gives the same image:
//     this is what the log holds and what recovery does.
package state

import (
	"encoding/binary"
	"iter"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
)

// empty stands in for spaces that hold nothing.
var empty = blocktree.New().Snapshot()

// Image is everything at one commit seq. It is immutable.
type Image struct {
	moment msgs.Moment
	spaces spaces
}

// Moment returns the commit that the image shows, with its time and the schema.
func (i *Image) Moment() msgs.Moment { return i.moment }

// Seq returns the commit seq that the image shows.
func (i *Image) Seq() uint64 { return i.moment.Seq }

// Micros returns the time stamped on that commit, in microseconds since the
// Unix epoch; 0 before the first.
func (i *Image) Micros() int64 { return i.moment.Micros }

// Catalog returns the schema at that commit.
func (i *Image) Catalog() *catalog.Catalog { return i.moment.Catalog }

// Get returns the value and the version of a key. The value is shared and must
// not be modified; it stays valid for as long as the caller holds it.
func (i *Image) Get(space catalog.SpaceID, key []byte) (val []byte, version uint64, ok bool) {
	return i.tree(space).Get(key)
}

// GetMany looks up many keys, as blocktree.Tree.GetMany does.
func (i *Image) GetMany(space catalog.SpaceID, keys [][]byte, found []blocktree.Entry) {
	i.tree(space).GetMany(keys, found)
}

// Cursor returns a cursor over a space.
func (i *Image) Cursor(space catalog.SpaceID) blocktree.Cursor { return i.tree(space).Cursor() }

// Len returns the number of entries in a space.
func (i *Image) Len(space catalog.SpaceID) int { return i.tree(space).Len() }

func (i *Image) tree(space catalog.SpaceID) *blocktree.Tree {
	if t := i.spaces.get(space); t != nil {
		return t
	}
	return empty
}

// Spaces yields the spaces that hold entries, by id.
func (i *Image) Spaces() iter.Seq2[catalog.SpaceID, *blocktree.Tree] {
	return func(yield func(catalog.SpaceID, *blocktree.Tree) bool) {
		i.spaces.all(func(id catalog.SpaceID, t *blocktree.Tree) bool {
			return t.Len() == 0 || yield(id, t)
		})
	}
}

// MemoryBytes returns what the entries of the image occupy on the heap. It
// costs as much as there are spaces.
func (i *Image) MemoryBytes() int64 {
	var n int64
	for _, t := range i.Spaces() {
		n += t.MemoryBytes()
	}
	return n
}

// Entries returns the number of entries in all spaces.
func (i *Image) Entries() int64 {
	var n int64
	for _, t := range i.Spaces() {
		n += int64(t.Len())
	}
	return n
}

// Digest is a BLAKE3 hash over the seq and every entry (space, key, version,
// value) in order. Two images with equal digests hold the same database,
// however either came about and wherever its entries are kept.
func (i *Image) Digest() [32]byte {
	h := blake3.New()
	buf := binary.BigEndian.AppendUint64(nil, i.Seq())
	for id, t := range i.Spaces() {
		c := t.Cursor()
		for c.First(); c.Valid(); c.Next() {
			buf = binary.BigEndian.AppendUint64(buf, uint64(id))
			buf = binary.BigEndian.AppendUint64(buf, c.Version())
			buf = binary.BigEndian.AppendUint32(buf, uint32(len(c.Key())))
			buf = append(buf, c.Key()...)
			buf = binary.BigEndian.AppendUint32(buf, uint32(len(c.Value())))
			buf = append(buf, c.Value()...)
			if len(buf) > 64<<10 {
				h.Write(buf)
				buf = buf[:0]
			}
		}
	}
	h.Write(buf)
	var d [32]byte
	h.Sum(d[:0])
	return d
}

// Fork returns a Working that starts from the image and shares everything with
// it until it writes. The image is not affected; any goroutine may fork it.
func (i *Image) Fork() *Working {
	return &Working{moment: i.moment, frozen: i.spaces}
}
