package crash

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// history is the digest of the state after each commit: entry n is that of
// commit n. The empty store is entry 0.
type history [][32]byte

func (h history) last() uint64 { return uint64(len(h) - 1) }

// run performs steps until one fails, and keeps account of the promises. It
// returns the number of steps that succeeded.
func (s *store) run(ctx context.Context, steps []step) (int, error) {
	for i, st := range steps {
		s.clock.Advance(time.Millisecond)
		err := st.run(ctx, s)
		s.note()
		if err != nil {
			return i, fmt.Errorf("step %d, %s: %w", i, st.name, err)
		}
	}
	return len(steps), nil
}

// record runs the script with nothing in its way, and returns the history.
func record(s *store, steps []step) (history, error) {
	var h history
	err := live(func(ctx context.Context) error {
		for i, st := range steps {
			if _, err := s.run(ctx, steps[i:i+1]); err != nil {
				return err
			}
			if s.db == nil {
				continue
			}
			for seq := uint64(len(h)); seq <= s.promised.visible; seq++ {
				got, digest, err := s.db.Digest(aedb.AtSeq(seq))
				if err != nil || got != seq {
					return fmt.Errorf("after %s: the state at %d: seq %d: %w", st.name, seq, got, err)
				}
				h = append(h, digest)
			}
			if err := s.sound(); err != nil {
				return fmt.Errorf("after %s: %w", st.name, err)
			}
			if seq, digest, err := s.digest(); err != nil || seq != h.last() || digest != h[seq] {
				return fmt.Errorf("after %s: the visible state at %d is not that of commit %d: %w", st.name, seq, h.last(), err)
			}
		}
		return nil
	})
	return h, err
}

// model records the history of a script in full durability on a perfect disk.
func model(t testing.TB, steps []step) history {
	t.Helper()
	h, err := record(newStore(vfs.NewMem(), aedb.Full), steps)
	require.NoError(t, err)
	return h
}

func TestTheHistoryOfTheScriptIsTheSameInEveryModeAndEveryRun(t *testing.T) {
	steps := fullScript()
	want := model(t, steps)
	require.GreaterOrEqual(t, len(steps), 120)
	for _, mode := range modes {
		disk := vfs.NewMem()
		s := newStore(disk, mode)
		got, err := record(s, steps)
		require.NoError(t, err)
		require.Equal(t, want, got, "mode %v", mode)
		t.Logf("%v: %d steps, %d commits, %d operations that write and %d that read, %d files",
			mode, len(steps), want.last(), disk.Ops(), disk.Reads(), len(disk.Names()))
	}
}
