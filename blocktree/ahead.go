package blocktree

import "unsafe"

// Most of the time of a read goes into waiting for memory: a tree is larger than
// the caches, and its entries lie where they were written. So memory is asked for
// before it is needed, many pieces at a time, and arrives while others are worked
// on. Asking changes nothing and reads nothing; it may name any address.

const (
	// stretch is how many entries a cursor makes ready at once, and ahead how far
	// before them it asks for entries. More would be asked for in vain where a scan
	// ends.
	stretch = 8
	ahead   = 2 * stretch
	// blockLines are the lines of memory of a leaf's directory. They hold what is
	// needed of a node too.
	blockLines = int(unsafe.Sizeof(leaf{})) / 64
)

// advance moves the cursor to the next entry and asks for those behind it, also in
// the leaf that follows, whose directory was asked for when this leaf was entered.
func (c *Cursor) advance() bool {
	from := c.leaf
	if !c.stepTo(c.index + 1) {
		return false
	}
	l, next := c.leaf, c.following()
	count := int(l.count)
	if l != from {
		c.asked -= int(from.count)
	}
	if next != nil && (l != from || c.asked == 0) {
		prefetchBlock(child(next))
	}
	c.asked = max(c.asked, c.index)
	goal := c.index + ahead
	if c.asked < min(goal, count) {
		l.prefetch(c.asked, min(goal, count))
		c.asked = min(goal, count)
	}
	if goal > count && next != nil {
		next.prefetch(c.asked-count, min(goal-count, int(next.count)))
		c.asked = goal
	}
	return true
}

// following returns the leaf behind the present one, if the two have one parent.
func (c *Cursor) following() *leaf {
	if c.tree.height == 0 {
		return nil
	}
	up := &c.path[c.tree.height-1]
	if up.at+1 == int(up.node.count) {
		return nil
	}
	return (*leaf)(up.node.children[up.at+1])
}

// prefetch asks for the entries from a place up to another. Those in the directory
// of an owner who writes to it meanwhile may be any.
func (l *leaf) prefetch(from, to int) {
	if from < to {
		prefetchEntries(unsafe.Pointer(unsafe.SliceData(l.buf)), &l.offsets[from], to-from)
	}
}

// prefetchBlock asks for a node or the directory of a leaf.
func prefetchBlock(c child) { prefetch(unsafe.Pointer(c), blockLines) }
