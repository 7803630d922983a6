package blocktree

// putAfter adds an entry as the only one of a new leaf behind that of the finger.
func (t *Tree) putAfter(size int, key, value []byte, version uint64) {
	f := t.finger
	last := f.leaf.key(int(f.leaf.count) - 1)
	alone := newLeaf(t.generation, max(room(size), t.following()))
	alone.insert(0, size, key, value, version)
	t.memory += alone.bytes()
	t.count++
	t.insertAfter(separator(last, key), child(alone))
}

// following returns the size for the buffer of a leaf behind that of the finger. At
// the end of the tree, more keys are likely to follow.
func (t *Tree) following() int {
	if t.finger.bounded {
		return 0
	}
	return leafTarget
}

// putBefore adds an entry as the only one of a new leaf before that of the finger.
func (t *Tree) putBefore(size int, key, value []byte, version uint64) {
	l := t.finger.leaf
	alone := newLeaf(t.generation, room(size))
	alone.insert(0, size, key, value, version)
	t.memory += alone.bytes()
	t.count++
	t.ownPath()
	t.link(t.height, child(alone))
	t.insertAfter(separator(key, l.key(0)), child(l))
}

// split replaces the leaf of the finger by two of about half its size.
func (t *Tree) split() {
	l := t.finger.leaf
	middle := l.middle()
	left, right := l.part(t.generation, 0, middle), l.part(t.generation, middle, int(l.count))
	t.memory += left.bytes() + right.bytes() - l.bytes()
	t.ownPath()
	t.link(t.height, child(left))
	t.insertAfter(separator(l.key(middle-1), l.key(middle)), child(right))
}

// insertAfter adds a leaf behind that of the finger, with the separator before it,
// and resets the finger.
func (t *Tree) insertAfter(sep string, c child) {
	t.ownPath()
	f := t.finger
	f.reset()
	for level := t.height - 1; level >= 0; level-- {
		n, at := f.path[level].node, f.path[level].at+1
		if n.count < fanout {
			n.insert(at, sep, c)
			return
		}
		// Children that arrive in order leave full nodes behind them.
		middle := fanout / 2
		if at == fanout {
			middle = fanout - 1
		}
		up, right := n.split(middle)
		t.memory += nodeBytes
		if at > middle {
			right.insert(at-middle, sep, c)
		} else {
			n.insert(at, sep, c)
		}
		sep, c = up, child(right)
	}
	root := &node{owner: t.generation, count: 1, seps: new(separators)}
	root.children[0] = t.root
	root.insert(1, sep, c)
	t.memory += nodeBytes
	t.root = child(root)
	t.height++
}

// tidy restores the density of the tree, and invariant 1, after the leaf of the
// finger, which is owned, has lost bytes: a buffer mostly unused is replaced by a
// smaller one, and a small leaf joins a neighbour if the two leave room for new
// entries.
func (t *Tree) tidy() {
	const (
		small        = leafTarget / 4
		joined       = leafTarget * 3 / 4
		joinedLeaves = leafCap * 3 / 4
	)
	l := t.finger.leaf
	if l.count == 0 {
		t.memory -= l.bytes()
		t.removeChild()
		return
	}
	if int(l.live) < small && t.height > 0 {
		up := t.finger.path[t.height-1]
		for _, left := range []int{up.at, up.at - 1} {
			if left < 0 || left+1 >= int(up.node.count) {
				continue
			}
			a, b := (*leaf)(up.node.children[left]), (*leaf)(up.node.children[left+1])
			if int(a.live+b.live) <= joined && int(a.count+b.count) <= joinedLeaves {
				t.joinLeaves(left, a, b)
				return
			}
		}
	}
	if len(l.buf) > 2*room(int(l.live)) {
		before := l.bytes()
		l.compact(-1, 0)
		t.memory += l.bytes() - before
	}
}

// joinLeaves replaces two neighbours below the last node of the finger's way by
// one leaf.
func (t *Tree) joinLeaves(left int, a, b *leaf) {
	l := join(t.generation, a, b)
	t.memory += l.bytes() - a.bytes() - b.bytes()
	t.ownPath()
	up := &t.finger.path[t.height-1]
	up.at = left + 1
	up.node.children[left] = child(l)
	t.removeChild()
}

// removeChild takes out what the finger points to, nodes that are empty then, and
// roots that are not needed any more; and resets the finger.
func (t *Tree) removeChild() {
	t.ownPath()
	f := t.finger
	f.reset()
	level := t.height - 1
	for ; level >= 0; level-- {
		n := f.path[level].node
		n.remove(f.path[level].at)
		if n.count > 0 {
			break
		}
		t.memory -= nodeBytes
	}
	if level < 0 {
		t.root, t.height = nil, 0
		return
	}
	t.mergeNodes(level)
	for t.height > 0 && (*node)(t.root).count == 1 {
		t.root = (*node)(t.root).children[0]
		t.height--
		t.memory -= nodeBytes
	}
}

// mergeNodes joins the node at a level of the finger's way with a neighbour if it
// has few children and the two leave room for more.
func (t *Tree) mergeNodes(level int) {
	const few, merged = fanout / 4, fanout * 3 / 4
	for ; level > 0; level-- {
		n, up := t.finger.path[level].node, t.finger.path[level-1]
		if n.count > few {
			return
		}
		left := max(up.at-1, 0)
		if left+1 >= int(up.node.count) {
			return
		}
		a, b := (*node)(up.node.children[left]), (*node)(up.node.children[left+1])
		if a.count+b.count > merged {
			return
		}
		if a.owner != t.generation {
			a = a.clone(t.generation)
			up.node.children[left] = child(a)
		}
		a.merge(up.node.seps[left+1], b)
		up.node.remove(left + 1)
		t.memory -= nodeBytes
	}
}
