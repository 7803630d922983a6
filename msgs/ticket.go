package msgs

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/empyrealapp/aedb-go/errs"
)

// Outcome tells whether a success applied the request or found it applied.
type Outcome uint8

// Outcomes.
const (
	// Applied: this request made the commit.
	Applied Outcome = iota
	// Duplicate: an earlier request with the same idempotency key made it.
	Duplicate
	// Checked: the request consists of checks, which hold. There is no commit.
	Checked
)

// String returns "applied", "duplicate" or "checked".
func (o Outcome) String() string {
	switch o {
	case Duplicate:
		return "duplicate"
	case Checked:
		return "checked"
	}
	return "applied"
}

// Result is the success of a commit.
type Result struct {
	// CommitSeq is the commit that applied the request: for a Duplicate, that of
	// the original, and for what was Checked, the last commit it was checked on.
	CommitSeq uint64
	// DurableSeq is the durable head when the result was made; at or above
	// CommitSeq if the commit was known to be on stable storage.
	DurableSeq uint64
	Outcome    Outcome
	// RepliesLost says that the Replies of the original were too long to be kept for a
	// Duplicate.
	RepliesLost bool
	// Replies are what the mutations have to tell, in their order: new numbers,
	// counts, rows that were asked for. A Duplicate has those of the original.
	Replies []Reply
	// Stages is the time the request spent on its way.
	Stages StageTimes
}

// StageTimes is how long a request stayed in each stage, waiting included.
type StageTimes struct {
	// Sequence is from admission until its epoch was formed.
	Sequence time.Duration
	// Apply is until its epoch was executed.
	Apply time.Duration
	// Write is until its epoch was in the log.
	Write time.Duration
	// Sync is until the log was synced; 0 if the commit did not wait for that.
	Sync time.Duration
	// Publish is until it was visible.
	Publish time.Duration
}

// Ticket is the promise of an answer to one request. The pipeline resolves it
// once; any number of goroutines may wait.
type Ticket struct {
	claimed atomic.Bool // somebody answers
	// waiting is nil, then what the first to wait has made, and in the end
	// answered. Result and err are written before that.
	waiting atomic.Pointer[signal]
	result  Result
	err     error

	share Share
	size  int64
}

// Share takes back what a request holds of a common limit.
type Share interface {
	// Leave gives size bytes back.
	Leave(size int64)
}

// signal is closed when the ticket it belongs to is answered. Most tickets are
// answered before anybody waits, and need none.
type signal struct{ donec chan struct{} }

// answered is the signal of every ticket that has its answer.
var answered = func() *signal {
	s := &signal{donec: make(chan struct{})}
	close(s.donec)
	return s
}()

// NewTicket returns an unresolved ticket. On its resolution, size bytes are
// given back to share, which may be nil.
func NewTicket(share Share, size int64) *Ticket { return &Ticket{share: share, size: size} }

// Resolve answers the ticket. Only the first call counts.
func (t *Ticket) Resolve(r Result) { t.answer(r, nil) }

// Reject answers the ticket with an error. Only the first call counts.
func (t *Ticket) Reject(err error) { t.answer(Result{}, err) }

func (t *Ticket) answer(r Result, err error) {
	if !t.claimed.CompareAndSwap(false, true) {
		return
	}
	t.result, t.err = r, err
	if t.share != nil {
		t.share.Leave(t.size)
	}
	if s := t.waiting.Swap(answered); s != nil {
		close(s.donec)
	}
}

// Done is closed when the ticket is resolved.
func (t *Ticket) Done() <-chan struct{} {
	s := t.waiting.Load()
	if s == nil {
		s = &signal{donec: make(chan struct{})}
		if !t.waiting.CompareAndSwap(nil, s) {
			s = t.waiting.Load()
		}
	}
	return s.donec
}

// Wait returns the answer: the commit is visible, or it never happened. A
// context that ends first abandons the wait, not the commit; the error then has
// the code commit_outcome_unknown and matches the context's error.
func (t *Ticket) Wait(ctx context.Context) (Result, error) {
	if t.waiting.Load() == answered {
		return t.result, t.err
	}
	donec, ended := t.Done(), ctx.Done()
	if ended == nil { // costs half of what a choice does
		<-donec
		return t.result, t.err
	}
	select {
	case <-donec:
		return t.result, t.err
	case <-ended:
		if t.waiting.Load() == answered { // both have happened: the answer counts
			return t.result, t.err
		}
		return Result{}, errs.Wrap(errs.CodeOutcomeUnknown, ctx.Err(),
			"the wait was abandoned; the commit may still be applied")
	}
}
