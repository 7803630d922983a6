package vfs

import (
	"io"
	"math/rand/v2"
	"slices"
)

const (
	// pageSize is the unit in which a system writes cached data back, and so
	// the unit that a power loss keeps or loses.
	pageSize = 4096
	// sectorSize is the unit that a disk writes whole.
	sectorSize = 512
)

// page is one block of a file. A nil *page reads as zeros.
type page [pageSize]byte

// content is what one file holds: what readers see, and beside it what a power
// loss would leave.
//
//   - A page that is in durable is never written again; clones share it. A page
//     that only live has belongs to this content and is written in place.
//   - Both slices have exactly the pages that their sizes need, and bytes of a
//     last page past the size are zero.
type content struct {
	live, durable         []*page
	liveSize, durableSize int64

	// set is the size that the latest unsynced truncate gave the file, or its
	// durable size. A size that follows from a write lives and dies with the
	// pages of that write.
	set int64

	// dropped holds the live pages that a failed sync marked as written though
	// they were not. Readers see them; no later sync writes them unless they
	// are written to again.
	dropped map[int]*page

	last lastWrite
}

// lastWrite describes the last unsynced write, so that it can be torn.
type lastWrite struct {
	off, size  int64
	sizeBefore int64  // of the file
	old        []byte // what the write replaced, from off on
}

// settled returns a content that is durable as it stands. It takes pages over.
func settled(pages []*page, size int64) content {
	return content{
		live: slices.Clone(pages), durable: pages,
		liveSize: size, durableSize: size, set: size,
	}
}

func pagesFor(size int64) int { return int((size + pageSize - 1) / pageSize) }

// pending reports whether the next sync would write page i.
func (c *content) pending(i int) bool {
	p := c.live[i]
	var d *page
	if i < len(c.durable) {
		d = c.durable[i]
	}
	return p != d && (p == nil || c.dropped[i] != p)
}

// writable returns page i for writing in place.
func (c *content) writable(i int) *page {
	p := c.live[i]
	if p != nil && c.pending(i) {
		return p
	}
	q := new(page)
	if p != nil {
		*q = *p
	}
	c.live[i] = q
	return q
}

func (c *content) readAt(b []byte, off int64) (int, error) {
	n := 0
	if off < c.liveSize {
		b := b[:min(int64(len(b)), c.liveSize-off)]
		for n < len(b) {
			at := off + int64(n)
			end := min(n+pageSize-int(at%pageSize), len(b))
			if p := c.live[at/pageSize]; p != nil {
				copy(b[n:end], p[at%pageSize:])
			} else {
				clear(b[n:end])
			}
			n = end
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// writeAt needs an offset and a length that keep the file under maxFileSize.
func (c *content) writeAt(b []byte, off int64) {
	if len(b) == 0 {
		return
	}
	end := off + int64(len(b))
	old := slices.Grow(c.last.old[:0], len(b))[:len(b)]
	n, _ := c.readAt(old, off) // At the end of the file there is nothing to keep.
	c.last = lastWrite{off: off, size: int64(len(b)), sizeBefore: c.liveSize, old: old[:n]}
	if end > c.liveSize {
		c.resize(end)
	}
	for len(b) > 0 {
		n := copy(c.writable(int(off / pageSize))[off%pageSize:], b)
		b, off = b[n:], off+int64(n)
	}
}

func (c *content) truncate(size int64) {
	c.set = size
	c.last = lastWrite{}
	c.resize(size)
}

func (c *content) resize(size int64) {
	n := pagesFor(size)
	if size < c.liveSize {
		clear(c.live[n:])
		c.live = c.live[:n]
		if tail := size % pageSize; tail != 0 && c.live[n-1] != nil {
			clear(c.writable(n - 1)[tail:])
		}
	} else {
		c.live = append(c.live, make([]*page, n-len(c.live))...)
	}
	c.liveSize = size
}

// sync makes durable what is live, but for the dropped pages.
func (c *content) sync() {
	n := len(c.live)
	if n < len(c.durable) {
		clear(c.durable[n:])
		c.durable = c.durable[:n]
	} else {
		c.durable = append(c.durable, make([]*page, n-len(c.durable))...)
	}
	if len(c.dropped) == 0 {
		copy(c.durable, c.live)
	} else {
		for i, p := range c.live {
			if p == nil || c.dropped[i] != p {
				c.durable[i] = p
			}
		}
	}
	c.durableSize, c.set = c.liveSize, c.liveSize
	c.last = lastWrite{old: c.last.old}
}

// drop marks unsynced pages as written without writing them.
func (c *content) drop() {
	for i, p := range c.live {
		if p != nil && c.pending(i) {
			if c.dropped == nil {
				c.dropped = make(map[int]*page)
			}
			c.dropped[i] = p
		}
	}
	c.last = lastWrite{}
}

// afterPowerLoss returns what a disk would hold of the file. It leaves c as it
// is and shares only durable pages with it.
func (c *content) afterPowerLoss(fate Fate, rng *rand.Rand) content {
	keep := func() bool {
		switch fate.Data {
		case DataLost:
			return false
		case DataRandom, DataSectors:
			return rng.IntN(100) < fate.Percent
		default:
			return true
		}
	}

	pages, size := slices.Clone(c.durable), c.durableSize
	if c.set != c.durableSize && keep() {
		base := settled(pages, size)
		base.resize(c.set)
		pages, size = base.live, base.liveSize
	}
	unit := int64(pageSize)
	if fate.Data == DataSectors {
		unit = sectorSize
	}
	for i, p := range c.live {
		if !c.pending(i) {
			continue
		}
		start := int64(i) * pageSize
		for from := int64(0); from < min(pageSize, c.liveSize-start); from += unit {
			if !keep() {
				continue
			}
			if i >= len(pages) {
				pages = append(pages, make([]*page, i+1-len(pages))...)
			}
			pages[i] = mixed(pages[i], p, from, from+unit)
			size = max(size, min(start+from+unit, c.liveSize))
		}
	}

	after := settled(pages, size)
	if fate.Data == DataTorn && c.last.size > 0 {
		after.tear(c.last, rng)
		c.restore(&after)
		after.sync()
	}
	return after
}

// mixed returns a new page that is p in the given range and below elsewhere.
func mixed(below, p *page, from, to int64) *page {
	q := new(page)
	if below != nil {
		*q = *below
	}
	if p != nil {
		copy(q[from:to], p[from:to])
	} else {
		clear(q[from:to])
	}
	return q
}

// tear cuts a write at its start or at a sector boundary inside it, and leaves
// of the rest what was there before, zeros or garbage.
func (c *content) tear(w lastWrite, rng *rand.Rand) {
	end := w.off + w.size
	firstBoundary := w.off/sectorSize + 1
	boundaries := max(0, (end-1)/sectorSize-firstBoundary+1)
	cut := w.off
	if k := rng.Int64N(boundaries + 1); k > 0 {
		cut = (firstBoundary + k - 1) * sectorSize
	}
	rest := make([]byte, end-cut)
	switch rng.IntN(3) {
	case 0: // As before the write.
		size := max(w.sizeBefore, cut)
		if skip := cut - w.off; skip < int64(len(w.old)) {
			c.writeAt(w.old[skip:], cut)
		}
		if size < c.liveSize {
			c.truncate(size)
		}
	case 1: // Zeros.
		c.writeAt(rest, cut)
	default: // Garbage.
		for i := range rest {
			rest[i] = byte(rng.Uint32())
		}
		c.writeAt(rest, cut)
	}
}

// restore puts back what the torn last write and the durable state before it agree
// on, from the start of each sector on: a disk writes a sector whole, so these bytes
// are in either state of it.
func (c *content) restore(after *content) {
	kept := min(c.durableSize, c.set, c.last.sizeBefore) // no sector was cut off below it
	end := min(c.last.off+c.last.size, kept)
	for at := c.last.off / sectorSize * sectorSize; at < end; at += sectorSize {
		i, from, to := at/pageSize, at%pageSize, at%pageSize+min(sectorSize, kept-at)
		var durable, live page
		if p := c.durable[i]; p != nil {
			durable = *p
		}
		if p := c.live[i]; p != nil {
			live = *p
		}
		after.writeAt(live[from:from+agreeing(live[from:to], durable[from:to])], at)
	}
}

// agreeing returns the length of the common prefix of two slices of one length.
func agreeing(a, b []byte) int64 {
	for i := range a {
		if a[i] != b[i] {
			return int64(i)
		}
	}
	return int64(len(a))
}

// bytes returns what readers see, in a new slice.
func (c *content) bytes() []byte {
	b := make([]byte, c.liveSize)
	_, _ = c.readAt(b, 0) // It reads no further than the end.
	return b
}
