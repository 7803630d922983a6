package recovery_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// crashAt loses the power before the n-th call that changes something.
func crashAt(n int64) vfs.Injector {
	return func(op vfs.Op) vfs.Fault {
		return vfs.Fault{CrashNow: op.Kind.Mutates() && op.N == n}
	}
}

func fates(seed uint64) []vfs.Fate {
	return []vfs.Fate{
		vfs.AllLost(), vfs.AllKept(), vfs.TornLastWrite(seed),
		vfs.RandomBlocks(seed, 50), vfs.RandomBlocks(seed+1, 20),
	}
}

func clone(h *recoverytest.History) *recoverytest.History {
	return &recoverytest.History{Digests: maps.Clone(h.Digests), Durable: h.Durable, Last: h.Last}
}

// life opens a store and uses it: commits, some synced and some not, rotations
// and checkpoints.
func life(fsys vfs.FS, h *recoverytest.History, seed uint64, o recoverytest.Options) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	s, err := recoverytest.Open(fsys, o, h)
	if err != nil {
		return err
	}
	if h.Last == 0 { // later checkpoints are deltas, until the space is dropped
		if err := s.Fill(40); err != nil {
			return err
		}
	}
	for range 12 {
		for range 1 + rng.IntN(4) {
			if err := s.Random(rng); err != nil {
				return err
			}
		}
		switch rng.IntN(4) {
		case 0:
			err = s.Checkpoint()
		case 1, 2:
			err = s.Sync()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A crash at any call, whatever is left of the unsynced
// bytes, and a second one at any call of the recovery, harm nothing that was
// durable; and the store goes on from there.
func TestCrashAtEveryCallOfLifeAndOfRecoveryLosesNothingDurable(t *testing.T) {
	crashAtEveryCall(t, recoverytest.Options{}, 1, func(fsys vfs.FS, h *recoverytest.History) error {
		return life(fsys, h, 0, recoverytest.Options{})
	})
}

// The same where the process is killed in between, and the next one goes on with
// the segment that was left without waiting for a sync.
func TestCrashAtEveryCallOfASegmentGoneOnWithLosesNothingDurable(t *testing.T) {
	o := recoverytest.Options{Continue: true, SegmentBytes: 1500}
	crashAtEveryCall(t, o, 3, func(fsys vfs.FS, h *recoverytest.History) error {
		for seed := range uint64(3) {
			if err := life(fsys, h, seed, o); err != nil {
				return err
			}
		}
		return nil
	})
}

// The same where each life ends with a close, after which the manifest lists the
// whole log; with and without keys.
func TestCrashAtEveryCallOfLivesThatEndInOrderLosesNothingDurable(t *testing.T) {
	for _, s := range []keys.Sealing{{}, sealing(t, true, "k1")} {
		o := recoverytest.Options{Continue: true, SegmentBytes: 1500, Sealing: s}
		crashAtEveryCall(t, o, 15, func(fsys vfs.FS, h *recoverytest.History) error {
			for seed := range uint64(2) {
				if err := life(fsys, h, seed, o); err != nil {
					return err
				}
				s, err := recoverytest.Open(fsys, o, h)
				if err != nil {
					return err
				}
				if err := errors.Join(s.PutMany(3), s.Close()); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func crashAtEveryCall(t *testing.T, o recoverytest.Options, step int64, lives func(vfs.FS, *recoverytest.History) error) {
	switch { // AEDB_LONG=1 visits every call
	case os.Getenv("AEDB_LONG") != "":
	case testing.Short():
		step *= 23
	default:
		step *= 4
	}
	const seed = 0
	whole := vfs.NewMem()
	require.NoError(t, lives(whole, recoverytest.NewHistory()))
	opens := 0
	for n := (step + 1) / 2; n <= whole.Ops()+1; n += step {
		broken, before := vfs.NewMem(), recoverytest.NewHistory()
		broken.SetInjector(crashAt(n))
		_ = lives(broken, before)
		for _, fate := range fates(seed) {
			opens += recoverTwice(t, broken.Clone(fate), before, o, fmt.Sprintf("seed %d, call %d, %v", seed, n, fate))
		}
	}
	t.Logf("seed %d: %d openings", seed, opens)
}

// recoverTwice opens what a crash has left, with another crash at every call of
// the opening, and then once more, for good.
func recoverTwice(t *testing.T, left *vfs.Mem, h *recoverytest.History, o recoverytest.Options, what string) (opens int) {
	healthy := left.Clone(vfs.AllKept())
	began := healthy.Ops()
	goOn(t, healthy, clone(h), o, what)
	calls := left.Clone(vfs.AllKept())
	_, err := recoverytest.Open(calls, o, clone(h))
	require.NoError(t, err, what)
	for n := int64(1); n <= calls.Ops()-began; n++ {
		again := left.Clone(vfs.AllKept())
		again.SetInjector(crashAt(again.Ops() + n))
		_, err := recoverytest.Open(again, o, clone(h))
		require.Error(t, err, what)
		for _, fate := range []vfs.Fate{vfs.AllLost(), vfs.AllKept(), vfs.TornLastWrite(uint64(n)), vfs.RandomBlocks(uint64(n), 50)} {
			goOn(t, again.Clone(fate), clone(h), o, fmt.Sprintf("%s, then call %d of the recovery, %v", what, n, fate))
			opens++
		}
	}
	return opens + 2
}

// goOn opens the store, which checks what is there and that what is called durable
// is, commits, crashes with nothing unsynced left, and opens it again.
func goOn(t *testing.T, fsys *vfs.Mem, h *recoverytest.History, o recoverytest.Options, what string) {
	t.Helper()
	s, err := recoverytest.Open(fsys, o, h)
	require.NoError(t, err, what)
	_, err = recoverytest.Open(fsys.Clone(vfs.AllLost()), o, clone(h))
	require.NoError(t, err, what)
	require.NoError(t, s.PutMany(2), what)
	require.NoError(t, s.Sync(), what)
	_, err = recoverytest.Open(fsys.Crash(vfs.AllLost()), o, h)
	require.NoError(t, err, what)
}

// After a failed sync the system may show bytes that are not on the disk and
// never will be. What recovery returned of them must outlive a power loss.
func TestBytesOfAFailedSyncThatRecoveryReturnsAreDurable(t *testing.T) {
	for _, goesOn := range []bool{false, true} {
		for _, drop := range []bool{true, false} {
			failedSync(t, recoverytest.Options{SegmentBytes: 1 << 20, Continue: goesOn}, drop)
		}
	}
}

func failedSync(t *testing.T, o recoverytest.Options, drop bool) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, o, h)
	require.NoError(t, err)
	require.NoError(t, s.PutMany(3))
	require.NoError(t, s.Sync())
	require.NoError(t, s.PutMany(2))
	fsys.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpSync {
			return vfs.Fault{Err: syscall.EIO, DropUnsynced: drop}
		}
		return vfs.Fault{}
	})
	require.ErrorIs(t, s.Sync(), syscall.EIO)
	fsys.SetInjector(nil)

	s, err = recoverytest.Open(fsys, o, h)
	require.NoError(t, err)
	require.EqualValues(t, 5, h.Last)
	if o.Continue {
		require.NotNil(t, s.Recovered.Active)
		require.EqualValues(t, 3, s.Recovered.Durable, "what the frames say had been synced")
		_, err = recoverytest.Open(fsys.Clone(vfs.AllLost()), o, clone(h))
		require.NoError(t, err)
	} else {
		require.EqualValues(t, 5, h.Durable)
	}
	require.NoError(t, s.PutMany(1))
	require.NoError(t, s.Sync())
	after := fsys.Crash(vfs.AllLost())
	_, err = recoverytest.Open(after, o, h)
	require.NoError(t, err)
	require.EqualValues(t, 6, h.Last)
}

// A failed sync, a process that goes on with the segment and is lost with the
// power before or after its first sync, over and over: whatever was called durable
// stays.
func TestFailedSyncsAndPowerCutsInTurnLoseNothingDurable(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 9))
		fsys, h := vfs.NewMem(), recoverytest.NewHistory()
		for range 8 {
			o := recoverytest.Options{Continue: rng.IntN(4) > 0, SegmentBytes: 900}
			s, err := recoverytest.Open(fsys, o, h)
			require.NoError(t, err, "seed %d", seed)
			require.NoError(t, s.PutMany(1+rng.IntN(4)))
			if rng.IntN(2) == 0 {
				require.NoError(t, s.Sync())
				require.NoError(t, s.PutMany(rng.IntN(3)))
			}
			switch rng.IntN(3) {
			case 0:
				fsys.SetInjector(func(op vfs.Op) vfs.Fault {
					if op.Kind == vfs.OpSync {
						return vfs.Fault{Err: syscall.EIO, DropUnsynced: rng.IntN(2) == 0}
					}
					return vfs.Fault{}
				})
				_ = s.Sync()
				fsys.SetInjector(nil)
			case 1:
				fsys = fsys.Crash(fates(seed)[rng.IntN(5)])
			}
		}
		_, err := recoverytest.Open(fsys, recoverytest.Options{}, h)
		require.NoError(t, err, "seed %d", seed)
	}
}

// A manifest says what is durable, so that nothing may be left in doubt where one is
// written.
func TestSegmentIsNotGoneOnWithWhereAManifestIsWritten(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, recoverytest.Options{}, h)
	require.NoError(t, err)
	require.NoError(t, s.PutMany(2))
	o := recoverytest.Options{Mode: recovery.Permissive, Continue: true}
	r, err := recoverytest.Recover(fsys, o)
	require.NoError(t, err)
	require.Nil(t, r.Active)
	require.EqualValues(t, 2, r.Manifest.DurableSeq)
	r, err = recoverytest.Recover(fsys.Crash(vfs.AllLost()), o)
	require.NoError(t, err)
	require.EqualValues(t, 2, r.Working.Seq())
}

// No call of a life that fails, with or without an effect, leads to a store
// that does not open or that lacks something durable.
func TestEveryFailingCallLeavesAStoreThatOpens(t *testing.T) {
	whole := vfs.NewMem()
	require.NoError(t, life(whole, recoverytest.NewHistory(), 7, recoverytest.Options{}))
	for n := int64(1); n <= whole.Ops(); n++ {
		for _, fault := range []vfs.Fault{
			{Err: syscall.EIO, DropUnsynced: true}, {Err: syscall.EIO}, {Err: syscall.ENOSPC, Short: 17},
		} {
			fsys, h := vfs.NewMem(), recoverytest.NewHistory()
			fsys.SetInjector(func(op vfs.Op) vfs.Fault {
				if op.Kind.Mutates() && op.N == n {
					return fault
				}
				return vfs.Fault{}
			})
			_ = life(fsys, h, 7, recoverytest.Options{})
			fsys.SetInjector(nil)
			what := fmt.Sprintf("call %d, %+v", n, fault)
			for _, fate := range fates(uint64(n)) {
				goOn(t, fsys.Clone(fate), clone(h), recoverytest.Options{}, what+", "+fate.String())
			}
			goOn(t, fsys, h, recoverytest.Options{}, what)
		}
	}
}

// A permissive opening that gives something up is marked before anything is cut:
// whenever it is interrupted, strict recovery refuses what is left, and another
// permissive one comes to the same end.
func TestCrashWhileHistoryIsCutNeverPassesForAWholeStore(t *testing.T) {
	damaged, h, m := sealed(t)
	middle := m.Segments[len(m.Segments)-3]
	edit(t, damaged, wal.SegmentName(middle.Number), func(b []byte) []byte { return b[:len(b)-40] })
	permissive := recoverytest.Options{Mode: recovery.Permissive}
	whole := damaged.Clone(vfs.AllKept())
	r, err := recoverytest.Recover(whole, permissive)
	require.NoError(t, err)
	want := r.Working.Seq()
	require.Less(t, want, middle.LastSeq)
	require.Greater(t, len(r.Report.Dropped.Files), 2)
	for n := int64(1); n <= whole.Ops(); n++ {
		broken := damaged.Clone(vfs.AllKept())
		broken.SetInjector(crashAt(n))
		_, err := recoverytest.Recover(broken, permissive)
		require.Error(t, err)
		for _, fate := range fates(uint64(n)) {
			left := broken.Clone(fate)
			what := fmt.Sprintf("call %d, %v", n, fate)
			_, err := recoverytest.Recover(left, recoverytest.Options{})
			require.Error(t, err, what)
			r, err := recoverytest.Recover(left, permissive)
			require.NoError(t, err, what)
			require.Equal(t, want, r.Working.Seq(), what)
			require.Equal(t, h.Digests[want], r.Working.Freeze().Digest(), what)
		}
	}
}

// A segment that was begun and got no frame is removed. An opening that is interrupted
// there leaves a removal that is not durable, and the next one does not see it.
func TestRemovedSegmentDoesNotComeBackBehindOneThatIsGoneOnWith(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	o := recoverytest.Options{Continue: true, SegmentBytes: 300}
	s, err := recoverytest.Open(fsys, o, h)
	require.NoError(t, err)
	require.NoError(t, s.PutMany(1))
	require.NoError(t, s.Sync())
	fails := func(kind, behind vfs.OpKind) {
		var before vfs.OpKind
		fsys.SetInjector(func(op vfs.Op) (f vfs.Fault) {
			if op.Kind == kind && before == behind {
				f.Err = syscall.EIO
			}
			before = op.Kind
			return f
		})
	}
	fails(vfs.OpWrite, vfs.OpSyncDir)
	for err == nil {
		if err = s.PutMany(1); err == nil {
			err = s.Sync()
		}
	}
	require.ErrorIs(t, err, syscall.EIO)

	fails(vfs.OpSyncDir, vfs.OpRemove)
	_, err = recoverytest.Open(fsys, o, h)
	require.ErrorIs(t, err, syscall.EIO)
	fsys.SetInjector(nil)
	s, err = recoverytest.Open(fsys, recoverytest.Options{Continue: true}, h)
	require.NoError(t, err)
	require.NotNil(t, s.Recovered.Active)
	require.NoError(t, s.PutMany(1))
	require.NoError(t, s.Sync())

	_, err = recoverytest.Open(fsys.Crash(vfs.AllLost()), o, h)
	require.NoError(t, err)
}

// An opening cuts off a torn tail and is killed before that is durable. What it cut
// off does not come back behind what the next one writes, be it in the segment or in
// a new one.
func TestTailThatWasCutDoesNotComeBackBehindWhatIsWritten(t *testing.T) {
	openings := 0
	for seed := range uint64(60) {
		known, goesOn, synced := seed&1 > 0, seed&2 > 0, seed&4 > 0
		what := fmt.Sprintf("seed %d, known %v, goes on %v, synced %v", seed, known, goesOn, synced)
		o := recoverytest.Options{Continue: true, SegmentBytes: 1 << 20}
		fsys, h := vfs.NewMem(), recoverytest.NewHistory()
		s, err := recoverytest.Open(fsys, o, h)
		require.NoError(t, err)
		require.NoError(t, s.PutMany(3))
		if known { // that these three are durable is in the manifest
			require.NoError(t, s.Checkpoint())
		}
		require.NoError(t, s.Sync())
		require.NoError(t, s.PutMany(60))
		fsys = fsys.Crash(vfs.MixedSectors(seed, 60))

		fsys.SetInjector(func(op vfs.Op) (f vfs.Fault) {
			if op.Kind == vfs.OpSync {
				f.Err = syscall.EIO
			}
			return f
		})
		if _, err = recoverytest.Open(fsys, o, h); err == nil {
			continue // nothing was torn
		}
		fsys.SetInjector(nil)
		s, err = recoverytest.Open(fsys, recoverytest.Options{Continue: goesOn, SegmentBytes: 1 << 20}, h)
		require.NoError(t, err, what)
		require.NoError(t, s.Put(recoverytest.FirstSpace, "key-000004", "another"), what)
		require.NoError(t, s.PutMany(5), what)
		if synced {
			require.NoError(t, s.Sync(), what)
		}
		for _, fate := range []vfs.Fate{vfs.AllLost(), vfs.MixedSectors(seed, 50), vfs.RandomBlocks(seed, 50)} {
			_, err := recoverytest.Open(fsys.Clone(fate), o, clone(h))
			require.NoError(t, err, "%s, %v", what, fate)
			openings++
		}
	}
	require.Greater(t, openings, 50)
}

// Where segments are tiny, the first commit after an opening seals one that has none.
// If a manifest lists that before a successor is there, it is the last segment of the
// log, and stays.
func TestListedSegmentWithoutCommitsIsNotBegunAnew(t *testing.T) {
	o := recoverytest.Options{SegmentBytes: 1, Sealing: sealing(t, false, "k1")}
	rotated := recoverytest.Options{SegmentBytes: 1, Sealing: sealing(t, false, "k2", "k1")} // has a manifest written
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, o, h)
	require.NoError(t, err)
	require.NoError(t, errors.Join(s.PutMany(1), s.Sync()))
	s, err = recoverytest.Open(fsys, o, h)
	require.NoError(t, err)
	begun := false
	fsys.SetInjector(func(op vfs.Op) (f vfs.Fault) {
		if op.Kind == vfs.OpWrite && begun { // the frame, behind the new segment
			f.Err = syscall.EIO
		}
		begun = begun || op.Kind == vfs.OpSyncDir
		return f
	})
	require.ErrorIs(t, s.PutMany(1), syscall.EIO)
	fsys.SetInjector(func(op vfs.Op) (f vfs.Fault) {
		if op.Kind == vfs.OpCreate && strings.HasSuffix(op.Name, ".seg") { // behind the new manifest
			f.Err = syscall.EIO
		}
		return f
	})
	_, err = recoverytest.Open(fsys, rotated, h)
	require.ErrorIs(t, err, syscall.EIO)
	m, _, err := manifest.LoadSigned(fsys, recoverytest.Dir, rotated.Sealing.Ring, false)
	require.NoError(t, err)
	last := m.Segments[len(m.Segments)-1]
	require.Less(t, last.LastSeq, last.FirstSeq)
	fsys.SetInjector(nil)
	for range 2 {
		_, err = recoverytest.Open(fsys, rotated, h)
		require.NoError(t, err)
	}
}
