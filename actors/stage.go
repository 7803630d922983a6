package actors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
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

	// Gather is asked before a batch is handled whether to let other goroutines run
	// first and to add what they send; and again after that, some thousand times at
	// most. Nil for never.
	Gather func(batch []In) bool
	// Workers is how many goroutines serve the stage; 0 stands for 1. The first does
	// all the work, but when its Finish takes longer than Patience, asked each time,
	// the others go on with what is waiting. Steps and performs never overlap, however
	// many workers there are; only what Finish does may. It suits a stage that mostly
	// waits for something that can be slow, and can be under way more than once, such
	// as a sync. Patience is required if there is more than one.
	Workers  int
	Patience func() time.Duration

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
	// Finish is the part of Perform that need not be over before the next step:
	// several batches may be finished at once, by the workers and by who carries,
	// and end in any order. So Out must not be a buffer that is reused. An error
	// poisons the system; the shell then aborts the batch. Nil if there is nothing
	// to do.
	Finish func(ctx context.Context, out Out) error
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
	case s.Workers < 0 || s.Workers > 1 && s.Patience == nil:
		return nil, fmt.Errorf("actors: stage %s has %d workers, and Patience is required for more than one", s.Name, s.Workers)
	case !s.In.claimed.CompareAndSwap(false, true):
		return nil, fmt.Errorf("actors: stage %s reads mailbox %s, which another stage reads", s.Name, s.In.name)
	}
	sh := &shell[In, Out]{
		Stage:  *s,
		system: sys,
		ctx:    labelled(sys.ctx, s.Name),
		hands:  make([][]In, max(s.Workers, 1)),
	}
	if len(sh.hands) > 1 {
		sh.late = time.NewTimer(time.Hour)
		sh.late.Stop()
	}
	for i := range sh.hands {
		sh.hands[i] = make([]In, 0, max(s.MaxBatch, 1))
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

	// hands are what the workers have in hand: taken from the mailbox and not yet
	// finished. One is emptied when its batch is done with, so that after any
	// failure it is what must be aborted. Each belongs to its worker.
	hands [][]In
	// door is held by the worker that receives, from its look into the mailbox until
	// the batch is performed: so batches are handled in the order in which they were
	// taken. Only the first worker waits there; others come when it is at Finish.
	door sync.Mutex
	// late rings when the first worker has been at Finish for long; nil if it is the
	// only one. finishing is true while it is there.
	late      *time.Timer
	finishing atomic.Bool
	alarm     *time.Timer // for the deadline of Wake; nil until the first

	// carried is what a hand is, for the sender that carries: empty, or one message,
	// until it is performed. Guarded by the mailbox's turn.
	carried [1]In
	held    []In // carried[:0] or carried[:1]
	// carriers are the senders that carry and may be at Finish; one is added under the
	// turn.
	carriers sync.WaitGroup

	handled      atomic.Uint64
	batches      atomic.Uint64
	wakeups      atomic.Uint64
	busyNanos    atomic.Int64
	largestBatch atomic.Int64
	panics       atomic.Uint64
}

func (s *shell[In, Out]) context() context.Context { return s.ctx }
func (s *shell[In, Out]) name() string             { return s.Name }
func (s *shell[In, Out]) end(reason error)         { s.In.end(reason) }
func (s *shell[In, Out]) panicked()                { s.panics.Add(1) }

// run is the life of the stage. It returns nil when the mailbox is closed, empty
// and drained.
func (s *shell[In, Out]) run() error {
	var helpers sync.WaitGroup
	over := make(chan struct{}) // closed when the first worker has ended
	defer helpers.Wait()
	end := sync.OnceFunc(func() { close(over) })
	defer end()
	for i := range s.hands[1:] {
		helpers.Go(func() {
			pprof.SetGoroutineLabels(s.ctx)
			_ = s.guard(func() error { return s.help(&s.hands[i+1], over) })
		})
	}
	err := s.guard(func() error { return s.work(&s.hands[0]) })
	end()
	helpers.Wait()
	// What was carried in before the mailbox closed is handled first.
	s.In.turn.Lock()
	defer s.In.turn.Unlock()
	s.carriers.Wait()
	if s.alarm != nil {
		s.alarm.Stop()
	}
	switch {
	case err != nil:
		return err
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	case s.Drained != nil:
		return s.Drained(s.ctx)
	}
	return nil
}

// work is the one loop of all stages.
func (s *shell[In, Out]) work(hand *[]In) error {
	// The end of a step is the beginning of the next if a message is waiting, so
	// that a busy stage reads the clock once per batch.
	now := time.Now()
	for {
		out, after, open, err := s.next(hand, now)
		if err != nil || !open {
			return err
		}
		if now, err = s.finish(out, after); err != nil {
			return err
		}
		clear(*hand)
		*hand = (*hand)[:0]
	}
}

// next takes a batch and handles it, but for Finish. The mailbox is closed and
// empty if open is false.
func (s *shell[In, Out]) next(hand *[]In, now time.Time) (out Out, after time.Time, open bool, err error) {
	s.yield()
	s.door.Lock()
	defer s.door.Unlock()
	if *hand = s.In.take(*hand); len(*hand) == 0 {
		if *hand, open = s.In.await(*hand, s.deadline(now)); !open {
			return out, now, false, nil
		}
		s.yield()
		now = time.Now()
	}
	out, after, err = s.handle(now, hand)
	return out, after, true, err
}

// finish is Finish for the first worker.
func (s *shell[In, Out]) finish(out Out, now time.Time) (after time.Time, err error) {
	if s.Finish == nil {
		return now, nil
	}
	if s.late != nil {
		s.finishing.Store(true)
		s.late.Reset(s.Patience())
		defer func() {
			s.finishing.Store(false)
			s.late.Stop()
		}()
	}
	if err := s.Finish(s.ctx, out); err != nil {
		return now, err
	}
	after = time.Now()
	s.busyNanos.Add(int64(after.Sub(now)))
	return after, nil
}

// help is the loop of another worker, until the first has ended.
func (s *shell[In, Out]) help(hand *[]In, over <-chan struct{}) error {
	for {
		select {
		case <-s.late.C:
		case <-s.ctx.Done():
			return nil
		case <-over:
			return nil
		}
		for s.finishing.Load() {
			some, err := s.relieve(hand)
			if err != nil {
				return err
			}
			if !some { // what comes later may have to wait for long, too
				s.late.Reset(max(s.Patience(), rest))
				break
			}
		}
	}
}

// rest is how long another worker waits at least, while the first is slow and there is
// nothing to do.
const rest = time.Millisecond

func (s *shell[In, Out]) yield() {
	if s.Yield != nil && s.Yield() {
		runtime.Gosched()
	}
}

// relieve does what is waiting in place of the first worker, unless that is at the
// door again. It reports whether there was anything.
func (s *shell[In, Out]) relieve(hand *[]In) (some bool, err error) {
	if !s.door.TryLock() {
		return false, nil
	}
	*hand = s.In.take(*hand)
	if len(*hand) == 0 {
		s.door.Unlock()
		return false, nil
	}
	out, after, err := s.relieved(hand)
	if err != nil {
		return true, err
	}
	if err := s.Finish(s.ctx, out); err != nil {
		return true, err
	}
	s.busyNanos.Add(int64(time.Since(after)))
	clear(*hand)
	*hand = (*hand)[:0]
	return true, nil
}

// relieved handles a batch and gives the door back.
func (s *shell[In, Out]) relieved(hand *[]In) (Out, time.Time, error) {
	defer s.door.Unlock()
	return s.handle(time.Now(), hand)
}

// mostYields bounds how often a batch yields to gather more. A Gather that goes by the
// time would not end where the clock stands still, as it does in a synctest bubble for
// as long as a goroutine can run.
const mostYields = 1000

// handle takes the turn for a batch. REQUIRES: the door is held.
func (s *shell[In, Out]) handle(now time.Time, hand *[]In) (out Out, after time.Time, err error) {
	*hand = s.In.take(*hand)
	for yields := 0; s.Gather != nil && yields < mostYields && len(*hand) < cap(*hand) && s.Gather(*hand); yields++ {
		runtime.Gosched()
		*hand = s.In.take(*hand)
	}
	s.In.turn.Lock()
	defer s.In.turn.Unlock()
	if s.ctx.Err() != nil {
		return out, now, context.Cause(s.ctx)
	}
	s.In.stuck = true // also after a panic
	out, err = s.step(now, *hand)
	s.In.stuck = err != nil
	s.In.handled += uint64(len(*hand))
	after = time.Now()
	s.record(len(*hand), after.Sub(now))
	return out, after, err
}

// step handles a batch. REQUIRES: the turn is held.
func (s *shell[In, Out]) step(now time.Time, batch []In) (Out, error) {
	out, err := s.Step(now, batch)
	if err == nil && s.Perform != nil {
		err = s.Perform(s.ctx, out)
	}
	return out, err
}

// carry handles a message on the goroutine of its sender. A failure poisons the
// system as one on a goroutine of the stage does, which then aborts what was not
// performed. REQUIRES: the turn is held; it is given back.
func (s *shell[In, Out]) carry(now time.Time, msg In) {
	if s.Finish == nil {
		s.performCarried(now, msg)
		return
	}
	s.carriers.Add(1)
	defer s.carriers.Done()
	out, ok := s.performCarried(now, msg)
	if !ok {
		return
	}
	if s.guard(func() error { return s.Finish(s.ctx, out) }) != nil {
		_ = try(s, func() error { s.Abort(msg, s.system.Cause()); return nil })
	}
}

// performCarried is carry without Finish.
func (s *shell[In, Out]) performCarried(now time.Time, msg In) (out Out, ok bool) {
	defer s.In.turn.Unlock()
	s.carried[0] = msg
	s.held = s.carried[:1]
	err := s.guard(func() (err error) {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		out, err = s.step(now, s.held)
		return err
	})
	if err != nil {
		s.In.stuck = true
		return out, false
	}
	clear(s.held)
	s.held = s.held[:0]
	return out, true
}

// guard calls f, which belongs to the stage, and poisons the system at once if it
// fails: by an error, by a panic, or by the end of the goroutine.
func (s *shell[In, Out]) guard(f func() error) (err error) {
	err = errGoexit
	defer func() {
		if v := recover(); v != nil {
			s.panicked()
			err = &PanicError{Actor: s.Name, Value: v, Stack: debug.Stack()}
		}
		if err != nil {
			s.system.Poison(fmt.Errorf("actor %s: %w", s.Name, err))
		}
	}()
	err = f()
	return err
}

// errGoexit is what a function of an actor ends with that does not return.
var errGoexit = errors.New("its goroutine was ended by runtime.Goexit")

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

// record counts a batch of n messages. The turn is held.
func (s *shell[In, Out]) record(n int, busy time.Duration) {
	s.busyNanos.Add(int64(busy))
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
	s.carriers.Wait()
	for _, hand := range append(s.hands, s.held) {
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
	carried := s.In.carried.Load()
	return Stats{
		Name:         s.Name,
		Handled:      s.handled.Load() + carried,
		Batches:      s.batches.Load() + carried,
		Carried:      carried,
		Wakeups:      s.wakeups.Load(),
		LargestBatch: int(s.largestBatch.Load()),
		Busy:         time.Duration(s.busyNanos.Load()),
		Panics:       s.panics.Load(),
		Mailbox:      s.In.Stats(),
	}
}
