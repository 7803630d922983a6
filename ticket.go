package aedb

import (
	"context"
	"errors"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Finality is how final a commit has to be before it is answered.
type Finality uint8

// Finalities.
const (
	// Visible: readers see the commit. In Full mode it is also durable.
	Visible Finality = iota
	// Durable: the commit is on stable storage.
	Durable
)

// Result is the success of a commit.
type Result = msgs.Result

// StageTimes is how long a request stayed in each stage of the pipeline.
type StageTimes = msgs.StageTimes

// Outcome tells whether a success applied the request or found it applied.
type Outcome = msgs.Outcome

// Outcomes.
const (
	// Applied: this request made the commit.
	Applied = msgs.Applied
	// Duplicate: an earlier request with the same idempotency key made it.
	Duplicate = msgs.Duplicate
	// Checked: the envelope consists of checks, which hold; there is no commit.
	Checked = msgs.Checked
)

// Ticket is the promise of an answer to a submitted envelope. Any number of
// goroutines may wait on it.
//
// A context that ends while waiting abandons the wait, never the commit: the
// error has the code commit_outcome_unknown and matches the context's error.
type Ticket struct {
	ticket   *msgs.Ticket
	db       *DB
	volatile bool
}

// Visible waits until readers see the commit, or it is known to have failed.
func (t *Ticket) Visible(ctx context.Context) (Result, error) {
	r, err := t.ticket.Wait(ctx)
	if err != nil && errs.CodeOf(err) == errs.CodeOutcomeUnknown {
		err = withdrawn(t.ticket, err)
	}
	return r, err
}

// withdrawn prefers the pipeline's own answer over the end of the wait, if there
// is one by now: both follow from the same context.
func withdrawn(t *msgs.Ticket, abandoned error) error {
	select {
	case <-t.Done():
		_, err := t.Wait(context.Background())
		if errors.Is(err, errs.ErrTimeout) || errors.Is(err, errs.ErrCanceled) {
			return err
		}
	default:
	}
	return abandoned
}

// Durable waits until the commit is on stable storage. A volatile commit never is:
// for one this is Visible.
func (t *Ticket) Durable(ctx context.Context) (Result, error) {
	r, err := t.Visible(ctx)
	if err != nil || t.volatile || r.DurableSeq >= r.CommitSeq {
		return r, err
	}
	if err := t.db.WaitDurable(ctx, r.CommitSeq); err != nil {
		return r, err
	}
	r.DurableSeq = t.db.pipeline.Heads().Durable()
	return r, nil
}

// reach waits for a finality.
func (t *Ticket) reach(ctx context.Context, finality Finality) (Result, error) {
	if finality == Durable {
		return t.Durable(ctx)
	}
	return t.Visible(ctx)
}

// Done is closed when the commit is visible or has failed.
func (t *Ticket) Done() <-chan struct{} { return t.ticket.Done() }
