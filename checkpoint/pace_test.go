package checkpoint_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/vfs"
)

// The disk never owes much of a checkpoint, so that no sync of the log has to wait
// for all of one.
func TestCheckpointIsSyncedInPieces(t *testing.T) {
	for _, concurrency := range []int{1, 3} {
		mem := newDir(t)
		var owed, most int64
		mem.SetInjector(func(op vfs.Op) vfs.Fault {
			switch op.Kind {
			case vfs.OpWrite:
				owed += op.Size
				most = max(most, owed)
			case vfs.OpSync:
				owed = 0
			}
			return vfs.Fault{}
		})
		info, _ := write(t, mem, concurrency, manyEntries(200_000))
		require.Greater(t, info.Size, int64(10<<20))
		require.Less(t, most, int64(2<<20))
		require.Zero(t, owed)
	}
}
