package blocktree

import "bytes"

// Diff calls visit, in ascending order of the keys, for what one has to do to the
// old tree to get the new one: for each entry of the new whose version the old does
// not have under that key, and, with deleted, for each entry of the old whose key
// the new does not have. Neither tree may be written to meanwhile. An error of
// visit ends it and is returned.
//
// Subtrees that the two share are passed over, so where one came from the other by
// writes the cost follows these, and not the size of the trees.
func Diff(old, new *Tree, visit func(e Entry, deleted bool) error) error {
	a, b := newWalk(old), newWalk(new)
	for !a.ended() || !b.ended() {
		switch {
		case a.shares(&b):
			a.skip()
			b.skip()
			continue
		case a.level > 0 && a.level >= b.level:
			a.descend()
			continue
		case b.level > 0:
			b.descend()
			continue
		}
		order := a.compare(&b)
		var err error
		switch {
		case order < 0:
			err = visit((*leaf)(a.head).entry(a.index), true)
		case order > 0:
			err = visit((*leaf)(b.head).entry(b.index), false)
		case !a.sameEntry(&b):
			if e := (*leaf)(b.head).entry(b.index); e.Version != (*leaf)(a.head).entry(a.index).Version {
				err = visit(e, false)
			}
		}
		if err != nil {
			return err
		}
		if order <= 0 {
			a.next()
		}
		if order >= 0 {
			b.next()
		}
	}
	return nil
}

// walk is a position of Diff in a tree: before a subtree that was not looked into,
// or on an entry.
type walk struct {
	path  [maxHeight]step // the nodes above head
	depth int             // of head below the root
	head  child           // a leaf at level 0; nil at the end
	level int
	index int // of the entry in the leaf
}

func newWalk(t *Tree) walk { return walk{head: t.root, level: t.height} }

func (w *walk) ended() bool { return w.head == nil }

// shares reports whether both stand before one and the same subtree.
func (w *walk) shares(other *walk) bool {
	return w.head == other.head && w.level == other.level && w.index == 0 && other.index == 0
}

// descend looks into the subtree.
func (w *walk) descend() {
	n := (*node)(w.head)
	w.path[w.depth] = step{n, 0}
	w.depth++
	w.level--
	w.head = n.children[0]
}

// skip moves behind the subtree, or behind the leaf that the entry is in.
func (w *walk) skip() {
	w.index = 0
	for w.depth > 0 {
		s := &w.path[w.depth-1]
		if s.at++; s.at < int(s.node.count) {
			w.head = s.node.children[s.at]
			return
		}
		w.depth--
		w.level++
	}
	w.head, w.level = nil, 0
}

// next moves behind the entry.
func (w *walk) next() {
	if w.index++; w.index == int((*leaf)(w.head).count) {
		w.skip()
	}
}

// compare orders two entries by their keys; one that is not there comes last.
func (w *walk) compare(other *walk) int {
	switch {
	case w.ended():
		return 1
	case other.ended():
		return -1
	case w.sameEntry(other):
		return 0
	}
	return bytes.Compare((*leaf)(w.head).key(w.index), (*leaf)(other.head).key(other.index))
}

// sameEntry reports whether two entries are the same bytes of a buffer: what was
// written there never changes.
func (w *walk) sameEntry(other *walk) bool {
	a, b := (*leaf)(w.head), (*leaf)(other.head)
	return &a.buf[0] == &b.buf[0] && a.offsets[w.index] == b.offsets[other.index]
}
