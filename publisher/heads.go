package publisher

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

// Heads is what the world sees of the pipeline: the newest published state, the
// newest durable one, and how far the log is synced. The publisher writes it;
// any goroutine reads it, without waiting for the publisher.
//
// Invariant: image at the durable head <= durable head <= visible head, whenever
// they are read in that order.
type Heads struct {
	now     atomic.Pointer[shown]
	logged  atomic.Uint64       // see Logged
	unseen  atomic.Int64        // see Watched
	develop func() *state.Image // see Develop

	volatile atomic.Bool // see HadVolatile

	// moved is closed at the next publication; nil while nobody waits for that.
	moved atomic.Pointer[chan struct{}]

	mu      sync.Mutex // guards the following
	waiters map[*waiter]struct{}
	failure error
}

// shown is both heads. They are one value, so that whoever has seen one move finds the
// other where it was then.
type shown struct {
	*head // the visible one
	// durable is how far the log is synced, and kept the newest kept image of that or
	// earlier. Where kept is nil, what is visible is durable.
	durable uint64
	kept    *state.Image

	own head // what head points to, mostly: they are made together
}

// head is the visible head. Its image is there if the applier has made one, or when
// somebody has asked for it.
type head struct {
	moment msgs.Moment
	image  atomic.Pointer[state.Image]
	looked atomic.Bool // somebody has asked for the image
}

// publication returns both heads for a moment that becomes visible, with its image or
// nil.
func publication(moment msgs.Moment, image *state.Image) *shown {
	s := &shown{}
	s.own.moment = moment
	s.own.image.Store(image)
	s.head = &s.own
	return s
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
	now := publication(visible.Moment(), visible)
	now.durable, now.kept = seq, image
	h.now.Store(now)
	h.logged.Store(visible.Seq())
	return h
}

// Develop says how the image of a moment that is published, or of a later one that is
// published by then, is made where the applier has made none. It must be called before
// the first publication, unless every epoch has its image.
func (h *Heads) Develop(develop func() *state.Image) { h.develop = develop }

// Moment returns the visible head without its content.
func (h *Heads) Moment() msgs.Moment { return h.now.Load().moment }

// Visible returns the newest published image. If nobody has asked for one lately it may
// have to be made, which waits for the applier to be between two epochs, and for
// nothing else.
func (h *Heads) Visible() *state.Image {
	now := h.now.Load().head
	if !now.looked.Load() { // no store if there is no need: readers share the line
		now.looked.Store(true)
	}
	if image := now.image.Load(); image != nil {
		return image
	}
	image := h.develop()
	if now = h.now.Load().head; now.moment.Seq == image.Seq() {
		now.image.Store(image)
	}
	return image
}

// Watched reports whether somebody has looked at one of the last images, so that the
// next may be wanted as well.
func (h *Heads) Watched() bool { return h.unseen.Load() < attention }

// attention is for how many published states a look at one has more images made. A reader
// who comes less often than that waits for each; more would be made for nobody.
const attention = 16

// DurableImage returns the newest kept image of which a crash can lose nothing. While
// everything that is visible is durable, that is the visible one.
func (h *Heads) DurableImage() *state.Image {
	for {
		now := h.now.Load()
		if now.kept != nil && (now.kept.Seq() == now.durable || now.moment.Seq > now.durable) {
			return now.kept
		}
		image := h.Visible()
		switch {
		case image.Seq() > now.durable: // there has been a publication since
			runtime.Gosched()
		case now.kept == nil:
			return image
		case h.now.CompareAndSwap(now, &shown{head: now.head, durable: now.durable, kept: image}):
			return image // and nobody sees an older one after that
		}
	}
}

// Durable returns the last published commit that is on stable storage.
func (h *Heads) Durable() uint64 { return h.now.Load().durable }

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

// reached wakes those who wait for a durable head. Only the publisher calls it.
func (h *Heads) reached(durable uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.waiters {
		if w.seq <= durable {
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

// Publish carries out a release, but for the answers: history, images, heads.
func (h *Heads) Publish(r Release, history *History) {
	for _, e := range r.Epochs {
		if len(e.Sets) > 0 {
			history.Add(e.Sets)
		}
		if !e.Unlogged() {
			h.logged.Store(e.LastSeq())
		}
		if slices.ContainsFunc(e.Sets, func(c msgs.Changeset) bool { return c.Volatile }) {
			h.volatile.Store(true)
		}
	}
	if len(r.Epochs) > 0 { // however many there are: one state is published
		if h.now.Load().looked.Load() {
			h.unseen.Store(0)
		}
		h.unseen.Add(1)
	}
	for before := h.now.Load(); !h.now.CompareAndSwap(before, r.after(before)); { // beside DurableImage
		before = h.now.Load()
	}
	if r.Durable > 0 {
		h.reached(r.Durable)
	}
	if len(r.Epochs) > 0 {
		h.announce()
	}
}

// after returns both heads as the release leaves them.
func (r *Release) after(before *shown) *shown {
	next := &shown{head: before.head}
	if n := len(r.Epochs); n > 0 {
		image, _ := r.Epochs[n-1].Image.(*state.Image)
		next = publication(r.Epochs[n-1].After, image)
	}
	next.durable, next.kept = before.durable, before.kept
	if r.Durable > 0 {
		next.durable = r.Durable
	}
	if r.DurableImage != nil || r.Even {
		next.kept = r.DurableImage
	}
	return next
}
