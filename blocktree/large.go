package blocktree

import "slices"

// largeValues are the values of one block that stand beside it, one allocation
// each, and that its entries refer to by index. A nil pointer is an empty set.
type largeValues struct {
	values [][]byte // nil where an index is free
	held   int64    // sum of their capacities
}

// get returns the value at index.
func (l *largeValues) get(index uint16) []byte {
	return slices.Clip(l.values[index])
}

// add takes over a value and returns its index. Every large value has an entry
// of several bytes in a buffer below 64 KiB, so the index fits.
func (l *largeValues) add(value []byte) uint16 {
	l.held += int64(cap(value))
	i := slices.IndexFunc(l.values, func(v []byte) bool { return v == nil })
	if i < 0 {
		i = len(l.values)
		l.values = append(l.values, nil)
	}
	l.values[i] = value
	return uint16(i)
}

// remove frees index.
func (l *largeValues) remove(index uint16) {
	l.held -= int64(cap(l.values[index]))
	l.values[index] = nil
}

// clone returns a set that holds the same values at the same indexes.
func (l *largeValues) clone() *largeValues {
	if l == nil {
		return nil
	}
	return &largeValues{values: slices.Clone(l.values), held: l.held}
}

// bytes returns the heap bytes of the set and its values.
func (l *largeValues) bytes() int64 {
	if l == nil {
		return 0
	}
	const setSize, headerSize = 32, 24
	return setSize + int64(cap(l.values))*headerSize + l.held
}
