package recovery_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// examine fails the test if an examination does more than to list and read.
func examine(t *testing.T, fsys *vfs.Mem, mode recovery.Mode, p recovery.Passage) (*recovery.Examination, error) {
	t.Helper()
	ops, before := fsys.Ops(), content(fsys)
	found, err := recovery.Examine(context.Background(), recovery.Options{
		FS: fsys, Dir: recoverytest.Dir, Mode: mode, Parallelism: 2, Clock: recoverytest.Clock(),
	}, p)
	require.Equal(t, ops, fsys.Ops(), "a call that changes something")
	require.Equal(t, before, content(fsys))
	return found, err
}

func TestExaminationReachesEveryCommitFromEveryCheckpoint(t *testing.T) {
	fsys, h := fixture(t)
	for _, base := range []uint64{10, 20} {
		for until := base; until <= 60; until += 5 {
			found, err := examine(t, fsys, recovery.Strict, recovery.Passage{Checkpoint: base, Until: until})
			require.NoError(t, err)
			require.Equal(t, base, found.Report.CheckpointSeq)
			require.Equal(t, until, found.Image.Seq())
			require.Equal(t, h.Digests[until], found.Image.Digest())
		}
	}
	found, err := examine(t, fsys, recovery.Strict, recovery.Passage{})
	require.NoError(t, err)
	require.Equal(t, h.Digests[60], found.Image.Digest())
	require.Nil(t, found.Report.Dropped)
}

func TestExaminationForeseesWhatAPermissiveOpeningDrops(t *testing.T) {
	fsys, _, m := sealed(t)
	broken := m.Segments[1]
	remove(t, fsys, wal.SegmentName(broken.Number))
	_, err := examine(t, fsys, recovery.Strict, recovery.Passage{})
	require.Equal(t, errs.CodeRecoveryIntegrity, errs.CodeOf(err))
	found, err := examine(t, fsys, recovery.Permissive, recovery.Passage{})
	require.NoError(t, err)
	r, err := recoverytest.Recover(fsys, recoverytest.Options{Mode: recovery.Permissive})
	require.NoError(t, err)
	require.Equal(t, r.Working.Freeze().Digest(), found.Image.Digest())
	require.Equal(t, r.Report.Dropped.Files, found.Report.Dropped.Files)
	require.Equal(t, r.Report.Dropped.Bytes, found.Report.Dropped.Bytes)
	require.Equal(t, r.Report.Dropped.FromSeq, found.Report.Dropped.FromSeq)
}

func TestExaminationEndsWhereASealedSegmentChangesThoughOpeningRefuses(t *testing.T) {
	fsys, h, m := sealed(t)
	changed := m.Segments[2]
	edit(t, fsys, wal.SegmentName(changed.Number), flip(int(changed.Size)-2))
	refused(t, fsys, recovery.Permissive, errs.CodeRecoveryIntegrity)
	found, err := examine(t, fsys, recovery.Permissive, recovery.Passage{})
	require.NoError(t, err)
	seq := found.Image.Seq()
	require.GreaterOrEqual(t, seq, changed.FirstSeq-1)
	require.Less(t, seq, changed.LastSeq)
	require.Equal(t, h.Digests[seq], found.Image.Digest())
	require.Equal(t, seq+1, found.Report.Dropped.FromSeq)
	require.Contains(t, found.Report.Dropped.Reason.Error(), string(recovery.KindChecksumMismatch))
}

func TestCreatedStoreIsTheImageUnderANewIdentity(t *testing.T) {
	fsys, h := fixture(t)
	found, err := examine(t, fsys, recovery.Strict, recovery.Passage{})
	require.NoError(t, err)
	to := recovery.Options{FS: vfs.NewMem(), Dir: recoverytest.Dir, Clock: recoverytest.Clock()}
	require.NoError(t, to.FS.MkdirAll(to.Dir))
	m, err := recovery.Create(context.Background(), to, found.Image, false)
	require.NoError(t, err)
	require.NotEqual(t, found.Manifest.Incarnation, m.Incarnation)
	r, err := recovery.Open(context.Background(), to)
	require.NoError(t, err)
	require.Equal(t, h.Digests[60], r.Working.Freeze().Digest())
	names, err := to.FS.List(to.Dir)
	require.NoError(t, err)
	for _, name := range names {
		require.False(t, strings.HasSuffix(name, ".tmp"))
	}
}
