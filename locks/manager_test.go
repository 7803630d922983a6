package locks_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/locks"
)

func TestQueueIsServedInTheOrderOfAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{})
		holder := newGuard(t, m)
		mustLock(t, holder, key("a"), locks.Exclusive)
		var guards []*locks.Guard
		var waiting []<-chan answer
		for range 5 {
			g := newGuard(t, m)
			guards = append(guards, g)
			waiting = append(waiting, lockLater(t.Context(), g, key("a"), locks.Exclusive))
		}
		holder.Release()
		for i := range waiting {
			requireGranted(t, waiting[i])
			for _, later := range waiting[i+1:] {
				requireWaiting(t, later)
			}
			guards[i].Release()
		}
	})
}

func TestSharedRequestsDoNotOvertakeAnExclusiveOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{})
		reader, writer := newGuard(t, m), newGuard(t, m)
		late, later := newGuard(t, m), newGuard(t, m)
		mustLock(t, reader, key("a"), locks.Shared)
		writing := lockLater(t.Context(), writer, key("a"), locks.Exclusive)
		require.False(t, tryLock(t, late, key("a"), locks.Shared))
		reading := lockLater(t.Context(), late, key("a"), locks.Shared)
		readingToo := lockLater(t.Context(), later, key("a"), locks.Shared)

		reader.Release()
		requireGranted(t, writing)
		requireWaiting(t, reading)
		writer.Release()
		requireGranted(t, reading)
		requireGranted(t, readingToo)
	})
}

func TestExclusiveWaiterThatGivesUpLetsThoseBehindItIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{})
		reader, writer, late := newGuard(t, m), newGuard(t, m), newGuard(t, m)
		mustLock(t, reader, key("a"), locks.Shared)
		ctx, cancel := context.WithCancel(t.Context())
		writing := lockLater(ctx, writer, key("a"), locks.Exclusive)
		reading := lockLater(t.Context(), late, key("a"), locks.Shared)
		requireWaiting(t, reading)
		cancel()
		requireGranted(t, reading)
		a := <-writing
		require.ErrorIs(t, a.err, errs.ErrCanceled)
		require.ErrorIs(t, a.err, context.Canceled)
		require.Equal(t, uint64(1), m.Stats().Canceled)
		require.True(t, tryLock(t, writer, key("b"), locks.Exclusive), "the guard goes on")
	})
}

func TestWaitEndsAtTheDeadlineOrTheLimit(t *testing.T) {
	for _, test := range []struct {
		name     string
		deadline time.Duration // zero for none
		limit    time.Duration
		want     time.Duration
	}{
		{"deadline before the limit", 50 * time.Millisecond, time.Second, 50 * time.Millisecond},
		{"deadline after the limit", 2 * time.Second, time.Second, 2 * time.Second},
		{"no deadline", 0, time.Second, time.Second},
		{"no deadline and no limit given", 0, 0, 30 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newManager(t, locks.Limits{Wait: test.limit})
				mustLock(t, newGuard(t, m), key("a"), locks.Exclusive)
				ctx := t.Context()
				if test.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.deadline)
					defer cancel()
				}
				start := time.Now()
				_, err := newGuard(t, m).Lock(ctx, key("a"), locks.Shared)
				require.ErrorIs(t, err, errs.ErrTimeout)
				require.Equal(t, errs.Retryable, errs.ClassOf(err))
				require.ErrorContains(t, err, key("a").String())
				require.Equal(t, test.want, time.Since(start))

				stats := m.Stats()
				require.Equal(t, uint64(1), stats.Waited)
				require.Equal(t, uint64(1), stats.Timeouts)
				require.Equal(t, test.want, stats.WaitTime)
			})
		})
	}
}

func TestHugeLimitOnWaitsDoesNotOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{Wait: math.MaxInt64})
		holder := newGuard(t, m)
		mustLock(t, holder, key("a"), locks.Exclusive)
		waiting := lockLater(t.Context(), newGuard(t, m), key("a"), locks.Exclusive)
		requireWaiting(t, waiting)
		holder.Release()
		requireGranted(t, waiting)
	})
}

func TestContextThatHasEndedTakesNoLock(t *testing.T) {
	m := newManager(t, locks.Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g := newGuard(t, m)
	_, err := g.Lock(ctx, key("a"), locks.Exclusive)
	require.ErrorIs(t, err, errs.ErrCanceled)
	require.False(t, m.IsLocked(key("a")))
}

func TestWaitersOfOneKeyAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{WaitersPerKey: 2})
		holder := newGuard(t, m)
		mustLock(t, holder, key("a"), locks.Exclusive)
		for range 2 {
			c := lockLater(t.Context(), newGuard(t, m), key("a"), locks.Shared)
			defer requireGranted(t, c)
		}
		_, err := newGuard(t, m).Lock(t.Context(), key("a"), locks.Shared)
		require.ErrorIs(t, err, errs.ErrQueueFull)
		var e *errs.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "WaitersPerKey", e.Limit)
		require.Equal(t, int64(2), e.Max)
		require.Equal(t, uint64(1), m.Stats().Refused)
		holder.Release()
	})
}

func TestLocksAndWaitsTogetherAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{Locks: 3})
		holder, other, waiter := newGuard(t, m), newGuard(t, m), newGuard(t, m)
		mustLock(t, holder, key("a"), locks.Exclusive)
		mustLock(t, holder, key("b"), locks.Exclusive)
		waiting := lockLater(t.Context(), waiter, key("a"), locks.Exclusive)

		_, err := other.Lock(t.Context(), key("c"), locks.Shared)
		require.ErrorIs(t, err, errs.ErrResourceExhausted)
		_, ok, err := other.TryLock(key("c"), locks.Shared)
		require.ErrorIs(t, err, errs.ErrResourceExhausted)
		require.False(t, ok)
		require.False(t, tryLock(t, other, key("a"), locks.Shared), "a busy key is busy all the same")

		holder.Unlock(key("b"))
		require.True(t, tryLock(t, other, key("c"), locks.Shared))
		holder.Release()
		requireGranted(t, waiting)
	})
}

func TestCloseEndsWaitsAndRefusesRequestsButTakesNothingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{})
		holder := newGuard(t, m)
		mustLock(t, holder, key("a"), locks.Exclusive)
		mustLock(t, holder, key("s"), locks.Shared)
		var waiting []<-chan answer
		for i := range 4 {
			waiting = append(waiting, lockLater(t.Context(), newGuard(t, m), key("a"), locks.Mode(i%2)))
		}
		m.Close()
		m.Close()
		for _, c := range waiting {
			require.ErrorIs(t, (<-c).err, errs.ErrUnavailable)
		}
		_, err := newGuard(t, m).Lock(t.Context(), key("b"), locks.Exclusive)
		require.ErrorIs(t, err, errs.ErrUnavailable)
		_, _, err = newGuard(t, m).TryLock(key("a"), locks.Exclusive)
		require.ErrorIs(t, err, errs.ErrUnavailable)
		_, err = holder.Lock(t.Context(), key("s"), locks.Exclusive)
		require.ErrorIs(t, err, errs.ErrUnavailable)
		require.True(t, m.IsLocked(key("a")))
		holder.Release()
		require.False(t, m.IsLocked(key("a")))
	})
}

func TestStatsCountWhatIsHeldAndWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{})
		a, b, c := newGuard(t, m), newGuard(t, m), newGuard(t, m)
		mustLock(t, a, key("x"), locks.Shared)
		mustLock(t, b, key("x"), locks.Shared)
		mustLock(t, b, key("y"), locks.Exclusive)
		waiting := lockLater(t.Context(), c, key("x"), locks.Exclusive)
		require.Equal(t, locks.Stats{Keys: 2, Held: 3, Waiting: 1, Acquired: 3}, m.Stats())

		time.AfterFunc(3*time.Second, func() { a.Release(); b.Release() })
		require.NoError(t, (<-waiting).err)
		require.Equal(t, locks.Stats{
			Keys: 1, Held: 1, Acquired: 4, Waited: 1, WaitTime: 3 * time.Second,
		}, m.Stats())
	})
}

func TestKeyOrderIsProjectThenScopeThenObject(t *testing.T) {
	ordered := []locks.Key{
		{}, {Object: "z"}, {Scope: "a"}, {Scope: "a", Object: "\xff"}, {Project: "a"},
		{Project: "a", Scope: "a", Object: "b"}, {Project: "a", Scope: "b", Object: "a"}, {Project: "aa"},
	}
	for i, a := range ordered {
		for j, b := range ordered {
			require.Equal(t, min(max(i-j, -1), 1), a.Compare(b), fmt.Sprintf("%s and %s", a, b))
		}
	}
}
