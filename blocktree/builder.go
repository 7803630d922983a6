package blocktree

import "bytes"

// Builder makes a tree from entries that come in ascending order of their keys,
// several times faster than Put and with full leaves. The zero value is ready for
// use, by one goroutine.
type Builder struct {
	tree *Tree
	open *leaf // takes the next entries; nil before the first
	// row has the leaves so far with the separators before them.
	row  []child
	seps []string
}

// builtFanout is how many children the nodes of a built tree get, so that a few
// leaves can be split without splitting nodes.
const builtFanout = fanout * 7 / 8

// Append adds an entry, copying key and value. It reports whether key was above
// all before it, as it must be, and adds nothing if it was not.
func (b *Builder) Append(key, value []byte, version uint64) bool {
	assertKey(key)
	size := entrySize(key, value, version)
	if b.open == nil {
		b.tree = New()
		b.begin("", size)
	} else {
		last := b.open.key(int(b.open.count) - 1)
		if bytes.Compare(last, key) >= 0 {
			return false
		}
		if int(b.open.count) == leafCap || int(b.open.live)+size > leafTarget {
			b.close()
			b.begin(separator(last, key), size)
		}
	}
	b.open.insert(int(b.open.count), size, key, value, version)
	b.tree.count++
	return true
}

// Finish returns the tree, writable, and leaves the builder empty.
func (b *Builder) Finish() *Tree {
	if b.open == nil {
		return New()
	}
	b.close()
	t := b.tree
	for len(b.row) > 1 {
		b.raise()
	}
	t.root = b.row[0]
	*b = Builder{}
	return t
}

// begin opens a leaf for entries behind a separator, the first of which takes size
// bytes.
func (b *Builder) begin(sep string, size int) {
	b.seps = append(b.seps, sep)
	b.open = newLeaf(b.tree.generation, max(size, leafTarget))
}

// close hands the open leaf to the tree.
func (b *Builder) close() {
	l := b.open
	if len(l.buf) > int(l.live)+int(l.live)/8 {
		l.compact(-1, 0)
	}
	b.tree.memory += l.bytes()
	b.row = append(b.row, child(l))
}

// raise replaces the row by one of nodes above it.
func (b *Builder) raise() {
	nodes := (len(b.row) + builtFanout - 1) / builtFanout
	row, seps := make([]child, 0, nodes), make([]string, 0, nodes)
	for i := range nodes {
		from, to := i*len(b.row)/nodes, (i+1)*len(b.row)/nodes
		n := &node{owner: b.tree.generation, count: int32(to - from)}
		var own separators
		copy(own[:], b.seps[from:to])
		copy(n.children[:], b.row[from:to])
		n.setSeparators(&own)
		row, seps = append(row, child(n)), append(seps, b.seps[from])
	}
	b.tree.memory += int64(nodes) * nodeBytes
	b.tree.height++
	b.row, b.seps = row, seps
}
