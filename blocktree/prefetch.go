//go:build amd64 || arm64

package blocktree

import "unsafe"

// prefetch asks for so many lines of memory, at least one, from p on.
//
//go:noescape
func prefetch(p unsafe.Pointer, lines int)

// prefetchEntries asks for the first two lines of n entries, at least one, which are
// at the given offsets in a buffer.
//
//go:noescape
func prefetchEntries(buf unsafe.Pointer, offsets *uint16, n int)
