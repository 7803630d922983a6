//go:build linux || darwin || freebsd

package vfs

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes the lock of an open file, or reports that it is taken. The
// lock belongs to the open file description, so a second opening in the same
// process is refused as well.
func lockFile(f *os.File) (taken bool, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var failure error
	err = conn.Control(func(fd uintptr) {
		for failure = unix.EINTR; errors.Is(failure, unix.EINTR); {
			failure = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB)
		}
	})
	if err != nil {
		return false, err
	}
	if errors.Is(failure, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, failure
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	blocks, size := int64(st.Bavail), blockSize(&st)
	if blocks < 0 { // The reserve of the administrator is being used.
		return 0, nil
	}
	if size > 0 && blocks > math.MaxInt64/size {
		return math.MaxInt64, nil
	}
	return blocks * size, nil
}
