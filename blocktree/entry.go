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
//	uint16(len(key)) uint16(len(value)) key value uvarint(version)
//
// or, for a value that stands beside the leaf,
//
//	uint16(len(key)) 0xffff key uint16(index into large) uvarint(version)
const (
	entryHead    = 4
	largeMark    = 0xffff
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
	return entryHead + len(key) + n + uvarintLen(version)
}

// putEntry encodes an entry at the start of p. A large value is given by its index.
func putEntry(p, key, value []byte, large uint16, version uint64) {
	binary.LittleEndian.PutUint16(p, uint16(len(key)))
	n := entryHead + copy(p[entryHead:], key)
	if len(value) > largeValue {
		binary.LittleEndian.PutUint16(p[2:], largeMark)
		binary.LittleEndian.PutUint16(p[n:], large)
		n += largeRefSize
	} else {
		binary.LittleEndian.PutUint16(p[2:], uint16(len(value)))
		n += copy(p[n:], value)
	}
	binary.PutUvarint(p[n:], version)
}

// entryKey returns the key of the entry at the start of p.
func entryKey(p []byte) []byte {
	n := entryHead + int(binary.LittleEndian.Uint16(p))
	return p[entryHead:n:n]
}

// entryTail returns the bounds of the value of the entry at the start of p, or of
// the reference to it.
func entryTail(p []byte) (from, to int, large bool) {
	from = entryHead + int(binary.LittleEndian.Uint16(p))
	n := binary.LittleEndian.Uint16(p[2:])
	if n == largeMark {
		return from, from + largeRefSize, true
	}
	return from, from + int(n), false
}

// entryVersion decodes the version at the start of p and returns its size too.
func entryVersion(p []byte) (version uint64, size int) {
	if p[0] < 0x80 {
		return uint64(p[0]), 1
	}
	return binary.Uvarint(p)
}

// uvarintLen returns the number of bytes that v takes as a uvarint.
func uvarintLen(v uint64) int {
	return (bits.Len64(v|1) + 6) / 7
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
