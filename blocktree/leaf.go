package blocktree

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync/atomic"
	"unsafe"
)

const (
	// leafCap is how many entries a leaf can have. With it a leaf is 256 bytes.
	leafCap = 48
	// leafTarget is the number of bytes of entries above which a leaf is split.
	leafTarget = 6144
	// leafOverhead is the heap that a leaf takes besides its buffer and its large
	// values.
	leafOverhead = int64(unsafe.Sizeof(leaf{})) + 8
)

// leaf is a sorted run of entries: a directory in key order, and the buffer that
// the entries are in, in the order in which they were written.
//
// A print is the two bytes of a key that follow the prefix that all keys of the
// leaf share, padded with zeros. Prints order as the keys do, except that
// different keys may have equal ones; they keep a search within the directory.
//
// The fields that a search needs come first.
type leaf struct {
	buf        []byte
	count      uint16 // entries
	prefix     uint16 // length of a prefix that all keys share
	live       uint32 // bytes of the entries
	prints     [leafCap]uint16
	offsets    [leafCap]uint16 // of the entries in buf
	owner      uint64          // generation of the tree that may change the directory
	maxVersion uint64          // no entry is newer; an older bound may outlive its entry
	tail       *atomic.Uint32  // bytes of buf that are claimed; shared by all that share buf
	large      *largeValues
}

// newLeaf returns an empty leaf with room for size bytes of entries.
func newLeaf(owner uint64, size int) *leaf {
	l := &leaf{owner: owner}
	l.renew(size)
	return l
}

// renew gives the leaf an empty buffer with room for size bytes.
func (l *leaf) renew(size int) {
	buf := unwritten(size)
	l.buf, l.tail = buf[:min(len(buf), 0xffff)], new(atomic.Uint32)
}

// unwritten returns memory of size bytes at least, all that the allocator hands out for
// them. What is in it is not cleared: most of it is about to be written, and nobody looks
// behind the tail of a buffer. Of the standard library a Builder offers that.
func unwritten(size int) []byte {
	var b strings.Builder
	b.Grow(size)
	b.WriteByte(0) // so that there is a string to find the memory by
	return unsafe.Slice(unsafe.StringData(b.String()), b.Cap())
}

// room returns the size for a buffer that is to hold live bytes: a fifth more
// wastes little and lets a leaf be compacted once for several writes; small ones
// double.
func room(live int) int {
	if live < leafTarget/8 {
		return 2 * live
	}
	return live + live/5
}

// claim takes size bytes of the free tail of the buffer and returns where they
// start.
func (l *leaf) claim(size int) (offset int, ok bool) {
	for {
		tail := l.tail.Load()
		if int(tail)+size > len(l.buf) {
			return 0, false
		}
		if l.tail.CompareAndSwap(tail, tail+uint32(size)) {
			return int(tail), true
		}
	}
}

// bytes returns the heap bytes that the leaf and its buffer take.
func (l *leaf) bytes() int64 {
	return leafOverhead + int64(cap(l.buf)) + l.large.bytes()
}

// raw returns the encoded entry i and what follows it in the buffer.
func (l *leaf) raw(i int) []byte { return l.buf[l.offsets[i]:] }

// key returns the key of entry i.
func (l *leaf) key(i int) []byte { return entryKey(l.raw(i)) }

// entry decodes entry i.
func (l *leaf) entry(i int) Entry {
	key, value, version := l.at(i)
	return Entry{key, value, version}
}

// at is entry, in parts that stay in registers.
func (l *leaf) at(i int) (key, value []byte, version uint64) {
	p := l.raw(i)
	from, to, large := entryTail(p)
	value = p[from:to:to]
	if large {
		value = l.large.get(binary.LittleEndian.Uint16(value))
	}
	return entryKey(p), value, entryVersion(p)
}

// size returns the bytes that entry i takes.
func (l *leaf) size(i int) int {
	_, to, _ := entryTail(l.raw(i))
	return to
}

// largeRef returns the index of the large value of entry i, and false if its
// value is not large.
func (l *leaf) largeRef(i int) (uint16, bool) {
	p := l.raw(i)
	from, _, large := entryTail(p)
	if !large {
		return 0, false
	}
	return binary.LittleEndian.Uint16(p[from:]), true
}

// search returns the index of the first entry whose key is not below key, and
// whether it is key itself. The leaf is not empty.
func (l *leaf) search(key []byte) (int, bool) {
	return l.searchFrom(l.near(key), key)
}

// firstPrint returns the index of the first entry whose print is not below print.
func (l *leaf) firstPrint(print uint16) int {
	i := 0
	for size := int(l.count); size > 0; {
		half := (size + 1) >> 1
		i += half & ifLess(int64(l.prints[i+half-1]), int64(print))
		size -= half
	}
	return i
}

// near returns the index of the first entry whose print is not below that of key,
// which is where key is found if it shares the prefix of the leaf. It looks at the
// directory alone.
func (l *leaf) near(key []byte) int {
	if len(key) < int(l.prefix) {
		return 0
	}
	return l.firstPrint(fingerprint(key[l.prefix:]))
}

// searchFrom completes a search for key that near has begun.
func (l *leaf) searchFrom(low int, key []byte) (int, bool) {
	count, prefix := int(l.count), int(l.prefix)
	// The entry there is the one in most cases, also for the beginning of a range.
	// And any entry tells whether key shares the prefix.
	nearest := l.key(min(low, count-1))
	order := bytes.Compare(nearest, key)
	switch {
	case order == 0:
		return low, true
	case len(key) < prefix || string(key[:prefix]) != string(nearest[:prefix]):
		// Then key lies before or after all entries.
		if order > 0 {
			return 0, false
		}
		return count, false
	case order > 0 || low == count:
		return low, false
	}
	print := fingerprint(key[prefix:])
	low++
	high := low
	for high < count && l.prints[high] == print {
		high++
	}
	for low < high {
		mid := int(uint(low+high) / 2)
		switch order := bytes.Compare(l.key(mid)[prefix:], key[prefix:]); {
		case order == 0:
			return mid, true
		case order < 0:
			low = mid + 1
		default:
			high = mid
		}
	}
	return low, false
}

// fingerprint returns the first two bytes of rest as a number, with zeros for
// missing ones.
func fingerprint(rest []byte) uint16 {
	switch len(rest) {
	case 0:
		return 0
	case 1:
		return uint16(rest[0]) << 8
	}
	return binary.BigEndian.Uint16(rest)
}

// write encodes an entry into free space, which it makes if there is none, and
// returns its offset. The leaf is owned. Entry i, if not -1, is about to go.
func (l *leaf) write(i, size int, key, value []byte, version uint64) uint16 {
	offset, ok := l.claim(size)
	if !ok {
		l.compact(i, size)
		offset, _ = l.claim(size) // nobody shares the buffer yet
	}
	var ref uint16
	if len(value) > largeValue {
		if l.large == nil {
			l.large = new(largeValues)
		}
		ref = l.large.add(bytes.Clone(value))
	}
	end := offset + size
	putEntry(l.buf[offset:end:end], key, value, ref, version)
	l.maxVersion = max(l.maxVersion, version)
	l.live += uint32(size)
	return uint16(offset)
}

// insert adds an entry before entry i.
func (l *leaf) insert(i, size int, key, value []byte, version uint64) {
	if l.count == 0 {
		l.prefix = uint16(len(key))
	} else {
		l.narrow(commonPrefix(l.key(0)[:l.prefix], key))
	}
	offset := l.write(-1, size, key, value, version)
	copy(l.prints[i+1:l.count+1], l.prints[i:l.count])
	copy(l.offsets[i+1:l.count+1], l.offsets[i:l.count])
	l.prints[i], l.offsets[i] = fingerprint(key[l.prefix:]), offset
	l.count++
}

// replace gives entry i another value and version.
func (l *leaf) replace(i, size int, key, value []byte, version uint64) {
	l.dropLarge(i)
	l.live -= uint32(l.size(i))
	l.offsets[i] = l.write(i, size, key, value, version)
}

// remove takes out entry i.
func (l *leaf) remove(i int) {
	l.dropLarge(i)
	l.live -= uint32(l.size(i))
	copy(l.prints[i:], l.prints[i+1:l.count])
	copy(l.offsets[i:], l.offsets[i+1:l.count])
	l.count--
}

func (l *leaf) dropLarge(i int) {
	if ref, ok := l.largeRef(i); ok {
		l.large.remove(ref)
	}
}

// narrow shortens the shared prefix to length bytes, if it is longer.
func (l *leaf) narrow(length int) {
	if length >= int(l.prefix) {
		return
	}
	l.prefix = uint16(length)
	for i := range int(l.count) {
		l.prints[i] = fingerprint(l.key(i)[length:])
	}
}

// compact moves the entries, but for entry except, to a buffer of their own, in
// key order, with room for more bytes.
//
// Most of them lie one behind the other, as the last compaction has left them, and
// are moved in runs.
func (l *leaf) compact(except, more int) {
	old := l.buf
	l.renew(room(int(l.live) + more))
	to, from, end := 0, 0, 0 // [from, end) of old is the run that goes to to
	for i := range int(l.count) {
		if i == except {
			continue
		}
		at := int(l.offsets[i])
		if at != end {
			to += copy(l.buf[to:], old[from:end])
			from = at
		}
		l.offsets[i] = uint16(to + at - from)
		_, size, _ := entryTail(old[at:])
		end = at + size
	}
	to += copy(l.buf[to:], old[from:end])
	l.tail.Store(uint32(to))
}

// clone returns a copy of the directory for another owner. The buffer is shared.
func (l *leaf) clone(owner uint64) *leaf {
	c := *l
	c.owner, c.large = owner, l.large.clone()
	return &c
}

// appendFrom adds entries [from, to) of src, at least one and all above those of
// l. There is room for them. Large values are shared, not copied.
func (l *leaf) appendFrom(src *leaf, from, to int) {
	if l.count == 0 {
		l.prefix = uint16(commonPrefix(src.key(from), src.key(to-1)))
	} else {
		l.narrow(commonPrefix(l.key(0)[:l.prefix], src.key(to-1)))
	}
	tail := int(l.tail.Load())
	for i := from; i < to; i++ {
		size := src.size(i)
		p := l.buf[tail : tail+size]
		copy(p, src.raw(i))
		if ref, ok := src.largeRef(i); ok {
			if l.large == nil {
				l.large = new(largeValues)
			}
			at, _, _ := entryTail(p)
			binary.LittleEndian.PutUint16(p[at:], l.large.add(src.large.values[ref]))
		}
		l.prints[l.count] = fingerprint(entryKey(p)[l.prefix:])
		l.offsets[l.count] = uint16(tail)
		l.count++
		l.live += uint32(size)
		tail += size
	}
	l.tail.Store(uint32(tail))
	l.maxVersion = max(l.maxVersion, src.maxVersion)
}

// part returns a copy of entries [from, to), at least one, with some room.
func (l *leaf) part(owner uint64, from, to int) *leaf {
	size := 0
	for i := from; i < to; i++ {
		size += l.size(i)
	}
	c := newLeaf(owner, room(size))
	c.appendFrom(l, from, to)
	return c
}

// middle returns the entry, never the first, at which the bytes before and after
// are about equal. The leaf has two entries at least.
func (l *leaf) middle() int {
	i, n := 1, l.size(0)
	for i < int(l.count)-1 && n < int(l.live)/2 {
		n += l.size(i)
		i++
	}
	return i
}

// join returns one leaf with the entries of two neighbours.
func join(owner uint64, left, right *leaf) *leaf {
	l := newLeaf(owner, room(int(left.live+right.live)))
	l.appendFrom(left, 0, int(left.count))
	l.appendFrom(right, 0, int(right.count))
	return l
}
