package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/empyrealapp/aedb-go/applier"
	"github.com/empyrealapp/aedb-go/checkpointer"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/pipeline"
	"github.com/empyrealapp/aedb-go/publisher"
	"github.com/empyrealapp/aedb-go/sequencer"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/walwriter"
)

// maxGather is the largest batch of the inner stages.
const maxGather = 64

// engine is one life of the engine: what pipeline.Pipeline is with goroutines.
type engine struct {
	w *world

	requests     mailbox[*msgs.Request]
	epochs       mailbox[*msgs.Epoch]
	changes      mailbox[*msgs.Epoch]
	written      mailbox[*msgs.Written]
	publications mailbox[*msgs.Publication]
	progress     mailbox[*msgs.Progress]

	executor  *executor.Executor
	heads     *publisher.Heads
	history   *publisher.History
	log       *walwriter.Log
	writer    *walwriter.Writer
	outlet    *walwriter.Outlet
	fsyncer   *walwriter.Fsyncer
	publisher *publisher.Publisher
	keeper    *checkpointer.Checkpointer

	stages []*stage
	cause  error // why it has broken down

	calls   map[*msgs.Ticket]*call // every request that was admitted
	open    []*call                // those without an answer
	setup   bool                   // the project has been asked for
	replies []*checkpointCall

	// visible and durable are the heads as they were seen last, and synced is what
	// the disk is known to hold for good.
	visible, durable, synced uint64
	kept                     uint64 // the durable image, as it was seen last
	// inFile is the last commit written to each file.
	inFile map[msgs.File]uint64
}

// checkpointCall is a request for a checkpoint of at least a seq.
type checkpointCall struct {
	seq   uint64
	reply chan msgs.CheckpointReply
}

// start puts the stages together as pipeline.New does.
func start(w *world, working *state.Working, unsynced *pipeline.Unsynced, log *walwriter.Log, writer *walwriter.Writer,
	fsyncer *walwriter.Fsyncer, keeper *checkpointer.Checkpointer, image *state.Image,
) *engine {
	cfg, rules := &w.cfg, w.cfg.Rules()
	e := &engine{
		w:            w,
		requests:     mailbox[*msgs.Request]{name: "sequencer", capacity: cfg.SequencerQueue},
		epochs:       mailbox[*msgs.Epoch]{name: "applier", capacity: cfg.ApplierQueue},
		changes:      mailbox[*msgs.Epoch]{name: "writer", capacity: cfg.WriterQueue},
		written:      mailbox[*msgs.Written]{name: "fsyncer", capacity: cfg.FsyncerQueue},
		publications: mailbox[*msgs.Publication]{name: "publisher", capacity: cfg.PublisherQueue},
		progress:     mailbox[*msgs.Progress]{name: "checkpointer", capacity: 4},
		executor:     &executor.Executor{Limits: limits},
		heads:        publisher.ResumedHeads(image, unsynced.Durable, unsynced.Image),
		history:      publisher.NewHistory(image.Moment(), cfg.HistoryCommits, cfg.HistoryBytes),
		log:          log, writer: writer, outlet: &rules.Outlet, fsyncer: fsyncer, keeper: keeper,
		publisher: publisher.Resume(rules.Publish, unsynced.Durable, image),
		calls:     map[*msgs.Ticket]*call{}, inFile: map[msgs.File]uint64{log.File(): image.Seq()},
		visible: image.Seq(), durable: unsynced.Durable, synced: unsynced.Durable,
	}
	var audience applier.Audience
	if rules.Lazy {
		audience = drawnAudience{e.heads, w.rng}
	}
	apply := applier.New(e.executor, cfg.Window, working, image, audience)
	e.heads.Develop(apply.Image)
	e.stages = []*stage{
		e.sequencerStage(sequencer.New(cfg.EpochBytes, image.Micros())),
		e.applierStage(apply),
		e.writerStage(),
	}
	e.stages = append(e.stages, e.fsyncerStages()...)
	e.stages = append(e.stages, e.publisherStage(), e.checkpointerStage())
	if unsynced.Bytes > 0 {
		e.written.messages = append(e.written.messages, &msgs.Written{LastSeq: image.Seq(), Bytes: unsynced.Bytes, File: log.File()})
	}
	return e
}

// drawnAudience makes it a matter of chance whether an epoch is given its image.
type drawnAudience struct {
	*publisher.Heads
	rng *rand.Rand
}

func (a drawnAudience) Watched() bool { return a.rng.IntN(4) == 0 }

// send puts a message into the mailbox of a later stage when there is room, or has
// it refused when the engine has broken down.
func send[T any](e *engine, s *stage, to *mailbox[T], msg T, refused func(cause error)) {
	s.when("sends to "+to.name, func() bool { return e.cause != nil || to.room() }, func() error {
		if e.cause != nil {
			s.work = nil
			refused(e.cause)
			return nil
		}
		return e.w.must(to.put(msg))
	})
}

func (e *engine) sequencerStage(logic *sequencer.Sequencer) *stage {
	s := &stage{name: "sequencer", waiting: func() bool { return len(e.requests.messages) > 0 }}
	s.take = func() error {
		order := logic.Step(e.w.clock.Now().UnixMicro(), e.requests.takeUpTo(e.w.cfg.EpochCommits, e.w.rng.IntN), max(e.w.cfg.EpochCommits/2, 1))
		for _, r := range order.Withdrawn {
			s.then("withdraws", func() error { r.Ticket.Reject(sequencer.Withdrawal(r)); return nil })
		}
		epochs := slices.Clone(order.Epochs)
		for i, epoch := range epochs {
			send(e, s, &e.epochs, epoch, func(cause error) {
				for _, left := range epochs[i:] {
					applier.Abort(left, cause)
				}
			})
		}
		return nil
	}
	s.abandon = func(cause error) {
		for _, r := range e.requests.messages {
			sequencer.Abort(r, cause)
		}
	}
	return s
}

func (e *engine) applierStage(logic *applier.Applier) *stage {
	s := &stage{name: "applier", waiting: func() bool { return len(e.epochs.messages) > 0 }}
	s.take = func() error {
		epoch := e.epochs.takeUpTo(1, e.w.rng.IntN)[0]
		requests := slices.Clone(epoch.Requests)
		logic.Step(epoch)
		send(e, s, &e.changes, epoch, func(cause error) { applier.Abort(epoch, cause) })
		return e.w.must(e.executed(epoch, requests))
	}
	s.abandon = func(cause error) {
		for _, epoch := range e.epochs.messages {
			applier.Abort(epoch, cause)
		}
	}
	return s
}

func abortWritten(epochs []*msgs.Epoch, cause error) {
	for _, epoch := range epochs {
		walwriter.Abort(epoch, cause)
	}
}

func closeRetired(w *msgs.Written) {
	if w != nil && w.Retired != nil {
		_ = w.Retired.Close()
	}
}

func (e *engine) writerStage() *stage {
	s := &stage{name: "writer", waiting: func() bool { return len(e.changes.messages) > 0 }}
	s.take = func() error {
		batch := e.changes.takeUpTo(maxGather, e.w.rng.IntN)
		s.fail = func(cause error) { abortWritten(batch, cause) }
		plan, err := e.writer.Step(e.w.now, batch)
		if err != nil {
			return err
		}
		e.write(s, plan)
		return nil
	}
	s.abandon = func(cause error) { abortWritten(e.changes.messages, cause) }
	return s
}

// write performs a plan and tells of it.
func (e *engine) write(s *stage, plan *walwriter.Plan) {
	s.then(fmt.Sprintf("writes up to %d, %d bytes, %d sealed", plan.LastSeq, plan.Bytes, len(plan.Sealed)), func() error {
		e.w.attempted = max(e.w.attempted, plan.LastSeq)
		written, err := e.log.Perform(plan)
		if err != nil {
			return err
		}
		e.w.written, e.inFile[written.File] = plan.LastSeq, plan.LastSeq
		publication, written := e.outlet.Pass(plan, written)
		if publication != nil {
			send(e, s, &e.publications, publication, func(cause error) {
				closeRetired(written)
				abortWritten(plan.Epochs, cause)
			})
		}
		if written != nil {
			send(e, s, &e.written, written, func(cause error) {
				closeRetired(written)
				abortWritten(written.Epochs, cause)
			})
		}
		return nil
	})
}

// fsyncerStages returns the workers of the fsyncer, as many as there may be syncs
// under way.
func (e *engine) fsyncerStages() (workers []*stage) {
	for i := range max(e.w.cfg.Rules().Syncs, 1) {
		s := &stage{name: "fsyncer"}
		if i > 0 {
			s.name = fmt.Sprint("fsyncer ", i+1)
		}
		s.waiting = func() bool { return len(e.written.messages) > 0 || e.w.due(e.fsyncer.Wake()) }
		s.take = func() error {
			e.performSync(s, e.fsyncer.Step(e.w.now, e.written.takeUpTo(maxGather, e.w.rng.IntN)))
			return nil
		}
		s.abandon = func(cause error) {
			for _, w := range e.written.messages {
				abortWritten(w.Epochs, cause)
				closeRetired(w)
			}
			e.written.messages = nil
			if !slices.ContainsFunc(workers, func(other *stage) bool { return !other.abandoned }) {
				abortWritten(e.fsyncer.Abandon(), cause)
			}
		}
		workers = append(workers, s)
	}
	return workers
}

// performSync lets time pass before a sync has its effect, and again before it
// returns: what is written in the meantime may be synced, and may not.
func (e *engine) performSync(s *stage, o *walwriter.Order) {
	name := "has nothing to sync"
	if o.Sync != nil {
		name = fmt.Sprintf("syncs %d", o.Durable())
	}
	s.then(name, func() error {
		if err := o.Perform(); err != nil {
			return err
		}
		if o.Sync != nil {
			e.synced = max(e.synced, e.inFile[o.Sync])
		}
		s.when("is done", func() bool { return e.cause != nil || e.publications.room() }, func() error {
			return e.fsyncer.Land(o, e.w.now, func(p *msgs.Publication) error {
				if e.cause != nil {
					return e.cause
				}
				return e.w.must(e.publications.put(p))
			})
		})
		return nil
	})
}

func (e *engine) publisherStage() *stage {
	s := &stage{name: "publisher", waiting: func() bool { return len(e.publications.messages) > 0 }}
	s.take = func() error {
		release := e.publisher.Step(e.publications.takeUpTo(maxGather, e.w.rng.IntN))
		s.then(fmt.Sprintf("publishes %d epochs, durable %d", len(release.Epochs), release.Durable), func() error {
			e.heads.Publish(release, e.history)
			return e.w.must(e.published(release))
		})
		if len(release.Epochs) > 0 {
			s.then("answers", func() error { publisher.Answer(release.Epochs, e.heads.Durable()); return nil })
		}
		s.then("reports", func() error {
			if report := e.publisher.Report(e.w.cfg.ReportBytes()); report != nil && e.cause == nil && e.progress.room() {
				e.publisher.Told()
				return e.w.must(e.progress.put(report))
			}
			return nil
		})
		return nil
	}
	s.abandon = func(cause error) {
		for _, p := range e.publications.messages {
			abortWritten(p.Epochs, cause)
		}
		abortWritten(e.publisher.Waiting(), cause)
	}
	return s
}

func (e *engine) checkpointerStage() *stage {
	s := &stage{name: "checkpointer"}
	s.waiting = func() bool { return len(e.progress.messages) > 0 || e.w.due(e.keeper.Wake()) }
	s.take = func() error {
		if order := e.keeper.Step(e.w.now, e.progress.takeUpTo(maxGather, e.w.rng.IntN)); order.Take {
			e.takeCheckpoint(s, order.Replies)
		}
		return nil
	}
	s.abandon = func(cause error) {
		for _, p := range e.progress.messages {
			if p.Reply != nil {
				p.Reply <- msgs.CheckpointReply{Err: errs.Wrap(errs.CodeUnavailable, cause, "no checkpoint was taken")}
			}
		}
	}
	return s
}

// takeCheckpoint does what Pipeline.take does: a checkpoint must not be ahead of
// its log.
func (e *engine) takeCheckpoint(s *stage, replies []chan msgs.CheckpointReply) {
	image := e.heads.Visible()
	if e.heads.Durable() < image.Seq() {
		s.when("asks for a flush", func() bool { return e.cause != nil || e.requests.room() }, func() error {
			if e.cause != nil {
				return nil
			}
			return e.w.must(e.submit(&request{flush: true}, &msgs.Request{Flush: true}))
		})
	}
	durable := func() bool { return e.heads.Durable() >= image.Seq() }
	s.when(fmt.Sprintf("takes a checkpoint of %d", image.Seq()), func() bool { return e.cause != nil || durable() }, func() error {
		out := checkpointer.Outcome{Err: e.cause}
		if e.cause == nil {
			out = e.keeper.Take(context.Background(), image)
		}
		for _, reply := range replies {
			reply <- msgs.CheckpointReply{Seq: out.Seq, Err: out.Err}
		}
		return nil
	})
}

// breakDown poisons the engine: nothing is taken up any more, and sends are refused.
func (e *engine) breakDown(cause error) {
	if e.cause == nil {
		e.cause = cause
		if !e.w.disk.failed {
			_ = e.w.must(fmt.Errorf("nothing has failed, and the engine has: %w", cause))
		}
		e.heads.Fail(cause)
		e.w.trace.add("broken down: " + string(errs.CodeOf(cause)))
	}
}

// runnable lists the stages that can go on, each with what it would do.
func (e *engine) runnable(weight func(*stage) int) (out []choice) {
	for _, s := range e.stages {
		switch {
		case len(s.work) > 0:
			if t := s.work[0]; t.ready == nil || t.ready() {
				out = append(out, choice{s.name + " " + t.name, weight(s), func() error { return e.goOn(s) }})
			}
		case e.cause != nil:
			if !s.abandoned {
				out = append(out, choice{s.name + " gives up", weight(s), func() error {
					s.abandoned = true
					s.abandon(e.cause)
					return nil
				}})
			}
		case s.waiting():
			out = append(out, choice{s.name + " takes", weight(s), func() error {
				s.fail = nil
				return e.outcome(s, s.take())
			}})
		}
	}
	return out
}

// goOn does the next piece of work of a stage.
func (e *engine) goOn(s *stage) error {
	t := s.work[0]
	s.work = s.work[1:]
	return e.outcome(s, t.run())
}

// outcome breaks the engine down after an error of a stage, and passes on what is
// wrong with the engine itself.
func (e *engine) outcome(s *stage, err error) error {
	if err == nil || e.w.violation != nil {
		return e.w.violation
	}
	s.work = nil
	e.breakDown(fmt.Errorf("%s: %w", s.name, err))
	if s.fail != nil {
		s.fail(e.cause)
	}
	return nil
}

func (e *engine) stage(name string) *stage {
	return e.stages[slices.IndexFunc(e.stages, func(s *stage) bool { return s.name == name })]
}

// ended reports whether a broken engine has answered all it will.
func (e *engine) ended() bool {
	return e.cause != nil && !slices.ContainsFunc(e.stages, func(s *stage) bool { return !s.abandoned })
}

// due tells whether a deadline has come.
func (w *world) due(at time.Time, ok bool) bool { return ok && !w.now.Before(at) }
