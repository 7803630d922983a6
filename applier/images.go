package applier

import (
	"slices"

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

// Image returns the published state, as the audience has it while no step runs. It
// waits for the step under way. Any goroutine may call it, also when the applier has
// come to its end, or has broken down in a step: what was published stays to be seen.
func (a *Applier) Image() *state.Image {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stepping {
		a.giveUp()
	}
	a.freeze()
	published := a.audience.Moment()
	if a.image.Seq() == published.Seq {
		return a.image
	}
	return a.withoutUnseen(published)
}

// withoutUnseen returns the image of a moment that is published, with what has been
// executed since taken back. The caller holds mu.
func (a *Applier) withoutUnseen(published msgs.Moment) *state.Image {
	w := a.image.Fork()
	for i := len(a.unseen) - 1; i >= 0; i-- {
		sets := a.unseen[i].Sets
		for j := len(sets) - 1; j >= 0 && sets[j].Seq > published.Seq; j-- {
			w.Revert(&sets[j], published)
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
