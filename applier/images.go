package applier

import (
	"runtime"
	"slices"

	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

// A frozen image costs the commits after it: each leaf of a tree that they write to,
// and the nodes above it, are copied once more. Where nobody reads, no image is made,
// and who comes then asks for one.
//
// What has been executed can be ahead of what may be seen. So an image for a reader is
// the working image, frozen, with the epochs that are not published taken back on a
// fork of it. Nobody has to wait for a write or a sync, however long that takes.

// Readers at the durable head see what is synced. Where epochs are published when they
// are synced, that is what is published; elsewhere, the image of an epoch that a sync was
// asked for with. Volatile commits are the exception: they are published and stay ahead
// of the durable head. So the state before the first of them is made and kept, and every
// image from then on.

// keepBefore makes the image of the state before an epoch, if the epoch is the first with
// a volatile commit. The caller holds mu.
func (a *Applier) keepBefore(e *msgs.Epoch) {
	if a.always || !slices.ContainsFunc(e.Requests, isVolatile) {
		return
	}
	a.always = true
	a.freeze()
	e.Before = a.image
}

func isVolatile(r *msgs.Request) bool { return r.WriteClass == msgs.Volatile }

// begin takes note of an epoch that is to be executed, and forgets those that are
// published by now. The caller holds mu.
func (a *Applier) begin(e *msgs.Epoch) {
	a.stepping, a.before = true, a.working.Moment()
	if a.audience == nil {
		return
	}
	published := a.audience.Moment().Seq
	n := 0
	for n < len(a.unseen) && a.unseen[n].LastSeq() <= published {
		n++
	}
	a.unseen = append(slices.Delete(a.unseen, 0, n), e)
}

// freeze makes the image of the working image, unless there is one. The caller holds
// mu.
func (a *Applier) freeze() {
	if a.image == nil {
		a.image = a.working.Freeze()
	}
}

// Image returns the published state, as the audience has it at some moment of the call.
// It waits for the step under way, if that is a short one. Any goroutine may call it, also
// when the applier has come to its end, or has broken down in a step: what was published
// stays to be seen.
func (a *Applier) Image() *state.Image {
	a.waiting.Add(1) // before the look at what lies ready
	if image := a.besideStep(); image != nil {
		a.waiting.Add(-1)
		return image
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting.Add(-1)
	if a.stepping {
		a.giveUp()
	}
	a.freeze()
	return published(a.image, a.unseen, a.audience.Moment())
}

// resting is a state that has been executed, with the epochs up to it that may not be
// published yet.
type resting struct {
	image  *state.Image
	unseen []*msgs.Epoch
}

// longStep is the weight of an epoch whose execution is too long to be waited for: what
// is not takes a few milliseconds.
const longStep = 4 << 10

// rest makes an image before a long step, for those who come while it runs, and lets
// those go first who came before: a mutex that is taken again at once passes them by.
func (a *Applier) rest(e *msgs.Epoch) {
	if a.audience == nil {
		return
	}
	weight := 0
	for i := 0; i < len(e.Requests) && weight < longStep; i++ {
		weight += executor.Weight(e.Requests[i])
	}
	if weight < longStep {
		return
	}
	a.mu.Lock()
	a.freeze()
	a.resting.Store(&resting{a.image, slices.Clone(a.unseen)})
	a.mu.Unlock()
	for a.waiting.Load() > 0 {
		runtime.Gosched()
	}
}

// besideStep returns the published state while a long step runs, and nil else.
func (a *Applier) besideStep() *state.Image {
	r := a.resting.Load()
	if r == nil {
		return nil
	}
	// The step may be over by now, and what it has executed may be published.
	at := a.audience.Moment()
	if at.Seq > r.image.Seq() {
		return nil
	}
	return published(r.image, r.unseen, at)
}

// published returns the state at a moment that is published, from an image of what has
// been executed, with the epochs since then that are in it.
func published(executed *state.Image, unseen []*msgs.Epoch, at msgs.Moment) *state.Image {
	if executed.Seq() == at.Seq {
		return executed
	}
	w := executed.Fork()
	for i := len(unseen) - 1; i >= 0; i-- {
		sets := unseen[i].Sets
		for j := len(sets) - 1; j >= 0 && sets[j].Seq > at.Seq; j-- {
			w.Revert(&sets[j], at)
		}
	}
	return w.Freeze()
}

// giveUp takes back the commit that a step has not finished: it has panicked. The
// caller holds mu.
func (a *Applier) giveUp() {
	a.stepping = false
	last := a.before
	if sets := a.unseen[len(a.unseen)-1].Sets; len(sets) > 0 {
		last = sets[len(sets)-1].Moment()
	}
	a.working.Abandon(last.Seq, last.Micros)
}
