package pipeline

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// carried returns how many syncs callers have carried out themselves.
func carried(s *store) uint64 {
	for _, stats := range s.system.Stats() {
		if stats.Name == "fsyncer" {
			return stats.Carried
		}
	}
	return 0
}

func TestLoneCallerCarriesItsSyncIfNothingElseEndsItsWait(t *testing.T) {
	ending, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, c := range []struct {
		name string
		mode Durability
		ctx  context.Context
		want uint64
	}{
		{"full, a context that cannot end", Full, context.Background(), 1},
		{"full, one that can", Full, ending, 0},
		{"batch", Batch, context.Background(), 0},
		{"os_buffered", OsBuffered, context.Background(), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, vfs.NewMem(), storeDir, config(c.mode))
			before := carried(s)
			r, err := s.prepare(set("k", "v"))
			require.NoError(t, err)
			ticket, err := s.Carry(c.ctx, r)
			require.NoError(t, err)
			result, err := ticket.Wait(c.ctx)
			require.NoError(t, err)
			require.Equal(t, c.want, carried(s)-before)
			if c.mode == Full {
				require.Equal(t, result.CommitSeq, result.DurableSeq)
			}
		})
	}
}

func TestWaitForASlowSyncEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		mem := vfs.NewMem()
		s := open(t, mem, storeDir, config(Full))
		mem.SetInjector(func(op vfs.Op) vfs.Fault {
			if op.Kind == vfs.OpSync {
				<-slow
			}
			return vfs.Fault{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := s.prepare(set("k", "v"))
		require.NoError(t, err)
		ticket, err := s.Carry(ctx, r)
		require.NoError(t, err)
		_, err = ticket.Wait(ctx)
		require.ErrorIs(t, err, errs.ErrOutcomeUnknown)
		close(slow)
		_, err = ticket.Wait(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.Stop(t.Context()))
	})
}

func TestCarriedSyncThatFailsIsABreakdown(t *testing.T) {
	mem := vfs.NewMem()
	s := open(t, mem, storeDir, config(Full))
	failAt(mem, vfs.OpSync, 1, vfs.Fault{Err: syscall.EIO})
	_, err := s.commit(set("k", "v"))
	require.ErrorIs(t, err, errs.ErrIndeterminate)
	require.ErrorIs(t, s.Cause(), syscall.EIO)
	require.Empty(t, get(t, s.Heads().Visible(), "k"))
	broken(t, s)
}
