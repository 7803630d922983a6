package checkpointer_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
)

func listed(t require.TestingT, fsys vfs.FS) manifest.Manifest {
	m, _, err := manifest.Load(fsys, recoverytest.Dir)
	require.NoError(t, err)
	return m
}

func TestSmallChangeIsWrittenAsADelta(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s := open(t, fsys, 1, h)
	require.NoError(t, s.Fill(5000))
	require.NoError(t, s.Sync())
	full := s.Keeper.Take(t.Context(), s.Image())
	require.NoError(t, full.Err)
	require.Zero(t, full.Base)
	require.EqualValues(t, 5000, full.Entries)

	require.NoError(t, s.PutMany(3))
	require.NoError(t, s.Commit(func(w *state.Working) {
		w.Delete(recoverytest.FirstSpace, []byte("fill-000007"))
		w.Put(recoverytest.FirstSpace, []byte("fill-000008"), nil)
	}))
	require.NoError(t, s.Sync())
	delta := s.Keeper.Take(t.Context(), s.Image())
	require.NoError(t, delta.Err)
	require.EqualValues(t, 1, delta.Base)
	require.EqualValues(t, 5, delta.Entries)
	require.Less(t, delta.Bytes, full.Bytes/10)

	// Also behind an opening, which has to leave the two images in common what they
	// have in common.
	for range 3 {
		s = open(t, fsys, 1, h)
		require.NoError(t, s.PutMany(1))
		require.NoError(t, s.Sync())
		out := s.Keeper.Take(t.Context(), s.Image())
		require.NoError(t, out.Err)
		require.NotZero(t, out.Base)
		require.EqualValues(t, 1, out.Entries)
	}
	m := listed(t, fsys)
	require.Len(t, m.Checkpoints, 1)
	require.Len(t, m.Bases, 4)
	open(t, fsys.Crash(vfs.AllLost()), 1, h)
}

// Whatever happens between two checkpoints, the chain holds the state; and neither
// what a recovery reads nor the number of its files grows without a bound.
func TestChainOfAnyHistoryHoldsTheState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fsys, h := vfs.NewMem(), recoverytest.NewHistory()
		kept := rapid.IntRange(1, 3).Draw(t, "kept")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		s, err := recoverytest.Open(fsys, recoverytest.Options{Kept: kept}, h)
		require.NoError(t, err)
		require.NoError(t, s.Fill(rapid.SampledFrom([]int{10, 100, 300}).Draw(t, "fill")))
		for range rapid.IntRange(1, 25).Draw(t, "checkpoints") {
			for range rng.IntN(6) {
				require.NoError(t, s.Random(rng))
			}
			require.NoError(t, s.Checkpoint())
			if rng.IntN(4) == 0 {
				if s, err = recoverytest.Open(fsys, recoverytest.Options{Kept: kept}, h); err != nil {
					t.Fatalf("open: %v", err)
				}
			}
			m := listed(t, fsys)
			newest := m.Checkpoints[len(m.Checkpoints)-1]
			chain, deltas := m.Chain(newest), int64(0)
			for _, c := range chain[1:] {
				deltas += c.RawBytes
			}
			base := chain[0].RawBytes
			if base == 0 { // of a file without entries it is its own size that counts
				base = chain[0].Size
			}
			require.LessOrEqual(t, deltas, base/2)
			_, err := recoverytest.Recover(fsys.Clone(vfs.AllLost()), recoverytest.Options{})
			require.NoError(t, err)
		}
		_, err = recoverytest.Open(fsys.Crash(vfs.AllLost()), recoverytest.Options{Kept: kept}, h)
		require.NoError(t, err)
	})
}

func TestChainIsCutAtItsGreatestLength(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s := open(t, fsys, 2, h)
	require.NoError(t, s.Fill(5000))
	longest, fulls := 0, 0
	for range 70 {
		require.NoError(t, s.PutMany(1))
		require.NoError(t, s.Checkpoint())
		m := listed(t, fsys)
		newest := m.Checkpoints[len(m.Checkpoints)-1]
		longest = max(longest, len(m.Chain(newest)))
		if newest.Base == 0 {
			fulls++
		}
	}
	require.Equal(t, 33, longest)
	require.Equal(t, 3, fulls)
	require.LessOrEqual(t, len(files(fsys, "checkpoint-")), longest+1, "chains that are not needed are gone")
}

// A delta that cannot be read is passed over like any checkpoint, and so is one that
// builds on what cannot be read.
func TestDamageInAChainFallsBackToWhatIsWhole(t *testing.T) {
	build := func() (*vfs.Mem, *recoverytest.History, manifest.Manifest) {
		fsys, h := vfs.NewMem(), recoverytest.NewHistory()
		s := open(t, fsys, 3, h)
		require.NoError(t, s.Fill(500))
		for range 5 {
			require.NoError(t, s.Checkpoint())
			require.NoError(t, s.PutMany(2))
		}
		require.NoError(t, s.Sync())
		return fsys, h, listed(t, fsys)
	}
	_, _, m := build()
	require.Len(t, m.Bases, 2)
	for i, c := range m.Listed() {
		for _, spoil := range []func([]byte) []byte{nil, func(b []byte) []byte { b[70] ^= 1; return b }, func(b []byte) []byte { return b[:len(b)-3] }} {
			fsys, h, _ := build()
			name := path.Join(recoverytest.Dir, c.File)
			if spoil == nil {
				require.NoError(t, fsys.Remove(name))
			} else {
				data, err := fsys.ReadFile(name)
				require.NoError(t, err)
				require.NoError(t, fsys.WriteFile(name, spoil(data)))
			}
			r, err := recoverytest.Recover(fsys, recoverytest.Options{})
			if i <= 2 { // all that are retained build on it
				require.Error(t, err)
				require.Contains(t, err.Error(), c.File)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, h.Digests[h.Last], r.Working.Freeze().Digest())
			require.Equal(t, m.Listed()[i-1].Seq, r.Report.CheckpointSeq)
			require.Len(t, r.Report.RejectedCheckpoints, len(m.Listed())-i)
			s, err := recoverytest.Open(fsys, recoverytest.Options{Kept: 3}, h)
			require.NoError(t, err, "what was recovered is the base of the next")
			require.NoError(t, s.PutMany(1))
			require.NoError(t, s.Checkpoint())
			open(t, fsys.Crash(vfs.AllLost()), 3, h)
		}
	}
}

// The first checkpoint stands for the whole log, which goes at once: in either
// generation of the manifest nothing needs it any more.
func TestFirstCheckpointReleasesTheLogBelowIt(t *testing.T) {
	build := func() (*vfs.Mem, *recoverytest.Store, *recoverytest.History) {
		fsys, h := vfs.NewMem(), recoverytest.NewHistory()
		s := open(t, fsys, 2, h)
		require.NoError(t, s.PutMany(40))
		require.NoError(t, s.Sync())
		return fsys, s, h
	}
	fsys, s, h := build()
	before, segments := fsys.Ops(), len(files(fsys, "wal-"))
	require.Greater(t, segments, 3)
	out := s.Keeper.Take(t.Context(), s.Image())
	require.NoError(t, out.Err)
	require.Equal(t, segments-1, out.SegmentsRemoved)
	require.Len(t, files(fsys, "wal-"), 1)
	calls := fsys.Ops() - before
	open(t, fsys.Clone(vfs.AllLost()), 2, h)

	for n := int64(1); n <= calls; n++ {
		for _, crash := range []bool{true, false} {
			fsys, s, h := build()
			at := fsys.Ops() + n
			fsys.SetInjector(func(op vfs.Op) vfs.Fault {
				if !op.Kind.Mutates() || op.N != at {
					return vfs.Fault{}
				}
				if crash {
					return vfs.Fault{CrashNow: true}
				}
				return vfs.Fault{Err: syscall.EIO}
			})
			out := s.Keeper.Take(t.Context(), s.Image())
			if !crash {
				fsys.SetInjector(nil)
			}
			for _, fate := range []vfs.Fate{vfs.AllLost(), vfs.AllKept(), vfs.RandomBlocks(uint64(n), 50)} {
				left := fsys.Clone(fate)
				r, err := recoverytest.Recover(left, recoverytest.Options{})
				require.NoError(t, err, "call %d, crash %v, %v: %v", n, crash, fate, out.Err)
				require.Equal(t, h.Digests[40], r.Working.Freeze().Digest())
			}
			if crash {
				continue
			}
			require.NoError(t, s.PutMany(10))
			require.NoError(t, s.Checkpoint())
			open(t, fsys.Crash(vfs.AllLost()), 2, h)
		}
	}
}

// A checkpoint that is about to stand for the whole log is read once more: bytes
// that were not written as they should have been must not be found out later.
func TestFirstCheckpointIsReadBeforeTheLogGoes(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s := open(t, fsys, 2, h)
	require.NoError(t, s.PutMany(40))
	require.NoError(t, s.Sync())
	unreadable := errors.New("unreadable")
	fsys.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpRead && path.Base(op.Name) == checkpoint.FileName(40) {
			return vfs.Fault{Err: unreadable}
		}
		return vfs.Fault{}
	})
	out := s.Keeper.Take(t.Context(), s.Image())
	require.ErrorIs(t, out.Err, unreadable)
	fsys.SetInjector(nil)
	require.Empty(t, listed(t, fsys).Checkpoints)
	open(t, fsys.Crash(vfs.AllLost()), 2, h)
	require.EqualValues(t, 40, h.Last)
}

func TestProgressIsToldWhileACheckpointIsTaken(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s := open(t, fsys, 2, h)
	require.NoError(t, s.Fill(20_000))
	require.NoError(t, s.Sync())
	var seen []string
	fsys.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpWrite && path.Ext(op.Name) == ".tmp" {
			stats := s.Keeper.Stats()
			seen = append(seen, fmt.Sprintf("%v %d", stats.Written > 0, stats.Total))
		}
		return vfs.Fault{}
	})
	require.NoError(t, s.Checkpoint())
	require.Contains(t, seen, "true 20000")
	require.Zero(t, s.Keeper.Stats().Total)
}
