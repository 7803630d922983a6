package locks_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/locks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func key(object string) locks.Key {
	return locks.Key{Project: "shop", Scope: "main", Object: object}
}

// newManager returns a manager that must be empty when the test ends.
func newManager(t *testing.T, limits locks.Limits) *locks.Manager {
	m := locks.New(limits, 0)
	t.Cleanup(func() {
		stats := m.Stats()
		require.Zero(t, stats.Keys, "keys left behind")
		require.Zero(t, stats.Held, "locks left behind")
		require.Zero(t, stats.Waiting, "waiters left behind")
		require.Zero(t, m.Reserved(), "reservations left behind")
	})
	return m
}

// newGuard returns a guard that is released when the test ends.
func newGuard(t *testing.T, m *locks.Manager) *locks.Guard {
	g := m.Guard(context.Background())
	t.Cleanup(g.Release)
	return g
}

func mustLock(t *testing.T, g *locks.Guard, k locks.Key, mode locks.Mode) locks.Token {
	t.Helper()
	token, err := g.Lock(t.Context(), k, mode)
	require.NoError(t, err)
	return token
}

func tryLock(t *testing.T, g *locks.Guard, k locks.Key, mode locks.Mode) bool {
	t.Helper()
	_, ok, err := g.TryLock(k, mode)
	require.NoError(t, err)
	return ok
}

// answer is what a request that may wait came to.
type answer struct {
	token locks.Token
	err   error
}

// lockLater asks for a lock on another goroutine and returns when the request is
// answered or waits. It must be called in a synctest bubble.
func lockLater(ctx context.Context, g *locks.Guard, k locks.Key, mode locks.Mode) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		token, err := g.Lock(ctx, k, mode)
		c <- answer{token, err}
	}()
	synctest.Wait()
	return c
}

func requireWaiting(t *testing.T, c <-chan answer) {
	t.Helper()
	synctest.Wait()
	require.Empty(t, c, "the request was answered")
}

func requireGranted(t *testing.T, c <-chan answer) locks.Token {
	t.Helper()
	synctest.Wait()
	require.Len(t, c, 1, "the request still waits")
	a := <-c
	require.NoError(t, a.err)
	return a.token
}

func TestModesExcludeEachOtherAsReadersAndWritersDo(t *testing.T) {
	for _, test := range []struct {
		held, asked locks.Mode
		granted     bool
	}{
		{locks.Exclusive, locks.Exclusive, false},
		{locks.Exclusive, locks.Shared, false},
		{locks.Shared, locks.Exclusive, false},
		{locks.Shared, locks.Shared, true},
	} {
		t.Run(test.held.String()+" then "+test.asked.String(), func(t *testing.T) {
			m := newManager(t, locks.Limits{})
			holder, other := newGuard(t, m), newGuard(t, m)
			mustLock(t, holder, key("a"), test.held)
			require.Equal(t, test.granted, tryLock(t, other, key("a"), test.asked))
			require.True(t, tryLock(t, other, key("b"), test.asked), "another key is free")
		})
	}
}

func TestKeysOfDifferentScopesAreDifferentLocks(t *testing.T) {
	m := newManager(t, locks.Limits{})
	g := newGuard(t, m)
	for _, k := range []locks.Key{
		{Object: "a"}, {Project: "a"}, {Scope: "a"}, {Project: "p", Scope: "s", Object: "a\x00b"},
	} {
		mustLock(t, newGuard(t, m), k, locks.Exclusive)
		require.True(t, m.IsLocked(k))
		require.False(t, tryLock(t, g, k, locks.Exclusive))
	}
	require.Equal(t, 4, m.Stats().Held)
}

func TestLockHeldAlreadyKeepsItsTokenAndCountsOnce(t *testing.T) {
	m := newManager(t, locks.Limits{})
	g := newGuard(t, m)
	token := mustLock(t, g, key("a"), locks.Exclusive)
	require.Equal(t, token, mustLock(t, g, key("a"), locks.Exclusive))
	require.Equal(t, token, mustLock(t, g, key("a"), locks.Shared), "exclusive serves for shared")
	require.Equal(t, 1, m.Stats().Held)

	g.Unlock(key("a"))
	require.False(t, m.IsLocked(key("a")), "holds are not counted")
	g.Unlock(key("a"))
	require.Greater(t, mustLock(t, g, key("a"), locks.Exclusive), token)
}

func TestTokensRiseAboveTheFloorAcrossKeysAndGuards(t *testing.T) {
	m := locks.New(locks.Limits{}, 7<<40)
	last := locks.Token(7 << 40)
	for _, object := range []string{"a", "b", "a", "c", "a"} {
		g := m.Guard(t.Context())
		token := mustLock(t, g, key(object), locks.Shared)
		require.Greater(t, token, last)
		last = token
		g.Release()
	}
	require.Equal(t, uint64(5), m.Stats().Acquired)
}

func TestGuardsHaveDistinctOwners(t *testing.T) {
	m := newManager(t, locks.Limits{})
	require.NotEqual(t, newGuard(t, m).Owner(), newGuard(t, m).Owner())
}

func TestUnlockGivesBackOneKeyOnly(t *testing.T) {
	m := newManager(t, locks.Limits{})
	g := newGuard(t, m)
	for _, object := range []string{"c", "a", "b"} {
		mustLock(t, g, key(object), locks.Exclusive)
	}
	require.Equal(t, []locks.Key{key("a"), key("b"), key("c")}, g.Keys())
	g.Unlock(key("b"))
	require.Equal(t, []locks.Key{key("a"), key("c")}, g.Keys())
	_, held := g.Token(key("b"))
	require.False(t, held)
	require.True(t, tryLock(t, newGuard(t, m), key("b"), locks.Exclusive))
}

func TestReleaseGivesEverythingBackOnceAndEndsTheGuard(t *testing.T) {
	m := newManager(t, locks.Limits{})
	g, other := newGuard(t, m), newGuard(t, m)
	mustLock(t, g, key("a"), locks.Exclusive)
	g.Release()
	mustLock(t, other, key("a"), locks.Exclusive)
	g.Release()
	require.True(t, m.IsLocked(key("a")), "a second release takes nothing from others")
	require.Empty(t, g.Keys())

	_, err := g.Lock(t.Context(), key("b"), locks.Shared)
	require.ErrorIs(t, err, errs.ErrCanceled)
	_, _, err = g.TryLock(key("b"), locks.Shared)
	require.ErrorIs(t, err, errs.ErrCanceled)
	require.ErrorIs(t, g.LockAll(t.Context(), locks.Want{Key: key("b")}), errs.ErrCanceled)
}

func TestDeferredReleaseSurvivesAPanic(t *testing.T) {
	m := newManager(t, locks.Limits{})
	require.Panics(t, func() {
		g := m.Guard(t.Context())
		defer g.Release()
		mustLock(t, g, key("a"), locks.Exclusive)
		panic("in the section")
	})
	require.False(t, m.IsLocked(key("a")))
}

func TestGuardIsReleasedWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{})
		ctx, cancel := context.WithCancel(t.Context())
		waiterCtx, cancelWaiter := context.WithCancel(t.Context())
		g, waiter := m.Guard(ctx), m.Guard(waiterCtx)
		mustLock(t, g, key("a"), locks.Exclusive)
		waiting := lockLater(t.Context(), waiter, key("a"), locks.Exclusive)
		requireWaiting(t, waiting)

		cancelWaiter()
		a := <-waiting
		require.ErrorIs(t, a.err, errs.ErrCanceled)
		require.ErrorIs(t, a.err, context.Canceled)
		require.True(t, m.IsLocked(key("a")))
		cancel()
		synctest.Wait()
		require.False(t, m.IsLocked(key("a")))
		_, err := g.Lock(t.Context(), key("a"), locks.Exclusive)
		require.ErrorIs(t, err, context.Canceled)
		_, err = m.Guard(ctx).Lock(t.Context(), key("a"), locks.Exclusive)
		require.ErrorIs(t, err, context.Canceled, "a guard of a context that has ended")
		g.Release()
	})
}

func TestReleaseEndsAWaitOfTheSameGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{})
		holder, g, behind := newGuard(t, m), newGuard(t, m), newGuard(t, m)
		mustLock(t, holder, key("a"), locks.Shared)
		waiting := lockLater(t.Context(), g, key("a"), locks.Exclusive)
		next := lockLater(t.Context(), behind, key("a"), locks.Shared)
		requireWaiting(t, next)

		g.Release()
		require.ErrorIs(t, (<-waiting).err, errs.ErrCanceled)
		requireGranted(t, next)
		require.Equal(t, uint64(1), m.Stats().Canceled)
	})
}

func TestGuardThatWaitsTakesNoOtherLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{})
		holder, g := newGuard(t, m), newGuard(t, m)
		mustLock(t, holder, key("a"), locks.Exclusive)
		waiting := lockLater(t.Context(), g, key("a"), locks.Exclusive)
		_, err := g.Lock(t.Context(), key("a"), locks.Exclusive)
		require.ErrorIs(t, err, errs.ErrValidation)
		holder.Release()
		requireGranted(t, waiting)
	})
}

func TestUnknownModeIsRefused(t *testing.T) {
	m := newManager(t, locks.Limits{})
	_, err := newGuard(t, m).Lock(t.Context(), key("a"), 2)
	require.ErrorIs(t, err, errs.ErrValidation)
}

func TestUpgradeOfTheOnlyHolderGetsAFreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{})
		g, other := newGuard(t, m), newGuard(t, m)
		token := mustLock(t, g, key("a"), locks.Shared)
		waiting := lockLater(t.Context(), other, key("a"), locks.Exclusive)
		upgraded := mustLock(t, g, key("a"), locks.Exclusive)
		require.Greater(t, upgraded, token, "an upgrade does not wait for the queue")
		require.Equal(t, 1, m.Stats().Held)
		requireWaiting(t, waiting)
		g.Release()
		require.Greater(t, requireGranted(t, waiting), upgraded)
	})
}

func TestUpgradeOfASharedKeyConflictsAtOnce(t *testing.T) {
	m := newManager(t, locks.Limits{})
	a, b := newGuard(t, m), newGuard(t, m)
	token := mustLock(t, a, key("a"), locks.Shared)
	mustLock(t, b, key("a"), locks.Shared)
	_, err := a.Lock(t.Context(), key("a"), locks.Exclusive)
	require.ErrorIs(t, err, errs.ErrConflict)
	require.False(t, tryLock(t, a, key("a"), locks.Exclusive))
	require.Equal(t, token, mustLock(t, a, key("a"), locks.Shared), "the shared lock stays")
	b.Release()
	require.True(t, tryLock(t, a, key("a"), locks.Exclusive))
}

func TestLockAllIsAllOrNothingAndKeepsEarlierHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{})
		other, g, reader := newGuard(t, m), newGuard(t, m), newGuard(t, m)
		mustLock(t, other, key("c"), locks.Exclusive)
		early := mustLock(t, g, key("b"), locks.Exclusive)
		shared := mustLock(t, g, key("a"), locks.Shared)

		failed := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		go func() {
			failed <- g.LockAll(ctx, locks.Want{Key: key("d")}, locks.Want{Key: key("c")},
				locks.Want{Key: key("a")}, locks.Want{Key: key("aa")}, locks.Want{Key: key("b")})
		}()
		synctest.Wait()
		require.True(t, m.IsLocked(key("aa")))
		reading := lockLater(t.Context(), reader, key("a"), locks.Shared)
		requireWaiting(t, reading)

		require.ErrorIs(t, <-failed, errs.ErrTimeout)
		require.Equal(t, []locks.Key{key("a"), key("b")}, g.Keys())
		for object, want := range map[string]locks.Token{"a": shared, "b": early} {
			token, held := g.Token(key(object))
			require.True(t, held)
			require.Equal(t, want, token)
		}
		require.False(t, m.IsLocked(key("aa")))
		require.False(t, m.IsLocked(key("d")))
		requireGranted(t, reading) // the upgrade of a was undone
	})
}

func TestLockAllTakesEachKeyOnceInTheStrongerMode(t *testing.T) {
	m := newManager(t, locks.Limits{})
	g, other := newGuard(t, m), newGuard(t, m)
	require.NoError(t, g.LockAll(t.Context(),
		locks.Want{Key: key("b"), Mode: locks.Shared}, locks.Want{Key: key("a"), Mode: locks.Shared},
		locks.Want{Key: key("a")}, locks.Want{Key: key("b"), Mode: locks.Shared}))
	require.Equal(t, []locks.Key{key("a"), key("b")}, g.Keys())
	require.Equal(t, uint64(2), m.Stats().Acquired)
	require.False(t, tryLock(t, other, key("a"), locks.Shared))
	require.True(t, tryLock(t, other, key("b"), locks.Shared))
}

func TestLockAllWaitsForAllItsKeysUnderOneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, locks.Limits{Wait: time.Second})
		a, b, g := newGuard(t, m), newGuard(t, m), newGuard(t, m)
		mustLock(t, a, key("a"), locks.Exclusive)
		mustLock(t, b, key("b"), locks.Exclusive)
		time.AfterFunc(700*time.Millisecond, a.Release)
		start := time.Now()
		err := g.LockAll(t.Context(), locks.Want{Key: key("a")}, locks.Want{Key: key("b")})
		require.ErrorIs(t, err, errs.ErrTimeout)
		require.Equal(t, time.Second, time.Since(start))
		require.Empty(t, g.Keys())
	})
}
