//go:build darwin || freebsd

package vfs

import "golang.org/x/sys/unix"

// blockSize returns the unit in which a file system counts its blocks.
func blockSize(st *unix.Statfs_t) int64 { return int64(st.Bsize) }
