package actors

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// finishing returns a stage with workers that finishes each batch with f. Its steps
// take note of the order of the messages.
func finishing(in *Mailbox[*request], workers, batch int, order *[]int, f func([]*request) error) *Stage[*request, []*request] {
	return &Stage[*request, []*request]{
		Name: "finishing", In: in, MaxBatch: batch, Workers: workers,
		Patience: func() time.Duration { return 0 },
		Step: func(_ time.Time, batch []*request) ([]*request, error) {
			var out []*request
			for _, r := range batch {
				*order = append(*order, r.n)
				out = append(out, r)
			}
			return out, nil
		},
		Finish: func(_ context.Context, batch []*request) error {
			if err := f(batch); err != nil {
				return err
			}
			for _, r := range batch {
				r.handled.Add(1)
			}
			return nil
		},
		Abort: func(r *request, cause error) { r.abort(cause) },
	}
}

func TestOtherWorkersGoOnWhenTheFirstIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, proceed := NewMailbox[*request]("in", 8), make(chan struct{})
		var order []int
		var underway, most atomic.Int32
		stage := finishing(in, 2, 1, &order, func([]*request) error {
			most.Store(max(most.Load(), underway.Add(1)))
			<-proceed
			underway.Add(-1)
			return nil
		})
		stage.Patience = func() time.Duration { return time.Second }
		s, err := Start(nil, stage)
		require.NoError(t, err)
		time.Sleep(time.Hour) // it passes: workers without work wait as others do
		for n := range 5 {
			require.NoError(t, in.Send(t.Context(), &request{n: n}))
		}
		time.Sleep(time.Second / 2)
		synctest.Wait()
		require.EqualValues(t, 1, underway.Load(), "not slow yet")
		time.Sleep(time.Second)
		synctest.Wait()
		require.EqualValues(t, 2, underway.Load(), "as many as there are workers")
		close(proceed)
		require.NoError(t, s.Stop(t.Context()))
		require.Equal(t, []int{0, 1, 2, 3, 4}, order)
		require.EqualValues(t, 2, most.Load())
		require.EqualValues(t, 5, s.Stats()[0].Handled)
	})
}

func TestOtherWorkersTakeWhatComesWhileTheFirstIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, proceed := NewMailbox[*request]("in", 8), make(chan struct{})
		var order []int
		stage := finishing(in, 2, 1, &order, func(batch []*request) error {
			if batch[0].n == 0 {
				<-proceed
			}
			return nil
		})
		stage.Patience = func() time.Duration { return time.Second }
		s, err := Start(nil, stage)
		require.NoError(t, err)
		require.NoError(t, in.Send(t.Context(), &request{n: 0}))
		for n := 1; n < 4; n++ {
			time.Sleep(time.Minute) // long after the first has become slow
			r := &request{n: n}
			require.NoError(t, in.Send(t.Context(), r))
			time.Sleep(2 * time.Second)
			synctest.Wait()
			require.EqualValues(t, 1, r.handled.Load())
		}
		close(proceed)
		require.NoError(t, s.Stop(t.Context()))
	})
}

func TestStopWaitsForWhatIsBeingFinished(t *testing.T) {
	for name, give := range map[string]func(*Mailbox[*request], *request){
		"by a worker": func(in *Mailbox[*request], r *request) { _ = in.Send(context.Background(), r) },
		"by a sender": func(in *Mailbox[*request], r *request) { _ = in.Carry(context.Background(), time.Now(), r) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in, proceed := NewMailbox[*request]("in", 8), make(chan struct{})
				var order []int
				var drained bool
				stage := finishing(in, 2, 1, &order, func([]*request) error { <-proceed; return nil })
				r := &request{}
				stage.Drained = func(context.Context) error {
					drained = r.handled.Load() == 1
					return nil
				}
				s, err := Start(nil, stage)
				require.NoError(t, err)
				go give(in, r)
				synctest.Wait()
				stopped := make(chan error, 1)
				go func() { stopped <- s.Stop(context.Background()) }()
				synctest.Wait()
				require.Empty(t, stopped)
				close(proceed)
				require.NoError(t, <-stopped)
				require.True(t, drained)
			})
		})
	}
}

// Whatever ends the work of one worker, every message that was accepted is handled
// or aborted, once, and none is left when the system has ended.
func TestEveryMessageOfManyWorkersIsAnswered(t *testing.T) {
	broken := errors.New("disk is gone")
	for name, fail := range map[string]func() error{
		"an error": func() error { return broken },
		"a panic":  func() error { panic(broken) },
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				in := NewMailbox[*request]("in", 4)
				var order []int
				var finished atomic.Int64
				s, err := Start(nil, finishing(in, 3, 2, &order, func([]*request) error {
					if finished.Add(1) == 300 {
						return fail()
					}
					return nil
				}))
				require.NoError(t, err)
				accepted := flood(in)
				<-s.Poisoned()
				all := accepted()
				s.Wait()
				require.ErrorIs(t, s.Cause(), broken)
				for _, r := range all {
					require.EqualValues(t, 1, r.handled.Load()+r.aborted.Load())
				}
			}
		})
	}
}

func TestCarriedMessageThatCannotBeFinishedIsAborted(t *testing.T) {
	broken := errors.New("disk is gone")
	in := NewMailbox[*request]("in", 1)
	var order []int
	s, err := Start(nil, finishing(in, 1, 1, &order, func([]*request) error { return broken }))
	require.NoError(t, err)
	r := &request{}
	require.True(t, in.TryCarry(time.Now(), r))
	require.EqualValues(t, 1, r.aborted.Load(), "when TryCarry returns")
	s.Wait()
	require.ErrorIs(t, s.Cause(), broken)
	require.False(t, in.TryCarry(time.Now(), &request{}))
}

func TestBatchGathersWhatReadyGoroutinesSend(t *testing.T) {
	in := NewMailbox[*request]("in", 8)
	var order []int
	batches := make(chan int, 8)
	stage := finishing(in, 1, 8, &order, func(batch []*request) error {
		batches <- len(batch)
		return nil
	})
	stage.Gather = func(batch []*request) bool { return len(batch) < 3 }
	s, err := Start(nil, stage)
	require.NoError(t, err)
	for range 2 {
		for n := range 3 {
			require.NoError(t, in.Send(t.Context(), &request{n: n}))
		}
		require.Equal(t, 3, <-batches)
	}
	require.NoError(t, s.Stop(t.Context()))
	require.Equal(t, []int{0, 1, 2, 0, 1, 2}, order)
}

func TestGatheringEndsThoughTheClockStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, began := NewMailbox[*request]("in", 8), time.Now()
		var order []int
		stage := finishing(in, 1, 8, &order, func([]*request) error { return nil })
		stage.Gather = func([]*request) bool { return time.Since(began) < time.Second }
		s, err := Start(nil, stage)
		require.NoError(t, err)
		require.NoError(t, in.Send(t.Context(), &request{n: 7}))
		require.NoError(t, s.Stop(t.Context()))
		require.Equal(t, []int{7}, order)
	})
}

func TestStageRefusesWorkersThatCannotWork(t *testing.T) {
	var order []int
	_, err := Start(nil, finishing(NewMailbox[*request]("in", 1), -1, 1, &order, nil))
	require.ErrorContains(t, err, "finishing")
	stage := finishing(NewMailbox[*request]("in", 1), 2, 1, &order, nil)
	stage.Patience = nil
	_, err = Start(nil, stage)
	require.ErrorContains(t, err, "Patience")
}
