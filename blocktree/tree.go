package blocktree

import "sync/atomic"

// generations numbers the writing phases of all trees. A node or leaf belongs to
// the generation that made it; see Tree.Snapshot.
var generations atomic.Uint64

// Tree is an ordered map from keys to values and versions. See the package
// comment for who may use one when. Make one with New, Builder or Fork.
type Tree struct {
	root       child // a leaf if height is 0; nil if the tree is empty
	height     int   // levels of nodes
	generation uint64
	frozen     bool
	count      int
	memory     int64
	finger     *finger // of a writable tree; made by its first search
}

// maxHeight is more than any tree reaches: a level more takes some sixteen times
// as many splits.
const maxHeight = 12

// step is a place in a node, on the way from the root to a leaf.
type step struct {
	node *node
	at   int
}

// New returns an empty writable tree.
func New() *Tree { return &Tree{generation: generations.Add(1)} }

// Len returns the number of entries.
func (t *Tree) Len() int { return t.count }

// MemoryBytes returns the heap bytes that the tree holds: buffers with their
// slack, large values, directories and nodes. Every write maintains it. What
// several snapshots share is counted in each of them.
func (t *Tree) MemoryBytes() int64 { return t.memory }

// Get returns the value and version of key. The value aliases the tree, must not
// be modified, and never changes. If ok is true it is never nil.
func (t *Tree) Get(key []byte) (value []byte, version uint64, ok bool) {
	var l *leaf
	var i int
	if t.frozen {
		if t.root == nil {
			return nil, 0, false
		}
		l = t.leafOf(key)
		i, ok = l.search(key)
	} else {
		l, i, ok = t.seek(key)
	}
	if !ok {
		return nil, 0, false
	}
	_, value, version = l.at(i)
	return value, version, true
}

// leafOf returns the leaf that holds key if any does. The tree is not empty.
func (t *Tree) leafOf(key []byte) *leaf {
	c := t.root
	for range t.height {
		n := (*node)(c)
		c = n.children[n.search(key)]
		prefetchBlock(c)
	}
	return (*leaf)(c)
}

// ChangedSince looks in [start, end) for an entry whose version is greater than
// the one given and returns the first one's key, aliasing the tree, and version.
// A nil start or end leaves that side open. Leaves that hold nothing newer are
// passed over without being read. A deleted key leaves no trace.
func (t *Tree) ChangedSince(start, end []byte, version uint64) (key []byte, newer uint64, found bool) {
	c := t.Cursor()
	for c.SeekGE(start); c.Valid(); {
		if end != nil && string(c.Key()) >= string(end) {
			break
		}
		if c.leaf.maxVersion <= version {
			c.neighbour(1)
			continue
		}
		if v := c.Version(); v > version {
			return c.Key(), v, true
		}
		c.Next()
	}
	return nil, 0, false
}

// Snapshot returns a frozen tree with the present content, in constant time. The
// receiver stays writable: what both can reach now belongs to a generation that is
// over, so the receiver copies a leaf's directory, and the nodes above it, before
// its next write to it. The snapshot of a frozen tree is the tree itself.
func (t *Tree) Snapshot() *Tree {
	if t.frozen {
		return t
	}
	t.generation = generations.Add(1)
	return &Tree{root: t.root, height: t.height, frozen: true, count: t.count, memory: t.memory}
}

// Fork returns an independent writable tree with the same content, in constant
// time. Any number of goroutines may fork one frozen tree at once; a writable tree
// is forked by its owner.
func (t *Tree) Fork() *Tree {
	if !t.frozen {
		t.generation = generations.Add(1)
	}
	return &Tree{root: t.root, height: t.height, generation: generations.Add(1), count: t.count, memory: t.memory}
}

// Put sets key to value and version, copying both slices, and returns the value and
// the version that were there before. A nil value is an empty value. The caller has
// made sure that key has at most MaxKeySize bytes.
func (t *Tree) Put(key, value []byte, version uint64) (old []byte, was uint64, replaced bool) {
	t.assertWritable()
	assertKey(key)
	if t.root == nil {
		t.plant(entrySize(key, value, version))
	}
	l, i, found := t.seekFor(key)
	return t.put(l, i, found, key, value, version)
}

// Replace is Put of a value that depends on the one before it: next is given that, or
// nil and false, and returns what to put. It must not use the tree.
func (t *Tree) Replace(key []byte, version uint64, next func(before []byte, found bool) []byte) (old []byte, was uint64, replaced bool) {
	t.assertWritable()
	assertKey(key)
	if t.root == nil {
		return t.Put(key, next(nil, false), version)
	}
	l, i, found := t.seekFor(key)
	if found {
		_, old, _ = l.at(i)
	}
	return t.put(l, i, found, key, next(old, found), version)
}

// plant makes the first leaf, with room for an entry.
func (t *Tree) plant(size int) {
	l := newLeaf(t.generation, room(size))
	t.root = child(l)
	t.memory += l.bytes()
}

// put is Put, where the search has led to place i of a leaf.
func (t *Tree) put(l *leaf, i int, found bool, key, value []byte, version uint64) (old []byte, was uint64, replaced bool) {
	size := entrySize(key, value, version)
	growth := size
	if found {
		_, old, was = l.at(i)
		growth -= l.size(i)
	}
	full := !found && int(l.count) == leafCap || growth > 0 && int(l.live)+growth > leafTarget
	switch {
	case !full || l.count == 0:
	case !found && i == int(l.count):
		// Keys that arrive in order leave full leaves behind them.
		t.putAfter(size, key, value, version)
		return nil, 0, false
	case !found && i == 0:
		t.putBefore(size, key, value, version)
		return nil, 0, false
	case l.count > 1:
		t.split()
		return t.Put(key, value, version)
	}
	l = t.ownLeaf()
	before := l.bytes()
	if found {
		l.replace(i, size, key, value, version)
	} else {
		l.insert(i, size, key, value, version)
		t.count++
	}
	t.memory += l.bytes() - before
	t.finger.slot = i
	if growth < 0 {
		t.tidy()
	}
	return old, was, found
}

// Delete removes key and returns the value and the version that were there.
func (t *Tree) Delete(key []byte) (old []byte, was uint64, found bool) {
	t.assertWritable()
	l, i, found := t.seek(key)
	if !found {
		return nil, 0, false
	}
	_, old, was = l.at(i)
	l = t.ownLeaf()
	before := l.bytes()
	l.remove(i)
	t.memory += l.bytes() - before
	t.count--
	t.tidy()
	return old, was, true
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
