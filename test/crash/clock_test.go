package crash

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// Commits are ordered by their seq, whatever the clock of the machine does, and
// what was made under an earlier clock is found again.
func TestAClockThatGoesBackAnHourChangesNoOrder(t *testing.T) {
	for _, p := range setups {
		t.Run(p.name, func(t *testing.T) {
			require.NoError(t, live(func(ctx context.Context) error {
				s := p.on(vfs.NewMem())
				defer func() { _ = s.close(ctx) }()
				if err := s.open(ctx); err != nil {
					return err
				}
				if _, err := s.db.NoAuth().CreateProject(ctx, "bank"); err != nil {
					return err
				}
				last := s.db.Heads().VisibleSeq
				for n := range 20 {
					if n%5 == 4 {
						s.clock.Advance(-time.Hour)
					}
					if n == 12 { // the next life begins in the past
						seq, digest, err := s.digest()
						if err != nil {
							return err
						}
						if _, err := s.db.Flush(ctx); err != nil {
							return err
						}
						s = s.afterPowerLoss(ctx, vfs.AllLost())
						s.clock.Advance(-time.Hour)
						if err := s.open(ctx); err != nil {
							return err
						}
						again, same, err := s.digest()
						if err != nil || again != seq || same != digest {
							return errors.Join(err, errors.New("another state came back"))
						}
					}
					app := s.scope("bank", "app")
					r, err := app.Commit(ctx, app.KvSet(key("k/%d", n), nil))
					if err != nil {
						return err
					}
					require.Equal(t, last+1, r.CommitSeq)
					last = r.CommitSeq
				}
				return s.continues(ctx)
			}))
		})
	}
}

// The time at which a log is replayed, and how often, reaches nothing of the state.
func TestOneLogLeadsToOneStateWheneverItIsReplayed(t *testing.T) {
	steps := fullScript()
	h := model(t, steps)
	for _, p := range setups {
		t.Run(p.name, func(t *testing.T) {
			s := p.on(vfs.NewMem())
			s.logOnly, s.cfg.Checkpoint.OnClose = true, false
			require.NoError(t, live(func(ctx context.Context) error {
				_, err := s.run(ctx, steps)
				return err
			}))
			for _, later := range []time.Duration{0, 90 * 24 * time.Hour, -365 * 24 * time.Hour} {
				next := s.on(s.fs.Clone(vfs.AllKept()))
				next.clock = vfs.NewManualClock(epoch.Add(later), 0)
				next.cfg.Clock = next.clock
				got, _ := reopened(t, next)
				require.Equal(t, recovered{h.last(), h[h.last()]}, got, "replayed %v later", later)
			}
		})
	}
}

// A store that is closed amid traffic is handed over to the one who waits for it:
// never are both at work, and what was answered is there.
func TestAStoreClosedAmidTrafficIsHandedOverWhole(t *testing.T) {
	for _, p := range setups {
		t.Run(p.name, func(t *testing.T) {
			require.NoError(t, live(func(ctx context.Context) error {
				s := p.on(vfs.NewMem())
				if err := s.open(ctx); err != nil {
					return err
				}
				if _, err := s.db.NoAuth().CreateProject(ctx, "bank"); err != nil {
					return err
				}
				app := s.scope("bank", "app")
				const callers = 8
				var answered [callers]int
				busy := make(chan struct{}, callers)
				var running sync.WaitGroup
				for id := range callers {
					running.Go(func() {
						for n := 0; ; n++ {
							if _, err := app.Commit(ctx, app.KvSet(key("of/%d/%d", id, n), nil)); err != nil {
								return
							}
							answered[id] = n + 1
							if n == 10 {
								busy <- struct{}{}
							}
						}
					})
				}
				for range callers {
					<-busy
				}
				next, handed := s.on(s.fs), make(chan error, 1)
				go func() { // ends when it has the store, or with the context
					for {
						err := next.open(ctx)
						if err == nil || !errors.Is(err, aedb.ErrUnavailable) || ctx.Err() != nil {
							handed <- err
							return
						}
					}
				}()
				if err := s.close(ctx); err != nil {
					return err
				}
				running.Wait()
				if err := <-handed; err != nil {
					return err
				}
				defer func() { _ = next.close(ctx) }()
				kv := next.scope("bank", "app").KV()
				for id, n := range answered {
					for i := range n {
						_, found, err := kv.Get(ctx, key("of/%d/%d", id, i))
						if err != nil || !found {
							return errors.Join(err, errIf(true, "answered commit %d of caller %d is gone", i, id))
						}
					}
				}
				return next.sound()
			}))
		})
	}
}
