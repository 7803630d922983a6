package blocktree

import "bytes"

// finger is where the owner of a writable tree was last: the way to a leaf, the
// bounds of the leaf and a place in it. A write that follows a read of the same
// key finds everything there, and so do keys that come in order, for as long as
// they stay in the leaf.
//
// A snapshot leaves the finger as it is; a change of the structure resets it.
type finger struct {
	leaf *leaf // nil if the finger points nowhere
	path [maxHeight]step
	// Keys of the leaf are at or above low, and below high if there is one.
	low, high string
	bounded   bool // there is a high
	slot      int
}

// holds tells whether the finger is at the leaf that holds key if any does.
func (f *finger) holds(key []byte) bool {
	return f.leaf != nil && string(key) >= f.low && (!f.bounded || string(key) < f.high)
}

// seek moves the finger to key and returns the leaf and the index there of the
// first entry not below key, and whether it is key. The leaf is nil if the tree is
// empty.
func (t *Tree) seek(key []byte) (l *leaf, i int, found bool) {
	if t.root == nil {
		return nil, 0, false
	}
	return t.seekFor(key)
}

// seekFor is seek in a tree that has a leaf, which may still be empty.
func (t *Tree) seekFor(key []byte) (l *leaf, i int, found bool) {
	if t.finger == nil {
		t.finger = new(finger)
	}
	f := t.finger
	if f.holds(key) {
		if f.slot < int(f.leaf.count) && bytes.Equal(f.leaf.key(f.slot), key) {
			return f.leaf, f.slot, true
		}
	} else {
		t.descend(key)
	}
	l = f.leaf
	switch {
	case l.count == 0:
		return l, 0, false
	case !f.bounded && bytes.Compare(l.key(int(l.count)-1), key) < 0:
		i = int(l.count) // keys that come in order
	default:
		i, found = l.search(key)
	}
	f.slot = i
	return l, i, found
}

// descend moves the finger to the leaf that holds key if any does.
func (t *Tree) descend(key []byte) {
	f := t.finger
	f.low, f.high, f.bounded = "", "", false
	c := t.root
	for level := range t.height {
		n := (*node)(c)
		i := n.search(key)
		if i > 0 {
			f.low = n.seps[i]
		}
		if i+1 < int(n.count) {
			f.high, f.bounded = n.seps[i+1], true
		}
		f.path[level] = step{n, i}
		c = n.children[i]
	}
	f.leaf = (*leaf)(c)
}

// ownPath makes the nodes above the finger ones that may be changed in place.
func (t *Tree) ownPath() {
	f := t.finger
	for level := range t.height {
		s := &f.path[level]
		if s.node.owner == t.generation {
			continue
		}
		s.node = s.node.clone(t.generation)
		t.link(level, child(s.node))
	}
}

// link makes c what the finger's way passes at a level, t.height being that of
// the leaf. The nodes above are owned.
func (t *Tree) link(level int, c child) {
	if level == 0 {
		t.root = c
		return
	}
	up := t.finger.path[level-1]
	up.node.children[up.at] = c
}

// ownLeaf returns the leaf of the finger as one whose directory may be changed in
// place.
func (t *Tree) ownLeaf() *leaf {
	f := t.finger
	if f.leaf.owner != t.generation {
		t.ownPath()
		before := f.leaf.bytes()
		f.leaf = f.leaf.clone(t.generation)
		t.memory += f.leaf.bytes() - before
		t.link(t.height, child(f.leaf))
	}
	return f.leaf
}

// reset makes the finger point nowhere.
func (f *finger) reset() { f.leaf = nil }
