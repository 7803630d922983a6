package backup

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// rarely returns the configuration of an archive that is shipped when asked.
func rarely() aedb.ArchiveConfig {
	cfg := aedb.DefaultArchiveConfig()
	cfg.Interval, cfg.Bytes, cfg.FullEvery = time.Hour, 0, 0
	return cfg
}

func archive(t testing.TB, db *aedb.DB, to backup.Store, cfg aedb.ArchiveConfig) *aedb.Archiver {
	t.Helper()
	a, err := db.Archive(to, cfg)
	require.NoError(t, err)
	return a
}

func backups(t testing.TB, from backup.Store) []backup.Manifest {
	t.Helper()
	l, err := backup.List(ctx, from, backup.Options{})
	require.NoError(t, err)
	require.Empty(t, l.Damaged)
	return l.Backups
}

// An archive goes on over orderly ends and crashes with the same chain, and leads to
// every commit from its base on.
func TestArchiveGoesOnOverRestarts(t *testing.T) {
	seed := baseSeed(t)
	fsys := vfs.NewMem()
	var set backup.Memory
	recorded := map[uint64][32]byte{}
	for life := range 5 { // the last one ends orderly
		db := openWith(t, small(fsys))
		a := archive(t, db, &set, rarely())
		for range 3 {
			putMany(t, db, 30)
			seq, state := digest(t, db)
			recorded[seq] = state
			_, err := db.Checkpoint(ctx)
			require.NoError(t, err)
			require.NoError(t, a.Ship(ctx))
			require.Equal(t, seq, a.Stats().Seq)
			require.Zero(t, a.Stats().Lag)
		}
		putMany(t, db, 10)
		seq, state := digest(t, db)
		recorded[seq] = state
		require.EqualValues(t, 10, db.OperationalMetrics().Archive.Lag)
		if life%2 == 0 {
			require.NoError(t, db.Close(ctx)) // ships what is left
			require.Equal(t, seq, a.Stats().Seq)
		} else {
			fsys = fsys.Crash(vfs.RandomBlocks(seed, 50))
			_ = db.Close(ctx) // the disk is gone
		}
		require.False(t, a.Stats().Running)
	}
	fulls := 0
	for _, m := range backups(t, &set) {
		if m.Kind == backup.Full {
			fulls++
		}
	}
	require.Equal(t, 1, fulls)
	base := backups(t, &set)[0].Seq
	rng := rand.New(rand.NewPCG(seed, 2))
	for seq, state := range recorded {
		if seq < base || rng.IntN(2) == 0 {
			continue
		}
		_, report := restored(t, &set, seqTarget(seq))
		require.Equal(t, state, report.Digest)
	}
}

// faulty is a store whose Put fails while it is broken.
type faulty struct {
	backup.Memory
	broken atomic.Bool
}

func (f *faulty) Put(ctx context.Context, name string, in io.Reader) error {
	if f.broken.Load() {
		return errors.New("the network is down")
	}
	return f.Memory.Put(ctx, name, in)
}

// While the store of backups is down commits go on and the log is kept; afterwards
// the archive goes on as if nothing had been.
func TestArchiveOutlivesAnOutage(t *testing.T) {
	db := openWith(t, small(vfs.NewMem()))
	putMany(t, db, 10)
	set := &faulty{}
	a := archive(t, db, set, rarely())
	require.NoError(t, a.Ship(ctx))
	set.broken.Store(true)
	for range 4 {
		checkpoints(t, db, 1)
		require.Error(t, a.Ship(ctx))
	}
	require.Error(t, a.Stats().Err)
	require.EqualValues(t, 160, a.Stats().Lag)
	require.Positive(t, db.OperationalMetrics().BackupLogBytes)
	set.broken.Store(false)
	require.NoError(t, a.Close(ctx))
	require.NoError(t, a.Stats().Err)
	require.EqualValues(t, 1, a.Stats().Fulls)
	_, state := digest(t, db)
	_, report := restored(t, set, aedb.RestoreOptions{})
	require.Equal(t, state, report.Digest)
	require.False(t, report.Compared)
}

// When too much log would have to be kept, it is released, and the archive begins
// again with a full backup.
func TestArchiveBeginsAgainWhenTheLogIsGone(t *testing.T) {
	db := openWith(t, small(vfs.NewMem()))
	putMany(t, db, 10)
	set := &faulty{}
	cfg := rarely()
	cfg.KeepLog = 8 << 10
	a := archive(t, db, set, cfg)
	require.NoError(t, a.Ship(ctx))
	set.broken.Store(true)
	checkpoints(t, db, 8)
	require.Error(t, a.Ship(ctx))
	set.broken.Store(false)
	require.NoError(t, a.Ship(ctx))
	require.EqualValues(t, 2, a.Stats().Fulls)
	_, state := digest(t, db)
	_, report := restored(t, set, aedb.RestoreOptions{})
	require.Equal(t, state, report.Digest)
}

func TestStoreHasOneArchiveAtATime(t *testing.T) {
	db := open(t, vfs.NewMem())
	a := archive(t, db, &backup.Memory{}, rarely())
	_, err := db.Archive(&backup.Memory{}, rarely())
	require.ErrorIs(t, err, errs.ErrValidation)
	require.NoError(t, a.Close(ctx))
	archive(t, db, &backup.Memory{}, rarely())
	_, err = db.Archive(&backup.Memory{}, aedb.ArchiveConfig{})
	require.ErrorIs(t, err, errs.ErrInvalidConfig)
	require.NoError(t, db.Close(ctx))
	_, err = db.Archive(&backup.Memory{}, rarely())
	require.ErrorIs(t, err, errs.ErrUnavailable)
}

// Commits are shipped when the interval is over, without being asked for; and sooner
// if they are many.
func TestArchiveShipsByIntervalAndBySize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, vfs.NewMem())
		cfg := aedb.DefaultArchiveConfig()
		cfg.Interval, cfg.Bytes, cfg.FullEvery = time.Minute, 8<<10, time.Hour
		a := archive(t, db, &backup.Memory{}, cfg)
		synctest.Wait()
		putMany(t, db, 2)
		time.Sleep(59 * time.Second)
		require.NotZero(t, a.Stats().Lag)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Zero(t, a.Stats().Lag)

		putMany(t, db, 100)
		time.Sleep(7 * time.Second)
		synctest.Wait()
		require.Zero(t, a.Stats().Lag)

		require.EqualValues(t, 1, a.Stats().Fulls)
		time.Sleep(time.Hour)
		put(t, db, "an hour", "later")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 2, a.Stats().Fulls)
		require.NoError(t, db.Close(ctx))
	})
}

// A new chain begins where the one before it ends: there is no commit between them that
// cannot be restored to.
func TestChainsOfAnArchiveLeaveNoCommitOut(t *testing.T) {
	clock := manualClock()
	var set backup.Memory
	cfg := config(vfs.NewMem())
	cfg.Clock = clock
	db := openWith(t, cfg)
	every := rarely()
	every.FullEvery = time.Hour
	a := archive(t, db, &set, every)
	for range 4 {
		putMany(t, db, 5)
		require.NoError(t, a.Ship(ctx))
		clock.Advance(40 * time.Minute)
	}
	stats := a.Stats()
	require.EqualValues(t, 2, stats.Fulls)
	all := backups(t, &set)
	require.EqualValues(t, len(all), stats.Shipments)
	var bytes int64
	for i := range all {
		bytes += all[i].Bytes()
	}
	require.Equal(t, bytes, stats.Bytes)
	for seq := all[0].Seq; seq <= db.Heads().DurableSeq; seq++ {
		plan, err := backup.MakePlan(ctx, &set, backup.Target{Seq: &seq}, backup.Options{})
		require.NoError(t, err, "commit %d", seq)
		require.Equal(t, seq, plan.Seq)
	}
}

// Of a store that was set back the archive holds other commits. That they are as many
// as the store has does not make them the same.
func TestArchiveOfAnotherHistoryOfTheSameLengthIsNotTakenForThisOne(t *testing.T) {
	fsys := vfs.NewMem()
	var set backup.Memory
	db := open(t, fsys)
	putMany(t, db, 20)
	earlier := fsys.Clone(vfs.AllKept())
	put(t, db, "key", "one history")
	require.NoError(t, archive(t, db, &set, rarely()).Ship(ctx))
	require.NoError(t, db.Close(ctx))

	back := open(t, earlier)
	put(t, back, "key", "another")
	a := archive(t, back, &set, rarely())
	require.NoError(t, a.Ship(ctx))
	seq, state := digest(t, back)
	require.Equal(t, seq, a.Stats().Seq)
	_, report := restored(t, &set, aedb.RestoreOptions{})
	require.Equal(t, state, report.Digest)
}

// What is deleted under an archive that goes on is not built on.
func TestArchiveGoesOnFromWhatIsThereWhenItsEndWasDeleted(t *testing.T) {
	var set backup.Memory
	db := open(t, vfs.NewMem())
	putMany(t, db, 20)
	a := archive(t, db, &set, rarely())
	require.NoError(t, a.Ship(ctx))
	for range 2 {
		putMany(t, db, 5)
		require.NoError(t, a.Ship(ctx))
	}
	all := backups(t, &set)
	require.NoError(t, backup.Delete(ctx, &set, all[len(all)-1].ID, backup.Options{}))
	require.NoError(t, a.Ship(ctx))
	seq, state := digest(t, db)
	_, report := restored(t, &set, aedb.RestoreOptions{})
	require.Equal(t, seq, report.Seq)
	require.Equal(t, state, report.Digest)

	putMany(t, db, 5)
	for _, m := range slices.Backward(backups(t, &set)) {
		require.NoError(t, backup.Delete(ctx, &set, m.ID, backup.Options{}))
	}
	require.NoError(t, a.Ship(ctx))
	_, state = digest(t, db)
	_, report = restored(t, &set, aedb.RestoreOptions{})
	require.Equal(t, state, report.Digest)
}
