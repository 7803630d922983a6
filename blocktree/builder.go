package blocktree

import "bytes"

// Builder makes a tree from entries that come in ascending order of their
// keys, several times faster than Put and with full blocks. The zero value is
// ready for use, by one goroutine.
type Builder struct {
	tree *Tree
	low  string // bound of open
	open *block // takes the next entries; nil before the first
}

// Append adds an entry, copying key and value. It reports whether key was
// above all before it, as it must be, and adds nothing if it was not.
func (bl *Builder) Append(key, value []byte, version uint64) bool {
	assertKey(key)
	size := entrySize(key, value, version)
	if bl.open == nil {
		bl.tree = New()
		bl.begin("", size)
	} else {
		last := bl.open.key(int(bl.open.count) - 1)
		if bytes.Compare(last, key) >= 0 {
			return false
		}
		if bl.open.used()+size+slotSize > blockTarget {
			bl.close()
			bl.begin(separator(last, key), size)
		}
	}
	bl.open.insert(int(bl.open.count), size, key, value, version)
	bl.tree.count++
	return true
}

// Finish returns the tree, writable, and leaves the builder empty.
func (bl *Builder) Finish() *Tree {
	if bl.open == nil {
		return New()
	}
	bl.open = bl.open.clone(bl.open.owner, bl.open.used())
	bl.close()
	tree := bl.tree
	*bl = Builder{}
	return tree
}

// begin opens a full-size block for entries from low on, the first of which
// takes size bytes.
func (bl *Builder) begin(low string, size int) {
	bl.low = low
	bl.open = newBlock(bl.tree.generation, max(size+slotSize, blockTarget))
}

// close hands the open block to the tree.
func (bl *Builder) close() {
	bl.tree.blocks.Load(bl.low, bl.open)
	bl.tree.memory += bl.open.bytes()
}
