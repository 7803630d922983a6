package checkpointer_test

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/checkpointer"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/vfs"
)

func files(fsys *vfs.Mem, prefix string) []string {
	var names []string
	for _, name := range fsys.Names() {
		if base := path.Base(name); strings.HasPrefix(base, prefix) {
			names = append(names, base)
		}
	}
	return names
}

func open(t *testing.T, fsys vfs.FS, kept int, h *recoverytest.History) *recoverytest.Store {
	s, err := recoverytest.Open(fsys, recoverytest.Options{Kept: kept}, h)
	require.NoError(t, err)
	return s
}

// The newest checkpoints are kept with what they build on, and what the generation
// before can fall back to; nothing else.
func TestNewestCheckpointsAreKept(t *testing.T) {
	for kept := 1; kept <= 3; kept++ {
		fsys, h := vfs.NewMem(), recoverytest.NewHistory()
		s := open(t, fsys, kept, h)
		for range 5 {
			require.NoError(t, s.PutMany(10))
			require.NoError(t, s.Checkpoint())
		}
		m, _, err := manifest.Load(fsys, recoverytest.Dir)
		require.NoError(t, err)
		var seqs []uint64
		for _, c := range m.Checkpoints {
			seqs = append(seqs, c.Seq)
		}
		require.Equal(t, []uint64{30, 40, 50}[3-kept:], seqs)
		want := map[string]bool{}
		for _, c := range m.Listed() {
			want[c.File] = true
		}
		data, err := fsys.ReadFile(recoverytest.Dir + "/" + manifest.FileName(m.Generation-1))
		require.NoError(t, err)
		before, err := manifest.Decode(data)
		require.NoError(t, err)
		for _, c := range before.Chain(before.Checkpoints[len(before.Checkpoints)-1]) {
			want[c.File] = true
		}
		require.Equal(t, slices.Sorted(maps.Keys(want)), files(fsys, "checkpoint-"))
		open(t, fsys.Crash(vfs.AllLost()), kept, h)
		require.EqualValues(t, 50, h.Last)
	}
}

// The log above the oldest retained checkpoint stays, and what is below it
// goes.
func TestLogAboveTheOldestCheckpointIsKept(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s := open(t, fsys, 2, h)
	for range 4 {
		require.NoError(t, s.PutMany(25))
		require.NoError(t, s.Checkpoint())
	}
	require.NoError(t, s.PutMany(25))
	require.NoError(t, s.Sync())
	m, _, err := manifest.Load(fsys, recoverytest.Dir)
	require.NoError(t, err)
	oldest := m.Checkpoints[0].Seq
	require.EqualValues(t, 75, oldest)
	require.LessOrEqual(t, m.Segments[0].FirstSeq, oldest+1)
	require.Greater(t, m.Segments[0].LastSeq, oldest)
	require.EqualValues(t, 100, m.DurableSeq)
	require.Greater(t, m.Segments[0].Number, uint64(5), "the log before is gone")
	onDisk := files(fsys, "wal-")
	require.Equal(t, fmt.Sprintf("wal-%016d.seg", m.Segments[0].Number), onDisk[0])
	for number := range uint64(len(onDisk)) {
		require.Equal(t, fmt.Sprintf("wal-%016d.seg", m.Segments[0].Number+number), onDisk[number])
	}
	// The older checkpoint is enough to get to the end.
	require.NoError(t, fsys.Remove(recoverytest.Dir+"/"+checkpoint.FileName(100)))
	open(t, fsys, 2, h)
	require.EqualValues(t, 125, h.Last)
}

// After any checkpoint, the newest generation can be lost: the one before
// opens, strictly, and nothing is missing.
func TestGenerationBeforeTheNewestStillOpens(t *testing.T) {
	for kept := 1; kept <= 3; kept++ {
		fsys, h := vfs.NewMem(), recoverytest.NewHistory()
		for round := range 8 {
			s := open(t, fsys, kept, h)
			for range 1 + round%3 {
				require.NoError(t, s.PutMany(1+round*3))
				require.NoError(t, s.Checkpoint())
			}
			broken := fsys.Clone(vfs.AllKept()) // removals too
			generations := files(broken, "manifest-")
			newest := recoverytest.Dir + "/" + generations[len(generations)-1]
			require.NoError(t, broken.WriteFile(newest, []byte("garbage")))
			r, err := recoverytest.Recover(broken, recoverytest.Options{})
			require.NoError(t, err, "kept %d, round %d", kept, round)
			require.Equal(t, h.Last, r.Working.Seq())
			require.Equal(t, h.Digests[h.Last], r.Working.Freeze().Digest())
			require.Len(t, r.Report.RejectedManifests, 1)
			_, err = recoverytest.Recover(broken, recoverytest.Options{})
			require.NoError(t, err)
		}
	}
}

// A call that fails at any point of a checkpoint, full or delta, fails the attempt
// and nothing else; the next one succeeds, and so does an opening.
func TestFailureAtAnyCallHarmsNothing(t *testing.T) {
	for _, of := range []struct{ fill, puts int }{{1, 40}, {500, 10}} { // a full one, and a delta on two
		build := func() (*vfs.Mem, *recoverytest.Store, *recoverytest.History) {
			fsys, h := vfs.NewMem(), recoverytest.NewHistory()
			s := open(t, fsys, 2, h)
			require.NoError(t, s.Fill(of.fill))
			for range 3 {
				require.NoError(t, s.PutMany(10))
				require.NoError(t, s.Checkpoint())
			}
			require.NoError(t, s.PutMany(of.puts))
			require.NoError(t, s.Sync())
			return fsys, s, h
		}
		fsys, s, h := build()
		last, before := h.Last, fsys.Ops()
		whole := s.Keeper.Take(t.Context(), s.Image())
		require.NoError(t, whole.Err)
		require.Equal(t, of.fill > 1, whole.Base > 0)
		calls, failures := fsys.Ops()-before, 0
		for n := int64(1); n <= calls; n++ {
			fsys, s, h := build()
			at := fsys.Ops() + n
			fsys.SetInjector(func(op vfs.Op) vfs.Fault {
				if op.Kind.Mutates() && op.N == at {
					return vfs.Fault{Err: syscall.EIO}
				}
				return vfs.Fault{}
			})
			out := s.Keeper.Take(t.Context(), s.Image())
			fsys.SetInjector(nil)
			for _, fate := range []vfs.Fate{vfs.AllLost(), vfs.AllKept(), vfs.RandomBlocks(uint64(n), 50)} {
				r, err := recoverytest.Recover(fsys.Clone(fate), recoverytest.Options{})
				require.NoError(t, err, "call %d, %v", n, fate)
				require.Equal(t, h.Digests[last], r.Working.Freeze().Digest())
			}
			if out.Err == nil {
				require.Equal(t, last, out.Seq)
				continue
			}
			failures++
			require.ErrorIs(t, out.Err, syscall.EIO)
			require.EqualValues(t, 31, out.Seq)
			require.EqualValues(t, 31, s.Keeper.Latest().Seq())
			require.NoError(t, s.PutMany(1))
			require.NoError(t, s.Checkpoint())
			require.Equal(t, last+1, s.Keeper.Stats().Seq)
			left := slices.DeleteFunc(files(fsys, "checkpoint-"), func(name string) bool {
				return strings.HasSuffix(name, ".tmp") // for an opening to sweep
			})
			m, _, err := manifest.Load(fsys, recoverytest.Dir)
			require.NoError(t, err)
			require.Len(t, left, len(m.Listed()))
			open(t, fsys.Crash(vfs.AllLost()), 2, h)
		}
		require.Greater(t, failures, 5)
	}
}

// Manifests that vanish under a running store do not matter to it.
func TestCheckpointDoesNotNeedTheManifestOnDisk(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s := open(t, fsys, 3, h)
	for range 2 {
		require.NoError(t, s.PutMany(5))
		require.NoError(t, s.Checkpoint())
	}
	for _, name := range files(fsys, "manifest-") {
		require.NoError(t, fsys.Remove(recoverytest.Dir+"/"+name))
	}
	require.NoError(t, s.PutMany(5))
	require.NoError(t, s.Checkpoint())
	require.Len(t, files(fsys, "checkpoint-"), 3)
	open(t, fsys.Crash(vfs.AllLost()), 3, h)
}

func TestCheckpointOfNothingNewIsNoWork(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s := open(t, fsys, 2, h)
	before := fsys.Ops()
	require.NoError(t, s.Checkpoint())
	require.Equal(t, before, fsys.Ops())
	require.NoError(t, s.PutMany(1))
	require.NoError(t, s.Checkpoint())
	before = fsys.Ops()
	require.NoError(t, s.Checkpoint())
	require.Equal(t, before, fsys.Ops())
	s = open(t, fsys, 2, h)
	before = fsys.Ops()
	require.NoError(t, s.Checkpoint(), "also after an opening")
	require.Equal(t, before, fsys.Ops())
}

func TestEqualImagesGiveEqualFiles(t *testing.T) {
	var contents [2][]byte
	for i := range contents {
		c, fsys := keeper(t, 0, 0)
		require.NoError(t, c.Take(t.Context(), image(3)).Err)
		var err error
		contents[i], err = fsys.ReadFile(recoverytest.Dir + "/" + checkpoint.FileName(3))
		require.NoError(t, err)
	}
	require.Equal(t, contents[0], contents[1])
}

func TestCancelledCheckpointLeavesNothing(t *testing.T) {
	c, fsys := keeper(t, 0, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := c.Take(ctx, image(3))
	require.Equal(t, errs.CodeCanceled, errs.CodeOf(out.Err))
	require.Empty(t, files(fsys, "checkpoint-"))
}

func TestFiguresCanBeReadWhileACheckpointIsTaken(t *testing.T) {
	c, _ := keeper(t, 0, 0)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var last checkpointer.Stats
			for {
				select {
				case <-done:
					return
				default:
				}
				stats := c.Stats()
				require.GreaterOrEqual(t, stats.Seq, last.Seq)
				if image := c.Latest(); image != nil {
					require.GreaterOrEqual(t, image.Seq(), stats.Seq)
				}
				last = stats
			}
		})
	}
	for seq := range uint64(50) {
		require.NoError(t, c.Take(t.Context(), image(seq+1)).Err)
	}
	close(done)
	readers.Wait()
}

// A manifest may be in force although making it durable has failed. The checkpoint that
// it names is not replaced by one that is encrypted anew.
func TestCheckpointOfAManifestThatMayBeInForceStaysAsItIs(t *testing.T) {
	ring, err := keys.NewRing(keys.Key{ID: "k", Secret: make([]byte, keys.MinSecretBytes)})
	require.NoError(t, err)
	o := recoverytest.Options{Kept: 1, Sealing: keys.Sealing{Ring: ring, Encrypt: true}}
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, o, h)
	require.NoError(t, err)
	require.NoError(t, s.PutMany(20))
	manifests, failed := 0, false // how many were begun
	fsys.SetInjector(func(op vfs.Op) (f vfs.Fault) {
		switch {
		case op.Kind == vfs.OpCreate && strings.Contains(op.Name, "manifest-"):
			manifests++
			f.CrashNow = manifests == 2
		case op.Kind == vfs.OpSyncDir && manifests == 1 && !failed:
			failed, f.Err = true, syscall.EIO
		}
		return f
	})
	require.ErrorIs(t, s.Checkpoint(), syscall.EIO)
	require.ErrorIs(t, s.Checkpoint(), vfs.ErrPowerLost)
	for _, fate := range []vfs.Fate{vfs.AllLost(), vfs.AllKept()} {
		s, err := recoverytest.Open(fsys.Clone(fate), o, h)
		require.NoError(t, err, fate)
		require.Empty(t, s.Recovered.Report.RejectedCheckpoints)
	}
}
