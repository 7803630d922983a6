package backup

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestFullBackupRestoresTheStateItWasTakenOf(t *testing.T) {
	for _, d := range []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered} {
		t.Run(d.String(), func(t *testing.T) {
			cfg := config(vfs.NewMem())
			cfg.Durability = d
			db := openWith(t, cfg)
			putMany(t, db, 100)
			seq, state := digest(t, db)
			var set backup.Memory
			m := full(t, db, &set, aedb.BackupOptions{})
			require.Equal(t, seq, m.Seq)
			require.Equal(t, backup.Digest(state), *m.State)
			require.NotNil(t, m.Tip)
			putMany(t, db, 10) // none of this is in the backup

			_, report := restored(t, &set, aedb.RestoreOptions{})
			require.Equal(t, seq, report.Seq)
			require.Equal(t, state, report.Digest)
			require.True(t, report.Compared)
			require.NotEqual(t, db.Recovery().Incarnation.String(), report.Incarnation)
		})
	}
}

func TestEmptyStoreCanBeBackedUpAndContinued(t *testing.T) {
	db := open(t, vfs.NewMem())
	var set backup.Memory
	m := full(t, db, &set, aedb.BackupOptions{KeepLog: keepLog})
	require.Zero(t, m.Seq)
	restored(t, &set, aedb.RestoreOptions{})
	m = incremental(t, db, &set, m, aedb.BackupOptions{KeepLog: keepLog}) // an empty link
	putMany(t, db, 5)
	m = incremental(t, db, &set, m, aedb.BackupOptions{})
	_, report := restored(t, &set, aedb.RestoreOptions{})
	require.Equal(t, m.Seq, report.Seq)
	require.True(t, report.Compared)
}

// N4: the first commits after a restore survive a crash before any checkpoint.
func TestCommitsAfterARestoreSurviveACrash(t *testing.T) {
	db := open(t, vfs.NewMem())
	putMany(t, db, 30)
	var set backup.Memory
	full(t, db, &set, aedb.BackupOptions{})

	fsys := vfs.NewMem()
	report, err := aedb.Restore(ctx, &set, dir, aedb.RestoreOptions{FS: fsys})
	require.NoError(t, err)
	for range 3 {
		again := open(t, fsys)
		require.GreaterOrEqual(t, again.Heads().VisibleSeq, report.Seq)
		put(t, again, "after", "restore")
		seq, state := digest(t, again)
		fsys = fsys.Crash(vfs.AllLost())
		_ = again.Close(ctx) // the disk is gone
		reopened := open(t, fsys)
		gotSeq, got := digest(t, reopened)
		require.Equal(t, seq, gotSeq)
		require.Equal(t, state, got)
		require.NoError(t, reopened.Close(ctx))
	}
}

// Backups are taken while 32 callers commit, and every commit can be restored to:
// its digest is the one that the store had at that commit while it ran.
func TestEveryCommitOfAChainCanBeRestoredTo(t *testing.T) {
	seed := baseSeed(t)
	db := open(t, vfs.NewMem())
	putMany(t, db, 20)
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for caller := range 32 {
		callers.Go(func() {
			s := scope(db)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Appendf(nil, "caller-%d-%d", caller, i%5)
				if _, err := s.Commit(ctx, s.KvSet(key, fmt.Appendf(nil, "%d", i))); err != nil {
					t.Errorf("commit: %v", err)
					return
				}
			}
		})
	}
	var set backup.Memory
	m := full(t, db, &set, aedb.BackupOptions{KeepLog: keepLog})
	base := m.Seq
	for range 6 {
		putMany(t, db, 30)
		_, err := db.Checkpoint(ctx) // it may release no log that is needed
		require.NoError(t, err)
		m = incremental(t, db, &set, m, aedb.BackupOptions{KeepLog: keepLog})
	}
	close(stop)
	callers.Wait()
	require.Greater(t, m.Seq, base)

	rng := rand.New(rand.NewPCG(seed, 0))
	targets := []uint64{base, m.Seq}
	for range 20 {
		targets = append(targets, base+rng.Uint64N(m.Seq-base+1))
	}
	for _, seq := range targets {
		_, state, err := db.Digest(aedb.AtSeq(seq))
		require.NoError(t, err)
		_, report := restored(t, &set, seqTarget(seq))
		require.Equal(t, seq, report.Seq)
		require.Equal(t, state, report.Digest, "commit %d", seq)
	}
	verdict, err := backup.Verify(ctx, &set, backup.VerifyOptions{Rebuild: true})
	require.NoError(t, err)
	require.True(t, verdict.OK(), "%v", verdict.Damaged)
	require.Equal(t, 7, verdict.Backups)
	require.Equal(t, 1, verdict.Compared)
}

func TestTargetOutsideOfTheChainIsRefused(t *testing.T) {
	db := open(t, vfs.NewMem())
	putMany(t, db, 10)
	var set backup.Memory
	m := full(t, db, &set, aedb.BackupOptions{KeepLog: keepLog})
	putMany(t, db, 10)
	last := incremental(t, db, &set, m, aedb.BackupOptions{})
	for _, seq := range []uint64{0, m.Seq - 1, last.Seq + 1} {
		fsys := vfs.NewMem()
		_, err := aedb.Restore(ctx, &set, dir, aedb.RestoreOptions{Target: backup.Target{Seq: &seq}, FS: fsys})
		require.ErrorIs(t, err, errs.ErrValidation)
		require.Empty(t, fsys.Names())
	}
}

func TestRestoreToATimeIncludesTheCommitsOfThatTime(t *testing.T) {
	clock := manualClock()
	cfg := config(vfs.NewMem())
	cfg.Clock = clock
	db := openWith(t, cfg)
	put(t, db, "first", "1")
	var set backup.Memory
	began := clock.Now()
	m := full(t, db, &set, aedb.BackupOptions{KeepLog: keepLog})
	base := m.Seq
	for range 3 {
		for range 4 {
			clock.Advance(time.Minute)
			put(t, db, "key", clock.Now().String())
			put(t, db, "key", "the same minute")
		}
		m = incremental(t, db, &set, m, aedb.BackupOptions{KeepLog: keepLog})
	}
	at := func(when time.Time) (aedb.RestoreReport, error) {
		return aedb.Restore(ctx, &set, dir, aedb.RestoreOptions{Target: backup.Target{Time: when}, FS: vfs.NewMem()})
	}
	for minute := range 13 {
		for _, within := range []time.Duration{0, time.Second} {
			report, err := at(began.Add(time.Duration(minute)*time.Minute + within))
			require.NoError(t, err)
			require.Equal(t, base+2*uint64(minute), report.Seq, "minute %d", minute)
			require.Equal(t, began.Add(time.Duration(minute)*time.Minute), report.Time)
		}
	}
	_, err := at(began.Add(-time.Microsecond))
	require.ErrorIs(t, err, errs.ErrValidation)
}

func TestDirectoryThatIsNotEmptyIsNotRestoredInto(t *testing.T) {
	db := open(t, vfs.NewMem())
	putMany(t, db, 5)
	var set backup.Memory
	full(t, db, &set, aedb.BackupOptions{})

	fsys := vfs.NewMem()
	_, err := aedb.Restore(ctx, &set, dir, aedb.RestoreOptions{FS: fsys})
	require.NoError(t, err)
	before := fsys.Names()
	_, err = aedb.Restore(ctx, &set, dir, aedb.RestoreOptions{FS: fsys})
	require.ErrorIs(t, err, errs.ErrValidation)
	require.Equal(t, before, fsys.Names())

	other := open(t, fsys)
	_, err = aedb.Restore(ctx, &set, dir, aedb.RestoreOptions{FS: fsys})
	require.ErrorIs(t, err, errs.ErrUnavailable, "it is open")
	require.NoError(t, other.Close(ctx))
}

// A slip in the name of a directory leaves it as it is: no lock in it, and the mode that
// its owner gave it.
func TestDirectoryOfSomethingElseIsLeftAsItIs(t *testing.T) {
	db := open(t, vfs.NewMem())
	putMany(t, db, 5)
	var set backup.Memory
	full(t, db, &set, aedb.BackupOptions{})

	place := filepath.Join(t.TempDir(), "site")
	require.NoError(t, os.Mkdir(place, 0o755))
	require.NoError(t, os.Chmod(place, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(place, "index.html"), nil, 0o644))
	_, err := aedb.Restore(ctx, &set, place, aedb.RestoreOptions{})
	require.ErrorIs(t, err, errs.ErrValidation)
	info, err := os.Stat(place)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm())
	left, err := os.ReadDir(place)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

// A request that was made behind the restored commit is not remembered: it is done
// when it is sent again.
func TestIdempotencyRecordsEndAtTheRestoredCommit(t *testing.T) {
	db := open(t, vfs.NewMem())
	create(t, db)
	request := func(db *aedb.DB, key byte) (aedb.Result, error) {
		s := scope(db)
		return s.CommitEnvelope(ctx, aedb.Envelope{
			IdempotencyKey: &aedb.IdempotencyKey{key},
			Mutations:      []aedb.Mutation{s.KvSet([]byte{key}, []byte("done"))},
		}, aedb.Durable)
	}
	before, err := request(db, 1)
	require.NoError(t, err)
	var set backup.Memory
	m := full(t, db, &set, aedb.BackupOptions{KeepLog: keepLog})
	after, err := request(db, 2)
	require.NoError(t, err)
	incremental(t, db, &set, m, aedb.BackupOptions{})

	early, _ := restored(t, &set, seqTarget(m.Seq))
	r, err := request(early, 1)
	require.NoError(t, err)
	require.Equal(t, before.CommitSeq, r.CommitSeq)
	require.NotEqual(t, aedb.Applied, r.Outcome)
	r, err = request(early, 2)
	require.NoError(t, err)
	require.Equal(t, aedb.Applied, r.Outcome)

	late, _ := restored(t, &set, seqTarget(after.CommitSeq))
	r, err = request(late, 2)
	require.NoError(t, err)
	require.NotEqual(t, aedb.Applied, r.Outcome)
}
