package actors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// request is a message that knows how often it was answered.
type request struct {
	n       int
	handled atomic.Int32
	aborted atomic.Int32
	cause   error // of the abort; read after the system has ended
}

func (r *request) abort(cause error) {
	if r.aborted.CompareAndSwap(0, 1) {
		r.cause = cause
	}
}

// forward returns a stage that sends its batches on to next.
func forward(name string, in, next *Mailbox[*request]) *Stage[*request, []*request] {
	return &Stage[*request, []*request]{
		Name: name, In: in, MaxBatch: 4,
		Step: func(_ time.Time, batch []*request) ([]*request, error) { return batch, nil },
		Perform: func(ctx context.Context, batch []*request) error {
			for i, r := range batch {
				if err := next.Carry(ctx, time.Now(), r); err != nil {
					return err // the rest is the shell's to abort
				}
				batch[i] = nil // given away
			}
			return nil
		},
		Abort: func(r *request, cause error) {
			if r != nil {
				r.abort(cause)
			}
		},
	}
}

// answer returns a last stage, which handles each request with f.
func answer(name string, in *Mailbox[*request], f func(*request) error) *Stage[*request, struct{}] {
	return &Stage[*request, struct{}]{
		Name: name, In: in, MaxBatch: 4,
		Step: func(_ time.Time, batch []*request) (struct{}, error) {
			for i, r := range batch {
				if err := f(r); err != nil {
					return struct{}{}, err
				}
				r.handled.Add(1)
				batch[i] = nil
			}
			return struct{}{}, nil
		},
		Abort: func(r *request, cause error) {
			if r != nil {
				r.abort(cause)
			}
		},
	}
}

// threeStages starts a pipeline with small mailboxes, whose last stage handles
// with f.
func threeStages(t *testing.T, f func(*request) error) (*System, *Mailbox[*request]) {
	a := NewMailbox[*request]("a", 4)
	b := NewMailbox[*request]("b", 2)
	c := NewMailbox[*request]("c", 3)
	s, err := Start(nil, forward("first", a, b), forward("second", b, c), answer("third", c, f))
	require.NoError(t, err)
	return s, a
}

// flood sends from many goroutines until the mailbox refuses, and returns what
// was accepted.
func flood(in *Mailbox[*request]) (accepted func() []*request) {
	const senders = 6
	var group sync.WaitGroup
	var lists [senders][]*request
	for id := range senders {
		group.Go(func() {
			for n := 0; ; n++ {
				r := &request{n: n*senders + id}
				send := in.Send
				if id%2 == 0 {
					send = func(ctx context.Context, r *request) error { return in.Carry(ctx, time.Now(), r) }
				}
				if send(context.Background(), r) != nil {
					return
				}
				lists[id] = append(lists[id], r)
			}
		})
	}
	return func() (all []*request) {
		group.Wait()
		for _, list := range lists {
			all = append(all, list...)
		}
		return all
	}
}

func TestStopHandlesEverythingThatWasAccepted(t *testing.T) {
	for range 20 {
		var handled atomic.Int64
		some := make(chan struct{})
		s, in := threeStages(t, func(*request) error {
			if handled.Add(1) == 200 {
				close(some)
			}
			return nil
		})
		accepted := flood(in)
		<-some
		require.NoError(t, s.Stop(t.Context()))
		all := accepted()
		require.EqualValues(t, len(all), handled.Load())
		for _, r := range all {
			require.EqualValues(t, 1, r.handled.Load())
			require.Zero(t, r.aborted.Load())
		}
		for _, stats := range s.Stats() {
			require.EqualValues(t, len(all), stats.Handled, stats.Name)
			require.EqualValues(t, len(all), stats.Mailbox.Received, stats.Name)
			require.Zero(t, stats.Mailbox.Depth, stats.Name)
		}
	}
}

func TestStopDrainsTheStagesInOrderAndEachFlushesDownstream(t *testing.T) {
	a := NewMailbox[*request]("a", 4)
	b := NewMailbox[*request]("b", 4)
	var order []string
	// The first stage holds everything until it drains.
	var held []*request
	first := &Stage[*request, struct{}]{
		Name: "holder", In: a,
		Step: func(_ time.Time, batch []*request) (struct{}, error) {
			held = append(held, batch...)
			return struct{}{}, nil
		},
		Abort: (*request).abort,
		Drained: func(ctx context.Context) error {
			order = append(order, "holder")
			for _, r := range held {
				if err := b.Send(ctx, r); err != nil {
					return err
				}
			}
			return nil
		},
		Abandoned: func(error) { order = append(order, "never") },
	}
	second := answer("answerer", b, func(*request) error { return nil })
	second.Drained = func(context.Context) error {
		order = append(order, "answerer")
		return nil
	}
	s, err := Start(nil, first, second)
	require.NoError(t, err)
	requests := make([]*request, 10)
	for i := range requests {
		requests[i] = &request{n: i}
		require.NoError(t, a.Send(t.Context(), requests[i]))
	}
	require.NoError(t, s.Stop(t.Context()))
	require.Equal(t, []string{"holder", "answerer"}, order)
	for _, r := range requests {
		require.EqualValues(t, 1, r.handled.Load())
	}
}

func TestStopIsIdempotentAndMayRunTwiceAtOnce(t *testing.T) {
	s, in := threeStages(t, func(*request) error { return nil })
	require.NoError(t, in.Send(t.Context(), &request{}))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Stop(gone), "a system that has ended is not poisoned by a late context")
	require.NoError(t, s.Cause())
	require.ErrorIs(t, in.Send(t.Context(), &request{}), ErrStopped)
}

// However a system breaks, every accepted message is answered exactly once:
// handled, or aborted with the cause.
func TestPoisoningAnswersEveryAcceptedMessageExactlyOnce(t *testing.T) {
	broken := errors.New("disk is gone")
	for _, test := range []struct {
		name  string
		third func(*request) error
		after func(s *System)
		check func(t *testing.T, cause error)
	}{
		{
			name:  "an error of a step",
			third: func(r *request) error { return failAt(r, func() error { return broken }) },
			check: func(t *testing.T, cause error) {
				require.ErrorIs(t, cause, broken)
				require.ErrorContains(t, cause, "actor third")
			},
		},
		{
			name:  "a panic of a step",
			third: func(r *request) error { return failAt(r, func() error { panic(broken) }) },
			check: func(t *testing.T, cause error) {
				var p *PanicError
				require.ErrorAs(t, cause, &p)
				require.Equal(t, "third", p.Actor)
				require.Contains(t, string(p.Stack), "system_test.go")
				require.ErrorIs(t, cause, broken)
			},
		},
		{
			name: "a goroutine that exits",
			third: func(r *request) error {
				return failAt(r, func() error { runtime.Goexit(); return nil })
			},
			check: func(t *testing.T, cause error) { require.ErrorContains(t, cause, "Goexit") },
		},
		{
			name:  "a call from outside",
			third: func(*request) error { return nil },
			after: func(s *System) { s.Poison(broken) },
			check: func(t *testing.T, cause error) { require.Equal(t, broken, cause) },
		},
		{
			name:  "the end of the context of Stop",
			third: func(*request) error { return nil },
			after: func(s *System) {
				ctx, cancel := context.WithCancelCause(context.Background())
				cancel(broken)
				_ = s.Stop(ctx)
			},
			check: func(t *testing.T, cause error) {
				// The system is idle or busy by chance, yet never hangs.
				if cause != nil {
					require.Equal(t, broken, cause)
				}
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 100 {
				s, in := threeStages(t, test.third)
				accepted := flood(in)
				if test.after != nil {
					for in.Stats().Sent < 200 {
						runtime.Gosched()
					}
					test.after(s)
				}
				s.Wait()
				test.check(t, s.Cause())
				for _, r := range accepted() {
					require.EqualValues(t, 1, r.handled.Load()+r.aborted.Load(), "request %d", r.n)
					if r.aborted.Load() == 1 {
						require.Equal(t, s.Cause(), r.cause)
					}
				}
				require.Equal(t, s.Cause(), s.Stop(t.Context()))
			}
		})
	}
}

// failAt calls fail when the 200th request or a later one comes by.
func failAt(r *request, fail func() error) error {
	if r.n >= 200 {
		return fail()
	}
	return nil
}

func TestPoisoningAbortsTheBatchInHandAndAbandonsWhatIsHeld(t *testing.T) {
	broken := errors.New("perform failed")
	in := NewMailbox[*request]("in", 8)
	var held []*request
	stage := &Stage[*request, bool]{
		Name: "writer", In: in, MaxBatch: 8,
		Step: func(_ time.Time, batch []*request) (fail bool, err error) {
			if batch[0].n == 0 {
				held = append(held, batch...)
				return false, nil
			}
			return true, nil
		},
		Perform: func(_ context.Context, fail bool) error {
			if fail {
				return broken
			}
			return nil
		},
		Abort: (*request).abort,
		Abandoned: func(cause error) {
			for _, r := range held {
				r.abort(cause)
			}
		},
		Drained: func(context.Context) error { t.Error("drained a poisoned stage"); return nil },
	}
	s, err := Start(nil, stage)
	require.NoError(t, err)
	requests := []*request{{n: 0}, {n: 1}}
	require.NoError(t, in.Send(t.Context(), requests[0]))
	for s.Stats()[0].Handled == 0 {
		runtime.Gosched()
	}
	require.NoError(t, in.Send(t.Context(), requests[1]))
	s.Wait()
	for _, r := range requests {
		require.EqualValues(t, 1, r.aborted.Load())
		require.ErrorIs(t, r.cause, broken)
	}
}

func TestAbortThatPanicsLeavesNoOtherMessageUnanswered(t *testing.T) {
	in := NewMailbox[int]("in", 8)
	var aborted []int
	stage := &Stage[int, struct{}]{
		Name: "fragile", In: in, MaxBatch: 2,
		Step: func(time.Time, []int) (struct{}, error) { panic("step") },
		Abort: func(n int, _ error) {
			if n == 1 {
				panic("abort")
			}
			aborted = append(aborted, n)
		},
	}
	for n := range 4 {
		require.NoError(t, in.TrySend(n))
	}
	s, err := Start(nil, stage)
	require.NoError(t, err)
	s.Wait()
	require.Equal(t, []int{0, 2, 3}, aborted)
	require.EqualValues(t, 2, s.Stats()[0].Panics)
	require.ErrorContains(t, s.Cause(), "panic in fragile: step")
}

func TestPoisonKeepsTheFirstCauseAndReportsItOnce(t *testing.T) {
	in := NewMailbox[int]("in", 1)
	var reports []error
	s, err := Start(func(cause error) { reports = append(reports, cause) }, ignore("s", in))
	require.NoError(t, err)
	require.NoError(t, s.Cause())
	first := errors.New("first")
	s.Poison(first)
	s.Poison(errors.New("second"))
	<-s.Poisoned()
	require.Equal(t, first, s.Cause())
	require.Equal(t, []error{first}, reports)
	require.Equal(t, first, in.TrySend(1))
	require.Equal(t, first, in.Send(t.Context(), 1))
	s.Wait()
}

func TestPoisonWithoutACauseStandsForStopped(t *testing.T) {
	s, err := Start(nil)
	require.NoError(t, err)
	s.Poison(nil)
	require.Equal(t, ErrStopped, s.Cause())
}

func TestPoisonWakesAPerformThatWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := NewMailbox[*request]("in", 1)
		full := NewMailbox[*request]("full", 1) // nobody reads it
		require.NoError(t, full.TrySend(nil))
		s, err := Start(nil, forward("sender", in, full))
		require.NoError(t, err)
		r := &request{}
		require.NoError(t, in.Send(t.Context(), r))
		synctest.Wait()
		broken := errors.New("broken")
		s.Poison(broken)
		s.Wait()
		require.EqualValues(t, 1, r.aborted.Load())
		require.Equal(t, broken, r.cause)
	})
}

func TestStopGivesUpWithItsContextAndPoisons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := NewMailbox[*request]("in", 4)
		hang := make(chan struct{})
		s, err := Start(nil, answer("hung", in, func(*request) error { <-hang; return nil }))
		require.NoError(t, err)
		requests := []*request{{n: 0}, {n: 1}, {n: 2}, {n: 3}, {n: 4}}
		require.NoError(t, in.Send(t.Context(), requests[0]))
		synctest.Wait()
		for _, r := range requests[1:] {
			require.NoError(t, in.Send(t.Context(), r))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, s.Stop(ctx), context.DeadlineExceeded)
		close(hang)
		s.Wait()
		require.EqualValues(t, 1, requests[0].handled.Load(), "a call in progress is finished")
		for _, r := range requests[1:] {
			require.EqualValues(t, 1, r.aborted.Load())
			require.ErrorIs(t, r.cause, context.DeadlineExceeded)
		}
	})
}

func TestWakeCallsStepAtItsDeadlineWithoutAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := NewMailbox[int]("in", 4)
		start := time.Now()
		var calls []string
		var deadline time.Time // zero: none
		stage := ignore("sleeper", in)
		stage.Step = func(now time.Time, batch []int) (struct{}, error) {
			calls = append(calls, fmt.Sprintf("%v%v", now.Sub(start), batch))
			deadline = time.Time{}
			if len(batch) > 0 {
				deadline = now.Add(5 * time.Second)
			}
			return struct{}{}, nil
		}
		stage.Wake = func() (time.Time, bool) { return deadline, !deadline.IsZero() }
		s, err := Start(nil, stage)
		require.NoError(t, err)

		time.Sleep(time.Second)
		require.NoError(t, in.TrySend(1)) // wakes at 6 s
		time.Sleep(9 * time.Second)
		require.NoError(t, in.TrySend(2)) // would wake at 15 s
		time.Sleep(3 * time.Second)
		require.NoError(t, in.TrySend(3)) // wakes at 18 s instead
		time.Sleep(20 * time.Second)
		require.NoError(t, s.Stop(t.Context()))
		require.Equal(t, []string{"1s[1]", "6s[]", "10s[2]", "13s[3]", "18s[]"}, calls)
		require.EqualValues(t, 2, s.Stats()[0].Wakeups)
		require.EqualValues(t, 3, s.Stats()[0].Batches)
	})
}

func TestShellKeepsNoHandledMessageReachable(t *testing.T) {
	in := NewMailbox[*request]("in", 4)
	stage := answer("s", in, func(*request) error { return nil })
	var leftovers atomic.Int64
	stage.Step = func(_ time.Time, batch []*request) (struct{}, error) {
		for _, r := range batch[len(batch):cap(batch)] {
			if r != nil {
				leftovers.Add(1)
			}
		}
		return struct{}{}, nil
	}
	for n := range 4 {
		require.NoError(t, in.TrySend(&request{n: n})) // one batch of four
	}
	s, err := Start(nil, stage)
	require.NoError(t, err)
	for s.Stats()[0].Batches == 0 {
		runtime.Gosched()
	}
	require.NoError(t, in.Send(t.Context(), &request{})) // and one of one
	require.NoError(t, s.Stop(t.Context()))
	require.EqualValues(t, 2, s.Stats()[0].Batches)
	require.Zero(t, leftovers.Load())
}

func TestStatsCountBatchesAndBusyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := NewMailbox[int]("in", 8)
		stage := ignore("busy", in)
		stage.MaxBatch = 3
		stage.Perform = func(context.Context, struct{}) error { time.Sleep(time.Second); return nil }
		for n := range 7 {
			require.NoError(t, in.TrySend(n))
		}
		s, err := Start(nil, stage)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		require.NoError(t, s.Stop(t.Context()))
		stats := s.Stats()[0]
		require.EqualValues(t, 7, stats.Handled)
		require.EqualValues(t, 3, stats.Batches)
		require.Equal(t, 3, stats.LargestBatch)
		require.Equal(t, 3*time.Second, stats.Busy)
	})
}

func TestWorkerEndsInItsPlaceInTheOrder(t *testing.T) {
	in := NewMailbox[int]("in", 1)
	var handled atomic.Int64
	stage := ignore("sink", in)
	stage.Step = func(_ time.Time, batch []int) (struct{}, error) {
		handled.Add(int64(len(batch)))
		return struct{}{}, nil
	}
	var sent int64
	source := &Worker{Name: "source", Run: func(ctx context.Context) error {
		for ctx.Err() == nil {
			// The sink outlives the source: this is refused only by the context.
			if err := in.Send(ctx, 1); err != nil {
				return err
			}
			sent++
		}
		return ctx.Err()
	}}
	s, err := Start(nil, source, stage)
	require.NoError(t, err)
	for handled.Load() < 100 {
		runtime.Gosched()
	}
	require.NoError(t, s.Stop(t.Context()))
	require.Equal(t, sent, handled.Load())
}

func TestWorkerThatFailsPoisons(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name string
		run  func(context.Context) error
		want string
	}{
		{"by an error", func(context.Context) error { return broken }, "actor w: broken"},
		{"by a panic", func(context.Context) error { panic(broken) }, "actor w: panic in w: broken"},
		{"by an error of its own after its context ended", func(ctx context.Context) error {
			<-ctx.Done()
			return broken
		}, "actor w: broken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := Start(nil, &Worker{Name: "w", Run: test.run})
			require.NoError(t, err)
			err = s.Stop(t.Context())
			require.ErrorIs(t, err, broken)
			require.EqualError(t, err, test.want)
		})
	}
}

func TestWorkerMayEndEarly(t *testing.T) {
	s, err := Start(nil, &Worker{Name: "once", Run: func(context.Context) error { return nil }})
	require.NoError(t, err)
	s.Wait()
	require.NoError(t, s.Cause())
	require.NoError(t, s.Stop(t.Context()))
}

func TestStartRefusesIncompleteDescriptions(t *testing.T) {
	stage := func(change func(*Stage[int, struct{}])) Actor {
		s := ignore("s", NewMailbox[int]("in", 1))
		change(s)
		return s
	}
	shared := NewMailbox[int]("shared", 1)
	for _, test := range []struct {
		want   string
		actors []Actor
	}{
		{"a stage has no name", []Actor{stage(func(s *Stage[int, struct{}]) { s.Name = "" })}},
		{"needs In", []Actor{stage(func(s *Stage[int, struct{}]) { s.In = nil })}},
		{"Step", []Actor{stage(func(s *Stage[int, struct{}]) { s.Step = nil })}},
		{"Abort", []Actor{stage(func(s *Stage[int, struct{}]) { s.Abort = nil })}},
		{"MaxBatch -1", []Actor{stage(func(s *Stage[int, struct{}]) { s.MaxBatch = -1 })}},
		{"a worker has no name", []Actor{&Worker{Run: func(context.Context) error { return nil }}}},
		{"needs Run", []Actor{&Worker{Name: "w"}}},
		{"reads mailbox shared, which another stage reads", []Actor{ignore("a", shared), ignore("b", shared)}},
	} {
		_, err := Start(nil, test.actors...)
		require.ErrorContains(t, err, test.want)
	}
}

// ignore returns a stage that does nothing with its messages.
func ignore(name string, in *Mailbox[int]) *Stage[int, struct{}] {
	return &Stage[int, struct{}]{
		Name: name, In: in,
		Step:  func(time.Time, []int) (struct{}, error) { return struct{}{}, nil },
		Abort: func(int, error) {},
	}
}
