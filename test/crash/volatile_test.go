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

// volatileCommits is how many commits of each kind volatileLife makes.
const volatileCommits = 24

// volatileLife makes a commit that is logged and one that is not in turn, under a
// number each, and a checkpoint after every eight. It returns the greatest number
// that was acknowledged, and the greatest that a checkpoint was told to hold.
func volatileLife(ctx context.Context, s *store) (acked, held int, err error) {
	if err := s.open(ctx); err != nil {
		return 0, 0, err
	}
	if _, err := s.db.NoAuth().CreateProject(ctx, "bank"); err != nil {
		return 0, 0, err
	}
	app := s.scope("bank", "app")
	for n := 1; n <= volatileCommits; n++ {
		if _, err := app.CommitEnvelope(ctx, aedb.Envelope{
			Mutations: one(app.KvSet(key("logged/%02d", n), filler(300, uint32(n)))),
		}, aedb.Durable); err != nil {
			return acked, held, err
		}
		if _, err := app.CommitEnvelope(ctx, aedb.Envelope{
			WriteClass: aedb.Volatile, Mutations: one(app.KvSet(key("volatile/%02d", n), filler(300, uint32(n)))),
		}, aedb.Visible); err != nil {
			return acked, held, err
		}
		acked = n
		if n%8 == 0 {
			if _, err := s.db.Checkpoint(ctx); err != nil {
				return acked, held, err
			}
			held = n
		}
	}
	return acked, held, s.close(ctx)
}

// volatileSurvived checks what a power loss has left: all that was durable, and of
// the volatile commits those that a checkpoint has seen, from the first on.
func volatileSurvived(ctx context.Context, s *store, acked, held int) error {
	defer func() { _ = s.close(ctx) }() // a failed check leaves it open
	if err := s.open(ctx); err != nil {
		return fmt.Errorf("strict open: %w", err)
	}
	kv, gap := s.scope("bank", "app").KV(), 0
	for n := 1; n <= acked; n++ {
		if _, found, err := kv.Get(ctx, key("logged/%02d", n)); err != nil || !found {
			return fmt.Errorf("durable commit %d of %d is gone: %w", n, acked, err)
		}
		_, found, err := kv.Get(ctx, key("volatile/%02d", n))
		switch {
		case err != nil:
			return err
		case !found && n <= held:
			return fmt.Errorf("volatile commit %d is gone, and a checkpoint held %d", n, held)
		case found && gap > 0:
			return fmt.Errorf("volatile commit %d is there, and %d is not", n, gap)
		case !found && gap == 0:
			gap = n
		}
	}
	if err := s.sound(); err != nil {
		return err
	}
	return s.continues(ctx)
}

func TestAPowerLossAmidVolatileCommitsTakesNoneBelowACheckpoint(t *testing.T) {
	seed := baseSeed(t)
	for _, p := range setups {
		t.Run(p.name, func(t *testing.T) {
			began := time.Now()
			var points, recoveries atomic.Int64
			sweep(t, stride(7*max(1, p.sparse), 23*max(1, p.sparse)), func(n int64) (bool, error) {
				s := p.on(vfs.NewMem())
				hit := crashAt(s.fs, n)
				more := true
				err := live(func(ctx context.Context) error {
					acked, held, err := volatileLife(ctx, s)
					_ = s.close(ctx) // its disk may be gone
					op := hit.Load()
					if op == nil {
						more = false
						return err
					}
					points.Add(1)
					for _, f := range fates(seed*1_000_003 + uint64(n)) {
						if err := volatileSurvived(ctx, s.on(s.fs.Clone(f.fate)), acked, held); err != nil {
							return fmt.Errorf("power lost at %s, %s (%v): %w", describe(op), f.name, f.fate, err)
						}
						recoveries.Add(2)
					}
					return nil
				})
				return more, err
			})
			t.Logf("%d crash points, %d recoveries in %v", points.Load(), recoveries.Load(), time.Since(began).Round(time.Millisecond))
		})
	}
}
