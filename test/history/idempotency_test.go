package history

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
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

// A retry is the request that was applied, whatever has become of what it names.
func TestRetryIsKnownWhenWhatItNamesIsNoMore(t *testing.T) {
	ctx := t.Context()
	for name, gone := range map[string]func(db *aedb.DB, app *aedb.Scope) aedb.Mutation{
		"table": func(_ *aedb.DB, app *aedb.Scope) aedb.Mutation { return app.DropTable("t") },
		"scope": func(*aedb.DB, *aedb.Scope) aedb.Mutation {
			return define(catalog.DropScope{Project: "p", Scope: "app"})
		},
		"project": func(*aedb.DB, *aedb.Scope) aedb.Mutation { return define(catalog.DropProject{Project: "p"}) },
	} {
		t.Run(name, func(t *testing.T) {
			fsys := vfs.NewMem()
			db, app := openApp(t, fsys)
			_, err := app.Commit(ctx, app.CreateTable("t", aedb.TableSpec{
				Columns: []aedb.ColumnSpec{aedb.Column("id", aedb.TypeInteger)}, PrimaryKey: []string{"id"},
			}))
			require.NoError(t, err)
			env := keyed(app, 1, 3)
			env.Mutations = append(env.Mutations, app.Insert("t", aedb.Row{aedb.Int(1)}))
			first, err := app.CommitEnvelope(ctx, env, aedb.Durable)
			require.NoError(t, err)
			_, err = app.Commit(ctx, gone(db, app))
			require.NoError(t, err)

			retry := func(app *aedb.Scope) {
				env.BaseSeq = first.CommitSeq
				env.ReadSet.Keys = []aedb.KeyRead{app.KeyRead(key("n"), 0)}
				again, err := app.CommitEnvelope(ctx, env, aedb.Durable)
				require.NoError(t, err)
				require.Equal(t, aedb.Duplicate, again.Outcome)
				require.Equal(t, first.CommitSeq, again.CommitSeq)
				require.Equal(t, first.Replies, again.Replies)

				other := env
				other.Mutations = other.Mutations[:1]
				_, err = app.CommitEnvelope(ctx, other, aedb.Visible)
				require.ErrorIs(t, err, aedb.ErrIdempotencyMismatch)
			}
			retry(app)
			db, _ = reopen(t, fsys.Crash(vfs.AllLost()))
			retry(db.NoAuth().Scope("p", "app"))
		})
	}
}

func define(s catalog.Statement) aedb.Mutation { return msgs.Define{Statement: s} }

func TestOutcomeTellsWhatBecameOfAKey(t *testing.T) {
	forEachMode(t, func(t *testing.T, mode aedb.Durability) {
		fsys := vfs.NewMem()
		db, app := openApp(t, fsys, durability(mode))
		ctx := t.Context()
		known := func(s *aedb.Session, id byte) (aedb.Result, bool) {
			r, found, err := s.Outcome(ctx, *keyed(app, id, 1).IdempotencyKey)
			require.NoError(t, err)
			return r, found
		}
		_, found := known(app.Session(), 1)
		require.False(t, found)
		refused := keyed(app, 1, 1)
		refused.Assertions = []aedb.Assertion{app.KeyExists(key("gate"), true)}
		_, err := app.CommitEnvelope(ctx, refused, aedb.Visible)
		require.ErrorIs(t, err, aedb.ErrAssertionFailed)
		_, found = known(app.Session(), 1)
		require.False(t, found, "what was refused has had no effect")

		// A wait that is given up: the answer is there for who asks for it.
		gone, cancel := context.WithCancel(ctx)
		for id := byte(1); id < 20; id++ {
			_, err = app.Submit(gone, keyed(app, id, 1))
			require.NoError(t, err)
		}
		cancel()
		applied := uint64(0)
		for id := byte(1); id < 20; id++ {
			if r, found := known(app.Session(), id); found {
				applied++
				require.Equal(t, aedb.Duplicate, r.Outcome)
				require.Len(t, r.Replies, 1)
			}
		}
		require.Equal(t, applied, mustNumber(t, app.KV(), key("n")), "what was not found never happened")

		first, err := app.CommitEnvelope(ctx, keyed(app, 30, 1), aedb.Durable)
		require.NoError(t, err)
		_, found = known(db.As("b"), 30)
		require.False(t, found, "the key of another caller")
		_, app = reopen(t, fsys.Crash(vfs.AllLost()), durability(mode))
		again, found := known(app.Session(), 30)
		require.True(t, found)
		require.Equal(t, first.CommitSeq, again.CommitSeq)
	})
}

// A duplicate shares the fate of its original, in a group whose sync fails and
// afterwards.
func TestDuplicateSharesTheFateOfItsOriginal(t *testing.T) {
	for _, mode := range []aedb.Durability{aedb.Full, aedb.Batch} {
		t.Run(mode.String(), func(t *testing.T) {
			fsys := vfs.NewMem()
			db, app := openApp(t, fsys, durability(mode), func(c *aedb.Config) { c.BatchInterval = time.Hour })
			fsys.SetInjector(func(op vfs.Op) vfs.Fault {
				if op.Kind == vfs.OpSync {
					return vfs.Fault{Err: syscall.EIO}
				}
				return vfs.Fault{}
			})
			const copies = 8
			var wg sync.WaitGroup
			for range copies {
				wg.Go(func() {
					_, err := app.CommitEnvelope(context.Background(), keyed(app, 1, 1), aedb.Durable)
					if err == nil {
						t.Error("acknowledged as durable, and nothing was ever synced")
					}
				})
			}
			if mode == aedb.Batch {
				_, err := db.Flush(t.Context())
				require.Error(t, err)
			}
			wg.Wait()
			_, found, err := app.Session().Outcome(t.Context(), *keyed(app, 1, 1).IdempotencyKey)
			if !found {
				require.Error(t, err, "whether it happened is known after the next opening only")
			}
		})
	}
}
