package blocktree

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"unsafe"
)

const (
	// fanout is how many children a node can have. With it a node is 320 bytes: the
	// first write below it after a snapshot copies it.
	fanout = 23
	// nodeBytes is the heap that a node takes, its separators included but for
	// their bytes.
	nodeBytes = int64(unsafe.Sizeof(node{}) + unsafe.Sizeof(separators{}))
)

// child is a *node or, below nodes of height 1, a *leaf. The level tells which.
type child unsafe.Pointer

// node is an inner node. Child i holds the keys from separator i up to separator
// i+1; the first child has no lower bound of its own.
type node struct {
	owner  uint64 // generation of the tree that may change it
	prefix string // that all separators share
	start  uint64 // its first eight bytes as a number, padded with zeros
	seps   *separators
	count  int32 // children
	// heads are the four bytes of each separator that follow the prefix, padded
	// with zeros: most searches need nothing else.
	heads    [fanout]uint32
	children [fanout]child
}

// separators are the bounds between children, from 1 on. Nodes share them, so
// they are never changed but copied: that takes as long as a change of structure
// does, which is rare, and spares the copy of a node the larger half.
type separators [fanout]string

// search returns the child that holds key if any does.
func (n *node) search(key []byte) int {
	if n.prefix != "" {
		switch order := n.comparePrefix(key); {
		case order < 0:
			return 0
		case order > 0:
			return int(n.count) - 1
		}
		key = key[len(n.prefix):]
	}
	want := head(key)
	i := 0 // the last child whose head is not above want, or the first child
	for size := int(n.count); size > 1; {
		half := size >> 1
		i += half & ifLess(int64(n.heads[i+half]), int64(want)+1)
		size -= half
	}
	for i > 0 && n.heads[i] == want && n.seps[i][len(n.prefix):] > string(key) {
		i--
	}
	return i
}

// ifLess returns a mask of ones if a < b, of zeros otherwise: a step of a search
// that depends on what it finds is a branch that nothing can predict. Neither is
// so large that their difference overflows.
func ifLess(a, b int64) int { return int((a - b) >> 63) }

// comparePrefix orders key against the keys that begin with the prefix, which there
// is. Mostly the node alone tells.
func (n *node) comparePrefix(key []byte) int {
	p := len(n.prefix)
	if len(key) >= 8 {
		unused := 64 - 8*min(p, 8)
		got, want := binary.BigEndian.Uint64(key)>>unused, n.start>>unused
		if got != want || p <= 8 {
			return cmp.Compare(got, want)
		}
	}
	return bytes.Compare(key[:min(p, len(key))], bytesOf(n.prefix))
}

// head returns the first four bytes of rest as a number, with zeros for missing
// ones.
func head(rest []byte) uint32 {
	if len(rest) >= 4 {
		return binary.BigEndian.Uint32(rest)
	}
	var h uint32
	for i, b := range rest {
		h |= uint32(b) << (24 - 8*i)
	}
	return h
}

// clone returns a copy for another owner.
func (n *node) clone(owner uint64) *node {
	c := *n
	c.owner = owner
	return &c
}

// insert puts a child at place i, above 0, with the separator before it. There is
// room.
func (n *node) insert(i int, sep string, c child) {
	seps := *n.seps
	copy(seps[i+1:n.count+1], seps[i:n.count])
	copy(n.children[i+1:n.count+1], n.children[i:n.count])
	seps[i], n.children[i] = sep, c
	n.count++
	n.setSeparators(&seps)
}

// remove takes out child i. The node then has no children, or its first child has
// no lower bound of its own.
func (n *node) remove(i int) {
	seps := *n.seps
	copy(seps[i:], seps[i+1:n.count])
	copy(n.children[i:], n.children[i+1:n.count])
	n.count--
	seps[n.count], n.children[n.count] = "", nil
	n.setSeparators(&seps)
}

// setSeparators makes seps those of the node.
func (n *node) setSeparators(seps *separators) {
	seps[0] = ""
	n.seps, n.prefix = seps, ""
	if n.count > 1 {
		first := seps[1]
		n.prefix = first[:commonPrefix(first, seps[n.count-1])]
	}
	var start [8]byte
	copy(start[:], n.prefix)
	n.start = binary.BigEndian.Uint64(start[:])
	for i := 1; i < int(n.count); i++ {
		n.heads[i] = head(bytesOf(seps[i])[len(n.prefix):])
	}
}

// bytesOf returns the bytes of a separator, which nobody changes.
func bytesOf(sep string) []byte { return unsafe.Slice(unsafe.StringData(sep), len(sep)) }

// split moves the children from place i on, at least one, to a new node, and
// returns it with the separator before it.
func (n *node) split(i int) (sep string, right *node) {
	sep = n.seps[i]
	right = &node{owner: n.owner, count: n.count - int32(i)}
	var seps separators
	copy(seps[:], n.seps[i:n.count])
	copy(right.children[:], n.children[i:n.count])
	right.setSeparators(&seps)

	left := *n.seps
	clear(left[i:])
	clear(n.children[i:])
	n.count = int32(i)
	n.setSeparators(&left)
	return sep, right
}

// merge appends the children of the right neighbour, which sep divides from n.
// There is room.
func (n *node) merge(sep string, right *node) {
	seps := *n.seps
	copy(seps[n.count:], right.seps[:right.count])
	copy(n.children[n.count:], right.children[:right.count])
	seps[n.count] = sep
	n.count += right.count
	n.setSeparators(&seps)
}

// separator returns the shortest bound that keeps left below it and right not
// below it. left is less than right.
func separator(left, right []byte) string {
	return string(right[:commonPrefix(left, right)+1])
}
