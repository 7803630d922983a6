package blocktree

import (
	"bytes"
	"sync/atomic"
	"unsafe"

	"github.com/tidwall/btree"
)

// nodeDegree is half the fan-out of the tree of blocks. Larger nodes make the
// path that the first write after a snapshot copies longer, smaller ones make
// the tree deeper; 8 and 32 both measure slower.
const nodeDegree = 16

// generations numbers the writing phases of all trees. A block belongs to the
// generation that made it; see Tree.Snapshot.
var generations atomic.Uint64

// Tree is an ordered map from keys to values and versions. See the package
// comment for who may use one when. Make one with New, Builder or Fork.
type Tree struct {
	blocks     btree.Map[string, *block] // by low bound
	generation uint64                    // owns the blocks that may be written in place
	frozen     bool
	count      int
	memory     int64
}

// New returns an empty writable tree.
func New() *Tree {
	return &Tree{
		blocks:     *btree.NewMap[string, *block](nodeDegree),
		generation: generations.Add(1),
	}
}

// Len returns the number of entries.
func (t *Tree) Len() int { return t.count }

// MemoryBytes returns the heap bytes that the entries hold: block buffers with
// their slack, large values and the fixed cost of every block. Every write
// maintains it. What several snapshots share is counted in each of them.
func (t *Tree) MemoryBytes() int64 { return t.memory }

// Get returns the value and version of key. The value aliases the tree and
// must not be modified: in a frozen tree it never changes, in a writable one it
// holds until the next write. If ok is true it is never nil.
func (t *Tree) Get(key []byte) (value []byte, version uint64, ok bool) {
	_, b := t.floor(key)
	if b == nil {
		return nil, 0, false
	}
	i, ok := b.search(key)
	if !ok {
		return nil, 0, false
	}
	e := b.entry(i)
	return e.value, e.version, true
}

// ChangedSince looks in [start, end) for an entry whose version is greater
// than the one given and returns the first one's key, aliasing the tree, and
// version. A nil start or end leaves that side open. Blocks that hold nothing
// newer are passed over without being read. A deleted key leaves no trace.
func (t *Tree) ChangedSince(start, end []byte, version uint64) (key []byte, newer uint64, found bool) {
	low, _ := t.floor(start)
	t.blocks.Ascend(low, func(low string, b *block) bool {
		if end != nil && low >= string(end) {
			return false
		}
		if b.maxVersion <= version {
			return true
		}
		for i, _ := b.search(start); i < int(b.count); i++ {
			e := b.entry(i)
			if end != nil && bytes.Compare(e.key, end) >= 0 {
				return false
			}
			if e.version > version {
				key, newer, found = e.key, e.version, true
				return false
			}
		}
		return true
	})
	return key, newer, found
}

// Snapshot returns a frozen tree with the present content, in constant time.
// The receiver stays writable; the blocks that both can reach now belong to a
// generation that is over, so the receiver copies each before its next write
// to it. The snapshot of a frozen tree is the tree itself.
func (t *Tree) Snapshot() *Tree {
	if t.frozen {
		return t
	}
	t.generation = generations.Add(1)
	return &Tree{blocks: *t.blocks.Copy(), frozen: true, count: t.count, memory: t.memory}
}

// Fork returns an independent writable tree with the same content, in constant
// time. Any number of goroutines may fork one frozen tree at once; a writable
// tree is forked by its owner.
func (t *Tree) Fork() *Tree {
	// Map.Copy writes to its receiver, which others may be reading, so the
	// copy is taken of a copy.
	blocks := t.Snapshot().blocks
	return &Tree{
		blocks:     *blocks.Copy(),
		generation: generations.Add(1),
		count:      t.count,
		memory:     t.memory,
	}
}

// Put sets key to value and version, copying both slices, and reports whether
// the key was there before. A nil value is an empty value. Neither slice may be
// one that a read of this same tree returned: the write may move what is under
// it. The caller has made sure that key has at most MaxKeySize bytes.
func (t *Tree) Put(key, value []byte, version uint64) (replaced bool) {
	t.assertWritable()
	assertKey(key)
	low, b := t.floor(key)
	size := entrySize(key, value, version)
	if b == nil {
		t.putAlone("", size, key, value, version)
		return false
	}
	i, found := b.search(key)
	growth := size + slotSize
	if found {
		growth = size - b.size(i)
	}
	if growth > 0 && b.used()+growth > blockTarget {
		switch {
		case !found && i == int(b.count):
			// Keys that arrive in order leave full blocks behind them.
			t.putAlone(separator(b.key(i-1), key), size, key, value, version)
			return false
		case !found && i == 0:
			t.set(separator(key, b.key(0)), b)
			t.putAlone(low, size, key, value, version)
			return false
		case b.count > 1:
			t.split(low, b)
			return t.Put(key, value, version)
		}
	}
	b = t.own(low, b, max(growth, 0))
	before := b.bytes()
	if found {
		b.replace(i, size, key, value, version)
	} else {
		b.insert(i, size, key, value, version)
		t.count++
	}
	t.memory += b.bytes() - before
	if growth < 0 {
		t.tidy(low, b)
	}
	return found
}

// Delete removes key and reports whether it was there.
func (t *Tree) Delete(key []byte) bool {
	t.assertWritable()
	low, b := t.floor(key)
	if b == nil {
		return false
	}
	i, found := b.search(key)
	if !found {
		return false
	}
	b = t.own(low, b, 0)
	before := b.bytes()
	b.remove(i)
	t.memory += b.bytes() - before
	t.count--
	t.tidy(low, b)
	return true
}

// floor returns the block that holds key if any does, and its low bound. The
// block is nil only if the tree is empty.
func (t *Tree) floor(key []byte) (low string, b *block) {
	// The map only compares the pivot; a copy would cost an allocation.
	pivot := unsafe.String(unsafe.SliceData(key), len(key))
	t.blocks.Descend(pivot, func(bound string, found *block) bool {
		low, b = bound, found
		return false
	})
	return low, b
}

// after returns the block that follows the one with the given low bound, or nil.
func (t *Tree) after(bound string) (low string, b *block) {
	t.blocks.Ascend(bound, func(next string, found *block) bool {
		if next == bound {
			return true
		}
		low, b = next, found
		return false
	})
	return low, b
}

// before returns the block ahead of the one with the given low bound, or nil.
func (t *Tree) before(bound string) (low string, b *block) {
	t.blocks.Descend(bound, func(next string, found *block) bool {
		if next == bound {
			return true
		}
		low, b = next, found
		return false
	})
	return low, b
}

// set makes b the block with the given low bound.
func (t *Tree) set(low string, b *block) {
	if old, replaced := t.blocks.Set(low, b); replaced {
		t.memory -= old.bytes()
	}
	t.memory += b.bytes()
}

// drop takes out the block with the given low bound.
func (t *Tree) drop(low string) {
	if old, ok := t.blocks.Delete(low); ok {
		t.memory -= old.bytes()
	}
}

// putAlone adds an entry of the given size as the only one of a new block.
func (t *Tree) putAlone(low string, size int, key, value []byte, version uint64) {
	b := newBlock(t.generation, withSlack(size+slotSize))
	b.insert(0, size, key, value, version)
	t.set(low, b)
	t.count++
}

// own returns the block at low as one that may be written in place and has
// room for need more bytes.
func (t *Tree) own(low string, b *block, need int) *block {
	owned := b.owner == t.generation
	size := b.used() + need
	if owned && size <= len(b.buf) {
		return b
	}
	if need > 0 {
		size = withSlack(size)
	}
	c := b.clone(t.generation, size)
	if owned {
		t.memory += c.bytes() - b.bytes()
		*b = *c // spares the way down the tree
		return b
	}
	t.set(low, c)
	return c
}

// split replaces the block at low by two of about half its size.
func (t *Tree) split(low string, b *block) {
	middle := b.middle()
	t.set(low, b.part(t.generation, 0, middle))
	t.set(separator(b.key(middle-1), b.key(middle)), b.part(t.generation, middle, int(b.count)))
}

// tidy restores the density of the tree, and invariant 2, after the owned block
// at low has lost bytes: a buffer mostly unused is replaced by a smaller one,
// and a small block joins a neighbour if the two leave room for new entries.
func (t *Tree) tidy(low string, b *block) {
	const (
		small  = blockTarget / 4
		joined = blockTarget * 3 / 4
	)
	if b.used() < small {
		if rightLow, right := t.after(low); right != nil && (b.count == 0 || b.used()+right.used() <= joined) {
			// The left bound stays, so that the first one is always empty.
			t.drop(rightLow)
			t.set(low, join(t.generation, b, right))
			return
		}
		if leftLow, left := t.before(low); left != nil && (b.count == 0 || left.used()+b.used() <= joined) {
			t.drop(low)
			t.set(leftLow, join(t.generation, left, b))
			return
		}
		if b.count == 0 {
			t.drop(low)
			return
		}
	}
	if len(b.buf) > 2*withSlack(b.used()) {
		c := b.clone(b.owner, withSlack(b.used()))
		t.memory += c.bytes() - b.bytes()
		*b = *c
	}
}

// join returns one block with the entries of two neighbours, which is the other
// one itself if one is empty.
func join(owner uint64, left, right *block) *block {
	switch {
	case left.count == 0:
		return right
	case right.count == 0:
		return left
	}
	b := newBlock(owner, withSlack(left.used()+right.used()))
	b.appendFrom(left, 0, int(left.count))
	b.appendFrom(right, 0, int(right.count))
	return b
}

// separator returns the shortest low bound that keeps left below it and right
// not below it. left is less than right.
func separator(left, right []byte) string {
	return string(right[:commonPrefix(left, right)+1])
}

func (t *Tree) assertWritable() {
	if t.frozen {
		panic("blocktree: write to a frozen tree")
	}
}

func assertKey(key []byte) {
	if len(key) > MaxKeySize {
		panic("blocktree: key longer than MaxKeySize")
	}
}
