package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// onEach runs a test over each implementation, in an empty directory.
func onEach(t *testing.T, test func(t *testing.T, fsys FS, dir string)) {
	t.Helper()
	t.Run("os", func(t *testing.T) { test(t, OS(), filepath.ToSlash(t.TempDir())) })
	t.Run("mem", func(t *testing.T) {
		m := NewMem()
		require.NoError(t, m.MkdirAll("/work"))
		test(t, m, "/work")
	})
}

func create(t testing.TB, fsys FS, name, text string) File {
	t.Helper()
	f, err := fsys.Create(name)
	require.NoError(t, err)
	write(t, f, text, 0)
	return f
}

func write(t testing.TB, f File, text string, off int64) {
	t.Helper()
	n, err := f.WriteAt([]byte(text), off)
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}

func contentOf(t testing.TB, f File) string {
	t.Helper()
	size, err := f.Size()
	require.NoError(t, err)
	b, err := io.ReadAll(io.NewSectionReader(f, 0, size+1))
	require.NoError(t, err)
	return string(b)
}

func TestFileReadsBackWhatWasWritten(t *testing.T) {
	onEach(t, func(t *testing.T, fsys FS, dir string) {
		f := create(t, fsys, dir+"/a", "hello")
		write(t, f, "world", 10)
		write(t, f, "HE", 0)
		require.Equal(t, "HEllo\x00\x00\x00\x00\x00world", contentOf(t, f))
		write(t, f, "far", 3*pageSize-1)
		size, err := f.Size()
		require.NoError(t, err)
		require.EqualValues(t, 3*pageSize+2, size)
		b := make([]byte, 4)
		n, err := f.ReadAt(b, 3*pageSize-2)
		require.NoError(t, err)
		require.Equal(t, "\x00far", string(b[:n]))
		require.NoError(t, f.Sync())
		require.NoError(t, f.Close())

		g, err := fsys.Open(dir + "/a")
		require.NoError(t, err)
		size, err = g.Size()
		require.NoError(t, err)
		require.EqualValues(t, 3*pageSize+2, size)
		require.NoError(t, g.Close())
	})
}

func TestReadPastTheEndIsEOF(t *testing.T) {
	onEach(t, func(t *testing.T, fsys FS, dir string) {
		f := create(t, fsys, dir+"/a", "12345")
		defer f.Close()
		for _, c := range []struct {
			off       int64
			size, got int
			err       error
		}{
			{0, 5, 5, nil}, {0, 6, 5, io.EOF}, {4, 1, 1, nil}, {5, 1, 0, io.EOF},
			{1 << 20, 1, 0, io.EOF}, {5, 0, 0, nil},
		} {
			n, err := f.ReadAt(make([]byte, c.size), c.off)
			require.Equal(t, c.got, n)
			require.Equal(t, c.err, err)
		}
		_, err := f.ReadAt(make([]byte, 1), -1)
		require.Error(t, err)
		_, err = f.WriteAt([]byte("x"), -1)
		require.Error(t, err)
	})
}

func TestTruncateShrinksAndGrowsWithZeros(t *testing.T) {
	onEach(t, func(t *testing.T, fsys FS, dir string) {
		f := create(t, fsys, dir+"/a", "0123456789")
		defer f.Close()
		require.NoError(t, f.Truncate(4))
		require.NoError(t, f.Truncate(6))
		require.Equal(t, "0123\x00\x00", contentOf(t, f))
		require.NoError(t, f.Truncate(2*pageSize))
		write(t, f, "x", pageSize)
		require.NoError(t, f.Truncate(pageSize+1))
		require.Equal(t, "0123"+string(make([]byte, pageSize-4))+"x", contentOf(t, f))
		require.NoError(t, f.Truncate(0))
		require.Equal(t, "", contentOf(t, f))
		require.ErrorIs(t, f.Truncate(-1), syscall.EINVAL)
	})
}

func TestCreateRefusesATakenName(t *testing.T) {
	onEach(t, func(t *testing.T, fsys FS, dir string) {
		f := create(t, fsys, dir+"/a", "x")
		require.NoError(t, f.Close())
		_, err := fsys.Create(dir + "/a")
		require.ErrorIs(t, err, fs.ErrExist)
		require.NoError(t, fsys.MkdirAll(dir+"/d"))
		_, err = fsys.Create(dir + "/d")
		require.ErrorIs(t, err, fs.ErrExist)
	})
}

func TestErrorsOfMissingAndMisplacedNames(t *testing.T) {
	calls := []struct {
		name string
		call func(fsys FS, name string) error
	}{
		{"open", func(fsys FS, name string) error { _, err := fsys.Open(name); return err }},
		{"openrw", func(fsys FS, name string) error { _, err := fsys.OpenReadWrite(name); return err }},
		{"remove", func(fsys FS, name string) error { return fsys.Remove(name) }},
		{"rename", func(fsys FS, name string) error { return fsys.Rename(name, name+"2") }},
		{"list", func(fsys FS, name string) error { _, err := fsys.List(name); return err }},
		{"syncdir", func(fsys FS, name string) error { return fsys.SyncDir(name) }},
		{"create below", func(fsys FS, name string) error { _, err := fsys.Create(name + "/x"); return err }},
		{"lock below", func(fsys FS, name string) error { _, err := fsys.Lock(name+"/x", ""); return err }},
	}
	onEach(t, func(t *testing.T, fsys FS, dir string) {
		require.NoError(t, create(t, fsys, dir+"/file", "").Close())
		for _, c := range calls {
			err := c.call(fsys, dir+"/missing")
			require.ErrorIs(t, err, fs.ErrNotExist, c.name)
			if runtime.GOOS != "windows" {
				err = c.call(fsys, dir+"/file/below")
				require.ErrorIs(t, err, syscall.ENOTDIR, c.name)
			}
		}
		_, err := fsys.Free(dir + "/missing")
		require.ErrorIs(t, err, fs.ErrNotExist)
		_, err = fsys.List(dir + "/file")
		require.ErrorIs(t, err, syscall.ENOTDIR)
		_, err = fsys.OpenReadWrite(dir)
		require.ErrorIs(t, err, syscall.EISDIR)
	})
}

func TestRenameReplacesItsTarget(t *testing.T) {
	onEach(t, func(t *testing.T, fsys FS, dir string) {
		require.NoError(t, create(t, fsys, dir+"/a", "new").Close())
		require.NoError(t, create(t, fsys, dir+"/b", "old").Close())
		require.NoError(t, fsys.Rename(dir+"/a", dir+"/b"))
		require.NoError(t, fsys.Rename(dir+"/b", dir+"/b"))
		require.NoError(t, fsys.SyncDir(dir))
		names, err := fsys.List(dir)
		require.NoError(t, err)
		require.Equal(t, []string{"b"}, names)
		f, err := fsys.Open(dir + "/b")
		require.NoError(t, err)
		defer f.Close()
		require.Equal(t, "new", contentOf(t, f))

		require.NoError(t, fsys.MkdirAll(dir+"/d"))
		require.Error(t, fsys.Rename(dir+"/b", dir+"/d"))
		require.ErrorIs(t, fsys.Rename(dir+"/b", dir+"/missing/b"), fs.ErrNotExist)
	})
}

func TestRemovedFileStaysReadableWhileOpen(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be removed there")
	}
	onEach(t, func(t *testing.T, fsys FS, dir string) {
		f := create(t, fsys, dir+"/a", "still here")
		defer f.Close()
		require.NoError(t, fsys.Remove(dir+"/a"))
		require.Equal(t, "still here", contentOf(t, f))
		_, err := fsys.Open(dir + "/a")
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
}

func TestListIsSortedAndOfOneDirectory(t *testing.T) {
	onEach(t, func(t *testing.T, fsys FS, dir string) {
		names, err := fsys.List(dir)
		require.NoError(t, err)
		require.Empty(t, names)
		require.NoError(t, fsys.MkdirAll(dir+"/m/n"))
		for _, name := range []string{"z", "b", "m/x", "a"} {
			require.NoError(t, create(t, fsys, dir+"/"+name, "").Close())
		}
		names, err = fsys.List(dir)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b", "m", "z"}, names)
		names, err = fsys.List(dir + "/m/")
		require.NoError(t, err)
		require.Equal(t, []string{"n", "x"}, names)
	})
}

func TestMkdirAllRefusesAFile(t *testing.T) {
	onEach(t, func(t *testing.T, fsys FS, dir string) {
		require.NoError(t, create(t, fsys, dir+"/f", "").Close())
		require.NoError(t, fsys.MkdirAll(dir+"/x/y/z"))
		require.NoError(t, fsys.MkdirAll(dir+"/x/y/z"))
		require.ErrorIs(t, fsys.MkdirAll(dir+"/f"), syscall.ENOTDIR)
		require.ErrorIs(t, fsys.MkdirAll(dir+"/f/below"), syscall.ENOTDIR)
	})
}

func TestReadOnlyAndClosedFilesRefuse(t *testing.T) {
	onEach(t, func(t *testing.T, fsys FS, dir string) {
		require.NoError(t, create(t, fsys, dir+"/a", "x").Close())
		f, err := fsys.Open(dir + "/a")
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("y"), 0)
		require.ErrorIs(t, err, syscall.EBADF)
		require.Error(t, f.Truncate(0))
		require.NoError(t, f.Close())

		f, err = fsys.OpenReadWrite(dir + "/a")
		require.NoError(t, err)
		require.Equal(t, "x", contentOf(t, f))
		require.NoError(t, f.Close())
		_, err = f.ReadAt(make([]byte, 1), 0)
		require.ErrorIs(t, err, fs.ErrClosed)
		_, err = f.WriteAt([]byte("y"), 0)
		require.ErrorIs(t, err, fs.ErrClosed)
		_, err = f.Size()
		require.Error(t, err)
		require.ErrorIs(t, f.Sync(), fs.ErrClosed)
		require.ErrorIs(t, f.Truncate(0), fs.ErrClosed)
		require.ErrorIs(t, f.Close(), fs.ErrClosed)
	})
}

func TestLockIsExclusiveAndNamesItsOwner(t *testing.T) {
	onEach(t, func(t *testing.T, fsys FS, dir string) {
		name := dir + "/.dirlock"
		first, err := fsys.Lock(name, "pid 1 on host a")
		require.NoError(t, err)

		_, err = fsys.Lock(name, "pid 2 on host a")
		var locked *LockedError
		require.True(t, errors.As(err, &locked))
		require.Equal(t, &LockedError{Name: locked.Name, Owner: "pid 1 on host a"}, locked)
		require.Contains(t, err.Error(), "is locked by pid 1 on host a")

		require.NoError(t, first.Close())
		require.ErrorIs(t, first.Close(), fs.ErrClosed)
		second, err := fsys.Lock(name, "pid 2")
		require.NoError(t, err)
		_, err = fsys.Lock(name, "pid 3")
		require.True(t, errors.As(err, &locked))
		require.Equal(t, "pid 2", locked.Owner)
		require.NoError(t, second.Close())
		f, err := fsys.Open(name)
		require.NoError(t, err)
		defer f.Close()
		require.Empty(t, contentOf(t, f), "a free lock names nobody")
		require.ErrorContains(t, &LockedError{Name: "x"}, "x is locked by another opening")
	})
}

// Whoever opens the file of a lock before its holder removes it, and locks it after
// that, has locked a file that nobody else finds.
func TestLockThatIsRemovedByItsHolderIsNotHeldTwice(t *testing.T) {
	fsys, name := OS(), t.TempDir()+"/l"
	var holders atomic.Int32
	var twice atomic.Bool
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 2000 {
				lock, err := fsys.Lock(name, "me")
				if err != nil {
					continue
				}
				if holders.Add(1) > 1 {
					twice.Store(true)
				}
				runtime.Gosched()
				holders.Add(-1)
				_ = fsys.Remove(name)
				_ = lock.Close()
			}
		})
	}
	all.Wait()
	require.False(t, twice.Load())
}

func TestFreeIsPositive(t *testing.T) {
	onEach(t, func(t *testing.T, fsys FS, dir string) {
		n, err := fsys.Free(dir)
		require.NoError(t, err)
		require.Positive(t, n)
	})
}

func TestOSKeepsFilesToTheirOwner(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no modes there")
	}
	dir := filepath.Join(t.TempDir(), "wide")
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, OS().MkdirAll(dir))
	require.NoError(t, OS().MkdirAll(dir+"/x/y"))
	require.NoError(t, create(t, OS(), dir+"/f", "").Close())
	lock, err := OS().Lock(dir+"/l", "me")
	require.NoError(t, err)
	defer lock.Close()
	for name, mode := range map[string]fs.FileMode{
		"": 0o700, "x": 0o700, "x/y": 0o700, "f": 0o600, "l": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
}
