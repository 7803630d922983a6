package checkpointer_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/vfs"
)

func segments(t *testing.T, fsys vfs.FS) (firstSeq uint64, pins []manifest.Pin) {
	t.Helper()
	m, _, err := manifest.Load(fsys, recoverytest.Dir)
	require.NoError(t, err)
	require.NotEmpty(t, m.Segments)
	return m.Segments[0].FirstSeq, m.Pins
}

// The segments that a pin holds stay on the list and on disk, over crashes, until it
// is taken away.
func TestPinnedLogIsKept(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s := open(t, fsys, 1, h)
	require.NoError(t, s.PutMany(30))
	pin := manifest.Pin{Name: "p", Seq: 20, MaxBytes: 1 << 30}
	s.Keeper.Pin(pin)
	for range 3 {
		for range 3 {
			require.NoError(t, s.PutMany(20))
			require.NoError(t, s.Checkpoint())
		}
		first, pins := segments(t, fsys)
		require.LessOrEqual(t, first, pin.Seq)
		require.Equal(t, []manifest.Pin{pin}, pins)
		fsys = fsys.Crash(vfs.AllLost())
		s = open(t, fsys, 1, h)
	}
	s.Keeper.Unpin("p")
	require.NoError(t, s.PutMany(20))
	require.NoError(t, s.Checkpoint())
	m, _, err := manifest.Load(fsys, recoverytest.Dir)
	require.NoError(t, err)
	require.Empty(t, m.Pins)
	for _, listed := range m.Segments {
		require.Greater(t, listed.LastSeq, pin.Seq)
	}
}
