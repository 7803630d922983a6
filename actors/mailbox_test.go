package actors

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMailboxRefusesAtCapacityAndRemembersTheHighWater(t *testing.T) {
	m := NewMailbox[int]("orders", 3)
	for i := range 3 {
		require.NoError(t, m.TrySend(i))
	}
	require.ErrorIs(t, m.TrySend(3), ErrFull)

	got, err := m.Receive(t.Context(), make([]int, 0, 2))
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, got)
	require.Equal(t, MailboxStats{
		Name: "orders", Depth: 1, Capacity: 3, HighWater: 3,
		Sent: 3, Received: 2, Rejected: 1,
	}, m.Stats())
}

func TestMailboxHasRoomForAtLeastOneMessage(t *testing.T) {
	m := NewMailbox[int]("tiny", 0)
	require.Equal(t, 1, m.Capacity())
	require.NoError(t, m.TrySend(1))
	require.ErrorIs(t, m.TrySend(2), ErrFull)
}

func TestMailboxReceiveTakesWhatWaitsAndNoMore(t *testing.T) {
	for _, test := range []struct {
		name          string
		waiting, room int
		want          []int
	}{
		{"fewer than room", 2, 8, []int{0, 1}},
		{"as many as room", 4, 4, []int{0, 1, 2, 3}},
		{"more than room", 5, 3, []int{0, 1, 2}},
		{"one at a time", 3, 1, []int{0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := NewMailbox[int]("m", 8)
			for i := range test.waiting {
				require.NoError(t, m.TrySend(i))
			}
			got, err := m.Receive(t.Context(), make([]int, 0, test.room))
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestMailboxReceiveWaitsForTheFirstMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMailbox[int]("m", 4)
		go func() {
			time.Sleep(time.Second)
			_ = m.TrySend(7)
		}()
		start := time.Now()
		got, err := m.Receive(t.Context(), make([]int, 0, 4))
		require.NoError(t, err)
		require.Equal(t, []int{7}, got)
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestMailboxReceiveEndsWithItsContext(t *testing.T) {
	m := NewMailbox[int]("m", 1)
	why := errors.New("tired of waiting")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err := m.Receive(ctx, make([]int, 0, 1))
	require.ErrorIs(t, err, why)
}

func TestMailboxBlockedTimeGrowsOnlyWhileASenderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMailbox[int]("m", 1)
		require.NoError(t, m.Send(t.Context(), 1))
		time.Sleep(time.Minute)
		require.Zero(t, m.Stats().BlockedSends)
		require.Zero(t, m.Stats().Blocked)

		sent := make(chan error, 1)
		go func() { sent <- m.Send(t.Context(), 2) }()
		synctest.Wait()
		require.EqualValues(t, 1, m.Stats().BlockedSends, "counted when the wait begins")
		time.Sleep(3 * time.Second)
		_, err := m.Receive(t.Context(), make([]int, 0, 1))
		require.NoError(t, err)
		require.NoError(t, <-sent)
		require.Equal(t, 3*time.Second, m.Stats().Blocked)

		time.Sleep(time.Minute)
		require.Equal(t, 3*time.Second, m.Stats().Blocked)
		require.EqualValues(t, 2, m.Stats().Sent)
	})
}

func TestMailboxSendGivesUpWithItsContextAndKeepsTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMailbox[int]("m", 1)
		require.NoError(t, m.TrySend(1))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		require.ErrorIs(t, m.Send(ctx, 2), context.DeadlineExceeded)

		stats := m.Stats()
		require.EqualValues(t, 1, stats.Sent)
		require.EqualValues(t, 1, stats.Rejected)
		require.Equal(t, 2*time.Second, stats.Blocked)

		got, err := m.Receive(t.Context(), make([]int, 0, 4))
		require.NoError(t, err)
		require.Equal(t, []int{1}, got)
		require.NoError(t, m.Send(ctx, 3), "where there is room the context is not looked at")
	})
}

func TestMailboxClosedDeliversWhatItAcceptedThenReportsTheEnd(t *testing.T) {
	m := NewMailbox[int]("m", 4)
	require.NoError(t, m.TrySend(1))
	require.NoError(t, m.TrySend(2))
	m.Close()
	m.Close()
	require.ErrorIs(t, m.TrySend(3), ErrStopped)
	require.ErrorIs(t, m.Send(t.Context(), 3), ErrStopped)

	got, err := m.Receive(t.Context(), make([]int, 0, 4))
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, got)
	_, err = m.Receive(t.Context(), make([]int, 0, 4))
	require.ErrorIs(t, err, ErrStopped)
}

func TestMailboxCloseWakesBlockedSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMailbox[int]("m", 1)
		require.NoError(t, m.TrySend(0))
		const senders = 5
		refused := make(chan error, senders)
		for range senders {
			go func() { refused <- m.Send(t.Context(), 1) }()
		}
		synctest.Wait()
		m.Close()
		for range senders {
			require.ErrorIs(t, <-refused, ErrStopped)
		}
	})
}

// Every message whose send succeeded is received, exactly once and in its
// sender's order, however the close falls among the sends.
func TestMailboxClosedAmongRacingSendersLosesNothing(t *testing.T) {
	const senders = 8
	for range 200 {
		m := NewMailbox[[2]int]("m", 4)
		var accepted [senders]int
		var group sync.WaitGroup
		var total atomic.Int64
		enough := make(chan struct{})
		for id := range senders {
			group.Go(func() {
				for {
					send := m.TrySend
					if id%2 == 0 {
						send = func(msg [2]int) error { return m.Send(context.Background(), msg) }
					}
					switch err := send([2]int{id, accepted[id]}); {
					case err == nil:
						accepted[id]++
						if total.Add(1) == 50 {
							close(enough)
						}
					case errors.Is(err, ErrStopped):
						return
					default:
						runtime.Gosched()
					}
				}
			})
		}
		group.Go(func() {
			<-enough
			m.Close()
		})

		var received [senders]int
		batch := make([][2]int, 0, 3)
		for {
			var err error
			if batch, err = m.Receive(context.Background(), batch); err != nil {
				require.ErrorIs(t, err, ErrStopped)
				break
			}
			for _, msg := range batch {
				require.Equal(t, received[msg[0]], msg[1])
				received[msg[0]]++
			}
		}
		group.Wait()
		require.Equal(t, accepted, received)
		require.Equal(t, m.Stats().Sent, m.Stats().Received)
		require.EqualValues(t, total.Load(), m.Stats().Sent)
	}
}

func TestMailboxSendAndReceiveDoNotAllocate(t *testing.T) {
	m := NewMailbox[int]("m", 8)
	ctx := context.Background()
	batch := make([]int, 0, 8)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for i := range 8 {
			_ = m.Send(ctx, i)
		}
		batch, _ = m.Receive(ctx, batch)
	}))
}
