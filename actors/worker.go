package actors

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// Worker describes an actor that is not a mailbox loop: a ticker, a sweeper, a
// listener.
type Worker struct {
	// Name is for metrics, profiles and errors. Required.
	Name string
	// Run is the worker's life. It may end early with nil. Its context ends when
	// the system stops and it is this worker's turn, or is poisoned; Run then
	// has to return, and may return the context's error or cause. Any other
	// error poisons the system. Required.
	Run func(ctx context.Context) error
}

func (w *Worker) bind(s *System) (runner, error) {
	switch {
	case w.Name == "":
		return nil, errors.New("actors: a worker has no name")
	case w.Run == nil:
		return nil, fmt.Errorf("actors: worker %s needs Run", w.Name)
	}
	own, cancel := context.WithCancelCause(labelled(s.ctx, w.Name))
	return &job{Worker: *w, ctx: own, cancel: cancel}, nil
}

// job runs a worker.
type job struct {
	Worker
	ctx    context.Context
	cancel context.CancelCauseFunc
	panics atomic.Uint64
}

func (j *job) context() context.Context { return j.ctx }
func (j *job) name() string             { return j.Name }
func (j *job) end(reason error)         { j.cancel(reason) }
func (j *job) panicked()                { j.panics.Add(1) }
func (j *job) abandon(error)            {}

func (j *job) run() error {
	// Releases the context where the worker ends before it is told to.
	defer j.cancel(ErrStopped)
	err := j.Run(j.ctx)
	if ended := j.ctx.Err(); ended != nil {
		if errors.Is(err, ended) || errors.Is(err, context.Cause(j.ctx)) {
			return nil
		}
	}
	return err
}

func (j *job) stats() Stats {
	return Stats{Name: j.Name, Panics: j.panics.Load()}
}
