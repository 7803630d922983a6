// Package publisher is the stage that makes commits visible: it swaps the
// published image, moves the heads, answers the tickets and keeps recent
// history.
//
// Invariants:
//
//  1. Epochs are published whole and in order.
//  2. An epoch is published when its rule is met: it is synced, where the store
//     or a request in it asks for that; it is written, otherwise. One of volatile
//     commits alone has nothing to be synced.
//  3. A commit is visible before its ticket is answered, and stays visible.
//  4. Nobody who reads, subscribes or checkpoints can make the publisher wait.
package publisher

import (
	"slices"
	"time"

	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

// Rule says how a store publishes.
type Rule struct {
	// SyncFirst makes every epoch wait for its sync.
	SyncFirst bool
	// Images is how many published images are kept for readers at the durable
	// head until a sync passes them; below 1 stands for 1, the newest. When there
	// are more, every other one is let go, and after a sync that no epoch waited
	// for those readers may see a somewhat older state. Each can occupy as much
	// memory as has changed since the last sync.
	Images int
}

// Publisher decides what is published when. It belongs to one goroutine.
type Publisher struct {
	rule      Rule
	waiting   []*msgs.Epoch  // written, but not yet allowed out; in order
	released  []*msgs.Epoch  // by the last step
	durable   uint64         // the log is synced up to here
	undurable []*state.Image // published above the durable head; in order
	progress  msgs.Progress  // not yet told to the checkpointer
}

// New returns a publisher for a store whose commits are durable up to a seq.
func New(rule Rule, durable uint64) *Publisher {
	return &Publisher{rule: rule, durable: durable}
}

// Resume returns a publisher for a store that shows an image whose last commits
// may not be durable yet.
func Resume(rule Rule, durable uint64, visible *state.Image) *Publisher {
	p := New(rule, durable)
	if visible.Seq() > durable {
		p.keep(visible)
	}
	return p
}

// Release is what a step decides. It is valid until the next step.
type Release struct {
	// Epochs to be published, in order.
	Epochs []*msgs.Epoch
	// Durable is the durable head, and DurableImage the newest kept image at or
	// below it; 0 and nil if neither has moved, nil alone if only the head has.
	Durable      uint64
	DurableImage *state.Image
	// Even says that everything published is durable, and will be until an epoch brings
	// another durable image: until then no image has to be kept for that.
	Even bool
}

// Step takes note of what was written and synced and decides what goes out.
func (p *Publisher) Step(batch []*msgs.Publication) Release {
	var out Release
	before := p.durable
	for _, b := range batch {
		p.waiting = append(p.waiting, b.Epochs...)
		p.durable = max(p.durable, b.Durable)
		p.progress.Sealed = append(p.progress.Sealed, b.Sealed...)
	}
	if p.durable > before {
		out.Durable, out.DurableImage = p.durable, p.passed()
	}
	n := 0
	for n < len(p.waiting) && p.mayGo(p.waiting[n]) {
		e := p.waiting[n]
		n++
		p.progress.Bytes += e.Bytes
		image, _ := e.Image.(*state.Image) // nil if none was made
		before, _ := e.Before.(*state.Image)
		switch {
		case e.LastSeq() <= p.durable:
			if image != nil || p.rule.SyncFirst {
				out.Durable, out.DurableImage, out.Even = p.durable, image, image == nil
			}
		case before != nil && before.Seq() <= p.durable:
			out.Durable, out.DurableImage, out.Even = p.durable, before, false
			p.keep(image)
		default:
			p.keep(image)
		}
	}
	clear(p.released)
	p.released = append(p.released[:0], p.waiting[:n]...)
	p.waiting = slices.Delete(p.waiting, 0, n)
	out.Epochs = p.released
	return out
}

func (p *Publisher) mayGo(e *msgs.Epoch) bool {
	switch {
	case e.LastSeq() <= p.durable:
		return true
	case e.MustSync:
		return false
	}
	return !p.rule.SyncFirst || e.Unlogged() // what went before it has gone
}

// keep holds on to a published image until it is durable. Without one, those before
// it are let go: they would only become older.
func (p *Publisher) keep(image *state.Image) {
	if image == nil {
		p.undurable = slices.Delete(p.undurable, 0, len(p.undurable))
		return
	}
	if n := len(p.undurable); n > 0 && p.undurable[n-1] == image {
		return // an epoch without commits
	}
	p.undurable = append(p.undurable, image)
	if n := len(p.undurable); n > max(p.rule.Images, 1) {
		kept := p.undurable[:0]
		for i, image := range p.undurable {
			if i%2 == (n-1)%2 { // the newest among them
				kept = append(kept, image)
			}
		}
		clear(p.undurable[len(kept):])
		p.undurable = kept
	}
}

// passed lets go of the images that the durable head has passed and returns the
// newest of them.
func (p *Publisher) passed() (newest *state.Image) {
	n := 0
	for n < len(p.undurable) && p.undurable[n].Seq() <= p.durable {
		newest = p.undurable[n]
		n++
	}
	p.undurable = slices.Delete(p.undurable, 0, n)
	return newest
}

// Answer resolves the tickets of published epochs. durable is the durable head.
func Answer(epochs []*msgs.Epoch, durable uint64) {
	for _, e := range epochs {
		for i := range e.Answers {
			a := &e.Answers[i]
			if a.Err != nil {
				a.Ticket.Reject(a.Err)
				continue
			}
			a.Ticket.Resolve(msgs.Result{
				CommitSeq: a.Seq, DurableSeq: durable, Outcome: a.Outcome,
				Replies: a.Replies, RepliesLost: a.RepliesLost, Stages: stages(a.Admitted, &e.Passage),
			})
		}
	}
}

// stages returns the time between the moments of a passage. A busy stage takes the
// end of one step for the beginning of the next, so it may date a message a little
// before it came: no moment counts as earlier than the one before it.
func stages(admitted time.Time, p *msgs.Passage) (t msgs.StageTimes) {
	last := admitted
	since := func(moment time.Time) time.Duration {
		if !moment.After(last) {
			return 0
		}
		took := moment.Sub(last)
		last = moment
		return took
	}
	t.Sequence, t.Apply, t.Write = since(p.Sequenced), since(p.Applied), since(p.Written)
	if !p.Synced.IsZero() {
		t.Sync = since(p.Synced)
	}
	t.Publish = since(p.Published)
	return t
}

// Report returns what the checkpointer has to know, or nil if it is not worth a
// message: no segment was sealed, and the log has grown by less than minBytes.
// Told tells that the report was delivered.
func (p *Publisher) Report(minBytes int64) *msgs.Progress {
	if len(p.progress.Sealed) == 0 && p.progress.Bytes < minBytes {
		return nil
	}
	report := p.progress
	return &report
}

// Told takes note that the report was delivered.
func (p *Publisher) Told() { p.progress = msgs.Progress{} }

// Waiting returns the epochs that are written and not yet published.
func (p *Publisher) Waiting() []*msgs.Epoch { return p.waiting }
