package actors

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// goroutineOf returns a function that tells whether it is called on the goroutine
// that called goroutineOf.
func goroutineOf() func() bool {
	id := func() string {
		buf := make([]byte, 64)
		return string(buf[:runtime.Stack(buf, false)][:20])
	}
	mine := id()
	return func() bool { return id() == mine }
}

func TestCarryHandlesTheMessageOnTheSendersGoroutineThroughIdleStages(t *testing.T) {
	var here func() bool
	carried := false
	s, in := threeStages(t, func(*request) error { carried = here(); return nil })
	here = goroutineOf()
	r := &request{}
	require.NoError(t, in.Carry(t.Context(), time.Now(), r))
	require.EqualValues(t, 1, r.handled.Load(), "handled when Carry returns")
	require.True(t, carried)
	for _, stats := range s.Stats() {
		require.EqualValues(t, 1, stats.Carried, stats.Name)
		require.EqualValues(t, 1, stats.Handled, stats.Name)
		require.EqualValues(t, 1, stats.Mailbox.Sent, stats.Name)
		require.EqualValues(t, 1, stats.Mailbox.Received, stats.Name)
	}
	require.NoError(t, s.Stop(t.Context()))
	require.ErrorIs(t, in.Carry(t.Context(), time.Now(), &request{}), ErrStopped)
}

func TestCarryQueuesBehindABusyStage(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	var order []int
	s, in := threeStages(t, func(r *request) error {
		if r.n == 0 {
			close(entered)
			<-proceed
		}
		order = append(order, r.n)
		return nil
	})
	var first sync.WaitGroup
	first.Go(func() { _ = in.Carry(context.Background(), time.Now(), &request{n: 0}) })
	<-entered
	require.NoError(t, in.Carry(t.Context(), time.Now(), &request{n: 1}), "returns though the stage is busy")
	require.NoError(t, in.Send(t.Context(), &request{n: 2}))
	close(proceed)
	first.Wait()
	require.NoError(t, s.Stop(t.Context()))
	require.Equal(t, []int{0, 1, 2}, order)
}

func TestCarryThatFailsPoisonsAndItsMessageIsAborted(t *testing.T) {
	broken := errors.New("disk is gone")
	for name, fail := range map[string]func() error{
		"an error": func() error { return broken },
		"a panic":  func() error { panic(broken) },
	} {
		t.Run(name, func(t *testing.T) {
			s, in := threeStages(t, func(*request) error { return fail() })
			r := &request{}
			require.NoError(t, in.Carry(t.Context(), time.Now(), r), "accepted: it is answered, not returned")
			s.Wait()
			require.ErrorIs(t, s.Cause(), broken)
			require.ErrorContains(t, s.Cause(), "actor third")
			require.EqualValues(t, 1, r.aborted.Load())
			require.EqualValues(t, 0, r.handled.Load())
			require.Error(t, in.Carry(t.Context(), time.Now(), &request{}))
		})
	}
}

// meddler is an error that does something when the system looks at it, which is before
// the system is poisoned.
type meddler struct{ meddle func() }

func (e meddler) Error() string { e.meddle(); return "broken" }

// What comes when a step has failed, and the system does not know yet, is not handled
// behind what is missing.
func TestNothingIsCarriedIntoAStageThatHasFailed(t *testing.T) {
	in, steps := NewMailbox[int]("in", 4), 0
	var aborted []int
	s, err := Start(nil, &Stage[int, int]{
		Name: "stage", In: in, MaxBatch: 1,
		Step: func(_ time.Time, batch []int) (int, error) {
			steps++
			return 0, meddler{sync.OnceFunc(func() {
				if in.TryCarry(time.Now(), 2) {
					t.Error("a message was carried into a broken stage")
				}
			})}
		},
		Abort: func(n int, _ error) { aborted = append(aborted, n) },
	})
	require.NoError(t, err)
	require.NoError(t, in.Send(t.Context(), 1))
	s.Wait()
	require.ErrorContains(t, s.Cause(), "broken")
	require.Equal(t, 1, steps)
	require.Equal(t, []int{1}, aborted)
}

func TestStopWaitsForWhatIsCarried(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	hold := sync.OnceFunc(func() { close(entered); <-proceed })
	s, in := threeStages(t, func(*request) error { hold(); return nil })
	r := &request{}
	var sender, stopper sync.WaitGroup
	sender.Go(func() { _ = in.Carry(context.Background(), time.Now(), r) })
	<-entered
	handledBefore := false
	stopper.Go(func() {
		_ = s.Stop(context.Background())
		handledBefore = r.handled.Load() == 1
	})
	for in.Send(t.Context(), &request{}) == nil { // until Stop is under way
		runtime.Gosched()
	}
	close(proceed)
	sender.Wait()
	stopper.Wait()
	require.NoError(t, s.Cause())
	require.True(t, handledBefore)
}

func TestCarryToAStageWithDeadlinesIsASend(t *testing.T) {
	in := NewMailbox[*request]("in", 1)
	stage := answer("only", in, func(*request) error { return nil })
	stage.Wake = func() (time.Time, bool) { return time.Time{}, false }
	s, err := Start(nil, stage)
	require.NoError(t, err)
	require.NoError(t, in.Carry(t.Context(), time.Now(), &request{}))
	require.NoError(t, s.Stop(t.Context()))
	require.EqualValues(t, 0, s.Stats()[0].Carried)
	require.EqualValues(t, 1, s.Stats()[0].Handled)
}

func BenchmarkCarryThroughTwoStages(b *testing.B) {
	a, c := NewMailbox[*request]("a", 4), NewMailbox[*request]("c", 4)
	s, err := Start(nil, forward("first", a, c), answer("second", c, func(*request) error { return nil }))
	require.NoError(b, err)
	r := &request{}
	b.ReportAllocs()
	for b.Loop() {
		_ = a.Carry(context.Background(), time.Now(), r)
	}
	require.NoError(b, s.Stop(context.Background()))
}
