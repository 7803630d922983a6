package actors

import (
	"context"
	"fmt"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"
)

// Actor is what a System runs: a *Stage or a *Worker.
type Actor interface {
	// bind checks the description and returns its running side, a part of the
	// system.
	bind(s *System) (runner, error)
}

// runner is an actor as the system handles it.
type runner interface {
	name() string
	// context is the actor's own, labelled with its name.
	context() context.Context
	// run lives until the actor has ended in an orderly way, or failed.
	run() error
	// end asks for the end: a mailbox refuses, a worker's context is cancelled.
	// It is idempotent, and safe beside run.
	end(reason error)
	// abandon follows run in a poisoned system: it answers what run left.
	abandon(cause error)
	// panicked counts a panic.
	panicked()
	stats() Stats
}

// System runs the actors of one pipeline, each in a goroutine of its own. Its
// states are running, draining (after Stop), and poisoned (after the first
// error, panic or call of Poison), and it ends from each of the latter two. All
// methods are safe for concurrent use.
type System struct {
	// ctx is cancelled by the poisoning and by nothing else: it is the flag, the
	// signal and the cause in one.
	ctx      context.Context
	cancel   context.CancelCauseFunc
	spread   atomic.Bool // somebody carries the poisoning to the actors
	onPoison func(cause error)

	members    []member // in the order of the pipeline
	goroutines conc.WaitGroup
}

// member is an actor with the signal that its goroutine has ended.
type member struct {
	runner
	donec chan struct{}
}

// Start runs actors, given in the order of the pipeline. onPoison, if not nil,
// is called once, with the cause, by the goroutine that poisons the system; it
// is the place for the log entry, and must neither wait for the system nor
// panic. Start fails, and runs nothing, if a description is incomplete or two
// stages read one mailbox.
func Start(onPoison func(cause error), actors ...Actor) (*System, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &System{ctx: ctx, cancel: cancel, onPoison: onPoison}
	for _, a := range actors {
		r, err := a.bind(s)
		if err != nil {
			cancel(err)
			return nil, err
		}
		s.members = append(s.members, member{runner: r, donec: make(chan struct{})})
	}
	for _, m := range s.members {
		s.goroutines.Go(func() { s.supervise(m) })
	}
	return s, nil
}

// supervise is the life of an actor's goroutine. What follows run is deferred,
// so that not even runtime.Goexit within an actor leaves a message unanswered.
func (s *System) supervise(m member) {
	defer close(m.donec)
	pprof.SetGoroutineLabels(m.context())
	err := errGoexit
	defer func() {
		if err != nil {
			s.Poison(fmt.Errorf("actor %s: %w", m.name(), err))
		}
		if cause := s.Cause(); cause != nil {
			m.abandon(cause)
		}
	}()
	err = try(m.runner, m.run)
}

// Poison breaks the system, for good: mailboxes refuse with cause, stages stop
// handling and abort what they have, every goroutine ends. It does not wait for
// that. The first cause stays, later ones are dropped; a nil cause stands for
// ErrStopped.
func (s *System) Poison(cause error) {
	if cause == nil {
		cause = ErrStopped
	}
	s.cancel(cause)
	if !s.spread.CompareAndSwap(false, true) {
		return
	}
	cause = s.Cause()
	for _, m := range s.members {
		m.end(cause)
	}
	if s.onPoison != nil {
		s.onPoison(cause)
	}
}

// Poisoned returns a channel that is closed when the system is poisoned.
func (s *System) Poisoned() <-chan struct{} { return s.ctx.Done() }

// Cause returns why the system is poisoned, nil if it is not. An error or a
// panic (*PanicError) of an actor is wrapped with the actor's name.
func (s *System) Cause() error { return context.Cause(s.ctx) }

// Stop ends the system in an orderly way: actor after actor, in the order of
// the pipeline, refuses input, finishes what it has accepted, and ends. If ctx
// ends first, Stop poisons the system with the context's cause and returns
// without waiting further; Wait then tells when the last goroutine has ended.
// Stop returns nil after an orderly end and the cause if the system is
// poisoned. It may be called more than once. An actor must not call it.
func (s *System) Stop(ctx context.Context) error {
	for _, m := range s.members {
		m.end(ErrStopped)
		if !ended(ctx, m.donec) {
			s.Poison(context.Cause(ctx))
			return s.Cause()
		}
	}
	s.Wait()
	return s.Cause()
}

// ended waits for donec, and tells false if ctx ended first.
func ended(ctx context.Context, donec <-chan struct{}) bool {
	select {
	case <-donec:
		return true
	case <-ctx.Done():
	}
	// Both may have happened; what is done is done.
	select {
	case <-donec:
		return true
	default:
		return false
	}
}

// Wait waits until all goroutines of the system have ended. It does not make
// them end.
func (s *System) Wait() { s.goroutines.Wait() }

// Stats are the figures of one actor, counted from its start. Of a worker only
// Name and Panics are set.
type Stats struct {
	Name string
	// Handled counts messages that went through Step, Batches the steps that
	// took them, Wakeups the steps without a message; LargestBatch is the
	// largest number of messages in one step.
	Handled, Batches, Wakeups uint64
	// Carried counts the batches, of one message, that a sender handled itself.
	Carried      uint64
	LargestBatch int
	// Busy is the time spent in Step, Perform and Finish, including waits for room
	// in the next mailbox; that of several workers is added up. That of carried
	// messages is not in it.
	Busy time.Duration
	// Panics counts panics of the actor's functions.
	Panics uint64
	// Mailbox has the figures of the actor's input.
	Mailbox MailboxStats
}

// Stats returns the figures of all actors, in the order of the pipeline. It
// takes no lock, and works in every state of the system.
func (s *System) Stats() []Stats {
	all := make([]Stats, len(s.members))
	for i, m := range s.members {
		all[i] = m.stats()
	}
	return all
}

// PanicError is a panic of an actor, as an error.
type PanicError struct {
	// Actor is the name of the actor.
	Actor string
	// Value is what was given to panic.
	Value any
	// Stack is the stack of the goroutine at the panic, as text.
	Stack []byte
}

// Error implements error. The stack is not part of the text.
func (e *PanicError) Error() string { return fmt.Sprintf("panic in %s: %v", e.Actor, e.Value) }

// Unwrap returns the panic's value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// try calls f for an actor. A panic of f is counted and returned as a
// *PanicError.
func try(r runner, f func() error) (err error) {
	var catcher panics.Catcher
	catcher.Try(func() { err = f() })
	if p := catcher.Recovered(); p != nil {
		r.panicked()
		return &PanicError{Actor: r.name(), Value: p.Value, Stack: p.Stack}
	}
	return err
}

// labelled returns ctx with the label that profiles show for an actor.
func labelled(ctx context.Context, name string) context.Context {
	return pprof.WithLabels(ctx, pprof.Labels("actor", name))
}
