package state

import (
	"unsafe"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
)

// spaces maps the ids of spaces to their frozen trees. It is a value that never
// changes: set returns another one, which shares all pages but those on the way to
// what was set. A space without entries need not be there.
//
// Ids are counted, so they are dense: the pages are a radix tree, just as high as
// the highest id asks for.
type spaces struct {
	root  *page // nil if there are no spaces
	above int   // levels of pages above the lowest
}

const (
	// pageBits are the bits of an id that one level tells apart.
	pageBits = 4
	pageSize = 1 << pageBits
)

// page is one level of a part of the ids. On the lowest its slots are trees, on
// those above they are pages.
type page [pageSize]unsafe.Pointer

// digit returns the slot of an id in a page on a level, 0 being the lowest.
func digit(id catalog.SpaceID, level int) int { return int(id >> (level * pageBits) % pageSize) }

// holds tells whether the id is below what the pages can hold.
func (s spaces) holds(id catalog.SpaceID) bool { return id>>(s.above*pageBits) < pageSize }

// get returns the tree of a space, nil if there is none.
func (s spaces) get(id catalog.SpaceID) *blocktree.Tree {
	p := s.root
	if !s.holds(id) {
		return nil
	}
	for level := s.above; p != nil; level-- {
		below := p[digit(id, level)]
		if level == 0 {
			return (*blocktree.Tree)(below)
		}
		p = (*page)(below)
	}
	return nil
}

// set returns the spaces with the tree of one replaced; nil takes it out.
func (s spaces) set(id catalog.SpaceID, t *blocktree.Tree) spaces {
	for !s.holds(id) {
		if s.root != nil {
			s.root = &page{unsafe.Pointer(s.root)}
		}
		s.above++
	}
	s.root = s.root.set(s.above, id, t)
	return s
}

// set returns a copy of a page, which is on the given level and may be nil, with
// the tree of a space replaced. A page without anything is nil.
func (p *page) set(level int, id catalog.SpaceID, t *blocktree.Tree) *page {
	var c page
	if p != nil {
		c = *p
	}
	at := &c[digit(id, level)]
	if level == 0 {
		*at = unsafe.Pointer(t)
	} else {
		*at = unsafe.Pointer((*page)(*at).set(level-1, id, t))
	}
	if *at == nil && c == (page{}) {
		return nil
	}
	return &c
}

// all calls yield with every space, by id, until it returns false, and reports
// whether it never did.
func (s spaces) all(yield func(catalog.SpaceID, *blocktree.Tree) bool) bool {
	return s.root.all(s.above, 0, yield)
}

func (p *page) all(level int, first catalog.SpaceID, yield func(catalog.SpaceID, *blocktree.Tree) bool) bool {
	if p == nil {
		return true
	}
	for i, below := range p {
		if below == nil {
			continue
		}
		id := first + catalog.SpaceID(i)<<(level*pageBits)
		if level == 0 {
			if !yield(id, (*blocktree.Tree)(below)) {
				return false
			}
		} else if !(*page)(below).all(level-1, id, yield) {
			return false
		}
	}
	return true
}
