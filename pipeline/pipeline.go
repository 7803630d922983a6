// Package pipeline connects the stages: it makes their mailboxes, wraps each
// pure step in its shell, starts them, drains them and stops them.
//
//	requests -> sequencer -> applier -> writer -> fsyncer -> publisher -> checkpointer
//
// In the modes that acknowledge before the sync, the writer also sends epochs to
// the publisher directly. Nothing flows back but two things that may be refused
// without harm: the publisher's reports to the checkpointer, and the
// checkpointer's request for a flush.
package pipeline

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/empyrealapp/aedb-go/actors"
	"github.com/empyrealapp/aedb-go/applier"
	"github.com/empyrealapp/aedb-go/checkpointer"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/publisher"
	"github.com/empyrealapp/aedb-go/sequencer"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
	"github.com/empyrealapp/aedb-go/walwriter"
)

// Start is what the pipeline continues from: the recovered state, the active
// segment, and the checkpointer with what it knows of the files.
type Start struct {
	Working *state.Working
	// Unsynced says what of that state is not known to be on stable storage; nil if
	// all of it is. The log is then synced as if it had been written just now.
	Unsynced     *Unsynced
	Log          *walwriter.Log
	Segment      *wal.Writer
	File         msgs.File
	Checkpointer *checkpointer.Checkpointer
	Clock        vfs.Clock
	// OnPoison is told, once, why the pipeline has broken down.
	OnPoison func(cause error)
	// OnCheckpoint is told of every checkpoint taken or failed, and may be nil.
	OnCheckpoint func(checkpointer.Outcome)
}

// Unsynced is the end of a recovered log that the next sync makes durable.
type Unsynced struct {
	// Durable is the last commit before it, and Image a state of that or earlier.
	Durable uint64
	Image   *state.Image
	// Bytes is its size in the log.
	Bytes int64
}

// Pipeline is the running pipeline. All methods are safe for concurrent use.
type Pipeline struct {
	cfg       Config // as it was started; for what can change, see tuning
	tuning    atomic.Pointer[tuning]
	admission *admission
	heads     *publisher.Heads
	history   *publisher.History
	metrics   Metrics
	failures  failures
	clock     vfs.Clock

	requests     *actors.Mailbox[*msgs.Request]
	epochs       *actors.Mailbox[*msgs.Epoch]
	changes      *actors.Mailbox[*msgs.Epoch]
	written      *actors.Mailbox[*msgs.Written]
	publications *actors.Mailbox[*msgs.Publication]
	progress     *actors.Mailbox[*msgs.Progress]
	system       *actors.System

	log          *walwriter.Log
	closeLog     func() error // once
	writer       *walwriter.Writer
	checkpointer *checkpointer.Checkpointer
	onCheckpoint func(checkpointer.Outcome)
}

// progressQueue is the room for reports to the checkpointer while it is busy
// writing. Reports that find no room are joined with the next.
const progressQueue = 64

// New starts a pipeline.
func New(cfg Config, s Start) (*Pipeline, error) {
	image := s.Working.Freeze()
	unsynced := s.Unsynced
	if unsynced == nil {
		unsynced = &Unsynced{Durable: image.Seq(), Image: image}
	}
	p := &Pipeline{
		cfg:       cfg,
		admission: newAdmission(cfg.QueueBytes, cfg.FailFast),
		heads:     publisher.ResumedHeads(image, unsynced.Durable, unsynced.Image),
		history:   publisher.NewHistory(image.Moment(), cfg.HistoryCommits, cfg.HistoryBytes),
		clock:     s.Clock,

		requests:     actors.NewMailbox[*msgs.Request]("sequencer", cfg.SequencerQueue),
		epochs:       actors.NewMailbox[*msgs.Epoch]("applier", cfg.ApplierQueue),
		changes:      actors.NewMailbox[*msgs.Epoch]("writer", cfg.WriterQueue),
		written:      actors.NewMailbox[*msgs.Written]("fsyncer", cfg.FsyncerQueue),
		publications: actors.NewMailbox[*msgs.Publication]("publisher", cfg.PublisherQueue),
		progress:     actors.NewMailbox[*msgs.Progress]("checkpointer", progressQueue),

		log:          s.Log,
		closeLog:     sync.OnceValue(s.Log.Close),
		checkpointer: s.Checkpointer,
		onCheckpoint: s.OnCheckpoint,
	}
	p.metrics.init()
	tuned := newTuning(cfg)
	p.tuning.Store(tuned)
	rules := cfg.Rules()
	fsyncer := walwriter.NewFsyncer(rules.Sync, unsynced.Durable, s.File)
	p.writer = walwriter.NewWriter(s.Segment, cfg.SegmentBytes, fsyncer.Synced)
	p.writer.SealAfter(cfg.SegmentAge)

	if s.Unsynced != nil {
		// The first message of a mailbox that has room for one.
		_ = p.written.TrySend(&msgs.Written{LastSeq: image.Seq(), Bytes: unsynced.Bytes, File: s.File})
	}

	var audience applier.Audience
	if rules.Lazy {
		audience = p.heads
	}
	apply := applier.New(tuned.executor, tuned.Window, s.Working, image, audience)
	p.heads.Develop(p.develop(apply))

	system, err := actors.Start(
		func(cause error) {
			p.heads.Fail(cause)
			if s.OnPoison != nil {
				s.OnPoison(cause)
			}
		},
		p.sequencerStage(sequencer.New(cfg.EpochBytes, image.Micros())),
		p.applierStage(apply),
		p.writerStage(p.writer, &rules.Outlet),
		p.fsyncerStage(fsyncer),
		p.publisherStage(publisher.Resume(rules.Publish, unsynced.Durable, image)),
		p.checkpointerStage(),
	)
	if err != nil {
		return nil, err
	}
	p.system = system
	return p, nil
}

// develop returns what makes the images that the applier has not made.
func (p *Pipeline) develop(a *applier.Applier) func() *state.Image {
	return func() *state.Image {
		start := time.Now()
		image := a.Image()
		p.metrics.imageTime.record(time.Since(start))
		return image
	}
}

// Executor returns what binds requests for this pipeline.
func (p *Pipeline) Executor() *executor.Executor { return p.tuning.Load().executor }

// Heads returns the published heads.
func (p *Pipeline) Heads() *publisher.Heads { return p.heads }

// History returns the recent past.
func (p *Pipeline) History() *publisher.History { return p.history }

// Submit admits a prepared request, which is the pipeline's from then on, and
// returns its ticket. Any error means that the request has no effect.
func (p *Pipeline) Submit(ctx context.Context, r *msgs.Request) (*msgs.Ticket, error) {
	return p.submit(ctx, r, false)
}

// Carry is Submit for a caller that is about to wait for the ticket. A request
// that is alone in the pipeline is carried by the caller's goroutine as far as it
// gets without waiting for a sync, but for the one that a full segment takes; and
// where the context cannot end, through the sync as well. Its ticket is mostly
// answered on return.
func (p *Pipeline) Carry(ctx context.Context, r *msgs.Request) (*msgs.Ticket, error) {
	return p.submit(ctx, r, true)
}

func (p *Pipeline) submit(ctx context.Context, r *msgs.Request, carry bool) (*msgs.Ticket, error) {
	flush := r.Flush
	ticket, err := p.admit(ctx, r, carry)
	if err != nil && !flush {
		p.metrics.refuse(err)
	}
	return ticket, err
}

// Window returns how long requests are remembered.
func (p *Pipeline) Window() applier.Window { return p.tuning.Load().Window }

// Duplicate answers a request that the published image shows to have been applied:
// a retry of it has nothing to wait for.
func (p *Pipeline) Duplicate(m applier.Remembered) *msgs.Ticket {
	p.metrics.duplicates.Add(1)
	t := msgs.NewTicket(nil, 0)
	t.Resolve(msgs.Result{
		CommitSeq: m.Seq, DurableSeq: p.heads.Durable(), Outcome: msgs.Duplicate, Replies: m.Replies, RepliesLost: m.Lost,
	})
	return t
}

// Refused counts a request that was refused before it could be submitted.
func (p *Pipeline) Refused(err error) { p.metrics.refuse(err) }

func (p *Pipeline) admit(ctx context.Context, r *msgs.Request, carry bool) (*msgs.Ticket, error) {
	if ctx.Err() != nil {
		return nil, errs.FromContext(ctx, "before admission; the request has no effect")
	}
	size := r.Size
	if err := p.admission.enter(ctx, size); err != nil {
		return nil, err
	}
	if held := p.admission.held.Load(); held != nil && !r.Flush {
		p.admission.Leave(size)
		return nil, held
	}
	ticket := r.Promise(p.admission)
	r.Ctx, r.Admitted = ctx, time.Now()
	if err := p.enqueue(ctx, r, carry); err != nil {
		p.admission.Leave(size)
		return nil, err
	}
	return ticket, nil
}

func (p *Pipeline) enqueue(ctx context.Context, r *msgs.Request, carry bool) error {
	if carry && p.admission.alone() {
		r.Patient = ctx.Done() == nil
		if p.requests.TryCarry(r.Admitted, r) {
			return nil
		}
		r.Patient = false
	}
	if !p.cfg.FailFast || r.Flush { // a flush brings no load, only order
		return p.sendError(ctx, p.requests.Send(ctx, r), waitingForRoom)
	}
	err := p.requests.TrySend(r)
	if errors.Is(err, actors.ErrFull) {
		return errQueueFull
	}
	return p.sendError(ctx, err, waitingForRoom)
}

const waitingForRoom = "waiting for room in the commit queue; the request has no effect"

// sendError gives a failed send the code it has for callers; doing tells what a
// context that ended has interrupted.
func (p *Pipeline) sendError(ctx context.Context, err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, actors.ErrStopped) && p.system.Cause() == nil:
		return errs.New(errs.CodeUnavailable, "the store is closed")
	case p.system.Cause() != nil:
		return errs.Wrap(errs.CodeUnavailable, p.system.Cause(), "the store takes no more requests; this one has no effect")
	}
	return errs.FromContext(ctx, doing)
}

// Hold refuses requests with an error from now on, or none any more if it is nil.
// Those that were admitted before go on, and so do flushes and checkpoints.
func (p *Pipeline) Hold(err *errs.Error) { p.admission.held.Store(err) }

// Held returns what requests are refused with, nil if they are not.
func (p *Pipeline) Held() error {
	if err := p.admission.held.Load(); err != nil {
		return err
	}
	return nil
}

// Flush waits until everything submitted before it is durable, and returns the
// durable head.
func (p *Pipeline) Flush(ctx context.Context) (uint64, error) {
	t, err := p.Submit(ctx, &msgs.Request{Flush: true})
	if err != nil {
		return 0, err
	}
	r, err := t.Wait(ctx)
	if err != nil {
		return 0, err
	}
	return r.DurableSeq, nil
}

// SegmentAging tells when a flush will seal the active segment for its age, and false
// where there is nothing to seal.
func (p *Pipeline) SegmentAging() (at time.Time, ok bool) { return p.writer.Aging() }

// Checkpoint takes a checkpoint that covers everything visible now, and returns
// its seq.
func (p *Pipeline) Checkpoint(ctx context.Context) (uint64, error) {
	reply := make(chan msgs.CheckpointReply, 1)
	if err := p.progress.Send(ctx, &msgs.Progress{Reply: reply}); err != nil {
		return 0, p.sendError(ctx, err, "waiting for the checkpointer; no checkpoint was asked for")
	}
	select {
	case r := <-reply:
		return r.Seq, r.Err
	case <-ctx.Done():
		return 0, errs.FromContext(ctx, "waiting for the checkpoint, which goes on")
	}
}

// Cause returns why the pipeline has broken down, or nil.
func (p *Pipeline) Cause() error { return p.system.Cause() }

// Poisoned is closed when the pipeline has broken down.
func (p *Pipeline) Poisoned() <-chan struct{} { return p.system.Poisoned() }

// Stop refuses new requests, finishes what was admitted, syncs, takes the last
// checkpoint, lets the manifest list the whole log, and ends all goroutines. If the context ends first the rest is
// given up, with the same outcome as a crash. When Stop returns, no goroutine
// touches a file any more, and the log is closed. It may be called more than once;
// the result is nil only after an orderly end.
func (p *Pipeline) Stop(ctx context.Context) error {
	err := p.system.Stop(ctx)
	p.system.Wait()
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		err = errs.FromContext(ctx, "while the pipeline was being stopped; what was not durable is given up")
	}
	return errors.Join(err, p.closeLog())
}
