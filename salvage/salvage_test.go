package salvage_test

import (
	"context"
	"path"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/salvage"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

func at(fsys vfs.FS, dir string) recovery.Options {
	return recovery.Options{FS: fsys, Dir: dir, Clock: recoverytest.Clock()}
}

// store makes a store of two checkpoints and many segments, in order.
func store(t *testing.T) (*vfs.Mem, *recoverytest.History) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, recoverytest.Options{}, h)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, s.PutMany(10))
		require.NoError(t, s.Checkpoint())
	}
	require.NoError(t, s.PutMany(40))
	require.NoError(t, s.Close())
	return fsys, h
}

func TestEachMissingSegmentCostsTheHistoryBehindItAndNoMore(t *testing.T) {
	numbers, err := func() ([]uint64, error) {
		fsys, _ := store(t)
		return wal.ListSegments(fsys, recoverytest.Dir)
	}()
	require.NoError(t, err)
	for _, number := range numbers {
		fsys, h := store(t)
		require.NoError(t, fsys.Remove(path.Join(recoverytest.Dir, wal.SegmentName(number))))
		rescue, err := salvage.Find(context.Background(), at(fsys, recoverytest.Dir), 0)
		require.NoError(t, err)
		r := rescue.Report
		if r.Whole { // the checkpoint covers it
			require.EqualValues(t, 60, r.Seq)
			continue
		}
		require.Equal(t, r.Seq+1, r.LostFrom)
		require.EqualValues(t, 60, r.LostTo)
		require.NoError(t, fsys.MkdirAll("saved"))
		require.NoError(t, rescue.Save(context.Background(), at(fsys, "saved")))
		found, err := recovery.Examine(context.Background(), at(fsys, "saved"), recovery.Passage{})
		require.NoError(t, err)
		require.Equal(t, h.Digests[r.Seq], found.Image.Digest())
	}
}

// The manifest of a store that was not closed in order does not know of the commits
// behind its newest checkpoint. The log does.
func TestCommitsBehindTheCheckpointThatWasAskedForAreLost(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, recoverytest.Options{}, h)
	require.NoError(t, err)
	require.NoError(t, s.PutMany(10))
	require.NoError(t, s.Checkpoint())
	require.NoError(t, s.PutMany(5))
	for checkpoint, whole := range map[uint64]bool{0: true, 10: false} {
		rescue, err := salvage.Find(context.Background(), at(fsys, recoverytest.Dir), checkpoint)
		require.NoError(t, err)
		require.Equal(t, whole, rescue.Report.Whole)
		if !whole {
			require.EqualValues(t, 10, rescue.Report.Seq)
			require.EqualValues(t, 11, rescue.Report.LostFrom)
			require.EqualValues(t, 15, rescue.Report.LostTo)
			require.NotEmpty(t, rescue.Report.Reason)
		}
	}
	require.NoError(t, s.Close())
}

func TestMarkOfAPermissiveRecoveryIsNotWashedOff(t *testing.T) {
	fsys, _ := store(t)
	_, err := recoverytest.Recover(fsys, recoverytest.Options{Mode: recovery.Permissive})
	require.NoError(t, err)
	rescue, err := salvage.Find(context.Background(), at(fsys, recoverytest.Dir), 0)
	require.NoError(t, err)
	require.NoError(t, fsys.MkdirAll("saved"))
	require.NoError(t, rescue.Save(context.Background(), at(fsys, "saved")))
	_, err = recovery.Open(context.Background(), at(fsys, "saved"))
	require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err))
	require.ErrorContains(t, err, "trust_mode")
}
