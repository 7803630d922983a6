package state

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Bulk applies many changesets at once, and comes to what Working.Replay would
// come to with one after the other. It gathers what they write to each space,
// brings that in the order of the keys, and writes only the newest of each key: an
// entry then goes next to the one before it, instead of anywhere in a tree that no
// cache holds. It belongs to one goroutine, which leaves the Working alone between
// Add and Flush.
type Bulk struct {
	working *Working
	spaces  map[catalog.SpaceID]*gathered
	recent  *gathered // the one used last; or nil
	seq     uint64
	micros  int64
}

// gathered is what is to be written to one space.
type gathered struct {
	id      catalog.SpaceID
	dropped bool // the space is emptied before the writes
	writes  writes
	// shared is how many bytes all keys begin with in common.
	shared int
	// ascending is true while each key is above the one before it.
	ascending bool
	touched   byte // what touch has read, so that the reads are not left out
}

// write is a put, or a delete. It has the size of a cache line.
type write struct {
	key, value []byte
	version    uint64
	deleted    bool
}

// writes are in the order of the commits. They are kept in pieces, so that they
// stay where they are when there are more.
type writes struct {
	pieces [][]write // full but for the last
	count  int
}

// pieceWrites is the number of writes in a full piece, 64 KiB of them.
const pieceWrites = 1024

func (l *writes) append(w write) {
	if l.count%pieceWrites == 0 {
		l.pieces = append(l.pieces, nil)
	}
	last := &l.pieces[len(l.pieces)-1]
	*last = append(*last, w)
	l.count++
}

func (l *writes) at(i int) *write { return &l.pieces[i/pieceWrites][i%pieceWrites] }

// NewBulk returns a Bulk that writes to w.
func NewBulk(w *Working) *Bulk {
	return &Bulk{working: w, spaces: make(map[catalog.SpaceID]*gathered), seq: w.Seq(), micros: w.Micros()}
}

// Add takes a part of the changeset of the next commit: the effects on those
// spaces that owns reports true for, all of them if it is nil. Their keys and
// values must stay unchanged until Flush; nothing else of the changeset is kept.
func (b *Bulk) Add(cs *msgs.Changeset, owns func(catalog.SpaceID) bool) error {
	b.seq, b.micros = cs.Seq, cs.Micros
	for i := range cs.Effects {
		e := &cs.Effects[i]
		if owns != nil && !owns(e.Space) {
			continue
		}
		g := b.space(e.Space)
		switch e.Op {
		case msgs.EffectPut, msgs.EffectDelete:
			if len(e.Key) > blocktree.MaxKeySize {
				return errs.New(errs.CodeDecode, "commit %d has a key of %d bytes", cs.Seq, len(e.Key))
			}
			g.add(write{key: e.Key, value: e.Value, version: cs.Seq, deleted: e.Op == msgs.EffectDelete})
		case msgs.EffectDropSpace:
			g.dropped, g.writes = true, writes{}
		default:
			return errs.New(errs.CodeDecode, "commit %d has an effect of unknown kind %d", cs.Seq, e.Op)
		}
	}
	return nil
}

func (b *Bulk) space(id catalog.SpaceID) *gathered {
	if b.recent == nil || b.recent.id != id {
		g, ok := b.spaces[id]
		if !ok {
			g = &gathered{id: id}
			b.spaces[id] = g
		}
		b.recent = g
	}
	return b.recent
}

// Flush writes what was gathered to the Working, which is then at the last commit
// that was added.
func (b *Bulk) Flush() {
	b.working.Begin(b.seq, b.micros)
	for _, g := range b.spaces { // they do not touch each other: any order will do
		g.flush(b.working.writable(g.id))
	}
	clear(b.spaces)
	b.recent = nil
}

func (g *gathered) add(w write) {
	if n := g.writes.count; n == 0 {
		g.shared, g.ascending = len(w.key), true
	} else {
		last := g.writes.at(n - 1).key
		g.shared = commonPrefix(last[:g.shared], w.key)
		g.ascending = g.ascending && bytes.Compare(last, w.key) < 0
	}
	g.writes.append(w)
}

// rebuildFactor is how many times as many entries as there are writes a tree may
// have and still be built anew. Copying an entry in order costs a fraction of
// writing one to its place, and the bound keeps the two trees that exist meanwhile
// in proportion to the writes.
const rebuildFactor = 4

func (g *gathered) flush(s *space) {
	if g.dropped {
		s.tree = blocktree.New()
	}
	if s.tree.Len() <= rebuildFactor*g.writes.count {
		s.tree = g.merge(s.tree)
		return
	}
	for w := range g.newest() {
		if w.deleted {
			s.tree.Delete(w.key)
		} else {
			s.tree.Put(w.key, w.value, w.version)
		}
	}
}

// merge returns a new tree of what is in the old one and what is written.
func (g *gathered) merge(old *blocktree.Tree) *blocktree.Tree {
	var builder blocktree.Builder
	c := old.Cursor()
	c.First()
	for w := range g.newest() {
		order := 1
		for c.Valid() {
			if order = bytes.Compare(c.Key(), w.key); order >= 0 {
				break
			}
			builder.Append(c.Key(), c.Value(), c.Version())
			c.Next()
		}
		if c.Valid() && order == 0 {
			c.Next() // it is replaced
		}
		if !w.deleted {
			builder.Append(w.key, w.value, w.version)
		}
	}
	for ; c.Valid(); c.Next() {
		builder.Append(c.Key(), c.Value(), c.Version())
	}
	return builder.Finish()
}

// newest yields the last write of each key, in ascending order of the keys.
func (g *gathered) newest() iter.Seq[*write] {
	return func(yield func(*write) bool) {
		if g.ascending {
			for i := range g.writes.count {
				if !yield(g.writes.at(i)) {
					return
				}
			}
			return
		}
		order := g.sorted()
		for i, p := range order {
			if i%touchedAhead == 0 {
				g.touch(order[i:min(i+touchedAhead, len(order))])
			}
			w := g.writes.at(int(p.at))
			// Keys with different heads differ, which spares a look at most of them.
			if i+1 < len(order) && order[i+1].head == p.head && bytes.Equal(g.writes.at(int(order[i+1].at)).key, w.key) {
				continue
			}
			if !yield(w) {
				return
			}
		}
	}
}

// touchedAhead is how many writes are brought into the cache together.
const touchedAhead = 32

// touch reads a little of each write. The writes lie anywhere in memory, and the
// processor waits for these reads all at once, where it would wait for one after
// the other if each were read when it is written.
func (g *gathered) touch(order []slot) {
	for _, p := range order {
		w := g.writes.at(int(p.at))
		if n := len(w.key); n > 0 {
			g.touched += w.key[n-1]
		}
		if n := len(w.value); n > 0 {
			g.touched += w.value[n-1]
		}
	}
}

// slot is a write on its way to its place. The head is the eight bytes of its key
// behind what all keys share, zeros where it has fewer: it decides nearly every
// comparison, and keeps the sort from reading the keys.
type slot struct {
	head uint64
	at   uint32 // index of the write
}

// sorted returns the order of the writes: by key, and the writes of one key in the
// order of the commits.
func (g *gathered) sorted() []slot {
	order := make([]slot, g.writes.count)
	for i := range order {
		order[i] = slot{head(g.writes.at(i).key[g.shared:]), uint32(i)}
	}
	order = sortByHead(order)
	for start := 0; start < len(order); {
		end := start + 1
		for end < len(order) && order[end].head == order[start].head {
			end++
		}
		if end-start > 1 {
			slices.SortFunc(order[start:end], func(a, b slot) int {
				if c := bytes.Compare(g.writes.at(int(a.at)).key, g.writes.at(int(b.at)).key); c != 0 {
					return c
				}
				return int(int64(a.at) - int64(b.at))
			})
		}
		start = end
	}
	return order
}

// head returns the first eight bytes of a key as a number that orders like them.
func head(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var padded [8]byte
	copy(padded[:], key)
	return binary.BigEndian.Uint64(padded[:])
}

// sortByHead sorts by one byte of the heads after the other, the lowest first. It
// returns the result in the given slice or in another of its length.
func sortByHead(order []slot) []slot {
	var counts [8][256]uint32
	for _, p := range order {
		for digit := range counts {
			counts[digit][byte(p.head>>(8*digit))]++
		}
	}
	other := make([]slot, len(order))
	for digit := range counts {
		count := &counts[digit]
		if len(order) > 0 && int(count[byte(order[0].head>>(8*digit))]) == len(order) {
			continue // all have the same
		}
		next := uint32(0)
		for i, n := range count {
			count[i], next = next, next+n
		}
		for _, p := range order {
			to := &count[byte(p.head>>(8*digit))]
			other[*to] = p
			*to++
		}
		order, other = other, order
	}
	return order
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
