package backup

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

var errBroken = errors.New("broken")

// fates are what power losses leave in turn.
func fates(seed uint64) []vfs.Fate {
	return []vfs.Fate{vfs.AllLost(), vfs.AllKept(), vfs.TornLastWrite(seed), vfs.RandomBlocks(seed, 50), vfs.MixedSectors(seed, 50)}
}

// interrupted runs what is given on copies of a file system, once for each of its
// operations, and loses the power at that, or fails it.
func interrupted(t *testing.T, base *vfs.Mem, run func(*vfs.Mem) error, after func(t *testing.T, left *vfs.Mem, err error)) {
	seed := baseSeed(t)
	whole := base.Clone(vfs.AllKept())
	before := whole.Ops()
	require.NoError(t, run(whole))
	total := whole.Ops() - before
	t.Logf("%d operations", total)
	stride := int64(1)
	if testing.Short() {
		stride = 1 + total/12
	}
	for n := int64(1); n <= total; n += stride {
		fate := fates(seed + uint64(n))[n%5]
		for name, fault := range map[string]vfs.Fault{"power": {CrashNow: true}, "error": {Err: errBroken}} {
			t.Run(fmt.Sprintf("%s at %d, %s", name, n, fate), func(t *testing.T) {
				fsys := base.Clone(vfs.AllKept())
				at := fsys.Ops() + n
				fsys.SetInjector(func(op vfs.Op) vfs.Fault {
					if op.N == at && op.Kind.Mutates() {
						return fault
					}
					return vfs.Fault{}
				})
				err := run(fsys)
				fsys.SetInjector(nil)
				if fault.CrashNow {
					fsys = fsys.Crash(fate)
				}
				after(t, fsys, err)
			})
		}
	}
}

func TestInterruptedBackupIsWholeOrNone(t *testing.T) {
	db := open(t, vfs.NewMem())
	putMany(t, db, 40)
	disk := vfs.NewMem()
	set, err := backup.OpenDirectory(disk, "backups")
	require.NoError(t, err)
	base := full(t, db, set, aedb.BackupOptions{KeepLog: keepLog})
	putMany(t, db, 40)
	takes := map[string]func(to backup.Sink) error{
		"full": func(to backup.Sink) error {
			_, err := db.BackupFull(ctx, to, aedb.BackupOptions{KeepLog: keepLog})
			return err
		},
		"incremental": func(to backup.Sink) error {
			_, err := db.BackupIncremental(ctx, to, base, aedb.BackupOptions{KeepLog: keepLog})
			return err
		},
	}
	for name, take := range takes {
		t.Run(name, func(t *testing.T) {
			run := func(fsys *vfs.Mem) error {
				to, err := backup.OpenDirectory(fsys, "backups")
				if err != nil {
					return err
				}
				return take(to)
			}
			interrupted(t, disk, run, func(t *testing.T, left *vfs.Mem, err error) {
				from, openErr := backup.OpenDirectory(left, "backups")
				require.NoError(t, openErr)
				verdict, verifyErr := backup.Verify(ctx, from, backup.VerifyOptions{Rebuild: true})
				require.NoError(t, verifyErr)
				require.True(t, verdict.OK(), "%v", verdict.Damaged)
				require.Contains(t, []int{1, 2}, verdict.Backups)
				if err == nil {
					require.Equal(t, 2, verdict.Backups, "it was said to be there")
				}
				require.NoError(t, take(from))
			})
		})
	}
}

// cleaned deletes what a list names as unfinished, and returns the ids of that.
func cleaned(t *testing.T, set backup.Store) (ids []string) {
	t.Helper()
	l, err := backup.List(ctx, set, backup.Options{})
	require.NoError(t, err)
	require.Empty(t, l.Damaged)
	for _, name := range l.Unfinished {
		id, _, _ := strings.Cut(name, ".")
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		require.NoError(t, backup.Delete(ctx, set, id, backup.Options{}))
	}
	l, err = backup.List(ctx, set, backup.Options{})
	require.NoError(t, err)
	require.Empty(t, l.Unfinished)
	return ids
}

// requireOnlyFinished proves that a directory has no file but those of its finished
// backups, and that the newest of them restores.
func requireOnlyFinished(t *testing.T, disk *vfs.Mem, set backup.Store) {
	t.Helper()
	l, err := backup.List(ctx, set, backup.Options{})
	require.NoError(t, err)
	want := []string{}
	for _, m := range l.Backups {
		want = append(want, "backups/"+m.ID+".manifest")
		for _, o := range m.Objects {
			want = append(want, "backups/"+o.Name)
		}
	}
	require.ElementsMatch(t, want, disk.Names())
	require.NotEmpty(t, l.Backups)
	db, report := restored(t, set, aedb.RestoreOptions{})
	require.Equal(t, l.Backups[len(l.Backups)-1].Seq, report.Seq)
	require.NoError(t, db.Close(ctx))
}

// A backup that is interrupted at any operation leaves finished ones as they were, and
// of itself nothing that the list does not name and Delete does not take away.
func TestInterruptedBackupIsNamedAndCanBeCleanedUp(t *testing.T) {
	db := open(t, vfs.NewMem())
	putMany(t, db, 40)
	disk := vfs.NewMem()
	set, err := backup.OpenDirectory(disk, "backups")
	require.NoError(t, err)
	base := full(t, db, set, aedb.BackupOptions{KeepLog: keepLog})
	putMany(t, db, 40)
	for name, take := range map[string]func(to backup.Sink) error{
		"full": func(to backup.Sink) error {
			_, err := db.BackupFull(ctx, to, aedb.BackupOptions{KeepLog: keepLog})
			return err
		},
		"incremental": func(to backup.Sink) error {
			_, err := db.BackupIncremental(ctx, to, base, aedb.BackupOptions{KeepLog: keepLog})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			named := 0
			interrupted(t, disk, func(fsys *vfs.Mem) error {
				to, err := backup.OpenDirectory(fsys, "backups")
				if err != nil {
					return err
				}
				return take(to)
			}, func(t *testing.T, left *vfs.Mem, err error) {
				from, openErr := backup.OpenDirectory(left, "backups")
				require.NoError(t, openErr)
				_, loadErr := backup.Load(ctx, from, base.ID, backup.Options{})
				require.NoError(t, loadErr)
				ids := cleaned(t, from)
				if err == nil {
					require.Empty(t, ids, "it was said to be there")
				}
				require.LessOrEqual(t, len(ids), 1)
				require.NotContains(t, ids, base.ID)
				named += len(ids)
				requireOnlyFinished(t, left, from)
			})
			require.Positive(t, named)
		})
	}
}

// An interrupted deletion is repeated.
func TestInterruptedDeletionOfABackupIsRepeated(t *testing.T) {
	disk := vfs.NewMem()
	set, err := backup.OpenDirectory(disk, "backups")
	require.NoError(t, err)
	_, c := chain(t, set, aedb.BackupOptions{})
	id := c[2].ID
	interrupted(t, disk, func(fsys *vfs.Mem) error {
		from, err := backup.OpenDirectory(fsys, "backups")
		if err != nil {
			return err
		}
		return backup.Delete(ctx, from, id, backup.Options{})
	}, func(t *testing.T, left *vfs.Mem, _ error) {
		from, err := backup.OpenDirectory(left, "backups")
		require.NoError(t, err)
		if _, err := backup.Load(ctx, from, id, backup.Options{}); err == nil {
			db, report := restored(t, from, aedb.RestoreOptions{})
			require.Equal(t, c[2].Seq, report.Seq, "it is whole as long as it is there")
			require.NoError(t, db.Close(ctx))
			require.NoError(t, backup.Delete(ctx, from, id, backup.Options{}))
		}
		cleaned(t, from)
		requireOnlyFinished(t, left, from)
	})
}

func TestInterruptedRestoreIsWholeOrNone(t *testing.T) {
	var set backup.Memory
	_, c := chain(t, &set, aedb.BackupOptions{})
	run := func(fsys *vfs.Mem) error {
		_, err := aedb.Restore(ctx, &set, dir, aedb.RestoreOptions{FS: fsys})
		return err
	}
	whole := func(t *testing.T, fsys vfs.FS) {
		db := open(t, fsys)
		seq, state := digest(t, db)
		require.Equal(t, c.Head().Seq, seq)
		require.Equal(t, *c.Head().State, backup.Digest(state))
		require.NoError(t, db.Close(ctx))
	}
	interrupted(t, vfs.NewMem(), run, func(t *testing.T, left *vfs.Mem, err error) {
		files := 0
		for _, name := range left.Names() {
			if path.Base(name) != "LOCK" {
				files++
			}
		}
		if err == nil {
			whole(t, left)
			return
		}
		if files > 0 {
			for _, mode := range []aedb.RecoveryMode{aedb.Strict, aedb.Permissive} {
				cfg := config(left)
				cfg.Recovery = mode
				db, openErr := aedb.OpenNoAuth(dir, cfg)
				if openErr == nil { // it was whole, and only that was not told
					require.NoError(t, db.Close(ctx))
					whole(t, left)
					return
				}
				require.ErrorIs(t, openErr, errs.ErrUnavailable)
			}
		}
		require.NoError(t, run(left))
		whole(t, left)
	})
}

// An archive whose disk fails or loses power while a chain is shipped holds what it
// held before, and goes on from there.
func TestInterruptedShippingLeavesAnArchiveThatGoesOn(t *testing.T) {
	store := vfs.NewMem()
	disk := vfs.NewMem()
	set, err := backup.OpenDirectory(disk, "archive")
	require.NoError(t, err)
	db := openWith(t, small(store))
	a := archive(t, db, set, rarely())
	putMany(t, db, 40)
	require.NoError(t, a.Ship(ctx))
	putMany(t, db, 40)
	require.NoError(t, a.Close(ctx))
	putMany(t, db, 40)
	shipped := len(backups(t, set))
	ship := func(fsys *vfs.Mem) error {
		to, err := backup.OpenDirectory(fsys, "archive")
		if err != nil {
			return err
		}
		a, err := db.Archive(to, rarely())
		if err != nil {
			return err
		}
		return errors.Join(a.Ship(ctx), a.Close(ctx))
	}
	interrupted(t, disk, ship, func(t *testing.T, left *vfs.Mem, err error) {
		from, openErr := backup.OpenDirectory(left, "archive")
		require.NoError(t, openErr)
		verdict, verifyErr := backup.Verify(ctx, from, backup.VerifyOptions{Rebuild: true})
		require.NoError(t, verifyErr)
		require.True(t, verdict.OK(), "%v", verdict.Damaged)
		require.GreaterOrEqual(t, verdict.Backups, shipped)
		require.NoError(t, ship(left))
		again, _ := restored(t, from, aedb.RestoreOptions{})
		seq, state := digest(t, again)
		wantSeq, want := digest(t, db)
		require.Equal(t, wantSeq, seq)
		require.Equal(t, want, state)
	})
}

// A store that loses power while a part is restored into it has the part or not,
// and takes it when asked again.
func TestInterruptedRestoreOfAPartIsRepeated(t *testing.T) {
	from := furnished(t)
	var set backup.Memory
	full(t, from, &set, aedb.BackupOptions{})
	want := shown(t, from, "p", "app")
	part := aedb.Part{Project: "p", Scope: "app"}
	disk := vfs.NewMem()
	db := open(t, disk)
	put(t, db, "key-1", "of the target")
	putMany(t, db, 20)
	before := shown(t, db, "p", "app")
	require.NoError(t, db.Close(ctx))
	run := func(fsys *vfs.Mem) error {
		db, err := aedb.OpenNoAuth(dir, config(fsys))
		if err != nil {
			return err
		}
		_, err = db.NoAuth().RestorePart(ctx, &set, part, aedb.RestorePartOptions{Replace: true, OneCommit: true})
		return errors.Join(err, db.Close(ctx))
	}
	interrupted(t, disk, run, func(t *testing.T, left *vfs.Mem, err error) {
		db := open(t, left)
		got := shown(t, db, "p", "app")
		if err == nil {
			require.Equal(t, want, got)
		} else {
			require.Contains(t, []string{before, want}, got)
		}
		require.NoError(t, db.Close(ctx))
		require.NoError(t, run(left))
		require.Equal(t, want, shown(t, open(t, left), "p", "app"))
	})
}
