package backup

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// small returns a configuration that keeps no recent commits in memory, so that
// backups read the log.
func small(fsys vfs.FS) aedb.Config {
	cfg := config(fsys)
	cfg.Reads.HistoryCommits = 2
	cfg.Checkpoint.Kept = 1
	return cfg
}

func checkpoints(t testing.TB, db *aedb.DB, n int) {
	t.Helper()
	for range n {
		putMany(t, db, 40)
		_, err := db.Checkpoint(ctx)
		require.NoError(t, err)
	}
}

func TestLogIsKeptForTheNextIncrement(t *testing.T) {
	db := openWith(t, small(vfs.NewMem()))
	putMany(t, db, 40)
	var set backup.Memory
	m := full(t, db, &set, aedb.BackupOptions{KeepLog: keepLog})
	checkpoints(t, db, 4)
	require.Positive(t, db.OperationalMetrics().BackupLogBytes)
	m = incremental(t, db, &set, m, aedb.BackupOptions{})
	_, report := restored(t, &set, aedb.RestoreOptions{})
	require.Equal(t, m.Seq, report.Seq)
	require.True(t, report.Compared)

	// The second one was the last to be asked for: the log goes.
	checkpoints(t, db, 4)
	require.Zero(t, db.OperationalMetrics().BackupLogBytes)
	_, err := db.BackupIncremental(ctx, &set, m, aedb.BackupOptions{})
	require.ErrorIs(t, err, errs.ErrSeqGarbageCollected)
	require.ErrorContains(t, err, "take a full backup")
}

// Nor does a close, though the store holds no log then and nothing was committed.
func TestLogIsKeptOverACloseWithNothingElseToWrite(t *testing.T) {
	cfg := small(vfs.NewMem())
	cfg.Checkpoint.OnClose = true
	reopen := func(f func(db *aedb.DB)) {
		db := openWith(t, cfg)
		f(db)
		require.NoError(t, db.Close(ctx))
	}
	var set backup.Memory
	var m backup.Manifest
	reopen(func(db *aedb.DB) { putMany(t, db, 40) })
	reopen(func(db *aedb.DB) { m = full(t, db, &set, aedb.BackupOptions{KeepLog: keepLog}) })
	for range 4 {
		reopen(func(db *aedb.DB) { putMany(t, db, 40) })
	}
	reopen(func(db *aedb.DB) { m = incremental(t, db, &set, m, aedb.BackupOptions{}) })
	_, report := restored(t, &set, aedb.RestoreOptions{})
	require.Equal(t, m.Seq, report.Seq)
	require.True(t, report.Compared)
}

// A crash does not let go of what is kept: the manifest has it.
func TestLogIsKeptOverACrash(t *testing.T) {
	fsys := vfs.NewMem()
	db := openWith(t, small(fsys))
	putMany(t, db, 40)
	var set backup.Memory
	m := full(t, db, &set, aedb.BackupOptions{KeepLog: keepLog})
	checkpoints(t, db, 1)
	for range 3 {
		fsys = fsys.Crash(vfs.TornLastWrite(7))
		_ = db.Close(ctx) // the disk is gone
		db = openWith(t, small(fsys))
		checkpoints(t, db, 2)
	}
	incremental(t, db, &set, m, aedb.BackupOptions{})
	_, report := restored(t, &set, aedb.RestoreOptions{})
	require.True(t, report.Compared)
}

// dying is a sink whose process ends at the first object.
type dying struct {
	backup.Memory
	die func()
}

func (d *dying) Put(context.Context, string, io.Reader) error {
	d.die()
	return io.ErrClosedPipe
}

// A checkpoint beside a backup has the manifest hold the log for it, and nobody lets go
// if the process ends then.
func TestLogIsNotKeptForABackupThatEndedWithItsProcess(t *testing.T) {
	fsys := vfs.NewMem()
	db := openWith(t, small(fsys))
	putMany(t, db, 40)
	_, err := db.BackupFull(ctx, &dying{die: func() {
		checkpoints(t, db, 2)
		fsys = fsys.Crash(vfs.AllLost())
	}}, aedb.BackupOptions{KeepLog: keepLog})
	require.ErrorIs(t, err, io.ErrClosedPipe)
	_ = db.Close(ctx) // the disk is gone
	db = openWith(t, small(fsys))
	checkpoints(t, db, 4)
	require.Zero(t, db.OperationalMetrics().BackupLogBytes)
}

func TestTooMuchLogIsNotKept(t *testing.T) {
	db := openWith(t, small(vfs.NewMem()))
	putMany(t, db, 40)
	var set backup.Memory
	m := full(t, db, &set, aedb.BackupOptions{KeepLog: 10 << 10})
	checkpoints(t, db, 8)
	require.Zero(t, db.OperationalMetrics().BackupLogBytes)
	require.EqualValues(t, 1, db.OperationalMetrics().BackupLogReleased)
	_, err := db.BackupIncremental(ctx, &set, m, aedb.BackupOptions{})
	require.ErrorIs(t, err, errs.ErrSeqGarbageCollected)
}

// A store whose directory was set back to an earlier state has the same identity
// and other commits of the same number.
func TestDivergedHistoryIsNotContinued(t *testing.T) {
	fsys := vfs.NewMem()
	db := open(t, fsys)
	putMany(t, db, 20)
	earlier := fsys.Clone(vfs.AllKept())
	putMany(t, db, 10)
	var set backup.Memory
	m := full(t, db, &set, aedb.BackupOptions{KeepLog: keepLog})

	back := open(t, earlier)
	_, err := back.BackupIncremental(ctx, &set, m, aedb.BackupOptions{})
	require.ErrorIs(t, err, errs.ErrValidation, "its end is above the head")
	for range 15 {
		put(t, back, "another", "history")
	}
	_, err = back.BackupIncremental(ctx, &set, m, aedb.BackupOptions{})
	require.ErrorIs(t, err, errs.ErrValidation)
	require.ErrorContains(t, err, "another history")
}

func TestRestoredStoreDoesNotContinueTheOldChain(t *testing.T) {
	var set backup.Memory
	_, c := chain(t, &set, aedb.BackupOptions{})
	db, _ := restored(t, &set, aedb.RestoreOptions{})
	putMany(t, db, 5)
	_, err := db.BackupIncremental(ctx, &set, *c.Head(), aedb.BackupOptions{})
	require.ErrorIs(t, err, errs.ErrValidation)

	// It has chains of its own, in the same place.
	m := full(t, db, &set, aedb.BackupOptions{KeepLog: keepLog})
	putMany(t, db, 5)
	m = incremental(t, db, &set, m, aedb.BackupOptions{})
	_, report := restored(t, &set, aedb.RestoreOptions{})
	require.Equal(t, m.ID, report.Plan.Chain.Head().ID)
	require.True(t, report.Compared)
}

// The mark of a permissive recovery goes with the backup.
func TestTrustMarkIsCarried(t *testing.T) {
	fsys := vfs.NewMem()
	db := open(t, fsys)
	putMany(t, db, 5)
	require.NoError(t, db.Close(ctx))
	cfg := config(fsys)
	cfg.Recovery = aedb.Permissive
	db = openWith(t, cfg)
	var set backup.Memory
	require.True(t, full(t, db, &set, aedb.BackupOptions{}).EverPermissive)

	target := vfs.NewMem()
	_, err := aedb.Restore(ctx, &set, dir, aedb.RestoreOptions{FS: target})
	require.NoError(t, err)
	_, err = aedb.OpenNoAuth(dir, config(target))
	require.ErrorIs(t, err, errs.ErrUnavailable)
	cfg = config(target)
	cfg.Recovery = aedb.Permissive
	openWith(t, cfg)
}

// The log has the seqs of volatile commits but not their effects. A full backup has
// them; an incremental one says that it lacks them, and is restored without.
func TestVolatileCommitsAreInFullBackupsOnly(t *testing.T) {
	for _, d := range []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered} {
		t.Run(d.String(), func(t *testing.T) {
			cfg := config(vfs.NewMem())
			cfg.Durability = d
			db := openWith(t, cfg)
			volatile := func(key string) {
				s := scope(db)
				_, err := s.CommitEnvelope(ctx, aedb.Envelope{
					WriteClass: aedb.Volatile, Mutations: []aedb.Mutation{s.KvSet([]byte(key), []byte("volatile"))},
				}, aedb.Visible)
				require.NoError(t, err)
			}
			var set backup.Memory
			putMany(t, db, 5)
			m := full(t, db, &set, aedb.BackupOptions{KeepLog: keepLog})
			require.False(t, m.Volatile)
			volatile("lost")
			m = incremental(t, db, &set, m, aedb.BackupOptions{KeepLog: keepLog})
			require.True(t, m.Volatile)
			require.Nil(t, m.State)
			put(t, db, "kept", "durable")
			m = incremental(t, db, &set, m, aedb.BackupOptions{})
			require.Nil(t, m.State)

			again, report := restored(t, &set, aedb.RestoreOptions{})
			require.Equal(t, m.Seq, report.Seq)
			require.False(t, report.Compared)
			require.True(t, has(t, again, "kept"))
			require.False(t, has(t, again, "lost"))

			var another backup.Memory
			volatile("last")
			m = full(t, db, &another, aedb.BackupOptions{KeepLog: keepLog})
			require.True(t, m.Volatile)
			again, report = restored(t, &another, aedb.RestoreOptions{})
			require.True(t, report.Compared)
			require.True(t, has(t, again, "lost"))
			require.True(t, has(t, again, "last"))
			put(t, db, "next", "durable")
			m = incremental(t, db, &another, m, aedb.BackupOptions{})
			require.Nil(t, m.State)
			restored(t, &another, aedb.RestoreOptions{})
		})
	}
}

func has(t testing.TB, db *aedb.DB, key string) bool {
	t.Helper()
	_, found, err := scope(db).KV().Get(ctx, []byte(key))
	require.NoError(t, err)
	return found
}
