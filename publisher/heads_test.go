package publisher

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

func TestReadersNeverSeeTheHeadsCross(t *testing.T) {
	for name, rule := range map[string]Rule{"full": {SyncFirst: true}, "batch": {Images: 4}} {
		t.Run(name, func(t *testing.T) {
			chain := newChain()
			heads, history := NewHeads(chain.image), NewHistory(chain.image.Moment(), 100, 1<<20)
			p := New(rule, 0)
			done := make(chan struct{})
			var readers sync.WaitGroup
			for range 4 {
				readers.Go(func() {
					var lastDurable, lastVisible uint64
					for {
						image := heads.DurableImage().Seq()
						durable := heads.Durable()
						behind := heads.DurableImage()
						visible := heads.Visible().Seq()
						switch {
						case image > durable, durable > visible, durable < lastDurable, visible < lastVisible:
							t.Errorf("image %d, durable %d after %d, visible %d after %d", image, durable, lastDurable, visible, lastVisible)
							return
						case rule.SyncFirst && behind.Seq() < durable:
							t.Errorf("the durable head moved to %d before its image, at %d", durable, behind.Seq())
							return
						}
						lastDurable, lastVisible = durable, visible
						select {
						case <-done:
							return
						default:
						}
					}
				})
			}
			for i := range 2000 {
				e := chain.epoch(1)
				m := written(e)
				if rule.SyncFirst || i%5 == 0 {
					m.Durable = e.LastSeq()
				}
				heads.Publish(p.Step([]*msgs.Publication{m}), history)
			}
			close(done)
			readers.Wait()
		})
	}
}

// Where many epochs are published at once, as by one sync, who looks at each state that
// is published is still one who reads regularly.
func TestWhoLooksAtEachPublishedStateIsExpected(t *testing.T) {
	chain := newChain()
	heads, history := NewHeads(chain.image), NewHistory(chain.image.Moment(), 100, 1<<20)
	p := New(Rule{SyncFirst: true}, 0)
	publish := func() {
		var epochs []*msgs.Epoch
		for range 2 * attention {
			epochs = append(epochs, chain.epoch(1))
		}
		heads.Publish(p.Step([]*msgs.Publication{synced(epochs[len(epochs)-1].LastSeq(), epochs...)}), history)
	}
	for range 3 {
		heads.Visible()
		publish()
		require.True(t, heads.Watched())
	}
	for range attention {
		publish()
	}
	require.False(t, heads.Watched())
}

// publishTo moves the durable head.
func publishTo(h *Heads, seq uint64) { h.Publish(Release{Durable: seq}, nil) }

func TestWaitForADurableCommit(t *testing.T) {
	ctx := context.Background()
	t.Run("that is durable does not wait", func(t *testing.T) {
		h := NewHeads(newChain().image)
		publishTo(h, 5)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		require.NoError(t, h.WaitDurable(ended, 5))
	})
	t.Run("ends with the sync that covers it, not before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := NewHeads(newChain().image)
			ended := map[uint64]bool{}
			var mu sync.Mutex
			for _, seq := range []uint64{3, 5, 6} {
				go func() {
					err := h.WaitDurable(t.Context(), seq)
					mu.Lock()
					defer mu.Unlock()
					ended[seq] = err == nil
				}()
			}
			synctest.Wait()
			require.Empty(t, ended)
			publishTo(h, 5)
			synctest.Wait()
			require.Equal(t, map[uint64]bool{3: true, 5: true}, ended)
			require.Len(t, h.waiters, 1)
			publishTo(h, 6)
			synctest.Wait()
			require.Len(t, ended, 3)
		})
	})
	t.Run("is abandoned with its context, and forgotten", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := NewHeads(newChain().image)
			ctx, cancel := context.WithCancel(t.Context())
			failed := make(chan error, 1)
			go func() { failed <- h.WaitDurable(ctx, 5) }()
			synctest.Wait()
			require.Len(t, h.waiters, 1)
			cancel()
			err := <-failed
			require.ErrorIs(t, err, errs.ErrOutcomeUnknown)
			require.ErrorIs(t, err, context.Canceled)
			require.Empty(t, h.waiters)
		})
	})
	t.Run("fails when the log does, now and later", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := NewHeads(newChain().image)
			publishTo(h, 4)
			failed := make(chan error, 1)
			go func() { failed <- h.WaitDurable(t.Context(), 5) }()
			synctest.Wait()
			cause := errors.New("disk on fire")
			h.Fail(cause)
			h.Fail(errors.New("later"))
			for _, err := range []error{<-failed, h.WaitDurable(t.Context(), 5)} {
				require.ErrorIs(t, err, errs.ErrIndeterminate)
				require.ErrorIs(t, err, cause)
			}
			require.NoError(t, h.WaitDurable(t.Context(), 4), "what is durable stays so")
			publishTo(h, 5) // the publisher was in the middle of it
			require.NoError(t, h.WaitDurable(t.Context(), 5))
		})
	})
}

func TestManyWaitersAllEnd(t *testing.T) {
	h := NewHeads(newChain().image)
	var waiters sync.WaitGroup
	for i := range uint64(200) {
		waiters.Go(func() {
			if err := h.WaitDurable(context.Background(), i%100+1); err != nil {
				t.Error(err)
			}
		})
	}
	for seq := range uint64(101) {
		publishTo(h, seq)
	}
	waiters.Wait()
	require.Empty(t, h.waiters)
}

func TestMovedTellsOfTheNextPublication(t *testing.T) {
	chain := newChain()
	heads, history := NewHeads(chain.image), NewHistory(chain.image.Moment(), 10, 1<<20)
	p := New(Rule{}, 0)
	for range 100 {
		moved := heads.Moved()
		require.Equal(t, moved, heads.Moved(), "one for all who wait")
		before := heads.Visible().Seq()
		go heads.Publish(p.Step([]*msgs.Publication{written(chain.epoch(2))}), history)
		<-moved
		require.Equal(t, before+2, heads.Visible().Seq())
	}
	moved := heads.Moved()
	heads.Fail(errors.New("broken"))
	<-moved
}
