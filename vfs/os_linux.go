package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// reportsApart is true since Linux 4.13, which counts the errors of a file and
// remembers for each handle which of them it was told.
var reportsApart = sync.OnceValue(func() bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 4 || major == 4 && minor >= 13
})

// syncData leaves out the times of the file, which saves a journal commit for
// every sync that does not change the size. A call that a signal interrupted
// has reported nothing about the data, so repeating it is not the retry of a
// failed sync.
func syncData(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = conn.Control(func(fd uintptr) {
		for failure = unix.EINTR; errors.Is(failure, unix.EINTR); {
			failure = unix.Fdatasync(int(fd))
		}
	})
	if err != nil {
		failure = fs.ErrClosed // Nothing else keeps Control from its work.
	}
	if failure != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: failure}
	}
	return nil
}

// blockSize returns the unit in which a file system counts its blocks: the fragment,
// where it names one. The other size is that of a good write, and is larger on some
// file systems, of user space mostly.
func blockSize(st *unix.Statfs_t) int64 {
	if st.Frsize > 0 {
		return int64(st.Frsize)
	}
	return int64(st.Bsize)
}
