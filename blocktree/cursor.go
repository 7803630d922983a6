package blocktree

// Cursor is a position in a tree. It is a plain value: copying it makes a
// second, independent position. Neither moving nor seeking allocates.
//
// Over a frozen tree a cursor is good forever, over a writable one until the
// next write. A new cursor, and one that ran off either end, is on no entry: it
// stays there until it is placed anew, and its Key, Value and Version are zero.
type Cursor struct {
	tree  *Tree
	low   string // bound of block
	block *block // nil when on no entry
	index int
	at    entry
}

// Cursor returns a cursor that is on no entry yet.
func (t *Tree) Cursor() Cursor { return Cursor{tree: t} }

// Valid reports whether the cursor is on an entry.
func (c *Cursor) Valid() bool { return c.block != nil }

// Key returns the key of the entry. It aliases the tree and must not be
// modified; it lives as long as the cursor is good.
func (c *Cursor) Key() []byte { return c.at.key }

// Value returns the value of the entry, under the same rules as Key.
func (c *Cursor) Value() []byte { return c.at.value }

// Version returns the version of the entry.
func (c *Cursor) Version() uint64 { return c.at.version }

// First moves to the lowest key and reports whether there is one.
func (c *Cursor) First() bool { return c.SeekGE(nil) }

// Last moves to the highest key and reports whether there is one.
func (c *Cursor) Last() bool {
	c.low, c.block, _ = c.tree.blocks.Max()
	return c.stepTo(c.lastIndex())
}

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
func (c *Cursor) Next() bool { return c.stepTo(c.index + 1) }

// Prev moves to the entry before this one and reports whether there is one.
func (c *Cursor) Prev() bool { return c.stepTo(c.index - 1) }

// find enters the block that may hold key and returns the index there of the
// first entry not below key, and whether it is key.
func (c *Cursor) find(key []byte) (int, bool) {
	if c.low, c.block = c.tree.floor(key); c.block == nil {
		return 0, false
	}
	return c.block.search(key)
}

// lastIndex returns the index of the last entry of the block entered.
func (c *Cursor) lastIndex() int {
	if c.block == nil {
		return 0
	}
	return int(c.block.count) - 1
}

// stepTo moves to the entry with the given index in the present block; just
// outside of it, that is an end of the neighbouring block.
func (c *Cursor) stepTo(i int) bool {
	switch {
	case c.block == nil:
	case i < 0:
		c.low, c.block = c.tree.before(c.low)
		i = c.lastIndex()
	case i >= int(c.block.count):
		c.low, c.block = c.tree.after(c.low)
		i = 0
	}
	if c.block == nil {
		c.at = entry{}
		return false
	}
	c.index, c.at = i, c.block.entry(i)
	return true
}
