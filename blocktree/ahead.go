package blocktree

// abreast is how many searches Touch has under way at once: about as many reads
// as a processor keeps waiting for.
const abreast = 16

// Touch reads what the searches for some keys, and writes to them, are going to
// read. Each search by itself waits for memory once a level; here all of them take
// a level together, and their waits overlap. Where keys are scattered over a tree
// that no cache holds, what follows takes a fraction of the time.
//
// Keys of one leaf are left alone: the first search brings it.
//
// It changes nothing. The result means nothing: it keeps the reads from being
// left out.
func (t *Tree) Touch(keys [][]byte) (sum byte) {
	if t.root == nil {
		return 0
	}
	for len(keys) > 0 {
		n := min(len(keys), abreast)
		sum += t.touch(keys[:n])
		keys = keys[n:]
	}
	return sum
}

func (t *Tree) touch(keys [][]byte) (sum byte) {
	if t.leafOf(keys[0]) == t.leafOf(keys[len(keys)-1]) {
		return 0
	}
	var at [abreast]child
	for i := range keys {
		at[i] = t.root
	}
	for range t.height {
		for i, key := range keys {
			n := (*node)(at[i])
			at[i] = n.children[n.search(key)]
		}
		for i := range keys { // a line of what is next, be it node or leaf
			sum += *(*byte)(at[i])
		}
	}
	for i := range keys {
		l := (*leaf)(at[i])
		sum += byte(l.prints[leafCap/2]) + byte(l.offsets[leafCap/2]) + byte(l.owner)
	}
	var entries [abreast][]byte
	for i, key := range keys {
		if l := (*leaf)(at[i]); l.count > 0 {
			entries[i] = l.raw(l.near(key))
			sum += entries[i][0]
		}
	}
	for _, p := range entries[:len(keys)] {
		if p != nil {
			_, to, _ := entryTail(p) // behind it, somebody may be writing
			sum += p[min(cacheLine, to-1)] + p[to-1]
		}
	}
	return sum
}
