package walwriter

import (
	"io/fs"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/vfs"
)

// blocking is a file system whose syncs wait until they are let go.
type blocking struct {
	*vfs.Mem
	begun, proceed chan struct{}
	alone          bool // does not report apart
}

func newBlocking(t *testing.T) *blocking {
	t.Helper()
	return &blocking{Mem: newMem(t), begun: make(chan struct{}, 8), proceed: make(chan struct{})}
}

func (b *blocking) ReportsApart() bool { return !b.alone }

func (b *blocking) Create(name string) (vfs.File, error) {
	f, err := b.Mem.Create(name)
	return blockingFile{f, b}, err
}

func (b *blocking) OpenReadWrite(name string) (vfs.File, error) {
	f, err := b.Mem.OpenReadWrite(name)
	return blockingFile{f, b}, err
}

type blockingFile struct {
	vfs.File
	b *blocking
}

func (f blockingFile) Sync() error {
	f.b.begun <- struct{}{}
	<-f.b.proceed
	return f.File.Sync()
}

func TestAsManySyncsOfASegmentAsMayBeAreUnderWayAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		syncs int
		alone bool
		want  int
	}{
		"one where nothing is said": {0, false, 1},
		"two":                       {2, false, 2},
		"one where failures are not reported apart": {2, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fsys := newBlocking(t)
				fsys.alone = c.alone
				s := Storage{FS: fsys, Dir: dir, Syncs: c.syncs}
				file, err := s.open("segment", fsys.Create)
				require.NoError(t, err)
				results := make(chan error, 3)
				for range 3 {
					go func() { results <- file.Sync() }()
				}
				closed := make(chan error, 1)
				synctest.Wait()
				require.Len(t, fsys.begun, c.want)
				close(fsys.proceed)
				for range 3 {
					require.NoError(t, <-results)
				}
				go func() { closed <- file.Close() }()
				require.NoError(t, <-closed)
				require.ErrorIs(t, file.Sync(), fs.ErrClosed)
				require.ErrorIs(t, file.Close(), fs.ErrClosed)
			})
		})
	}
}

func TestSegmentIsClosedWhenItsSyncsHaveReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := newBlocking(t)
		s := Storage{FS: fsys, Dir: dir, Syncs: 2}
		file, err := s.open("segment", fsys.Create)
		require.NoError(t, err)
		synced, closed := make(chan error, 1), make(chan error, 1)
		go func() { synced <- file.Sync() }()
		<-fsys.begun
		go func() { closed <- file.Close() }()
		synctest.Wait()
		require.Empty(t, closed)
		close(fsys.proceed)
		require.NoError(t, <-synced)
		require.NoError(t, <-closed)
	})
}

// A sync that finds nothing left to write, because another has failed to write it,
// must not vouch for it.
func TestSyncBesideOneThatFailsDoesNotSucceed(t *testing.T) {
	mem := newMem(t)
	s := Storage{FS: mem, Dir: dir, Syncs: 2}
	file, err := s.open("segment", mem.Create)
	require.NoError(t, err)
	first, second := <-file.idle, <-file.idle
	_, err = first.WriteAt([]byte("lost"), 0)
	require.NoError(t, err)
	mem.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpSync {
			return vfs.Fault{Err: syscall.EIO, DropUnsynced: true}
		}
		return vfs.Fault{}
	})
	require.ErrorIs(t, first.Sync(), syscall.EIO)
	mem.SetInjector(nil)
	require.ErrorIs(t, second.Sync(), syscall.EIO, "it was open by then")
	require.NoError(t, second.Sync(), "told once")
	file.idle <- first
	file.idle <- second
	require.NoError(t, file.Close())
}

func TestSegmentThatCannotBeOpenedTwiceLeavesNothingOpen(t *testing.T) {
	mem := newMem(t)
	counting := &openFiles{FS: mem}
	mem.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpOpen {
			return vfs.Fault{Err: syscall.EMFILE}
		}
		return vfs.Fault{}
	})
	s := Storage{FS: counting, Dir: dir, Syncs: 2}
	_, err := s.open("segment", counting.Create)
	require.ErrorIs(t, err, syscall.EMFILE)
	require.Zero(t, counting.open)
}
