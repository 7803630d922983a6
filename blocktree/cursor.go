package blocktree

import "bytes"

// Cursor is a position in a tree. It is a plain value: copying it makes a
// second, independent position. Neither moving nor seeking allocates.
//
// Over a frozen tree a cursor is good forever, over a writable one until the next
// write; the slices it has returned stay as they are in either case. A new cursor,
// and one that ran off either end, is on no entry: it stays there until it is
// placed anew, and its Key, Value and Version are zero.
type Cursor struct {
	tree  *Tree
	leaf  *leaf // nil when on no entry
	index int
	// Entries of the leaf up to ready are below the end of the run; those up to asked
	// have been asked of the memory, counted on into the leaf behind this one. See
	// NextBelow.
	ready, asked int
	path         [maxHeight]step
}

// Cursor returns a cursor that is on no entry yet.
func (t *Tree) Cursor() Cursor { return Cursor{tree: t} }

// Valid reports whether the cursor is on an entry.
func (c *Cursor) Valid() bool { return c.leaf != nil }

// Key returns the key of the entry. It aliases the tree and must not be modified.
func (c *Cursor) Key() []byte {
	if c.leaf == nil {
		return nil
	}
	return c.leaf.key(c.index)
}

// Value returns the value of the entry, under the same rules as Key.
func (c *Cursor) Value() []byte {
	if c.leaf == nil {
		return nil
	}
	_, value, _ := c.leaf.at(c.index)
	return value
}

// Version returns the version of the entry.
func (c *Cursor) Version() uint64 {
	if c.leaf == nil {
		return 0
	}
	_, _, version := c.leaf.at(c.index)
	return version
}

// Entry returns all of the entry, under the same rules as Key; nil and 0 if the
// cursor is on none.
func (c *Cursor) Entry() (key, value []byte, version uint64) {
	if c.leaf == nil {
		return nil, nil, 0
	}
	return c.leaf.at(c.index)
}

// First moves to the lowest key and reports whether there is one.
func (c *Cursor) First() bool { return c.end(false) }

// Last moves to the highest key and reports whether there is one.
func (c *Cursor) Last() bool { return c.end(true) }

// SeekGE moves to the first entry whose key is at or above key and reports
// whether there is one.
func (c *Cursor) SeekGE(key []byte) bool {
	i, _ := c.find(key)
	return c.stepTo(i)
}

// SeekLE moves to the last entry whose key is at or below key and reports
// whether there is one.
func (c *Cursor) SeekLE(key []byte) bool {
	i, found := c.find(key)
	if !found {
		i--
	}
	return c.stepTo(i)
}

// SeekLT moves to the last entry whose key is below key and reports whether
// there is one.
func (c *Cursor) SeekLT(key []byte) bool {
	i, _ := c.find(key)
	return c.stepTo(i - 1)
}

// Next moves to the entry after this one and reports whether there is one. It is
// NextBelow without an end.
func (c *Cursor) Next() bool { return c.NextBelow(nil) }

// NextBelow moves to the entry after this one and reports whether there is one
// and its key is below end; nil stands for no end. A run of calls must give one
// end; seeking, or a step back, begins another run.
func (c *Cursor) NextBelow(end []byte) bool {
	if c.index+1 < c.ready {
		c.index++
		return true
	}
	return c.proceed(end)
}

// proceed is NextBelow where the next entry is not ready.
func (c *Cursor) proceed(end []byte) bool {
	if !c.advance() {
		return false
	}
	l := c.leaf
	c.ready = min(c.index+stretch, int(l.count))
	if end != nil && bytes.Compare(l.key(c.ready-1), end) >= 0 {
		c.ready, _ = l.search(end)
	}
	return c.index < c.ready
}

// Prev moves to the entry before this one and reports whether there is one.
func (c *Cursor) Prev() bool {
	c.ready, c.asked = 0, 0
	return c.stepTo(c.index - 1)
}

// find enters the leaf that may hold key and returns the index there of the first
// entry not below key, and whether it is key.
func (c *Cursor) find(key []byte) (int, bool) {
	if c.leaf, c.ready, c.asked = nil, 0, 0; c.tree.root == nil {
		return 0, false
	}
	at := c.tree.root
	for level := range c.tree.height {
		n := (*node)(at)
		i := n.search(key)
		c.path[level] = step{n, i}
		at = n.children[i]
		prefetchBlock(at)
	}
	c.leaf = (*leaf)(at)
	i := c.leaf.near(key)
	c.leaf.prefetch(i, min(i+stretch, int(c.leaf.count))) // a scan is likely to follow
	return c.leaf.searchFrom(i, key)
}

// stepTo moves to the entry with the given index in the present leaf; just outside
// of it, that is an end of the neighbour.
func (c *Cursor) stepTo(i int) bool {
	switch {
	case c.leaf == nil:
		return false
	case i < 0:
		return c.neighbour(-1)
	case i >= int(c.leaf.count):
		return c.neighbour(1)
	}
	c.index = i
	return true
}

// neighbour moves to the near end of the leaf after the present one, or of the one
// before it.
func (c *Cursor) neighbour(by int) bool {
	for level := c.tree.height - 1; level >= 0; level-- {
		s := &c.path[level]
		if at := s.at + by; at >= 0 && at < int(s.node.count) {
			s.at = at
			return c.enter(level+1, s.node.children[at], by < 0)
		}
	}
	c.leaf = nil
	return false
}

func (c *Cursor) end(last bool) bool {
	if c.leaf, c.ready, c.asked = nil, 0, 0; c.tree.root == nil {
		return false
	}
	return c.enter(0, c.tree.root, last)
}

// enter moves to the first or last entry below a child at a level.
func (c *Cursor) enter(level int, at child, last bool) bool {
	for ; level < c.tree.height; level++ {
		n := (*node)(at)
		i := 0
		if last {
			i = int(n.count) - 1
		}
		c.path[level] = step{n, i}
		at = n.children[i]
	}
	c.leaf, c.index, c.ready = (*leaf)(at), 0, 0
	if last {
		c.index = int(c.leaf.count) - 1
	}
	return true
}
