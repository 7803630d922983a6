package crash

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/vfs"
)

// peak returns about how many bytes the script needs on its disk.
func peak(t *testing.T, p setup, steps []step) int64 {
	t.Helper()
	const roomy = 1 << 30
	s := p.on(vfs.NewMem())
	s.fs.SetCapacity(roomy)
	used := int64(0)
	require.NoError(t, live(func(ctx context.Context) error {
		for i := range steps {
			if _, err := s.run(ctx, steps[i:i+1]); err != nil {
				return err
			}
			free, err := s.fs.Free(dir)
			if err != nil {
				return err
			}
			used = max(used, roomy-free)
		}
		return nil
	}))
	return used
}

// fullDisk is a disk that has no room beyond its capacity until it is relieved.
func fullDisk(disk *vfs.Mem, capacity int64) *trouble {
	disk.SetCapacity(capacity)
	return &trouble{
		happened: func() string { return fmt.Sprintf("the disk has %d bytes", capacity) },
		mayBreak: func() bool { return true },
		relieve: func(ctx context.Context, s *store) error {
			defer disk.SetCapacity(0)
			return s.openWhileFull(ctx)
		},
	}
}

// openWhileFull opens the store while the disk is still full: that may fail, but
// clearly, and must do no harm.
func (s *store) openWhileFull(ctx context.Context) error {
	again := s.on(s.fs)
	err := again.open(ctx)
	if err == nil {
		err = again.close(ctx)
	}
	if err != nil {
		return unclear(err)
	}
	return nil
}

func TestADiskThatFillsUpLosesNothingAndCanBeRelieved(t *testing.T) {
	steps := fullScript()
	h := model(t, steps)
	for _, p := range setups {
		t.Run(p.name, func(t *testing.T) {
			began := time.Now()
			const grain = 97
			most := peak(t, p, steps)
			var runs atomic.Int64
			sweep(t, stride(34, 170), func(n int64) (bool, error) {
				capacity := n * grain
				s := p.on(vfs.NewMem())
				if err := h.endure(s, steps, fullDisk(s.fs, capacity)); err != nil {
					return true, fmt.Errorf("%s: a disk of %d bytes: %w", p.name, capacity, err)
				}
				runs.Add(1)
				return capacity < most, nil
			})
			t.Logf("%d capacities up to %d bytes in %v", runs.Load(), most, time.Since(began).Round(time.Millisecond))
		})
	}
}
