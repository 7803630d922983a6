//go:build !linux

package vfs

import "os"

// reportsApart is not known of these systems.
func reportsApart() bool { return false }

// syncData is F_FULLFSYNC on macOS, which empties the cache of the disk too, and
// FlushFileBuffers on Windows; neither has a call that leaves out the times.
func syncData(f *os.File) error { return f.Sync() }
