package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxOwnerBytes bounds what is read back from a lock file.
const maxOwnerBytes = 1024

// OS returns the file system of the machine. It is safe for concurrent use.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) Create(name string) (File, error) {
	return openFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (osFS) Open(name string) (File, error) { return openFile(name, os.O_RDONLY) }

func (osFS) OpenReadWrite(name string) (File, error) { return openFile(name, os.O_RDWR) }

func openFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(filepath.FromSlash(name), flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Remove(name string) error { return os.Remove(filepath.FromSlash(name)) }

func (osFS) Rename(oldname, newname string) error {
	return os.Rename(filepath.FromSlash(oldname), filepath.FromSlash(newname))
}

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.FromSlash(dir))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (osFS) ReportsApart() bool { return reportsApart() }

func (osFS) MkdirAll(dir string) error {
	dir = filepath.FromSlash(dir)
	if err := mkdirDurable(dir); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// mkdirDurable creates what is missing of a path from the top down. Each new
// directory is an entry of its parent, so the parent is synced before anything
// is put below: a synced file in a directory that a crash can lose is lost.
func mkdirDurable(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return err
	}
	if err := mkdirDurable(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func (osFS) SyncDir(dir string) error { return syncDir(filepath.FromSlash(dir)) }

// maxLockTries bounds how often Lock finds that its file has just been removed.
const maxLockTries = 100

// Lock keeps the lock file open for as long as the lock is held. A file that was
// removed between its opening and its locking is no lock, for the next to come takes
// another one of that name.
func (osFS) Lock(name, owner string) (io.Closer, error) {
	for range maxLockTries {
		f, err := os.OpenFile(filepath.FromSlash(name), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		taken, err := lockFile(f)
		named := false
		switch {
		case err != nil:
			err = &fs.PathError{Op: "lock", Path: name, Err: err}
		case taken:
			err = &LockedError{Name: name, Owner: readOwner(f)}
		default:
			if named = isNamed(f); named {
				err = writeOwner(f, owner)
			}
		}
		if err == nil && named {
			return osLock{f}, nil
		}
		_ = f.Close() // Nothing of worth was written.
		if err != nil {
			return nil, err
		}
	}
	return nil, &LockedError{Name: name}
}

// isNamed reports whether a file is still the one that its name stands for.
func isNamed(f *os.File) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(f.Name())
	return err == nil && os.SameFile(held, named)
}

// readOwner returns what the holder wrote. It is only told to people, so a text
// that cannot be read is no failure.
func readOwner(f *os.File) string {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxOwnerBytes))
	if err != nil {
		return ""
	}
	return string(text)
}

func writeOwner(f *os.File, owner string) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(owner), 0)
	return err
}

func (osFS) Free(dir string) (int64, error) {
	n, err := freeBytes(filepath.FromSlash(dir))
	if err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return n, nil
}

type osFile struct{ *os.File }

func (f osFile) Sync() error { return syncData(f.File) }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

type osLock struct{ f *os.File }

// Close clears the owner's text before it lets go of the lock, so that the next
// holder is never described by the text of this one.
func (l osLock) Close() error {
	return errors.Join(l.f.Truncate(0), l.f.Close())
}
