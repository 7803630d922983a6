package verification_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/verification"
	"github.com/empyrealapp/aedb-go/vfs"
)

// store makes a store of two checkpoints and many segments, in order.
func store(t *testing.T) *vfs.Mem {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, recoverytest.Options{}, h)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, s.PutMany(10))
		require.NoError(t, s.Checkpoint())
	}
	require.NoError(t, s.PutMany(40))
	require.NoError(t, s.Close())
	return fsys
}

func TestVerificationReplaysFromEveryCheckpoint(t *testing.T) {
	fsys := store(t)
	ops := fsys.Ops()
	report, err := verification.Verify(context.Background(), recovery.Options{
		FS: fsys, Dir: recoverytest.Dir, Clock: recoverytest.Clock(),
	})
	require.NoError(t, err)
	require.Equal(t, ops, fsys.Ops(), "a call that changes something")
	require.Len(t, report.Checkpoints, 2)
	for _, c := range report.Checkpoints {
		require.Empty(t, c.Problem)
		require.Equal(t, report.Digest, c.Digest)
	}
	for _, name := range []string{verification.CheckRecovery, verification.CheckManifests, verification.CheckCheckpoints, verification.CheckSegments} {
		check, found := report.Find(name)
		require.True(t, found)
		require.True(t, check.OK, check.Detail)
	}
}
