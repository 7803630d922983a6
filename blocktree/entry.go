package blocktree

import (
	"encoding/binary"
	"math/bits"
)

// MaxKeySize is the longest key a tree can hold, in bytes. It keeps every offset
// within a buffer below 64 KiB. Callers enforce their own, lower limit.
const MaxKeySize = 32 << 10

// Entry is one entry of a tree. Its slices alias the tree and must not be
// modified; they never change.
type Entry struct {
	Key, Value []byte
	Version    uint64
}

// An entry in a buffer is
//
//	uint16(len(key)) uint16(shape) key version value
//
// where shape has the length of the value in its lower 12 bits and that of the
// version, which is a number of as few bytes as it takes, in the upper 4. For a
// value that stands beside the leaf, the lower bits are all set, and value is its
// uint16 index there. So the head tells the size, and what is read of an entry to
// find or to compare it lies together.
const (
	entryHead    = 4
	lengthBits   = 12
	largeMark    = 1<<lengthBits - 1
	largeRefSize = 2
	// largeValue is the longest value kept in a buffer. Longer ones stand beside
	// the leaf, so that compacting a buffer stays cheap.
	largeValue = leafTarget / 4
)

// entrySize returns the bytes that an entry takes in a buffer.
func entrySize(key, value []byte, version uint64) int {
	n := len(value)
	if n > largeValue {
		n = largeRefSize
	}
	return entryHead + len(key) + versionSize(version) + n
}

// versionSize returns the number of bytes that a version takes.
func versionSize(v uint64) int { return (bits.Len64(v|1) + 7) / 8 }

// putEntry encodes an entry at the start of p. A large value is given by its index.
func putEntry(p, key, value []byte, large uint16, version uint64) {
	length, size := len(value), versionSize(version)
	if length > largeValue {
		length = largeMark
	}
	binary.LittleEndian.PutUint16(p, uint16(len(key)))
	binary.LittleEndian.PutUint16(p[2:], uint16(length|size<<lengthBits))
	n := entryHead + copy(p[entryHead:], key)
	for range size {
		p[n] = byte(version)
		version >>= 8
		n++
	}
	if length == largeMark {
		binary.LittleEndian.PutUint16(p[n:], large)
	} else {
		copy(p[n:], value)
	}
}

// entryKey returns the key of the entry at the start of p.
func entryKey(p []byte) []byte {
	n := entryHead + int(binary.LittleEndian.Uint16(p))
	return p[entryHead:n:n]
}

// entryVersion returns the version of the entry at the start of p.
func entryVersion(p []byte) (version uint64) {
	from := entryHead + int(binary.LittleEndian.Uint16(p))
	shape := int(binary.LittleEndian.Uint16(p[2:]))
	size := shape >> lengthBits
	if length := shape & largeMark; size+length >= 8 && length != largeMark {
		// Eight bytes of the entry are at hand: behind it somebody may be writing.
		return binary.LittleEndian.Uint64(p[from:]) << (64 - 8*size) >> (64 - 8*size)
	}
	for i := range size {
		version |= uint64(p[from+i]) << (8 * i)
	}
	return version
}

// entryTail returns the bounds of the value of the entry at the start of p, or of
// the reference to it.
func entryTail(p []byte) (from, to int, large bool) {
	shape := int(binary.LittleEndian.Uint16(p[2:]))
	from = entryHead + int(binary.LittleEndian.Uint16(p)) + shape>>lengthBits
	if length := shape & largeMark; length != largeMark {
		return from, from + length, false
	}
	return from, from + largeRefSize, true
}

// commonPrefix returns the number of leading bytes in which a and b agree.
func commonPrefix[A, B ~[]byte | ~string](a A, b B) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
