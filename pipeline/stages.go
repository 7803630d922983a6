package pipeline

import (
	"context"
	"time"

	"github.com/empyrealapp/aedb-go/actors"
	"github.com/empyrealapp/aedb-go/applier"
	"github.com/empyrealapp/aedb-go/checkpointer"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/publisher"
	"github.com/empyrealapp/aedb-go/sequencer"
	"github.com/empyrealapp/aedb-go/walwriter"
)

// maxGather bounds how many messages of the inner stages are handled at once,
// and so how much a step may buffer.
const maxGather = 64

func (p *Pipeline) sequencerStage(s *sequencer.Sequencer) actors.Actor {
	var began time.Time // of the step in hand
	return &actors.Stage[*msgs.Request, *sequencer.Order]{
		Name: "sequencer", In: p.requests, MaxBatch: p.cfg.EpochCommits, Yield: p.admission.expectsMore,
		Step: func(now time.Time, batch []*msgs.Request) (*sequencer.Order, error) {
			began = now
			p.admission.settle()
			return s.Step(p.clock.Now().UnixMicro(), batch, p.largestEpoch()), nil
		},
		Perform: func(ctx context.Context, o *sequencer.Order) error {
			for _, r := range o.Withdrawn {
				err := sequencer.Withdrawal(r)
				if !r.Flush {
					p.metrics.refuse(err)
				}
				r.Ticket.Reject(err)
			}
			for _, e := range o.Epochs {
				p.metrics.epoch(e)
			}
			for i, e := range o.Epochs {
				if err := pass(ctx, p.epochs, began, e, len(e.Requests)); err != nil {
					// The system is poisoned. What was sent before may reach the log yet,
					// so the shell must not abort the whole batch: only what is left here is
					// known to have no effect.
					for _, e := range o.Epochs[i:] {
						p.abortUnapplied(e, err)
					}
					return nil
				}
			}
			return nil
		},
		Abort: func(r *msgs.Request, cause error) {
			if !r.Flush {
				p.metrics.refuse(errs.ErrUnavailable)
			}
			sequencer.Abort(r, cause)
		},
	}
}

func (p *Pipeline) applierStage(a *applier.Applier) actors.Actor {
	return &actors.Stage[*msgs.Epoch, *msgs.Epoch]{
		Name: "applier", In: p.epochs, MaxBatch: 1,
		Step: func(now time.Time, batch []*msgs.Epoch) (*msgs.Epoch, error) {
			batch[0].Passage.Sequenced = now
			tuned := p.tuning.Load()
			a.Use(tuned.executor, tuned.Window)
			a.Step(batch[0])
			return batch[0], nil
		},
		Perform: func(ctx context.Context, e *msgs.Epoch) error {
			p.metrics.apply(e)
			return pass(ctx, p.changes, time.Now(), e, len(e.Answers))
		},
		Abort: p.abortUnapplied,
	}
}

// largestEpoch returns how many requests the next epoch may have. Where all of one
// wait for its sync, the more the better. Elsewhere an epoch of all that are
// underway would leave every stage but one idle, and no caller free to bind: a
// quarter of them keeps the stages at work side by side.
func (p *Pipeline) largestEpoch() int {
	if p.cfg.Durability == Full {
		return p.cfg.EpochCommits
	}
	return min(max(int(p.admission.underway.Load()/4), company), p.cfg.EpochCommits)
}

// company is the number of requests from which on a stage hands its work to the
// goroutine of the next instead of carrying it there: enough work for two
// processors to share.
const company = 16

// pass gives a message to a later stage: by hand while it is small, so that no
// goroutine has to be woken for it.
func pass[T any](ctx context.Context, next *actors.Mailbox[T], now time.Time, msg T, requests int) error {
	if requests < company {
		return next.Carry(ctx, now, msg)
	}
	return next.Send(ctx, msg)
}

// abortUnapplied answers an epoch that has not reached the writer.
func (p *Pipeline) abortUnapplied(e *msgs.Epoch, cause error) {
	n := countRequests(e.Requests)
	if e.Requests == nil {
		n = countAnswers(e)
	}
	p.metrics.abort(n, errs.ErrUnavailable)
	applier.Abort(e, cause)
}

// abortWritten answers epochs that may have reached the log.
func (p *Pipeline) abortWritten(epochs []*msgs.Epoch, cause error) {
	for _, e := range epochs {
		p.metrics.abort(countAnswers(e), errs.ErrIndeterminate)
		walwriter.Abort(e, cause)
	}
}

func (p *Pipeline) writerStage(w *walwriter.Writer, outlet *walwriter.Outlet) actors.Actor {
	var began time.Time // of the step in hand
	return &actors.Stage[*msgs.Epoch, *walwriter.Plan]{
		Name: "writer", In: p.changes, MaxBatch: maxGather,
		Step: func(now time.Time, batch []*msgs.Epoch) (*walwriter.Plan, error) {
			began = now
			for _, e := range batch {
				e.Passage.Applied = now
			}
			return w.Step(now, batch)
		},
		Perform: func(ctx context.Context, plan *walwriter.Plan) error {
			written, err := p.log.Perform(plan)
			if err != nil {
				return err
			}
			now := time.Now()
			p.metrics.write(plan, now.Sub(began))
			for _, e := range plan.Epochs {
				e.Passage.Written = now
			}
			publication, written := outlet.Pass(plan, written)
			if publication != nil {
				if err := pass(ctx, p.publications, now, publication, len(plan.Epochs[0].Answers)); err != nil {
					closeRetired(written)
					return err
				}
			}
			if written == nil {
				return nil
			}
			if err := p.sync(ctx, now, written); err != nil {
				closeRetired(written)
				// The system is poisoned. Epochs that the publisher has are no longer
				// the shell's to abort.
				p.abortWritten(written.Epochs, err)
			}
			return nil
		},
		Abort: func(e *msgs.Epoch, cause error) { p.abortWritten([]*msgs.Epoch{e}, cause) },
		Drained: func(ctx context.Context) error {
			written := outlet.Rest()
			plan, err := w.Last(p.clock.Now())
			if err != nil {
				return err
			}
			if plan != nil {
				if written, err = p.log.Perform(plan); err != nil {
					return err
				}
				_, written = outlet.Pass(plan, written)
			}
			if written == nil {
				return nil
			}
			return p.written.Send(ctx, written)
		},
	}
}

// sync gives what was written to the fsyncer. A sync can take long. So a caller
// carries into it only if nothing else could end its wait, and only where all that
// may come meanwhile would have to wait for a sync as well.
func (p *Pipeline) sync(ctx context.Context, now time.Time, w *msgs.Written) error {
	if len(w.Epochs) == 1 && w.Epochs[0].Patient {
		return p.written.Carry(ctx, now, w)
	}
	return p.written.Send(ctx, w)
}

func (p *Pipeline) fsyncerStage(f *walwriter.Fsyncer) actors.Actor {
	rules := p.cfg.Rules()
	finish := func(ctx context.Context, o *walwriter.Order) error {
		start := time.Now()
		if err := o.Perform(); err != nil {
			return err
		}
		now := start
		if o.Sync != nil {
			now = time.Now()
			p.metrics.sync(now, now.Sub(start))
		}
		return f.Land(o, now, func(publication *msgs.Publication) error {
			if publication.Durable > 0 {
				for _, e := range publication.Epochs {
					e.Passage.Synced = now
				}
			}
			return p.publications.Carry(ctx, now, publication)
		})
	}
	stage := &actors.Stage[*msgs.Written, *walwriter.Order]{
		Name: "fsyncer", In: p.written, MaxBatch: maxGather, Yield: p.admission.expectsMore,
		Workers:  rules.Syncs,
		Patience: f.Patience,
		Gather: func(batch []*msgs.Written) bool {
			return f.Gather(time.Now(), batch, p.admission.usual.Load())
		},
		Step: func(now time.Time, batch []*msgs.Written) (*walwriter.Order, error) {
			return f.Step(now, batch), nil
		},
		Finish: finish,
		Abort: func(w *msgs.Written, cause error) {
			p.abortWritten(w.Epochs, cause)
			closeRetired(w)
		},
		Abandoned: func(cause error) { p.abortWritten(f.Abandon(), cause) },
		Drained:   func(ctx context.Context) error { return finish(ctx, f.Last()) },
	}
	if rules.Sync.Interval > 0 {
		stage.Wake = f.Wake
	}
	return stage
}

// closeRetired closes a file that the fsyncer will not close, since the store is
// broken; nothing follows from an error.
func closeRetired(w *msgs.Written) {
	if w != nil && w.Retired != nil {
		_ = w.Retired.Close()
	}
}

func (p *Pipeline) publisherStage(s *publisher.Publisher) actors.Actor {
	return &actors.Stage[*msgs.Publication, publisher.Release]{
		Name: "publisher", In: p.publications, MaxBatch: maxGather,
		Step: func(_ time.Time, batch []*msgs.Publication) (publisher.Release, error) {
			return s.Step(batch), nil
		},
		Perform: func(_ context.Context, r publisher.Release) error {
			p.heads.Publish(r, p.history)
			if len(r.Epochs) > 0 {
				stampPublished(r.Epochs, time.Now())
				p.metrics.publish(r.Epochs)
				p.failures.publish(r.Epochs)
				publisher.Answer(r.Epochs, p.heads.Durable())
			}
			if report := s.Report(p.tuning.Load().ReportBytes()); report != nil && p.progress.TrySend(report) == nil {
				s.Told()
			}
			return nil
		},
		Abort:     func(b *msgs.Publication, cause error) { p.abortWritten(b.Epochs, cause) },
		Abandoned: func(cause error) { p.abortWritten(s.Waiting(), cause) },
		// The last checkpoint has to know all sealed segments.
		Drained: func(ctx context.Context) error {
			if report := s.Report(1); report != nil {
				return p.progress.Send(ctx, report)
			}
			return nil
		},
	}
}

// stampPublished completes the passage of epochs. One that had to be synced, in
// a mode in which the fsyncer does not see epochs, came here with its sync.
func stampPublished(epochs []*msgs.Epoch, now time.Time) {
	for _, e := range epochs {
		if e.MustSync && e.Passage.Synced.IsZero() {
			e.Passage.Synced = now
		}
		e.Passage.Published = now
	}
}

func (p *Pipeline) checkpointerStage() actors.Actor {
	c := p.checkpointer
	perform := func(ctx context.Context, o checkpointer.Order) error {
		if !o.Take {
			return nil
		}
		outcome := p.take(ctx)
		if outcome.Err != nil && ctx.Err() != nil { // not the context of who asked
			outcome.Err = errs.Wrap(errs.CodeUnavailable, context.Cause(ctx), "no checkpoint was taken")
		}
		for _, reply := range o.Replies {
			reply <- msgs.CheckpointReply{Seq: outcome.Seq, Err: outcome.Err}
		}
		if p.onCheckpoint != nil {
			p.onCheckpoint(outcome)
		}
		return nil // a checkpoint that failed has harmed nothing: the log still holds it all
	}
	return &actors.Stage[*msgs.Progress, checkpointer.Order]{
		Name: "checkpointer", In: p.progress, MaxBatch: progressQueue,
		Step: func(now time.Time, batch []*msgs.Progress) (checkpointer.Order, error) {
			return c.Step(now, batch), nil
		},
		Perform: perform,
		Abort: func(m *msgs.Progress, cause error) {
			if m.Reply != nil {
				select {
				case m.Reply <- msgs.CheckpointReply{Err: errs.Wrap(errs.CodeUnavailable, cause, "no checkpoint was taken")}:
				default: // answered before
				}
			}
		},
		Wake: c.Wake,
		Drained: func(ctx context.Context) error {
			// Nothing writes or syncs any more. An error is returned by Stop.
			ended := p.closeLog() == nil
			if ended {
				c.Ended(p.writer.Segment())
			}
			if p.tuning.Load().CheckpointOnClose {
				if err := perform(ctx, checkpointer.Order{Take: true}); err != nil {
					return err
				}
			}
			if !ended {
				return nil
			}
			if err := c.Conclude(); err != nil && p.onCheckpoint != nil {
				p.onCheckpoint(checkpointer.Outcome{Err: err})
			}
			return nil
		},
	}
}

// take writes a checkpoint of the image that is published now, when all of it is
// durable: a checkpoint must not be ahead of its log.
func (p *Pipeline) take(ctx context.Context) checkpointer.Outcome {
	image := p.heads.Visible()
	if p.heads.Durable() < image.Seq() {
		// While the pipeline is being stopped the flush is refused; then the final
		// sync brings what is waited for here.
		_, _ = p.Flush(ctx)
		if err := p.heads.WaitDurable(ctx, image.Seq()); err != nil {
			return checkpointer.Outcome{Err: err}
		}
	}
	return p.checkpointer.Take(ctx, image)
}
