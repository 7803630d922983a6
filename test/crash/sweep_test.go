package crash

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// setup is a way to run the script.
type setup struct {
	name string
	mode aedb.Durability
	tune func(*store)
	// sparse makes the short forms of a sweep visit so many times fewer points; 0
	// stands for 1.
	sparse int64
}

var setups = []setup{
	{name: "full", mode: aedb.Full},
	{name: "batch", mode: aedb.Batch},
	{name: "os_buffered", mode: aedb.OsBuffered},
	// Checkpoints that nobody asked for come between commits, not between steps.
	{name: "full, with checkpoints by size", mode: aedb.Full, tune: checkpointsBySize},
	{name: "batch, with checkpoints by size", mode: aedb.Batch, tune: checkpointsBySize},
	{name: "full, encrypted", mode: aedb.Full, tune: encrypted, sparse: 3},
	{name: "batch, authenticated", mode: aedb.Batch, tune: authenticated, sparse: 5},
	{name: "full, keys adopted and replaced", mode: aedb.Full, tune: adopted, sparse: 5},
	{name: "batch, encrypted, keys replaced", mode: aedb.Batch, tune: rotated, sparse: 5},
}

func checkpointsBySize(s *store) { s.cfg.Checkpoint.WALBytes = 4 << 10 }

// on returns the store that the setup describes.
func (p setup) on(disk *vfs.Mem) *store {
	s := newStore(disk, p.mode)
	if p.tune != nil {
		p.tune(s)
	}
	return s
}

// crashAt makes a disk lose its power at its n-th operation that changes
// something, and remembers which that is.
func crashAt(disk *vfs.Mem, n int64) *atomic.Pointer[vfs.Op] {
	var hit atomic.Pointer[vfs.Op]
	disk.SetInjector(func(op vfs.Op) vfs.Fault {
		if !op.Kind.Mutates() || op.N != n {
			return vfs.Fault{}
		}
		hit.Store(&op)
		return vfs.Fault{CrashNow: true}
	})
	return &hit
}

func describe(op *vfs.Op) string {
	return fmt.Sprintf("operation %d (%v %s, offset %d, %d bytes)", op.N, op.Kind, op.Name, op.Offset, op.Size)
}

// runUntilCrash runs the script on a disk that loses its power at operation n.
// It returns the dead store and the operation, which is nil if the script ended
// before.
func runUntilCrash(p setup, n int64, steps []step) (*store, *vfs.Op, error) {
	disk := vfs.NewMem()
	hit := crashAt(disk, n)
	s := p.on(disk)
	err := live(func(ctx context.Context) error {
		_, err := s.run(ctx, steps)
		op := hit.Load()
		switch {
		case op == nil && err != nil:
			return fmt.Errorf("%s: the script failed without a crash: %w", p.name, err)
		case op != nil && err != nil:
			if vague := unclear(err); vague != nil {
				return fmt.Errorf("%s: power lost at %s: %w", p.name, describe(op), vague)
			}
		}
		_ = s.close(ctx) // only to end its goroutines: its disk is gone
		return nil
	})
	return s, hit.Load(), err
}

func TestAPowerLossAtAnyOperationLosesNothingThatWasPromised(t *testing.T) {
	seed := baseSeed(t)
	steps := fullScript()
	h := model(t, steps)
	for _, p := range setups {
		t.Run(p.name, func(t *testing.T) {
			began := time.Now()
			var points, recoveries atomic.Int64
			sweep(t, sized(1, 8*max(1, p.sparse), 20*max(1, p.sparse)), func(n int64) (bool, error) {
				s, op, err := runUntilCrash(p, n, steps)
				if op == nil || err != nil {
					return op != nil, err
				}
				points.Add(1)
				for _, f := range fates(seed*1_000_003 + uint64(n)) {
					if err := h.survives(s, s.promised, f); err != nil {
						return true, fmt.Errorf("%s: power lost at %s, %s (%v): %w", p.name, describe(op), f.name, f.fate, err)
					}
					recoveries.Add(2)
				}
				return true, nil
			})
			t.Logf("%d crash points, %d recoveries in %v", points.Load(), recoveries.Load(), time.Since(began).Round(time.Millisecond))
		})
	}
}

func TestAPowerLossDuringTheRecoveryFromAPowerLossLosesNothingEither(t *testing.T) {
	seed := baseSeed(t)
	steps := fullScript()
	h := model(t, steps)
	for _, p := range setups {
		t.Run(p.name, func(t *testing.T) {
			began := time.Now()
			var points, recoveries atomic.Int64
			sweep(t, sized(5, 97, 149), func(n int64) (bool, error) {
				s, op, err := runUntilCrash(p, n, steps)
				if op == nil || err != nil {
					return op != nil, err
				}
				points.Add(1)
				all := fates(seed*1_000_003 + uint64(n))
				for i := range sized(int64(len(all)), 2, 1) { // others at the next point
					first := all[(n+3*i)%int64(len(all))]
					tried, err := h.survivesTwice(s, first)
					recoveries.Add(tried)
					if err != nil {
						return true, fmt.Errorf("%s: power lost at %s, %s (%v): %w", p.name, describe(op), first.name, first.fate, err)
					}
				}
				return true, nil
			})
			t.Logf("%d crash points, %d recoveries in %v", points.Load(), recoveries.Load(), time.Since(began).Round(time.Millisecond))
		})
	}
}

// survivesTwice recovers from a power loss, loses power again at every operation
// of that recovery, and checks what the next one finds. It returns how many
// recoveries that were.
func (h history) survivesTwice(s *store, first namedFate) (recoveries int64, err error) {
	found := s.fs.Clone(first.fate)
	for n := int64(1); ; n++ {
		next := s.on(found.Clone(vfs.AllKept()))
		next.cfg.Checkpoint.OnClose = false // the opening is what is tried here
		hit := crashAt(next.fs, n)
		err := live(func(ctx context.Context) error {
			if err := next.open(ctx); err != nil && hit.Load() == nil {
				return err
			}
			next.note()
			_ = next.close(ctx) // its disk may be gone
			return nil
		})
		op := hit.Load()
		if err != nil || op == nil {
			return recoveries, err
		}
		p := s.promised
		p.durable = max(p.durable, next.promised.durable)
		for _, second := range []namedFate{
			{name: "all lost", fate: vfs.AllLost()},
			{name: "all kept", fate: vfs.AllKept(), keepsAll: first.keepsAll},
			{name: "random parts", fate: vfs.RandomBlocks(uint64(n), 50)},
		} {
			if err := h.survives(next, p, second); err != nil {
				return recoveries, fmt.Errorf("then at %s, %s: %w", describe(op), second.name, err)
			}
			recoveries += 2
		}
	}
}
