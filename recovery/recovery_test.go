package recovery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNewStoreIsDurableBeforeOpenReturns(t *testing.T) {
	fsys := vfs.NewMem()
	require.NoError(t, fsys.MkdirAll(recoverytest.Dir))
	require.NoError(t, fsys.WriteFile(in("LOCK"), nil))
	r, err := recoverytest.Recover(fsys, recoverytest.Options{})
	require.NoError(t, err)
	require.True(t, r.Report.Created)
	require.EqualValues(t, 1, r.Manifest.Generation)
	require.NotZero(t, r.Manifest.Incarnation)
	require.Equal(t, wal.Header{
		Incarnation: r.Manifest.Incarnation, Number: 1, Term: 1, FirstSeq: 1, CreatedMicros: r.Next.CreatedMicros,
	}, r.Next)
	require.Nil(t, r.Checkpoint)
	require.Empty(t, r.Sealed)

	again, err := recoverytest.Recover(fsys.Crash(vfs.AllLost()), recoverytest.Options{})
	require.NoError(t, err)
	require.False(t, again.Report.Created)
	require.Equal(t, r.Manifest.Incarnation, again.Manifest.Incarnation)
	other := vfs.NewMem()
	require.NoError(t, other.MkdirAll(recoverytest.Dir))
	r2, err := recoverytest.Recover(other, recoverytest.Options{})
	require.NoError(t, err)
	require.NotEqual(t, r.Manifest.Incarnation, r2.Manifest.Incarnation)
}

// One permissive opening is enough, also of a store that is whole.
func TestPermissiveMarksTheStoreForEver(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	permissive := recoverytest.Options{Mode: recovery.Permissive}
	for range 5 {
		s, err := recoverytest.Open(fsys, permissive, h)
		require.NoError(t, err)
		require.NoError(t, s.PutMany(3))
		require.NoError(t, s.Checkpoint())
		refused(t, fsys.Clone(vfs.AllLost()), recovery.Strict, errs.CodeUnavailable)
	}
	require.EqualValues(t, 15, h.Last)
}

// What is before and what is behind a checkpoint, with catalog entries.
func TestCheckpointAndLogGiveTheStateAndItsCatalog(t *testing.T) {
	fsys, h := fixture(t)
	s, err := recoverytest.Open(fsys, recoverytest.Options{}, h)
	require.NoError(t, err)
	require.EqualValues(t, 20, s.Recovered.Checkpoint.Seq())
	require.EqualValues(t, 20_000, s.Recovered.Checkpoint.Micros())
	require.Equal(t, h.Digests[20], s.Recovered.Checkpoint.Digest())
	require.Equal(t, int64(60_000), s.Image().Micros())

	report := s.Recovered.Report
	require.EqualValues(t, 21, report.FirstSeq)
	require.EqualValues(t, 60, report.LastSeq)
	require.Equal(t, 40, report.Commits)
	require.Equal(t, report.Segments, report.SegmentsReplayed+report.SegmentsSkipped)
	require.EqualValues(t, 20, report.CheckpointSeq)
	require.Empty(t, report.Warnings)

	require.NoError(t, s.Define(catalog.CreateProject{Project: "before"}))
	require.NoError(t, s.Checkpoint())
	require.NoError(t, s.Define(catalog.CreateProject{Project: "behind"}))
	require.NoError(t, s.Sync())
	s, err = recoverytest.Open(fsys.Crash(vfs.AllLost()), recoverytest.Options{}, h)
	require.NoError(t, err)
	for _, name := range []string{"before", "behind"} {
		_, err := s.Image().Catalog().Project(name)
		require.NoError(t, err)
	}
	_, err = s.Recovered.Checkpoint.Catalog().Project("behind")
	require.Equal(t, errs.CodeProjectNotFound, errs.CodeOf(err))
}

// Runs that end in a crash or in a checkpoint, in any order, with any
// retention.
func TestRunsOfAnyKindReopenStrictly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fsys, h := vfs.NewMem(), recoverytest.NewHistory()
		kept := rapid.IntRange(1, 3).Draw(t, "kept")
		for range rapid.IntRange(1, 8).Draw(t, "runs") {
			s, err := recoverytest.Open(fsys, recoverytest.Options{
				Kept: kept, SegmentBytes: int64(rapid.SampledFrom([]int{1, 300, 2000}).Draw(t, "segment")),
			}, h)
			require.NoError(t, err)
			for range rapid.IntRange(0, 5).Draw(t, "commits") {
				require.NoError(t, s.Random(rand.New(rand.NewPCG(h.Last, 3))))
				switch rapid.IntRange(0, 4).Draw(t, "then") {
				case 0:
					require.NoError(t, s.Sync())
				case 1:
					require.NoError(t, s.Checkpoint())
				}
			}
			switch rapid.IntRange(0, 3).Draw(t, "end") {
			case 0: // the process ends, the system does not
			case 1:
				require.NoError(t, s.Checkpoint())
			default:
				fate := rapid.SampledFrom(fates(rapid.Uint64().Draw(t, "seed"))).Draw(t, "fate")
				fsys = fsys.Crash(fate)
			}
		}
		_, err := recoverytest.Open(fsys, recoverytest.Options{Kept: kept}, h)
		require.NoError(t, err)
	})
}

// Openings without commits leave the directory as it is.
func TestOpeningsWithoutCommitsDoNotPileUpFiles(t *testing.T) {
	fsys, h := fixture(t)
	_, err := recoverytest.Open(fsys, recoverytest.Options{}, h)
	require.NoError(t, err)
	want := fsys.Names()
	for range 5 {
		_, err := recoverytest.Open(fsys, recoverytest.Options{}, h)
		require.NoError(t, err)
	}
	require.Equal(t, want, fsys.Names())
}

// large is a store with entries of 100 bytes in a few spaces, all of them in the log
// or in a checkpoint.
func large(t testing.TB, commits, effects, spaces int, checkpointed bool) *vfs.Mem {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, recoverytest.Options{SegmentBytes: 4 << 20}, h)
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(1, 2))
	value := make([]byte, 84)
	for range commits {
		require.NoError(t, s.Commit(func(w *state.Working) {
			for range effects {
				key := fmt.Appendf(nil, "key-%012d", rng.Uint64N(1<<40))
				w.Put(recoverytest.FirstSpace+catalog.SpaceID(rng.IntN(spaces)), key, value)
			}
		}))
	}
	if checkpointed {
		require.NoError(t, s.Checkpoint())
	}
	require.NoError(t, s.Sync())
	return fsys
}

// The state is a function of the bytes.
func TestParallelRecoveryEqualsSequential(t *testing.T) {
	for _, checkpointed := range []bool{false, true} {
		fsys := large(t, 60, 2000, 5, checkpointed)
		var digests [][32]byte
		for _, parallelism := range []int{0, 1, 2, 3, 8} {
			r, err := recoverytest.Recover(fsys.Clone(vfs.AllKept()), recoverytest.Options{Parallelism: max(1, parallelism)})
			require.NoError(t, err)
			require.EqualValues(t, 60, r.Working.Seq())
			digests = append(digests, r.Working.Freeze().Digest())
		}
		for _, d := range digests {
			require.Equal(t, digests[0], d)
		}
	}
}

func TestProgressRisesThroughAllPhases(t *testing.T) {
	fsys, _ := fixture(t)
	var seen []recovery.Progress
	_, err := recovery.Open(t.Context(), recovery.Options{
		FS: fsys, Dir: recoverytest.Dir, Clock: recoverytest.Clock(), Parallelism: 2,
		OnProgress: func(p recovery.Progress) { seen = append(seen, p) },
	})
	require.NoError(t, err)
	require.Len(t, seen, 8) // no phase takes so long that it is told of in between
	for i, p := range seen {
		require.Equal(t, recovery.Phase(i/2), p.Phase)
		if i%2 == 1 {
			require.Equal(t, p.Total, p.Done, "%v", p.Phase)
		}
	}
	require.EqualValues(t, 20, seen[3].Seq)
	require.EqualValues(t, 60, seen[7].Seq)
	require.NotZero(t, seen[3].Total)
	require.NotZero(t, seen[5].Total)
}

// A context that ends at any moment ends the opening, which has then changed
// nothing, or has done its work.
func TestCancelledOpeningChangesNothing(t *testing.T) {
	for _, checkpointed := range []bool{false, true} {
		whole := large(t, 20, 500, 5, checkpointed)
		probe := whole.Clone(vfs.AllKept())
		_, err := recoverytest.Recover(probe, recoverytest.Options{})
		require.NoError(t, err)
		reads := probe.Reads()
		for n := int64(1); n <= reads; n++ {
			fsys := whole.Clone(vfs.AllKept())
			before := content(fsys)
			ctx, cancel := context.WithCancel(t.Context())
			fsys.SetInjector(func(op vfs.Op) vfs.Fault {
				if !op.Kind.Mutates() && op.N == n {
					cancel()
				}
				return vfs.Fault{}
			})
			_, err := recovery.Open(ctx, recovery.Options{
				FS: fsys, Dir: recoverytest.Dir, Clock: recoverytest.Clock(), Parallelism: 3,
			})
			cancel()
			if err != nil {
				require.Equal(t, errs.CodeCanceled, errs.CodeOf(err), "%v", err)
				require.ErrorIs(t, err, context.Canceled)
				require.Equal(t, before, content(fsys))
			}
		}
	}
}

// A read that fails is no damage: nothing is cut for it in either mode.
func TestFailingReadsCutNothing(t *testing.T) {
	whole, h, _ := sealed(t)
	probe := whole.Clone(vfs.AllKept())
	_, err := recoverytest.Recover(probe, recoverytest.Options{})
	require.NoError(t, err)
	for n := int64(1); n <= probe.Reads(); n++ {
		for _, mode := range []recovery.Mode{recovery.Strict, recovery.Permissive} {
			fsys := whole.Clone(vfs.AllKept())
			fsys.SetInjector(func(op vfs.Op) vfs.Fault {
				if !op.Kind.Mutates() && op.N == n {
					return vfs.Fault{Err: context.DeadlineExceeded}
				}
				return vfs.Fault{}
			})
			_, _ = recoverytest.Recover(fsys, recoverytest.Options{Mode: mode})
			fsys.SetInjector(nil)
			r, err := recoverytest.Recover(fsys, recoverytest.Options{Mode: recovery.Permissive})
			require.NoError(t, err)
			require.EqualValues(t, 60, r.Working.Seq())
			require.Equal(t, h.Digests[60], r.Working.Freeze().Digest())
		}
	}
}
