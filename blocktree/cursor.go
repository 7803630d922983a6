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
	// below is the leaf if all its keys are known to be below the bound that
	// NextBelow was last asked about.
	below *leaf
	// fetched is how many entries of the leaf have been asked for ahead; see fetch.
	fetched int
	kept    byte // keeps what fetch reads from being left out
	path    [maxHeight]step
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
	return c.leaf.entry(c.index).Value
}

// Version returns the version of the entry.
func (c *Cursor) Version() uint64 {
	if c.leaf == nil {
		return 0
	}
	return c.leaf.entry(c.index).Version
}

// Entry returns all of the entry; the zero Entry if the cursor is on none.
func (c *Cursor) Entry() Entry {
	if c.leaf == nil {
		return Entry{}
	}
	return c.leaf.entry(c.index)
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

// Next moves to the entry after this one and reports whether there is one.
func (c *Cursor) Next() bool {
	if !c.stepTo(c.index + 1) {
		return false
	}
	if c.index >= c.fetched {
		c.fetch()
	}
	return true
}

// NextBelow moves to the entry after this one and reports whether there is one
// and its key is below end; nil stands for no end. A run of calls must give one
// end; seeking begins another run.
func (c *Cursor) NextBelow(end []byte) bool {
	if !c.Next() {
		return false
	}
	if end == nil || c.below == c.leaf {
		return true
	}
	if bytes.Compare(c.leaf.key(int(c.leaf.count)-1), end) < 0 {
		c.below = c.leaf
		return true
	}
	return bytes.Compare(c.Key(), end) < 0
}

// Prev moves to the entry before this one and reports whether there is one.
func (c *Cursor) Prev() bool { return c.stepTo(c.index - 1) }

// find enters the leaf that may hold key and returns the index there of the first
// entry not below key, and whether it is key.
func (c *Cursor) find(key []byte) (int, bool) {
	if c.leaf, c.below, c.fetched = nil, nil, 0; c.tree.root == nil {
		return 0, false
	}
	at := c.tree.root
	for level := range c.tree.height {
		n := (*node)(at)
		i := n.search(key)
		c.path[level] = step{n, i}
		at = n.children[i]
	}
	c.leaf = (*leaf)(at)
	return c.leaf.search(key)
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
	if c.leaf, c.below, c.fetched = nil, nil, 0; c.tree.root == nil {
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
	c.leaf, c.index, c.fetched = (*leaf)(at), 0, 0
	if last {
		c.index = int(c.leaf.count) - 1
	}
	return true
}

const (
	// fetchAhead is how many entries fetch asks for.
	fetchAhead = 16
	// cacheLine is the unit in which memory comes, in bytes.
	cacheLine = 64
)

// fetch asks the memory for the next entries of the leaf: the first line of each,
// then the second and the last. They lie scattered over the buffer, and a visit of
// one after the other would wait for each; asked for in one go, they are waited
// for together. It reads nothing between the entries, where others may write.
func (c *Cursor) fetch() {
	l := c.leaf
	end := min(c.index+fetchAhead, int(l.count))
	var sum byte
	for _, offset := range l.offsets[c.index:end] {
		sum += l.buf[offset]
	}
	for _, offset := range l.offsets[c.index:end] {
		p := l.buf[offset:]
		_, to, _ := entryTail(p)
		sum += p[min(cacheLine, to-1)] + p[to-1]
	}
	c.kept += sum // so that the reads are not left out
	c.fetched = end
}
