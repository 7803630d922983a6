package publisher

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/state"
)

// Heads is what the world sees of the pipeline: the newest published image, the
// newest durable one, and how far the log is synced. The publisher writes it;
// any goroutine reads it, without waiting.
//
// Invariant: image at the durable head <= durable head <= visible head, whenever
// they are read in that order.
type Heads struct {
	visible atomic.Pointer[state.Image]
	durable atomic.Pointer[durable]
	logged  atomic.Uint64 // see Logged

	volatile atomic.Bool // see HadVolatile

	// moved is closed at the next publication; nil while nobody waits for that.
	moved atomic.Pointer[chan struct{}]

	mu      sync.Mutex // guards the following
	waiters map[*waiter]struct{}
	failure error
}

// durable is the durable head: how far the log is synced, and the newest kept
// image of that or earlier. They are one value, so that whoever has seen the head
// move also finds the image.
type durable struct {
	seq   uint64
	image *state.Image
}

type waiter struct {
	seq   uint64
	donec chan struct{}
}

// NewHeads returns heads that stand at an image whose commits are all durable.
func NewHeads(image *state.Image) *Heads { return ResumedHeads(image, image.Seq(), image) }

// ResumedHeads returns heads of which the durable one is behind: at a seq, with an
// image of that or earlier.
func ResumedHeads(visible *state.Image, seq uint64, image *state.Image) *Heads {
	h := &Heads{waiters: map[*waiter]struct{}{}}
	h.visible.Store(visible)
	h.logged.Store(visible.Seq())
	h.durable.Store(&durable{seq, image})
	return h
}

// Visible returns the newest published image.
func (h *Heads) Visible() *state.Image { return h.visible.Load() }

// DurableImage returns the newest kept image of which a crash can lose nothing.
func (h *Heads) DurableImage() *state.Image { return h.durable.Load().image }

// Durable returns the last published commit that is on stable storage.
func (h *Heads) Durable() uint64 { return h.durable.Load().seq }

// Logged returns the last published commit that is not volatile, or an earlier
// bound that is durable. Commits behind it have nothing to be made durable.
func (h *Heads) Logged() uint64 { return h.logged.Load() }

// HadVolatile reports whether anything published was volatile, so that the images
// hold effects that the log does not.
func (h *Heads) HadVolatile() bool { return h.volatile.Load() }

// Moved returns a channel that is closed when something is published after the
// call, or when the log has failed. Look at Visible after the call, not before. It
// does not tell of an orderly end.
func (h *Heads) Moved() <-chan struct{} {
	for {
		if c := h.moved.Load(); c != nil {
			return *c
		}
		c := make(chan struct{})
		if h.moved.CompareAndSwap(nil, &c) {
			return c
		}
	}
}

// announce wakes those who wait for a publication.
func (h *Heads) announce() {
	if h.moved.Load() == nil {
		return
	}
	if c := h.moved.Swap(nil); c != nil {
		close(*c)
	}
}

// WaitDurable waits until the commit is on stable storage. It fails with
// indeterminate when the log has broken down before that.
func (h *Heads) WaitDurable(ctx context.Context, seq uint64) error {
	if h.Durable() >= seq {
		return nil
	}
	w := &waiter{seq: seq, donec: make(chan struct{})}
	h.mu.Lock()
	if h.Durable() >= seq || h.failure != nil {
		defer h.mu.Unlock()
		return h.outcome(seq)
	}
	h.waiters[w] = struct{}{}
	h.mu.Unlock()

	select {
	case <-w.donec:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waiters, w)
	if ctx.Err() != nil && h.Durable() < seq && h.failure == nil {
		return errs.Wrap(errs.CodeOutcomeUnknown, ctx.Err(),
			"the wait was abandoned; commit %d is visible and may become durable", seq)
	}
	return h.outcome(seq)
}

// outcome is the end of a wait. The caller holds mu.
func (h *Heads) outcome(seq uint64) error {
	if h.Durable() >= seq {
		return nil
	}
	return errs.Wrap(errs.CodeIndeterminate, h.failure, "commit %d was visible, but the log failed before it was durable", seq)
}

// setDurable advances the durable head and wakes who waits for it. A nil image
// leaves the one before. Only the publisher calls it.
func (h *Heads) setDurable(seq uint64, image *state.Image) {
	if image == nil {
		image = h.DurableImage()
	}
	h.durable.Store(&durable{seq, image})
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.waiters {
		if w.seq <= seq {
			close(w.donec)
			delete(h.waiters, w)
		}
	}
}

// Fail ends all waits for durability: nothing more will become durable.
func (h *Heads) Fail(cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failure != nil {
		return
	}
	h.failure = cause
	h.announce()
	for w := range h.waiters {
		close(w.donec)
	}
	clear(h.waiters)
}
