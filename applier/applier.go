// Package applier is the stage that executes epochs. It is the only owner of
// the working image, and so the only place where the database changes.
//
// Invariants:
//
//  1. Requests are executed one after another in epoch order; the state after
//     commit n is that of executing commits 1 to n serially.
//  2. A request that fails, or that only checks, leaves nothing behind, not even
//     a gap: commit seqs are contiguous.
//  3. What is remembered of a request with an idempotency key is written by the
//     commit that applied it, so both are there or neither is.
//  4. The image of an epoch is made when somebody looks, or is likely to. Whether it was
//     made makes no difference to any state.
//  5. Nothing here reads a clock or depends on the order of a map: time comes
//     with the epoch.
package applier

import (
	"sync"
	"sync/atomic"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/wal"
)

// Applier executes epochs. It belongs to one goroutine, but for Image.
type Applier struct {
	executor *executor.Executor
	window   Window
	audience Audience
	removals *removals

	mu       sync.Mutex     // held in a step and in Image; guards the following
	working  *state.Working // changed by steps
	image    *state.Image   // the working image, if it was frozen after its last commit
	unseen   []*msgs.Epoch  // those that may not be published yet, in order
	always   bool           // every epoch is given its image
	stepping bool           // a step has begun, and has not ended
	before   msgs.Moment    // the step that has begun last

	// resting is the state before a long step, while that runs, and waiting how many
	// callers of Image do not hold mu yet.
	resting atomic.Pointer[resting]
	waiting atomic.Int32
}

// Audience is who looks at images.
type Audience interface {
	// Moment returns the last moment that is published.
	Moment() msgs.Moment
	// Watched reports whether somebody is likely to look at the next image.
	Watched() bool
}

// New returns an applier that owns the working image from here on. image is
// that image, frozen. Without an audience every epoch is given its image; with one,
// those that may be looked at, and some that readers at the durable head need.
func New(x *executor.Executor, window Window, working *state.Working, image *state.Image, audience Audience) *Applier {
	return &Applier{
		executor: x, window: window, audience: audience, removals: newRemovals(working.Seq()),
		working: working, image: image, always: audience == nil,
	}
}

// Use makes other limits and another window count from the next epoch on.
func (a *Applier) Use(x *executor.Executor, window Window) { a.executor, a.window = x, window }

// Step executes an epoch: it is given its commits, an answer for each request, and
// perhaps its image.
//
// A refusal is an answer like any other, and is given when the state it was
// decided on is published. Given at once it would tell of commits that nobody
// can see yet, and that a crash may still undo.
func (a *Applier) Step(e *msgs.Epoch) {
	a.rest(e)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin(e)
	a.keepBefore(e)
	e.Prepare()
	for i, r := range e.Requests {
		if i%executor.Abreast == 0 && i+1 < len(e.Requests) {
			a.executor.Announce(a.working, e.Requests[i:])
		}
		answer := &e.Answers[i]
		*answer = msgs.Answer{Ticket: r.Ticket, Caller: r.Caller, Admitted: r.Admitted}
		answer.Err = a.apply(e, r, answer)
		r.Done()
	}
	e.After = a.working.Moment()
	if a.always || e.MustSync || a.audience.Watched() {
		a.freeze()
	}
	if a.image != nil {
		e.Image = a.image
	}
	e.Requests = nil
	a.stepping = false
	a.resting.Store(nil)
}

// apply executes one request and fills its answer.
func (a *Applier) apply(e *msgs.Epoch, r *msgs.Request, answer *msgs.Answer) error {
	answer.Seq = a.working.Seq()
	if r.Flush {
		return nil
	}
	m, found, err := a.window.FindRetry(a.working, r.Idempotency, r.Fingerprint, e.Micros)
	if err != nil {
		return err
	}
	if found {
		answer.Seq, answer.Outcome, answer.Replies, answer.RepliesLost = m.Seq, msgs.Duplicate, m.Replies, m.Lost
		return nil
	}
	if err := a.removals.check(a.working, r); err != nil {
		return err
	}
	if checksOnly(r) {
		answer.Outcome = msgs.Checked
		return a.check(e, r)
	}
	if err := a.commit(e, r); err != nil {
		return err
	}
	answer.Seq, answer.Replies = a.working.Seq(), r.Replies
	return nil
}

// checksOnly reports whether a request cannot write.
func checksOnly(r *msgs.Request) bool {
	for _, m := range r.Mutations {
		if _, ok := m.(msgs.PostflightCheck); !ok {
			return false
		}
	}
	return true
}

// check runs a request that cannot write. It takes no commit seq and leaves
// nothing, not even a record of its idempotency key: sent again it is checked
// again.
func (a *Applier) check(e *msgs.Epoch, r *msgs.Request) error {
	seq, micros := a.working.Seq(), a.working.Micros()
	a.working.Begin(seq+1, e.Micros)
	defer a.working.Abandon(seq, micros)
	return a.executor.Run(a.working, r)
}

// commit runs a request as the next commit and adds that to the epoch, or leaves
// everything as it was.
func (a *Applier) commit(e *msgs.Epoch, r *msgs.Request) error {
	seq, micros := a.working.Seq(), a.working.Micros()
	a.working.Begin(seq+1, e.Micros)
	err := a.executor.Run(a.working, r)
	if err == nil {
		err = a.window.remember(a.working, r)
	}
	if err == nil {
		err = checkSize(a.working.Effects(state.Mark{}))
	}
	if err != nil {
		a.working.Abandon(seq, micros)
		return err
	}
	e.Sets = append(e.Sets, a.working.Commit())
	a.image = nil
	set := &e.Sets[len(e.Sets)-1]
	if set.Volatile = r.WriteClass == msgs.Volatile; set.Volatile {
		a.working.Unlogged(set)
	}
	a.removals.record(set)
	return nil
}

// checkSize refuses a commit that could not be written to the log as a whole.
func checkSize(effects []msgs.Effect) error {
	const overhead = 32
	var n int64
	for i := range effects {
		n += int64(len(effects[i].Key)+len(effects[i].Value)) + overhead
	}
	if n > wal.MaxFrameBytes/4 {
		return errs.Exceeded("changes of one commit", "max_commit_bytes", n, wal.MaxFrameBytes/4)
	}
	return nil
}

// Abort answers everything in an epoch that the pipeline has broken down under
// before it could reach the log.
func Abort(e *msgs.Epoch, cause error) {
	err := errs.Wrap(errs.CodeUnavailable, cause, "the store takes no more commits; this one has no effect")
	for _, r := range e.Requests { // not executed, or not all of them
		r.Ticket.Reject(err)
	}
	if e.Requests == nil {
		for i := range e.Answers {
			e.Answers[i].Ticket.Reject(err)
		}
	}
}
