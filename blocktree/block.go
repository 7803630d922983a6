package blocktree

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
)

const (
	// blockTarget is the number of bytes in use above which a block is split.
	// Smaller blocks cost more per entry and make reads follow more pointers;
	// larger ones make the first write after a snapshot copy more. Up to this
	// size the benchmarks show reads gaining and such writes not yet losing.
	blockTarget = 6144
	// largeValue is the longest value kept inside a block. Longer ones stand
	// beside it, so that a block stays cheap to copy.
	largeValue = blockTarget / 4
	// slotSize is the number of bytes of one directory slot.
	slotSize = 4
	// largeRefSize is the number of bytes that stand in an entry for a large
	// value.
	largeRefSize = 2
	// blockOverhead estimates the heap bytes a block costs besides its buffer
	// and its large values: the struct itself, its item in the tree at the usual
	// fill of the nodes, and its low bound.
	blockOverhead = 112
)

// MaxKeySize is the longest key a tree can hold, in bytes. It keeps every
// distance inside a block below 64 KiB. Callers enforce their own, lower limit.
const MaxKeySize = 32 << 10

// block is a sorted run of entries in one buffer:
//
//	buf: | slot 0 | slot 1 | ... | free | ... | entry 1 | entry 0 |
//
// Slots grow upwards and entries downwards, both in key order, so that a scan
// walks through memory in one direction. A slot is a little-endian uint32. Its
// low half is the distance of its entry from the end of buf, which survives a
// move to a larger buffer. Its high half is the fingerprint of the key, which
// keeps most of a binary search within the directory. An entry is
//
//	uvarint(2*len(key)) key uvarint(version) value
//
// or, for a value that stands beside the block,
//
//	uvarint(2*len(key)+1) key uvarint(version) uint16(index into large)
//
// The fingerprint is the two bytes of the key that follow the first prefix
// bytes, which all keys of the block share, padded with zeros. It orders as the
// keys do, except that different keys may have equal fingerprints.
//
// The fields fill one cache line, those that a search needs first.
type block struct {
	buf        []byte
	count      int32  // entries
	prefix     int32  // length of a prefix that all keys share
	owner      uint64 // generation of the tree that may write in place
	maxVersion uint64 // no entry is newer; an older bound may outlive its entry
	large      *largeValues
}

// newBlock returns an empty block with room for size bytes of slots and entries.
func newBlock(owner uint64, size int) *block {
	// Grow rounds up to what the allocator hands out anyway.
	buf := slices.Grow([]byte(nil), size)
	return &block{owner: owner, buf: buf[:cap(buf)]}
}

// withSlack adds room for a few more entries to size, within blockTarget: an
// eighth wastes little and lets a block that fills up move only a few times.
func withSlack(size int) int {
	return max(size, min(size+size/8, blockTarget))
}

// used returns the bytes of buf taken by slots and entries.
func (b *block) used() int {
	return int(b.count)*slotSize + b.distance(int(b.count)-1)
}

// bytes returns the heap bytes the block holds.
func (b *block) bytes() int64 {
	return blockOverhead + int64(cap(b.buf)) + b.large.bytes()
}

func (b *block) slot(i int) uint32 {
	return binary.LittleEndian.Uint32(b.buf[i*slotSize:])
}

// distance returns how far before the end of buf entry i starts, which is also
// where entry i+1 ends.
func (b *block) distance(i int) int {
	if i < 0 {
		return 0
	}
	return int(b.slot(i) & 0xffff)
}

// size returns the bytes that entry i takes, without its slot.
func (b *block) size(i int) int {
	return b.distance(i) - b.distance(i-1)
}

// setSlot makes slot i lead to the entry for key at the given distance.
func (b *block) setSlot(i, distance int, key []byte) {
	slot := uint32(fingerprint(key[b.prefix:]))<<16 | uint32(distance)
	binary.LittleEndian.PutUint32(b.buf[i*slotSize:], slot)
}

// key returns the key of entry i.
func (b *block) key(i int) []byte {
	head, rest := uvarint(b.buf[len(b.buf)-b.distance(i):])
	n := head / 2
	return rest[:n:n]
}

// entry is one decoded entry of a block.
type entry struct {
	key, value []byte
	version    uint64
}

// entry decodes entry i. The slices alias the block.
func (b *block) entry(i int) entry {
	end := len(b.buf) - b.distance(i-1)
	head, rest := uvarint(b.buf[len(b.buf)-b.distance(i) : end : end])
	n := head / 2
	version, value := uvarint(rest[n:])
	if head&1 != 0 {
		value = b.large.get(binary.LittleEndian.Uint16(value))
	}
	return entry{rest[:n:n], value, version}
}

// search returns the index of the first entry whose key is not below key, and
// whether it is key itself. The block is not empty.
func (b *block) search(key []byte) (int, bool) {
	count, prefix := int(b.count), int(b.prefix)
	if len(key) < prefix {
		return b.searchOutside(key)
	}
	print := uint32(fingerprint(key[prefix:]))
	low, high := 0, count
	for low < high {
		mid := int(uint(low+high) / 2)
		if b.slot(mid)>>16 < print {
			low = mid + 1
		} else {
			high = mid
		}
	}
	// Any entry tells whether key shares the prefix; the one at the position
	// found is the one whose memory is needed next in any case.
	nearest := b.key(min(low, count-1))
	if !bytes.Equal(key[:prefix], nearest[:prefix]) {
		return b.searchOutside(key)
	}
	for high = low; high < count && b.slot(high)>>16 == print; {
		high++
	}
	for low < high {
		mid := int(uint(low+high) / 2)
		switch order := bytes.Compare(b.key(mid)[prefix:], key[prefix:]); {
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

// searchOutside is search for a key that does not share the prefix and
// therefore lies before or after all entries.
func (b *block) searchOutside(key []byte) (int, bool) {
	if bytes.Compare(key, b.key(0)) < 0 {
		return 0, false
	}
	return int(b.count), false
}

// entrySize returns the bytes that an entry takes, without its slot.
func entrySize(key, value []byte, version uint64) int {
	size := uvarintLen(2*uint64(len(key))+1) + len(key) + uvarintLen(version)
	if len(value) > largeValue {
		return size + largeRefSize
	}
	return size + len(value)
}

// insert adds an entry before entry i. There is room for the entry, which
// takes size bytes, and its slot.
func (b *block) insert(i, size int, key, value []byte, version uint64) {
	if b.count == 0 {
		b.prefix = int32(len(key))
	} else {
		b.narrow(commonPrefix(b.key(0)[:b.prefix], key))
	}
	b.shift(i, size)
	slots := b.buf[:(int(b.count)+1)*slotSize]
	copy(slots[(i+1)*slotSize:], slots[i*slotSize:])
	b.count++
	b.setSlot(i, b.distance(i-1)+size, key)
	b.write(i, key, value, version)
}

// replace gives entry i, whose key is key, another value and version. There is
// room for the entry to change to size bytes.
func (b *block) replace(i, size int, key, value []byte, version uint64) {
	b.dropLarge(i)
	b.shift(i+1, size-b.size(i))
	b.setSlot(i, b.distance(i-1)+size, key)
	b.write(i, key, value, version)
}

// remove takes out entry i.
func (b *block) remove(i int) {
	b.dropLarge(i)
	b.shift(i+1, -b.size(i))
	slots := b.buf[:int(b.count)*slotSize]
	copy(slots[i*slotSize:], slots[(i+1)*slotSize:])
	b.count--
}

// shift moves the entries from i on by that many bytes away from the end.
func (b *block) shift(i, by int) {
	if i == int(b.count) || by == 0 {
		return
	}
	from, to := len(b.buf)-b.distance(int(b.count)-1), len(b.buf)-b.distance(i-1)
	copy(b.buf[from-by:], b.buf[from:to])
	for ; i < int(b.count); i++ {
		binary.LittleEndian.PutUint32(b.buf[i*slotSize:], b.slot(i)+uint32(by))
	}
}

// write encodes entry i, whose slot is set.
func (b *block) write(i int, key, value []byte, version uint64) {
	p, head := b.buf[len(b.buf)-b.distance(i):], 2*uint64(len(key))
	if len(value) > largeValue {
		head++
	}
	p = p[binary.PutUvarint(p, head):]
	p = p[copy(p, key):]
	p = p[binary.PutUvarint(p, version):]
	if len(value) > largeValue {
		binary.LittleEndian.PutUint16(p, b.addLarge(bytes.Clone(value)))
	} else {
		copy(p, value)
	}
	b.maxVersion = max(b.maxVersion, version)
}

// narrow shortens the shared prefix to length bytes, if it is longer.
func (b *block) narrow(length int) {
	if length >= int(b.prefix) {
		return
	}
	b.prefix = int32(length)
	for i := range int(b.count) {
		b.setSlot(i, b.distance(i), b.key(i))
	}
}

// largeRef returns the bytes of entry i that refer to a large value, or nil if
// its value is not large.
func (b *block) largeRef(i int) []byte {
	if head, _ := uvarint(b.buf[len(b.buf)-b.distance(i):]); head&1 == 0 {
		return nil
	}
	end := len(b.buf) - b.distance(i-1)
	return b.buf[end-largeRefSize : end]
}

// addLarge puts a value beside the block, which from then on owns it.
func (b *block) addLarge(value []byte) uint16 {
	if b.large == nil {
		b.large = new(largeValues)
	}
	return b.large.add(value)
}

// dropLarge lets go of the value of entry i if it stands beside the block.
func (b *block) dropLarge(i int) {
	if ref := b.largeRef(i); ref != nil {
		b.large.remove(binary.LittleEndian.Uint16(ref))
	}
}

// clone returns a copy in a buffer of at least the given size.
func (b *block) clone(owner uint64, size int) *block {
	c := newBlock(owner, size)
	copy(c.buf, b.buf[:int(b.count)*slotSize])
	entries := b.distance(int(b.count) - 1)
	copy(c.buf[len(c.buf)-entries:], b.buf[len(b.buf)-entries:])
	c.count, c.prefix, c.maxVersion, c.large = b.count, b.prefix, b.maxVersion, b.large.clone()
	return c
}

// part returns a copy of entries [from, to), at least one, with some room.
func (b *block) part(owner uint64, from, to int) *block {
	c := newBlock(owner, withSlack((to-from)*slotSize+b.distance(to-1)-b.distance(from-1)))
	c.appendFrom(b, from, to)
	return c
}

// appendFrom adds entries [from, to) of src, at least one and all above those
// of b. There is room. Large values are shared, not copied.
func (b *block) appendFrom(src *block, from, to int) {
	if b.count == 0 {
		b.prefix = int32(commonPrefix(src.key(from), src.key(to-1)))
	} else {
		b.narrow(commonPrefix(b.key(0)[:b.prefix], src.key(to-1)))
	}
	for i := from; i < to; i++ {
		e, last := src.entry(i), int(b.count)
		b.setSlot(last, b.distance(last-1)+src.size(i), e.key)
		b.count++
		start := len(src.buf) - src.distance(i)
		copy(b.buf[len(b.buf)-b.distance(last):], src.buf[start:start+src.size(i)])
		if ref := src.largeRef(i); ref != nil {
			value := src.large.values[binary.LittleEndian.Uint16(ref)]
			binary.LittleEndian.PutUint16(b.largeRef(last), b.addLarge(value))
		}
		b.maxVersion = max(b.maxVersion, e.version)
	}
}

// middle returns the entry, never the first, at which the bytes before and
// after are about equal. The block has two entries at least.
func (b *block) middle() int {
	i, half := 1, b.distance(int(b.count)-1)/2
	for i < int(b.count)-1 && b.distance(i-1) < half {
		i++
	}
	return i
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

// commonPrefix returns the number of leading bytes in which a and b agree.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// uvarint decodes a number that this package encoded and returns what follows.
func uvarint(p []byte) (uint64, []byte) {
	if p[0] < 0x80 {
		return uint64(p[0]), p[1:]
	}
	v, n := binary.Uvarint(p)
	return v, p[n:]
}

// uvarintLen returns the number of bytes that v takes as a uvarint.
func uvarintLen(v uint64) int {
	return (bits.Len64(v|1) + 6) / 7
}
