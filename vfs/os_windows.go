package vfs

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile takes the lock of an open file, or reports that it is taken. Locks
// are mandatory here: the byte that is locked lies far past the owner's text,
// so that others can still read it.
func lockFile(f *os.File) (taken bool, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var failure error
	err = conn.Control(func(fd uintptr) {
		at := &windows.Overlapped{OffsetHigh: math.MaxInt32}
		failure = windows.LockFileEx(windows.Handle(fd),
			windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
	})
	if err != nil {
		return false, err
	}
	if errors.Is(failure, windows.ERROR_LOCK_VIOLATION) || errors.Is(failure, windows.ERROR_IO_PENDING) {
		return true, nil
	}
	return false, failure
}

// syncDir only checks the directory: Windows cannot flush one, and NTFS
// journals its entries itself.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return f.Close()
}

func freeBytes(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(min(free, math.MaxInt64)), nil
}
