package crash

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/vfs"
)

// reopened opens what is on a disk and returns its state and how it came about.
func reopened(t *testing.T, s *store) (r recovered, fromCheckpoint bool) {
	t.Helper()
	require.NoError(t, live(func(ctx context.Context) error {
		if err := s.open(ctx); err != nil {
			return err
		}
		var err error
		r.seq, r.digest, err = s.digest()
		require.NoError(t, err)
		fromCheckpoint = s.db.Recovery().CheckpointFile != ""
		require.NoError(t, s.sound())
		return s.close(ctx)
	}))
	return r, fromCheckpoint
}

// The same history leads to the same bytes whether a recovery replays all of the
// log, or loads a checkpoint and replays the rest.
func TestTheLogAloneAndACheckpointWithItsTailRecoverTheSameState(t *testing.T) {
	steps := fullScript()
	h := model(t, steps)
	want := recovered{h.last(), h[h.last()]}
	for _, p := range setups[:3] {
		t.Run(p.name, func(t *testing.T) {
			log, tail := p.on(vfs.NewMem()), p.on(vfs.NewMem())
			log.logOnly, log.cfg.Checkpoint.OnClose = true, false
			for _, s := range []*store{log, tail} {
				require.NoError(t, live(func(ctx context.Context) error {
					_, err := s.run(ctx, steps)
					return err
				}))
			}
			got, fromCheckpoint := reopened(t, log)
			require.Equal(t, want, got)
			require.False(t, fromCheckpoint)
			got, fromCheckpoint = reopened(t, tail)
			require.Equal(t, want, got)
			require.True(t, fromCheckpoint)
		})
	}
}

// Every state that a reader could see before the power was lost is the one that
// is there afterwards, if it was durable.
func TestTheStateAfterACrashIsTheStateBeforeIt(t *testing.T) {
	steps := fullScript()
	h := model(t, steps)
	for _, p := range setups {
		t.Run(p.name, func(t *testing.T) {
			s := p.on(vfs.NewMem())
			require.NoError(t, live(func(ctx context.Context) error {
				for i := range steps {
					if _, err := s.run(ctx, steps[i:i+1]); err != nil || s.db == nil {
						return err
					}
					if i%10 != 0 {
						continue
					}
					if _, err := s.db.Flush(ctx); err != nil {
						return err
					}
					seq, digest, err := s.digest()
					require.NoError(t, err)
					require.Equal(t, h[seq], digest, "before the crash, at commit %d", seq)
					got, _ := reopened(t, s.on(s.fs.Clone(vfs.AllLost())))
					require.Equal(t, recovered{seq, digest}, got)
				}
				return nil
			}))
		})
	}
}
