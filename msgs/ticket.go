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
)

// String returns "applied" or "duplicate".
func (o Outcome) String() string {
	if o == Duplicate {
		return "duplicate"
	}
	return "applied"
}

// Result is the success of a commit.
type Result struct {
	// CommitSeq is the commit that applied the request: for a Duplicate, that of
	// the original.
	CommitSeq uint64
	// DurableSeq is the durable head when the result was made; at or above
	// CommitSeq if the commit was known to be on stable storage.
	DurableSeq uint64
	Outcome    Outcome
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
	donec    chan struct{}
	resolved atomic.Bool
	result   Result
	err      error
	// release gives back what admission took; called once, on resolution.
	release func()
}

// NewTicket returns an unresolved ticket. release may be nil; it is called once
// when the ticket is resolved.
func NewTicket(release func()) *Ticket {
	return &Ticket{donec: make(chan struct{}), release: release}
}

// Resolve answers the ticket. Only the first call counts.
func (t *Ticket) Resolve(r Result) { t.answer(r, nil) }

// Reject answers the ticket with an error. Only the first call counts.
func (t *Ticket) Reject(err error) { t.answer(Result{}, err) }

func (t *Ticket) answer(r Result, err error) {
	if !t.resolved.CompareAndSwap(false, true) {
		return
	}
	t.result, t.err = r, err
	if t.release != nil {
		t.release()
	}
	close(t.donec)
}

// Done is closed when the ticket is resolved.
func (t *Ticket) Done() <-chan struct{} { return t.donec }

// Wait returns the answer: the commit is visible, or it never happened. A
// context that ends first abandons the wait, not the commit; the error then has
// the code commit_outcome_unknown and matches the context's error.
func (t *Ticket) Wait(ctx context.Context) (Result, error) {
	select {
	case <-t.donec:
		return t.result, t.err
	default:
	}
	select {
	case <-t.donec:
		return t.result, t.err
	case <-ctx.Done():
		return Result{}, errs.Wrap(errs.CodeOutcomeUnknown, ctx.Err(),
			"the wait was abandoned; the commit may still be applied")
	}
}
