package input

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

func tryOpen(fsys vfs.FS, dir string, tune ...func(*aedb.Config)) error {
	db, err := aedb.OpenNoAuth(dir, config(fsys, tune...))
	if err == nil {
		err = errors.Join(errors.New("it opened"), db.Close(context.Background()))
	}
	return err
}

func TestDirectoryThatIsAFile(t *testing.T) {
	temp := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(temp, "file"), []byte("content"), 0o600))
	mem := vfs.NewMem()
	require.NoError(t, mem.WriteFile("file", []byte("content")))
	for name, c := range map[string]struct {
		fsys vfs.FS
		dir  string
	}{
		"file": {nil, filepath.Join(temp, "file")}, "below a file": {nil, filepath.Join(temp, "file", "store")},
		"file in memory": {mem, "file"}, "below a file in memory": {mem, "file/store"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tryOpen(c.fsys, c.dir)
			refused(t, err, aedb.ErrValidation)
			require.Contains(t, err.Error(), c.dir)
			require.ErrorIs(t, err, syscall.ENOTDIR)
		})
	}
	content, err := os.ReadFile(filepath.Join(temp, "file"))
	require.NoError(t, err)
	require.Equal(t, "content", string(content))
}

func TestDirectoryThatCannotBeWritten(t *testing.T) {
	t.Run("by permission", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root may write anywhere")
		}
		temp := t.TempDir()
		require.NoError(t, os.Chmod(temp, 0o500))
		err := tryOpen(nil, filepath.Join(temp, "store"))
		refused(t, err, aedb.ErrIO)
		require.ErrorIs(t, err, fs.ErrPermission)
	})
	for _, kind := range []vfs.OpKind{vfs.OpMkdir, vfs.OpLock, vfs.OpList, vfs.OpCreate, vfs.OpWrite, vfs.OpSync, vfs.OpRename, vfs.OpSyncDir} {
		t.Run(kind.String(), func(t *testing.T) {
			fsys := vfs.NewMem()
			fsys.SetInjector(func(op vfs.Op) vfs.Fault {
				if op.Kind == kind {
					return vfs.Fault{Err: fs.ErrPermission}
				}
				return vfs.Fault{}
			})
			err := tryOpen(fsys, dir)
			refused(t, err, aedb.ErrIO)
			require.ErrorIs(t, err, fs.ErrPermission)
			require.Contains(t, err.Error(), dir)

			fsys.SetInjector(nil)
			open(t, fsys) // a new store as if nothing had been
		})
	}
}

func TestDirectoryInUseNamesTheHolder(t *testing.T) {
	for name, at := range map[string]struct {
		fsys vfs.FS
		dir  string
	}{"memory": {vfs.NewMem(), dir}, "disk": {nil, t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			db, err := aedb.OpenNoAuth(at.dir, config(at.fsys))
			require.NoError(t, err)
			app := fill(t, db)
			before := contents(t, db)
			err = tryOpen(at.fsys, at.dir)
			refused(t, err, aedb.ErrUnavailable)
			require.Contains(t, err.Error(), fmt.Sprintf("pid %d", os.Getpid()))
			require.Contains(t, err.Error(), at.dir)
			var held *vfs.LockedError
			require.True(t, errors.As(err, &held))
			same(t, before, contents(t, db))
			_, err = app.Commit(t.Context(), app.KvSet([]byte("k"), nil))
			require.NoError(t, err, "the holder goes on")
			require.NoError(t, db.Close(t.Context()))
			db, err = aedb.OpenNoAuth(at.dir, config(at.fsys))
			require.NoError(t, err)
			require.NoError(t, db.Close(t.Context()))
		})
	}
}

func TestFullDiskEndsCommitsAndLosesNothing(t *testing.T) {
	fsys := vfs.NewMem()
	db := open(t, fsys)
	app := fill(t, db)
	ctx := t.Context()
	used := func() (n int64) {
		for _, name := range fsys.Names() {
			b, err := fsys.ReadFile(name)
			require.NoError(t, err)
			n += int64(len(b))
		}
		return n
	}
	before := contents(t, db)
	fsys.SetCapacity(used() + 100)
	// More than the zeros that were written ahead have room for.
	_, err := app.Commit(ctx, app.KvSet([]byte("big"), []byte(strings.Repeat(secret, 1<<20/len(secret)))))
	refused(t, err, aedb.ErrIndeterminate)
	require.ErrorIs(t, err, syscall.ENOSPC)
	same(t, before, contents(t, db))
	_, err = app.Commit(ctx, app.KvDel([]byte("text")))
	refused(t, err, aedb.ErrUnavailable)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorIs(t, db.Err(), syscall.ENOSPC)
	require.Error(t, db.Close(ctx))

	// With no room at all it can be opened and read. It says what it cannot do.
	fsys.SetCapacity(used())
	db = open(t, fsys)
	same(t, before, contents(t, db))
	_, err = db.NoAuth().Scope("p", "app").Commit(ctx, app.KvSet([]byte("big"), []byte(strings.Repeat(secret, 1<<20/len(secret)))))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Error(t, db.Close(ctx))
	fsys.SetCapacity(0)
	same(t, before, contents(t, open(t, fsys)))
}

func TestCheckpointThatDoesNotFitHarmsNothing(t *testing.T) {
	fsys := vfs.NewMem()
	db := open(t, fsys)
	app := fill(t, db)
	ctx := t.Context()
	fsys.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpWrite && strings.Contains(op.Name, "checkpoint") {
			return vfs.Fault{Err: syscall.ENOSPC, Short: 10}
		}
		return vfs.Fault{}
	})
	_, err := db.Checkpoint(ctx)
	refused(t, err, aedb.ErrIO)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, db.Err())
	_, err = app.Commit(ctx, app.KvSet([]byte("k"), nil))
	require.NoError(t, err)
	require.EqualValues(t, 1, db.OperationalMetrics().CheckpointFailures)
	before := contents(t, db)
	db = open(t, fsys.Crash(vfs.AllLost()))
	same(t, before, contents(t, db))
}

func TestOpeningThatIsCanceledLeavesTheDirectory(t *testing.T) {
	fsys := vfs.NewMem()
	db := open(t, fsys)
	fill(t, db)
	before := contents(t, db)
	fsys = fsys.Crash(vfs.AllLost())
	files := image(t, fsys)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := aedb.OpenNoAuthContext(canceled, dir, config(fsys))
	refused(t, err, aedb.ErrCanceled)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, files, image(t, fsys))
	same(t, before, contents(t, open(t, fsys)))
}

// TestEmptyDirectoryNameIsRefused: it would make a store of wherever the
// process happens to be.
func TestEmptyDirectoryNameIsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	refused(t, tryOpen(nil, ""), aedb.ErrValidation)
	names, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, names)
}

// image returns the content of every file but the lock.
func image(t testing.TB, fsys *vfs.Mem) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range fsys.Names() {
		if strings.HasSuffix(name, "LOCK") {
			continue
		}
		b, err := fsys.ReadFile(name)
		require.NoError(t, err)
		out[name] = string(b)
	}
	return out
}
