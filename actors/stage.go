package actors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Stage describes one actor that reads a mailbox: its name, its input and its
// behaviour. All functions are called one at a time, by the stage's own goroutine
// or by a sender that carries its message (see Mailbox.Carry), each ordered after
// the one before, so the state behind them needs no lock. The package
// documentation says in which order they are called and who owns a message when.
//
// In is the message, Out what a step decides: a value, or a pointer to a buffer
// that the logic reuses, since Perform is done with it before the next Step.
type Stage[In, Out any] struct {
	// Name is for metrics, profiles and errors. Required.
	Name string
	// In is the mailbox that the stage reads, and no one else. Required.
	In *Mailbox[In]
	// MaxBatch is the largest number of messages in one step; 0 stands for 1.
	MaxBatch int
	// Yield is asked before a batch is taken, and answers whether messages are
	// expected from goroutines that are ready to run: then they go first, and what
	// they send becomes part of the batch. It suits a stage whose step costs much
	// more per batch than per message, such as a sync. It should answer false
	// unless there is good reason: giving up the processor can cost a whole slice
	// of whoever else wants it. Nil for never.
	Yield func() bool

	// Step decides what a batch leads to. It is pure: it changes the state of
	// the stage's logic and nothing else. The batch has one to MaxBatch
	// messages, or none when the deadline of Wake has passed. now is for
	// deadlines and measurements; a logic whose time must be steered asks a
	// clock of its own. The slice is reused: Step may keep the messages, not the
	// slice. An error poisons the system. Required.
	Step func(now time.Time, batch []In) (Out, error)
	// Perform does what a step decided: writes, answers, sends on. The context
	// ends only when the system is poisoned, so waiting with it for room in the
	// next mailbox is right. An error poisons the system; the shell then aborts
	// the batch. Nil if there is nothing to do.
	Perform func(ctx context.Context, out Out) error
	// Abort answers a message that will not be handled, or whose handling
	// failed. It must be a no-op for a message that has been answered, safe
	// beside an answer by a later stage, and must not wait. Required.
	Abort func(msg In, cause error)

	// Wake tells when Step must be called though no message has come; with ok
	// false, never. It is asked each time the mailbox is found empty. While
	// messages keep coming it is not asked: a logic with deadlines looks at now
	// in every step. A deadline that stays in the past keeps the stage
	// spinning. Nil for a stage without deadlines.
	Wake func() (at time.Time, ok bool)
	// Drained is called once after the last message of an orderly stop, to
	// flush what the stage still holds. Later actors of the system still run.
	// An error poisons the system. Nil if there is nothing to flush.
	Drained func(ctx context.Context) error
	// Abandoned is called once, last, when the system is poisoned before the
	// stage has ended: it answers what the stage still holds of earlier
	// batches. Nil if the stage holds nothing between batches.
	Abandoned func(cause error)
}

func (s *Stage[In, Out]) bind(sys *System) (runner, error) {
	switch {
	case s.Name == "":
		return nil, errors.New("actors: a stage has no name")
	case s.In == nil || s.Step == nil || s.Abort == nil:
		return nil, fmt.Errorf("actors: stage %s needs In, Step and Abort", s.Name)
	case s.MaxBatch < 0:
		return nil, fmt.Errorf("actors: stage %s has MaxBatch %d, below 0", s.Name, s.MaxBatch)
	case !s.In.claimed.CompareAndSwap(false, true):
		return nil, fmt.Errorf("actors: stage %s reads mailbox %s, which another stage reads", s.Name, s.In.name)
	}
	sh := &shell[In, Out]{
		Stage:  *s,
		system: sys,
		ctx:    labelled(sys.ctx, s.Name),
		batch:  make([]In, 0, max(s.MaxBatch, 1)),
	}
	if s.Wake == nil { // a carried message could move a deadline that the goroutine waits for
		s.In.carry = sh.carry
	}
	return sh, nil
}

// shell runs a stage.
type shell[In, Out any] struct {
	Stage[In, Out]
	system *System
	ctx    context.Context // ends when the system is poisoned

	// batch is what the stage has in hand: taken from the mailbox and not yet
	// performed. It is emptied when Perform has returned nil, so that after any
	// failure it is what must be aborted. Owned by the stage's goroutine.
	batch []In
	alarm *time.Timer // nil until the first deadline

	// carried is what batch is, for the sender that carries: empty, or one
	// message. Guarded by the mailbox's turn.
	carried [1]In
	held    []In // carried[:0] or carried[:1]

	handled      atomic.Uint64
	batches      atomic.Uint64
	carries      atomic.Uint64
	wakeups      atomic.Uint64
	busyNanos    atomic.Int64
	largestBatch atomic.Int64
	panics       atomic.Uint64
}

func (s *shell[In, Out]) context() context.Context { return s.ctx }
func (s *shell[In, Out]) name() string             { return s.Name }
func (s *shell[In, Out]) end(reason error)         { s.In.end(reason) }
func (s *shell[In, Out]) panicked()                { s.panics.Add(1) }

// run is the one loop of all stages. It returns nil when the mailbox is closed,
// empty and drained.
func (s *shell[In, Out]) run() error {
	// The end of a step is the beginning of the next if a message is waiting, so
	// that a busy stage reads the clock once per batch.
	now := time.Now()
	for {
		s.yield()
		s.batch = s.In.take(s.batch)
		if len(s.batch) == 0 {
			var open bool
			if s.batch, open = s.In.await(s.batch, s.deadline(now)); !open {
				break
			}
			s.yield()
			s.batch = s.In.take(s.batch)
			now = time.Now()
		}
		after, err := s.handle(now)
		if err != nil {
			return err
		}
		now = after
		clear(s.batch)
		s.batch = s.batch[:0]
	}
	if s.alarm != nil {
		s.alarm.Stop()
	}
	// A message that was carried in before the mailbox closed is handled first.
	s.In.turn.Lock()
	defer s.In.turn.Unlock()
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if s.Drained != nil {
		return s.Drained(s.ctx)
	}
	return nil
}

func (s *shell[In, Out]) yield() {
	if s.Yield != nil && s.Yield() {
		runtime.Gosched()
	}
}

// handle takes the turn for the batch in hand.
func (s *shell[In, Out]) handle(now time.Time) (after time.Time, err error) {
	s.In.turn.Lock()
	defer s.In.turn.Unlock()
	if s.ctx.Err() != nil {
		return now, context.Cause(s.ctx)
	}
	err = s.step(now, s.batch)
	after = time.Now()
	s.record(after.Sub(now))
	return after, err
}

// step handles a batch. REQUIRES: the turn is held.
func (s *shell[In, Out]) step(now time.Time, batch []In) error {
	out, err := s.Step(now, batch)
	if err == nil && s.Perform != nil {
		err = s.Perform(s.ctx, out)
	}
	s.In.handled += uint64(len(batch))
	return err
}

// carry handles a message on the goroutine of its sender. A failure poisons the
// system as one on the stage's own goroutine does, which then aborts the message.
// REQUIRES: the turn is held; it is given back.
func (s *shell[In, Out]) carry(now time.Time, msg In) {
	defer s.In.turn.Unlock()
	s.carried[0] = msg
	s.held = s.carried[:1]
	if err := s.tryCarried(now); err != nil {
		s.system.Poison(fmt.Errorf("actor %s: %w", s.Name, err))
		return
	}
	s.carries.Add(1)
	s.handled.Add(1)
	s.batches.Add(1)
	clear(s.held)
	s.held = s.held[:0]
}

// tryCarried is the step of the message that is carried. It returns a panic, and
// the end of the goroutine by runtime.Goexit, as errors.
func (s *shell[In, Out]) tryCarried(now time.Time) (err error) {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			s.panicked()
			err = &PanicError{Actor: s.Name, Value: v, Stack: debug.Stack()}
			return
		}
		s.system.Poison(fmt.Errorf("actor %s: a goroutine that carried a message was ended by runtime.Goexit", s.Name))
	}()
	err = s.step(now, s.held)
	returned = true
	return err
}

// deadline returns the channel on which the stage is to be woken, nil if only a
// message can.
func (s *shell[In, Out]) deadline(now time.Time) <-chan time.Time {
	if s.Wake == nil {
		return nil
	}
	at, ok := s.Wake()
	if !ok {
		return nil
	}
	if s.alarm == nil {
		s.alarm = time.NewTimer(at.Sub(now))
	} else {
		s.alarm.Reset(at.Sub(now))
	}
	return s.alarm.C
}

// record counts the batch in hand. Only the stage's goroutine writes these
// figures.
func (s *shell[In, Out]) record(busy time.Duration) {
	s.busyNanos.Add(int64(busy))
	n := len(s.batch)
	if n == 0 {
		s.wakeups.Add(1)
		return
	}
	s.batches.Add(1)
	s.handled.Add(uint64(n))
	if int64(n) > s.largestBatch.Load() {
		s.largestBatch.Store(int64(n))
	}
}

// abandon answers everything that the stage will not handle. The mailbox has
// been or is being closed, so its channel ends after the last message that a
// racing sender got accepted. A panic over one message must not keep the others
// from their answer.
func (s *shell[In, Out]) abandon(cause error) {
	abort := func(msg In) {
		try(s, func() error { s.Abort(msg, cause); return nil })
	}
	s.In.turn.Lock() // whoever carries is done, or has failed and left what it held
	defer s.In.turn.Unlock()
	for _, hand := range [][]In{s.held, s.batch} {
		for _, msg := range hand {
			abort(msg)
		}
		clear(hand)
	}
	for msg := range s.In.c {
		s.In.received.Add(1)
		abort(msg)
	}
	if s.Abandoned != nil {
		try(s, func() error { s.Abandoned(cause); return nil })
	}
}

func (s *shell[In, Out]) stats() Stats {
	return Stats{
		Name:         s.Name,
		Handled:      s.handled.Load(),
		Batches:      s.batches.Load(),
		Carried:      s.carries.Load(),
		Wakeups:      s.wakeups.Load(),
		LargestBatch: int(s.largestBatch.Load()),
		Busy:         time.Duration(s.busyNanos.Load()),
		Panics:       s.panics.Load(),
		Mailbox:      s.In.Stats(),
	}
}
