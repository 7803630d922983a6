// Package vfs is the part of an operating system that the engine uses: files,
// directories, locks and a clock. Everything the engine reads, writes or syncs
// goes through it, so that tests can lose power, tear writes and fail calls at
// any point, and replay the same run from a seed.
package vfs

import (
	"io"
	"time"
)

// File is an open file. A file has one writer; reads at an offset may run
// beside it.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer

	// Sync makes the content and the size of the file durable (fdatasync where
	// the system has it). It does not make the file's directory entry durable:
	// see FS.SyncDir. After a Sync that failed, what is durable is unknown; the
	// engine begins no other on that file. Syncs of several handles of one file may
	// run at once; see FS.ReportsApart.
	Sync() error
	// Truncate sets the size of the file; growing fills with zeros.
	Truncate(size int64) error
	// Size returns the current size in bytes.
	Size() (int64, error)
}

// FS is a file system. Names are slash-separated paths; errors match
// fs.ErrNotExist, fs.ErrExist and fs.ErrPermission where they apply.
type FS interface {
	// Create opens a new file for reading and writing, mode 0600; it fails with
	// fs.ErrExist if the name is taken.
	Create(name string) (File, error)
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// OpenReadWrite opens an existing file for reading and writing.
	OpenReadWrite(name string) (File, error)
	// Remove removes a file; durable after SyncDir.
	Remove(name string) error
	// Rename gives the file oldname the name newname, replacing a file of that
	// name atomically; durable after SyncDir.
	Rename(oldname, newname string) error
	// List returns the base names in a directory, sorted.
	List(dir string) ([]string, error)
	// MkdirAll creates a directory and its parents, mode 0700, and makes them
	// durable; a directory that exists is given that mode. It fails if the path
	// exists and is not a directory.
	MkdirAll(dir string) error
	// SyncDir makes the entries of a directory durable.
	SyncDir(dir string) error
	// Lock takes the exclusive advisory lock of a file, creating it if needed
	// and writing the owner's description into it. A lock that is taken fails
	// at once with *LockedError. Closing the result releases the lock.
	Lock(name, owner string) (io.Closer, error)
	// Free returns the bytes available to this process on the file system that
	// holds dir.
	Free(dir string) (int64, error)
	// ReportsApart tells whether data that could not be written back is reported to
	// each handle of the file that was open by then, whichever of them was synced
	// first. Only then may two handles of a file be synced side by side: elsewhere
	// one of them may learn nothing of what the other was told.
	ReportsApart() bool
}

// Clock tells the time. The engine takes one reading per epoch, in the
// sequencer, and nowhere else where the result could reach the log.
type Clock interface {
	Now() time.Time
}

// LockedError reports that another process, or another opening in this one,
// holds a lock. Owner is the description that the holder wrote.
type LockedError struct {
	Name  string
	Owner string
}

// Error implements error.
func (e *LockedError) Error() string {
	if e.Owner == "" {
		return e.Name + " is locked by another opening"
	}
	return e.Name + " is locked by " + e.Owner
}
