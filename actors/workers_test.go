package actors

import (
	"context"
	"errors"
	"sync"
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

func TestWorkersFinishSideBySideWhatWasSteppedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, proceed := NewMailbox[*request]("in", 8), make(chan struct{})
		var order []int
		var underway, most atomic.Int32
		s, err := Start(nil, finishing(in, 2, 1, &order, func([]*request) error {
			most.Store(max(most.Load(), underway.Add(1)))
			<-proceed
			underway.Add(-1)
			return nil
		}))
		require.NoError(t, err)
		time.Sleep(time.Second) // it passes: workers without work wait as others do
		for n := range 5 {
			require.NoError(t, in.Send(t.Context(), &request{n: n}))
		}
		synctest.Wait()
		require.Equal(t, []int{0, 1}, order, "no more than there are workers")
		close(proceed)
		require.NoError(t, s.Stop(t.Context()))
		require.Equal(t, []int{0, 1, 2, 3, 4}, order)
		require.EqualValues(t, 2, most.Load())
		require.EqualValues(t, 5, s.Stats()[0].Handled)
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

func TestBatchIsHeldUntilThereIsMoreOrAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, change := NewMailbox[*request]("in", 8), make(chan struct{})
		var enough atomic.Int32
		enough.Store(3)
		var order []int
		var mu sync.Mutex
		var batches []int
		stage := finishing(in, 1, 8, &order, func(batch []*request) error {
			mu.Lock()
			defer mu.Unlock()
			batches = append(batches, len(batch))
			return nil
		})
		stage.Hold = func(batch []*request) <-chan struct{} {
			if len(batch) >= int(enough.Load()) {
				return nil
			}
			return change
		}
		s, err := Start(nil, stage)
		require.NoError(t, err)
		send := func(n int) {
			for range n {
				require.NoError(t, in.Send(t.Context(), &request{}))
				synctest.Wait()
			}
		}
		send(2)
		require.Empty(t, batches)
		send(1)
		require.Equal(t, []int{3}, batches, "there are more")
		send(1)
		change <- struct{}{}
		synctest.Wait()
		require.Equal(t, []int{3}, batches, "asked again, and it holds")
		enough.Store(1)
		change <- struct{}{}
		synctest.Wait()
		require.Equal(t, []int{3, 1}, batches)
		enough.Store(3)
		send(2)
		require.NoError(t, s.Stop(t.Context()))
		require.Equal(t, []int{3, 1, 2}, batches, "the end of the mailbox ends the hold")
	})
}

func TestStageRefusesANegativeNumberOfWorkers(t *testing.T) {
	var order []int
	_, err := Start(nil, finishing(NewMailbox[*request]("in", 1), -1, 1, &order, nil))
	require.ErrorContains(t, err, "finishing")
}
