package vfs

import (
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// failing makes every call of one kind fail.
func failing(kind OpKind, fault Fault) Injector {
	return func(op Op) Fault {
		if op.Kind == kind {
			return fault
		}
		return Fault{}
	}
}

func TestEveryCallIsCountedAndToldToTheInjector(t *testing.T) {
	m := NewMem()
	var told []string
	m.SetInjector(func(op Op) Fault {
		told = append(told, fmt.Sprintf("%d %s %s %d+%d", op.N, op.Kind, op.Name, op.Offset, op.Size))
		return Fault{}
	})
	require.NoError(t, m.MkdirAll("/d"))
	f := create(t, m, "/d/./a", "12345")
	require.NoError(t, f.Sync())
	require.NoError(t, f.Truncate(3))
	_, err := f.ReadAt(make([]byte, 2), 1)
	require.NoError(t, err)
	_, err = f.Size()
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, m.Rename("d/a", "d/b"))
	_, err = m.Open("d/b")
	require.NoError(t, err)
	_, err = m.List("d")
	require.NoError(t, err)
	require.NoError(t, m.Remove("d/b"))
	require.NoError(t, m.SyncDir("d"))
	_, err = m.Lock("l", "")
	require.NoError(t, err)
	require.Error(t, m.Remove("missing"))

	require.Equal(t, strings.Split(`1 mkdir d 0+0
2 create d/a 0+0
3 write d/a 0+5
4 sync d/a 0+0
5 truncate d/a 0+3
1 read d/a 1+2
6 rename d/a 0+0
2 open d/b 0+0
3 list d 0+0
7 remove d/b 0+0
8 syncdir d 0+0
9 lock l 0+0
10 remove missing 0+0`, "\n"), told)
	require.EqualValues(t, 10, m.Ops())
	require.EqualValues(t, 3, m.Reads())
}

func TestInjectedFaultLeavesTheFileSystemAsItWas(t *testing.T) {
	calls := map[OpKind]func(m *Mem, f File) error{
		OpCreate:   func(m *Mem, _ File) error { _, err := m.Create("new"); return err },
		OpWrite:    func(_ *Mem, f File) error { _, err := f.WriteAt([]byte("y"), 0); return err },
		OpSync:     func(_ *Mem, f File) error { return f.Sync() },
		OpTruncate: func(_ *Mem, f File) error { return f.Truncate(0) },
		OpRename:   func(m *Mem, _ File) error { return m.Rename("a", "b") },
		OpRemove:   func(m *Mem, _ File) error { return m.Remove("a") },
		OpMkdir:    func(m *Mem, _ File) error { return m.MkdirAll("d") },
		OpSyncDir:  func(m *Mem, _ File) error { return m.SyncDir(".") },
		OpLock:     func(m *Mem, _ File) error { _, err := m.Lock("l", ""); return err },
		OpOpen:     func(m *Mem, _ File) error { _, err := m.Open("a"); return err },
		OpRead:     func(_ *Mem, f File) error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		OpList:     func(m *Mem, _ File) error { _, err := m.List("."); return err },
	}
	require.Len(t, calls, len(opNames))
	for kind, call := range calls {
		t.Run(kind.String(), func(t *testing.T) {
			m := NewMem()
			require.NoError(t, m.WriteFile("a", []byte("x")))
			f := openRW(t, m, "a")
			create(t, m, "unsynced", "")
			write(t, f, "X", 0)

			m.SetInjector(failing(kind, Fault{Err: syscall.EIO}))
			err := call(m, f)
			require.ErrorIs(t, err, syscall.EIO)
			var pathErr *fs.PathError
			require.ErrorAs(t, err, &pathErr)
			require.Equal(t, kind.String(), pathErr.Op)
			m.SetInjector(nil)

			require.Equal(t, []string{"a", "unsynced"}, m.Names())
			require.Equal(t, "X", text(t, m, "a"))
			after := m.Clone(AllLost())
			require.Equal(t, []string{"a"}, after.Names())
			require.Equal(t, "x", text(t, after, "a"))

			m.SetInjector(failing(kind, Fault{CrashNow: true}))
			require.ErrorIs(t, call(m, f), ErrPowerLost)
			require.ErrorIs(t, m.Remove("a"), ErrPowerLost, "the power stays lost")
			after = m.Crash(AllKept())
			require.Equal(t, []string{"a", "unsynced"}, after.Names())
			require.Equal(t, "X", text(t, after, "a"))
		})
	}
}

func TestInjectedShortWriteWritesItsPart(t *testing.T) {
	for _, c := range []struct {
		short, n int
		want     string
	}{{0, 0, "old"}, {2, 2, "ned"}, {9, 3, "new"}, {-1, 0, "old"}} {
		m := NewMem()
		require.NoError(t, m.WriteFile("a", []byte("old")))
		f := openRW(t, m, "a")
		m.SetInjector(failing(OpWrite, Fault{Err: syscall.ENOSPC, Short: c.short}))
		n, err := f.WriteAt([]byte("new"), 0)
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.Equal(t, c.n, n)
		require.Equal(t, c.want, text(t, m, "a"))
	}
}

func TestFailedSyncKeepsDataPendingUnlessItDropsIt(t *testing.T) {
	for _, drop := range []bool{false, true} {
		t.Run(fmt.Sprint("drop=", drop), func(t *testing.T) {
			m := NewMem()
			block := strings.Repeat("o", pageSize)
			require.NoError(t, m.WriteFile("a", []byte(block+block)))
			f := openRW(t, m, "a")
			write(t, f, "lost", 0)
			write(t, f, "tail", 2*pageSize)
			m.SetInjector(failing(OpSync, Fault{Err: syscall.EIO, DropUnsynced: drop}))
			require.ErrorIs(t, f.Sync(), syscall.EIO)
			m.SetInjector(nil)

			require.Equal(t, "lost", contentOf(t, f)[:4], "readers still see it")
			require.Equal(t, block+block, text(t, m.Clone(AllLost()), "a"))
			write(t, f, "kept", pageSize)
			require.NoError(t, f.Sync())

			b := text(t, m.Clone(AllLost()), "a")
			require.Equal(t, "kept", b[pageSize:pageSize+4])
			if drop {
				require.Equal(t, "oooo", b[:4], "the sync that succeeded did not write it")
				require.Equal(t, "\x00\x00\x00\x00", b[2*pageSize:])
				require.Equal(t, b, text(t, m.Clone(AllKept()), "a"))
			} else {
				require.Equal(t, "lost", b[:4])
				require.Equal(t, "tail", b[2*pageSize:])
			}

			write(t, f, "again", 0)
			require.NoError(t, f.Sync())
			require.Equal(t, "again", text(t, m.Clone(AllLost()), "a")[:5], "what is written anew is synced")
		})
	}
}

func TestFailureIsReportedOnceToEachHandleThatWasOpen(t *testing.T) {
	m := NewMem()
	require.NoError(t, m.WriteFile("a", []byte("old")))
	first, second := openRW(t, m, "a"), openRW(t, m, "a")
	write(t, first, "lost", 0)
	m.SetInjector(failing(OpSync, Fault{Err: syscall.EIO, DropUnsynced: true}))
	require.ErrorIs(t, first.Sync(), syscall.EIO)
	m.SetInjector(nil)
	later := openRW(t, m, "a")
	require.NoError(t, first.Sync())
	require.ErrorIs(t, second.Sync(), syscall.EIO)
	require.NoError(t, second.Sync())
	require.NoError(t, later.Sync())
	require.True(t, m.ReportsApart())
}

func TestCapacityCutsWritesShort(t *testing.T) {
	m := NewMem()
	m.SetCapacity(10)
	f := create(t, m, "a", "12345")
	free, err := m.Free("/")
	require.NoError(t, err)
	require.EqualValues(t, 5, free)

	n, err := f.WriteAt([]byte("6789abcdef"), 5)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 5, n)
	require.Equal(t, "123456789a", text(t, m, "a"))
	write(t, f, "overwriting needs no room"[:10], 0)

	n, err = f.WriteAt([]byte("x"), 20)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Zero(t, n)
	require.ErrorIs(t, f.Truncate(11), syscall.ENOSPC)
	require.NoError(t, f.Truncate(4))
	g := create(t, m, "b", "123456")
	_, err = g.WriteAt([]byte("7"), 6)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, m.Remove("a"))
	write(t, g, "7890", 6)

	m.SetInjector(failing(OpWrite, Fault{Err: syscall.EIO, Short: 3}))
	n, err = g.WriteAt([]byte("abcd"), 8)
	require.ErrorIs(t, err, syscall.EIO)
	require.Equal(t, 2, n, "a failing write takes no more than the disk has")
	m.SetInjector(nil)

	m.SetCapacity(0)
	write(t, g, "without bounds", 100)
	_, err = g.WriteAt([]byte("x"), maxFileSize)
	require.ErrorIs(t, err, syscall.EFBIG)
	require.ErrorIs(t, g.Truncate(maxFileSize+1), syscall.EFBIG)
}

func TestWriteFileRefusesDirectories(t *testing.T) {
	m := NewMem()
	require.NoError(t, m.WriteFile("d/a", nil))
	require.ErrorIs(t, m.WriteFile("d", nil), syscall.EISDIR)
	require.ErrorIs(t, m.WriteFile("d/a/b", nil), syscall.ENOTDIR)
	require.Zero(t, m.Ops())
}
