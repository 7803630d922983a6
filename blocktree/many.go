package blocktree

import (
	"slices"
	"unsafe"
)

// abreast is how many searches go side by side: about as many pieces of memory as
// a processor waits for at once.
const abreast = 16

// GetMany looks up many keys and sets found, which has a place for each, to the
// entries under them; the Value of a key that is not there is nil, and never else.
// The entries alias the tree and never change.
//
// The searches wait for memory together, so that in a tree that no cache holds each
// takes a fraction of the time of a Get.
func (t *Tree) GetMany(keys [][]byte, found []Entry) {
	if t.root == nil {
		clear(found)
		return
	}
	for some := range slices.Chunk(keys, abreast) {
		leaves, places := t.approach(some)
		for i, key := range some {
			l, e := leaves[i], &found[i]
			if at, ok := l.searchFrom(places[i], key); ok {
				e.Key, e.Value, e.Version = l.at(at)
			} else {
				*e = Entry{}
			}
		}
		found = found[len(some):]
	}
}

// Touch asks the memory for what the searches for some keys, and writes to them, are
// going to read. Where keys are scattered over a tree that no cache holds, what
// follows takes a fraction of the time. It changes nothing.
//
// Keys of one leaf are left alone: the first search brings it.
func (t *Tree) Touch(keys [][]byte) {
	if t.root == nil {
		return
	}
	for some := range slices.Chunk(keys, abreast) {
		if t.leafOf(some[0]) != t.leafOf(some[len(some)-1]) {
			leaves, _ := t.approach(some)
			for i := range some {
				prefetch(unsafe.Pointer(leaves[i].tail), 1)
			}
		}
	}
}

// approach goes to the leaves that hold some keys if any do, and to the places there
// to begin a search at, whose entries it asks for. Each search by itself waits for
// memory once a level; here all of them take a level together, and what one needs
// next comes while the others are at work.
func (t *Tree) approach(keys [][]byte) (leaves [abreast]*leaf, places [abreast]int) {
	var ways [abreast]child
	for i := range keys {
		ways[i] = t.root
	}
	for range t.height {
		for i, key := range keys {
			n := (*node)(ways[i])
			ways[i] = n.children[n.search(key)]
			prefetchBlock(ways[i])
		}
	}
	for i, key := range keys {
		l := (*leaf)(ways[i])
		at := l.near(key)
		leaves[i], places[i] = l, at
		at = min(at, int(l.count)-1)
		l.prefetch(at, at+1)
	}
	return leaves, places
}
