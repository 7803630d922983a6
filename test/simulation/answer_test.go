package simulation

import (
	"context"
	"fmt"
	"slices"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/pipeline"
	"github.com/empyrealapp/aedb-go/publisher"
	"github.com/empyrealapp/aedb-go/state"
)

// call is a request that was admitted, from the side of its caller.
type call struct {
	*request
	ticket *msgs.Ticket
	cancel context.CancelFunc
	// gone is true when the caller has cancelled it.
	gone    bool
	answers int
	// executed is set by the applier, with what the model says to the request and
	// the commit that its answer tells of.
	executed bool
	want     answer
	decided  uint64
}

// Leave implements msgs.Share: it is called when the ticket is answered.
func (c *call) Leave(int64) { c.answers++ }

// submit admits a prepared request.
func (e *engine) submit(q *request, r *msgs.Request) error {
	c := &call{request: q}
	c.ticket = msgs.NewTicket(c, 0)
	r.Ticket = c.ticket
	r.Ctx, c.cancel = context.WithCancel(context.Background())
	e.calls[c.ticket] = c
	e.open = append(e.open, c)
	return e.requests.put(r)
}

// executed compares what the applier made of an epoch with what the model does.
func (e *engine) executed(epoch *msgs.Epoch, requests []*msgs.Request) error {
	m := e.w.model
	seq := m.seq()
	if len(epoch.Answers) != len(requests) {
		return fmt.Errorf("%d answers to %d requests", len(epoch.Answers), len(requests))
	}
	for i, r := range requests {
		c, got := e.calls[r.Ticket], &epoch.Answers[i]
		if c.executed || got.Ticket != r.Ticket {
			return fmt.Errorf("request %d of epoch %d was executed before, or another was answered", i, epoch.Number)
		}
		c.executed, c.want = true, m.execute(c.request)
		c.decided = m.seq()
		if code := errs.CodeOf(got.Err); code != c.want.code {
			return fmt.Errorf("%+v: the model says %q, the engine %q: %w", *c.request, c.want.code, code, got.Err)
		}
		if got.Err == nil && (got.Seq != c.want.seq || (got.Outcome == msgs.Duplicate) != c.want.duplicate) {
			return fmt.Errorf("%+v: the model says %+v, the engine commit %d, %v", *c.request, c.want, got.Seq, got.Outcome)
		}
		e.w.met[string(c.want.code)]++
	}
	for i := range epoch.Sets {
		if seq++; epoch.Sets[i].Seq != seq {
			return fmt.Errorf("commit %d follows commit %d", epoch.Sets[i].Seq, seq-1)
		}
	}
	if epoch.LastSeq() != m.seq() || seq != m.seq() {
		return fmt.Errorf("an epoch ends at %d, its image is at %d, the model at %d", seq, epoch.LastSeq(), m.seq())
	}
	if epoch.Micros < e.w.micros {
		return fmt.Errorf("the time of commits goes back from %d to %d", e.w.micros, epoch.Micros)
	}
	e.w.micros = epoch.Micros
	m.digests[seq] = nil
	if image, ok := epoch.Image.(*state.Image); ok {
		m.keep(image)
	}
	return nil
}

// published checks what the publisher has just shown to the world.
func (e *engine) published(r publisher.Release) error {
	at := e.visible
	for _, epoch := range r.Epochs {
		if epoch.LastSeq() < at || len(epoch.Sets) > 0 && epoch.Sets[0].Seq != at+1 {
			return fmt.Errorf("an epoch up to %d is published after %d", epoch.LastSeq(), at)
		}
		at = epoch.LastSeq()
		if image, ok := epoch.Image.(*state.Image); ok {
			if err := e.look(image, at); err != nil {
				return err
			}
		}
		logged := e.w.model.logged(at)
		if (epoch.MustSync || e.w.cfg.Durability == pipeline.Full) && logged > e.synced {
			return fmt.Errorf("commit %d is published, but synced is %d", logged, e.synced)
		}
		if logged > e.w.written {
			return fmt.Errorf("commit %d is published, but written is %d", logged, e.w.written)
		}
		for i := range epoch.Answers {
			if c := e.calls[epoch.Answers[i].Ticket]; c.answers > 0 {
				return fmt.Errorf("%+v was answered before its epoch was published", *c.request)
			}
		}
	}
	return nil
}

// look checks what a reader sees of a commit.
func (e *engine) look(image *state.Image, at uint64) error {
	if image.Seq() != at {
		return fmt.Errorf("the image of commit %d is that of %d", at, image.Seq())
	}
	e.w.model.keep(image)
	return e.w.model.compare(image)
}

// watch looks at what callers and readers see after every event.
func (e *engine) watch() error {
	visible, durable := e.heads.Moment().Seq, e.heads.Durable()
	switch {
	case durable > visible:
		return fmt.Errorf("durable %d is above visible %d", durable, visible)
	case visible < e.visible || durable < e.durable:
		return fmt.Errorf("a head went back: visible %d after %d, durable %d after %d", visible, e.visible, durable, e.durable)
	case durable > e.synced:
		return fmt.Errorf("durable is %d, but synced is %d", durable, e.synced)
	}
	e.visible, e.durable = visible, durable
	e.w.promised = max(e.w.promised, durable)
	var wrong error
	e.open = slices.DeleteFunc(e.open, func(c *call) bool {
		if c.answers > 0 && wrong == nil {
			c.cancel()
			if wrong = e.judge(c); wrong != nil {
				wrong = fmt.Errorf("the answer to %+v: %w", *c.request, wrong)
			}
		}
		return c.answers > 0
	})
	if wrong != nil {
		return wrong
	}
	return e.judgeCheckpoints()
}

// judge checks an answer that was just given.
func (e *engine) judge(c *call) error {
	result, err := c.ticket.Wait(context.Background())
	code := errs.CodeOf(err)
	e.w.met["answered "+string(code)]++
	switch {
	case c.answers > 1:
		return fmt.Errorf("given %d times", c.answers)
	case !c.executed && code == errs.CodeCanceled && c.gone:
		return nil
	case e.cause != nil && (code == errs.CodeUnavailable || code == errs.CodeIndeterminate):
		return e.judgeAborted(c, code)
	case !c.executed:
		return fmt.Errorf("it was not executed: %w", err)
	case code != c.want.code:
		return fmt.Errorf("the model says %q: %w", c.want.code, err)
	case c.decided > e.visible:
		return fmt.Errorf("it was decided on %d, but visible is %d", c.decided, e.visible)
	case e.w.model.logged(c.decided) > e.durable && (c.flush || c.economic || e.w.cfg.Durability == pipeline.Full):
		return fmt.Errorf("it was decided on %d, but durable is %d", c.decided, e.durable)
	case err != nil:
		return nil
	case result.CommitSeq != c.want.seq || result.DurableSeq > e.durable:
		return fmt.Errorf("it is commit %d and not %d, durable %d of %d", result.CommitSeq, c.want.seq, result.DurableSeq, e.durable)
	}
	return nil
}

// judgeAborted checks what is told of a request under which the engine broke down:
// one that may be in the log must not be said to have no effect.
func (e *engine) judgeAborted(c *call, code errs.Code) error {
	commits := c.executed && c.want.code == ""
	switch {
	case code == errs.CodeIndeterminate && !commits:
		return fmt.Errorf("told that the outcome is unknown of what has no effect")
	case code == errs.CodeUnavailable && commits && !c.want.duplicate && !c.flush:
		e.w.disowned = append(e.w.disowned, c.want.seq)
	}
	return nil
}

func (e *engine) judgeCheckpoints() (wrong error) {
	e.replies = slices.DeleteFunc(e.replies, func(c *checkpointCall) bool {
		select {
		case r := <-c.reply:
			if r.Err == nil && r.Seq < c.seq {
				wrong = fmt.Errorf("a checkpoint asked for at %d shows %d", c.seq, r.Seq)
			}
			return true
		default:
			return false
		}
	})
	return wrong
}

// settled checks that nobody waits for an answer when there is nothing left to do,
// and that what is visible has become durable where the mode sees to that.
func (e *engine) settled() error {
	if n := len(e.open) + len(e.replies); n > 0 {
		return fmt.Errorf("%d requests and %d checkpoints are never answered", len(e.open), len(e.replies))
	}
	if e.cause == nil && e.w.cfg.Durability != pipeline.OsBuffered && e.durable < e.w.model.logged(e.visible) {
		return fmt.Errorf("visible is %d, but durable stays %d", e.visible, e.durable)
	}
	return nil
}
