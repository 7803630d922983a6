package history

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// keyed is an increment that happens once per idempotency key.
func keyed(app *aedb.Scope, id byte, amount uint64) aedb.Envelope {
	return aedb.Envelope{
		IdempotencyKey: &aedb.IdempotencyKey{'t', id}, Mutations: []aedb.Mutation{add(app, key("n"), amount)},
	}
}

func TestOneKeySubmittedAtOnceHappensOnce(t *testing.T) {
	forEachMode(t, func(t *testing.T, mode aedb.Durability) {
		db, app := openApp(t, vfs.NewMem(), durability(mode))
		const rounds, copies = 20, 8
		for round := range rounds {
			results := make([]aedb.Result, copies)
			var wg sync.WaitGroup
			for i := range copies {
				wg.Go(func() {
					r, err := app.CommitEnvelope(t.Context(), keyed(app, byte(round), 1), aedb.Durable)
					if err != nil {
						t.Error(err)
					}
					results[i] = r
				})
			}
			wg.Wait()
			first := 0
			for _, r := range results {
				require.Equal(t, results[0].CommitSeq, r.CommitSeq)
				require.GreaterOrEqual(t, r.DurableSeq, r.CommitSeq)
				if r.Outcome == aedb.Applied {
					first++
				}
			}
			require.Equal(t, 1, first)
			require.EqualValues(t, round+1, mustNumber(t, app.KV(), key("n")))
		}
		require.EqualValues(t, rounds*(copies-1), db.OperationalMetrics().DuplicatesTotal)
	})
}

func TestDuplicatesAreKnownAfterRestart(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *vfs.Mem, *aedb.DB) *vfs.Mem{
		"closed": func(t *testing.T, m *vfs.Mem, db *aedb.DB) *vfs.Mem {
			require.NoError(t, db.Close(t.Context()))
			return m
		},
		"crashed": func(_ *testing.T, m *vfs.Mem, _ *aedb.DB) *vfs.Mem { return m.Crash(vfs.AllLost()) },
		"checkpoint": func(t *testing.T, m *vfs.Mem, db *aedb.DB) *vfs.Mem {
			_, err := db.Checkpoint(t.Context())
			require.NoError(t, err)
			return m.Crash(vfs.AllLost())
		},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := vfs.NewMem()
			db, app := openApp(t, fsys)
			first, err := app.CommitEnvelope(t.Context(), keyed(app, 1, 5), aedb.Durable)
			require.NoError(t, err)
			_, app = reopen(t, end(t, fsys, db))
			again, err := app.CommitEnvelope(t.Context(), keyed(app, 1, 5), aedb.Durable)
			require.NoError(t, err)
			require.Equal(t, aedb.Duplicate, again.Outcome)
			require.Equal(t, first.CommitSeq, again.CommitSeq)
			require.EqualValues(t, 5, mustNumber(t, app.KV(), key("n")))
		})
	}
}

// TestRetriesUnderAKeyCountOnceAcrossPowerLosses: callers do not know what became
// of their last request when the power goes, and send it again.
func TestRetriesUnderAKeyCountOnceAcrossPowerLosses(t *testing.T) {
	forEachSeed(t, func(t *testing.T, seed uint64) {
		fsys := vfs.NewMem()
		const callers, lives = 16, 5
		next := make([]byte, callers) // the request that each caller is at
		twice := 0
		for life := range lives {
			_, app := openApp(t, fsys)
			var done atomic.Int64
			var mu sync.Mutex // guards twice
			var wg sync.WaitGroup
			crashAt := int64(20 + 10*life + int(seed%20))
			crashed := fsys
			for id := range callers {
				wg.Go(func() {
					for {
						env := keyed(app, next[id], 1)
						env.IdempotencyKey[2] = byte(id)
						r, err := app.CommitEnvelope(context.Background(), env, aedb.Visible)
						if err != nil {
							if f := fateOf(err); f != unknown && f != neverHappens {
								t.Error(err)
							}
							return
						}
						if r.Outcome == aedb.Duplicate {
							mu.Lock()
							twice++
							mu.Unlock()
						}
						next[id]++
						if done.Add(1) == crashAt {
							crashed = fsys.Crash(vfs.RandomBlocks(seed+uint64(life), 50))
						}
					}
				})
			}
			wg.Wait()
			fsys = crashed
		}
		db, app := reopen(t, fsys)
		var total uint64
		for id, n := range next {
			total += uint64(n)
			env := keyed(app, n, 1) // what was open at the end
			env.IdempotencyKey[2] = byte(id)
			_, err := app.CommitEnvelope(t.Context(), env, aedb.Visible)
			require.NoError(t, err)
			total++
		}
		require.Equal(t, total, mustNumber(t, app.KV(), key("n")))
		t.Logf("%d requests, %d of them found applied already", total, twice+int(db.OperationalMetrics().DuplicatesTotal))
	})
}

func TestKeysBelongToCallers(t *testing.T) {
	db, app := openApp(t, vfs.NewMem())
	ctx := t.Context()
	seen := map[uint64]bool{}
	for _, s := range []*aedb.Session{db.NoAuth(), db.As("a"), db.As("b")} {
		for i := range 2 {
			r, err := s.CommitEnvelope(ctx, keyed(app, 1, 1), aedb.Visible)
			require.NoError(t, err)
			require.Equal(t, i == 0, r.Outcome == aedb.Applied)
			seen[r.CommitSeq] = true
		}
	}
	require.Len(t, seen, 3)
	require.EqualValues(t, 3, mustNumber(t, app.KV(), key("n")))
}

func TestKeyOfAnotherRequestIsAMismatch(t *testing.T) {
	db, app := openApp(t, vfs.NewMem())
	ctx := t.Context()
	r, err := app.CommitEnvelope(ctx, keyed(app, 1, 1), aedb.Visible)
	require.NoError(t, err)
	_, err = app.CommitEnvelope(ctx, keyed(app, 1, 2), aedb.Visible)
	require.ErrorIs(t, err, aedb.ErrIdempotencyMismatch)
	require.Equal(t, aedb.ClassValidation, aedb.ClassOf(err))
	require.Equal(t, r.CommitSeq, db.Heads().VisibleSeq)

	// What the request was decided on is not part of it: a retry that was rebuilt
	// on a newer snapshot is the same request.
	env := keyed(app, 1, 1)
	env.BaseSeq = db.Heads().VisibleSeq
	env.ReadSet.Keys = append(env.ReadSet.Keys, app.KeyRead(key("n"), 0))
	again, err := app.CommitEnvelope(ctx, env, aedb.Visible)
	require.NoError(t, err)
	require.Equal(t, aedb.Duplicate, again.Outcome)
}

// TestRefusedRequestMayBeRetriedUnderItsKey: only what was applied is
// remembered.
func TestRefusedRequestMayBeRetriedUnderItsKey(t *testing.T) {
	_, app := openApp(t, vfs.NewMem())
	ctx := t.Context()
	env := keyed(app, 1, 1)
	env.Assertions = []aedb.Assertion{app.KeyExists(key("gate"), true)}
	_, err := app.CommitEnvelope(ctx, env, aedb.Visible)
	require.ErrorIs(t, err, aedb.ErrAssertionFailed)
	_, err = app.Commit(ctx, app.KvSet(key("gate"), nil))
	require.NoError(t, err)
	r, err := app.CommitEnvelope(ctx, env, aedb.Visible)
	require.NoError(t, err)
	require.Equal(t, aedb.Applied, r.Outcome)
}

func TestKeysAreForgottenOutsideTheWindow(t *testing.T) {
	ctx := t.Context()
	t.Run("by commits", func(t *testing.T) {
		_, app := openApp(t, vfs.NewMem(), func(c *aedb.Config) { c.IdempotencyCommits, c.IdempotencyAge = 10, 0 })
		outcome := func() aedb.Outcome {
			r, err := app.CommitEnvelope(ctx, keyed(app, 1, 1), aedb.Visible)
			require.NoError(t, err)
			return r.Outcome
		}
		others := func(n int) {
			for range n {
				_, err := app.Commit(ctx, app.KvSet(key("x"), nil))
				require.NoError(t, err)
			}
		}
		require.Equal(t, aedb.Applied, outcome())
		others(9)
		require.Equal(t, aedb.Duplicate, outcome(), "a retry as the tenth commit after it is inside")
		others(1)
		require.Equal(t, aedb.Applied, outcome())
	})
	t.Run("by age", func(t *testing.T) {
		clock := vfs.NewManualClock(time.Unix(1_700_000_000, 0), 0)
		fsys := vfs.NewMem()
		tune := func(c *aedb.Config) {
			c.Clock, c.IdempotencyCommits, c.IdempotencyAge = clock, 0, time.Minute
		}
		db, app := openApp(t, fsys, tune)
		outcome := func() aedb.Outcome {
			r, err := app.CommitEnvelope(ctx, keyed(app, 1, 1), aedb.Visible)
			require.NoError(t, err)
			return r.Outcome
		}
		require.Equal(t, aedb.Applied, outcome())
		clock.Advance(time.Minute)
		require.Equal(t, aedb.Duplicate, outcome())
		require.NoError(t, db.Close(ctx))
		_, app = reopen(t, fsys, tune)
		clock.Advance(-time.Hour)
		require.Equal(t, aedb.Duplicate, outcome(), "a clock that goes back forgets nothing")
		clock.Advance(time.Hour + time.Microsecond)
		require.Equal(t, aedb.Applied, outcome())
	})
}
