package vfs

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A reserve that is compared with blocks of the wrong size is never reached.
func TestFreeBlocksAreCountedInFragments(t *testing.T) {
	require.EqualValues(t, 4096, blockSize(&unix.Statfs_t{Bsize: 1 << 20, Frsize: 4096}))
	require.EqualValues(t, 4096, blockSize(&unix.Statfs_t{Bsize: 4096}))
}
