package vfs

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

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
