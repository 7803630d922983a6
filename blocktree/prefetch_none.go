//go:build !amd64 && !arm64

package blocktree

import "unsafe"

func prefetch(unsafe.Pointer, int) {}

func prefetchEntries(unsafe.Pointer, *uint16, int) {}
