// Package sequencer is the stage that puts requests in order. It is the only
// door to the pipeline: what it lets pass is a total order of epochs, each with
// one time stamp.
//
// Invariants:
//
//  1. Requests leave in the order in which the mailbox accepted them.
//  2. A request whose caller has gone before it was sequenced never enters an
//     epoch, and is told so.
//  3. Epoch numbers rise by one; times never go back, whatever the clock does.
//  4. An epoch never waits for company: it is formed from what is there. The
//     next stage's mailbox is short, so that while it is busy requests gather
//     here and epochs grow with the load.
package sequencer

import (
	"slices"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Sequencer forms epochs. It belongs to one goroutine.
type Sequencer struct {
	maxBytes int64
	number   uint64
	micros   int64
	order    Order
}

// New returns a sequencer whose epochs close when they carry maxBytes of
// requests. micros is the time of the last commit of the store.
func New(maxBytes int64, micros int64) *Sequencer {
	return &Sequencer{maxBytes: maxBytes, micros: micros}
}

// Order is what a step decides. It is valid until the next step.
type Order struct {
	// Epochs go to the applier, in this order.
	Epochs []*msgs.Epoch
	// Withdrawn requests are answered; their context has ended.
	Withdrawn []*msgs.Request
}

// Step groups waiting requests into epochs of at most so many. The clock's reading
// in microseconds becomes the time of their commits.
func (s *Sequencer) Step(micros int64, batch []*msgs.Request, most int) *Order {
	s.micros = max(s.micros, micros)
	out := &s.order
	clear(out.Epochs)
	clear(out.Withdrawn)
	out.Epochs, out.Withdrawn = out.Epochs[:0], out.Withdrawn[:0]
	var epoch *msgs.Epoch
	var bytes int64
	var room []*msgs.Request // for all epochs, one after another
	if len(batch) > 1 {
		room = make([]*msgs.Request, len(batch))
	}
	for i, r := range batch {
		if r.Ctx.Err() != nil {
			out.Withdrawn = append(out.Withdrawn, r)
			continue
		}
		if epoch == nil || len(epoch.Requests) >= most || bytes+r.Size > s.maxBytes {
			if epoch != nil {
				epoch.Requests = slices.Clip(epoch.Requests) // what follows is the next one's
			}
			s.number++
			epoch = &msgs.Epoch{Number: s.number, Micros: s.micros}
			if room != nil {
				epoch.Requests = room[i:i]
			}
			out.Epochs = append(out.Epochs, epoch)
			bytes = 0
		}
		epoch.Add(r)
		bytes += r.Size
	}
	return out
}

// Withdrawal is the answer to a request whose context has ended.
func Withdrawal(r *msgs.Request) error {
	return errs.FromContext(r.Ctx, "the request was withdrawn before it was sequenced; it has no effect")
}

// Abort answers a request that the pipeline has broken down under before anyone
// could execute it.
func Abort(r *msgs.Request, cause error) {
	r.Ticket.Reject(errs.Wrap(errs.CodeUnavailable, cause, "the store takes no more commits; this one has no effect"))
}
