package history

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/vfs"
)

// meeting makes transactions that run at once wait for each other when they run
// for the first time, so that all have read before one commits.
type meeting struct {
	want    int32
	arrived atomic.Int32
	all     chan struct{}
}

func newMeeting(n int) *meeting { return &meeting{want: int32(n), all: make(chan struct{})} }

// attend waits for the others, unless they have met already.
func (m *meeting) attend() {
	if m.arrived.Add(1) == m.want {
		close(m.all)
	}
	<-m.all
}

func createDoctors(t *testing.T, app *aedb.Scope) {
	t.Helper()
	_, err := app.Commit(t.Context(), app.CreateTable("doctors", aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("name", aedb.TypeText), aedb.Column("on_call", aedb.TypeBoolean),
			aedb.Column("shift", aedb.TypeInteger),
		},
		PrimaryKey: []string{"name"},
		Indexes:    []aedb.IndexSpec{{Name: "by_shift", Columns: []string{"shift"}}},
	}), app.InsertBatch("doctors", []aedb.Row{
		{aedb.Text("alice"), aedb.Bool(true), aedb.Int(7)}, {aedb.Text("bob"), aedb.Bool(true), aedb.Int(7)},
	}))
	require.NoError(t, err)
}

// TestWriteSkewIsPrevented is the case of the doctors: each leaves if another
// one stays. They write different rows, so only what they read can tell.
func TestWriteSkewIsPrevented(t *testing.T) {
	ways := map[string]query.Query{
		"by scan":  query.Select().From("doctors").Where(query.Eq("on_call", true)),
		"by index": query.Select().From("doctors").Where(query.Eq("shift", 7)),
		"by keys":  query.Select().From("doctors").Where(query.In("name", "alice", "bob")),
	}
	for way, q := range ways {
		t.Run(way, func(t *testing.T) {
			_, app := openApp(t, vfs.NewMem())
			createDoctors(t, app)
			ctx := t.Context()
			met := newMeeting(2)
			leave := func(name string) error {
				return app.Update(ctx, func(tx *aedb.Tx) error {
					page, err := tx.Query(ctx, q)
					if err != nil {
						return err
					}
					met.attend()
					staying := 0
					for _, row := range page.Rows {
						if row[1].AsBool() {
							staying++
						}
					}
					if staying < 2 {
						return errPoor
					}
					return tx.UpdateFields("doctors", []aedb.Value{aedb.Text(name)}, aedb.Set("on_call", aedb.Bool(false)))
				})
			}
			var wg sync.WaitGroup
			outcomes := make([]error, 2)
			for i, name := range []string{"alice", "bob"} {
				wg.Go(func() { outcomes[i] = leave(name) })
			}
			wg.Wait()
			require.True(t, (outcomes[0] == nil) != (outcomes[1] == nil), "one leaves: %v", outcomes)
			require.ErrorIs(t, errors.Join(outcomes...), errPoor)
		})
	}
}

// TestPhantomsArePrevented has transactions that find a range empty, and each
// puts something of its own there.
func TestPhantomsArePrevented(t *testing.T) {
	ways := map[string]func(tx *aedb.Tx) (int, error){
		"keys by prefix": func(tx *aedb.Tx) (n int, err error) {
			for _, err := range tx.KV().Prefix(t.Context(), []byte("seat/")) {
				if err != nil {
					return 0, err
				}
				n++
			}
			return n, nil
		},
		"keys by page": func(tx *aedb.Tx) (int, error) {
			page, err := tx.KV().Page(t.Context(), aedb.Range{Start: []byte("seat/"), End: []byte("seat0"), Limit: 1})
			return len(page.Entries), err
		},
		"one key": func(tx *aedb.Tx) (int, error) {
			_, found, err := tx.Get(t.Context(), []byte("seat/taken"))
			if found {
				return 1, err
			}
			return 0, err
		},
		"rows by index": func(tx *aedb.Tx) (int, error) {
			page, err := tx.Query(t.Context(), query.Select().From("doctors").Where(query.Eq("shift", 8)))
			return len(page.Rows), err
		},
		"rows by condition": func(tx *aedb.Tx) (int, error) {
			page, err := tx.Query(t.Context(), query.Select().From("doctors").Where(query.Eq("on_call", false)))
			return len(page.Rows), err
		},
	}
	const callers = 8
	for way, find := range ways {
		t.Run(way, func(t *testing.T) {
			_, app := openApp(t, vfs.NewMem())
			createDoctors(t, app)
			met := newMeeting(callers)
			var taken atomic.Int32
			var wg sync.WaitGroup
			for id := range callers {
				wg.Go(func() {
					err := app.Update(t.Context(), func(tx *aedb.Tx) error {
						n, err := find(tx)
						if err != nil {
							return err
						}
						met.attend()
						if n > 0 {
							return errPoor
						}
						return tx.Do(
							app.KvSet(key("seat/%d", id), nil), app.KvSet([]byte("seat/taken"), nil),
							app.Insert("doctors", aedb.Row{aedb.Text(fmt.Sprint(id)), aedb.Bool(false), aedb.Int(8)}))
					})
					switch {
					case err == nil:
						taken.Add(1)
					case !errors.Is(err, errPoor):
						t.Error(err)
					}
				})
			}
			wg.Wait()
			require.Equal(t, int32(1), taken.Load())
		})
	}
}

// TestRemovalWithinWhatWasReadIsAConflict: an entry that has gone leaves no
// version behind to be compared.
func TestRemovalWithinWhatWasReadIsAConflict(t *testing.T) {
	_, app := openApp(t, vfs.NewMem(), func(c *aedb.Config) { c.UpdateRetries = 0 })
	createDoctors(t, app)
	ctx := t.Context()
	removals := map[string]struct {
		read   func(*aedb.Tx) error
		remove aedb.Mutation
	}{
		"key": {func(tx *aedb.Tx) error { _, _, err := tx.Get(ctx, []byte("a/1")); return err }, app.KvDel([]byte("a/1"))},
		"key in range": {func(tx *aedb.Tx) error {
			for _, err := range tx.KV().Prefix(ctx, []byte("a/")) {
				if err != nil {
					return err
				}
			}
			return nil
		}, app.KvDel([]byte("a/2"))},
		"row": {func(tx *aedb.Tx) error { _, _, err := tx.Row(ctx, "doctors", aedb.Text("bob")); return err },
			app.Delete("doctors", aedb.Text("bob"))},
		"row in query": {func(tx *aedb.Tx) error {
			_, err := tx.Query(ctx, query.Select().From("doctors").Where(query.Eq("shift", 9)))
			return err
		}, app.Delete("doctors", aedb.Text("carol"))},
		"table": {func(tx *aedb.Tx) error { _, _, err := tx.Row(ctx, "doctors", aedb.Text("alice")); return err },
			app.DropTable("doctors")},
	}
	for _, name := range []string{"key", "key in range", "row", "row in query", "table"} {
		t.Run(name, func(t *testing.T) {
			_, err := app.Commit(ctx, app.KvSet([]byte("a/1"), nil), app.KvSet([]byte("a/2"), nil),
				app.Upsert("doctors", aedb.Row{aedb.Text("carol"), aedb.Bool(true), aedb.Int(9)}))
			require.NoError(t, err)
			err = app.Update(ctx, func(tx *aedb.Tx) error {
				if err := removals[name].read(tx); err != nil {
					return err
				}
				if _, err := app.Commit(ctx, removals[name].remove); err != nil {
					return err
				}
				return tx.Set([]byte("decision"), []byte(name))
			})
			require.ErrorIs(t, err, aedb.ErrConflict)
			e, _, err := app.KV().Get(ctx, []byte("decision"))
			require.NoError(t, err)
			require.Empty(t, e.Value)
		})
	}
}

// TestIncrementsByTransactionAreNeverLost is the lost update, by 32 callers.
func TestIncrementsByTransactionAreNeverLost(t *testing.T) {
	forEachMode(t, func(t *testing.T, mode aedb.Durability) {
		_, app := openApp(t, vfs.NewMem(), durability(mode), func(c *aedb.Config) { c.UpdateRetries = 10_000 })
		ctx := t.Context()
		const callers = 32
		each := scale(20)
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range each {
					err := app.Update(ctx, func(tx *aedb.Tx) error {
						return updateNumber(ctx, tx, key("n"), func(n uint64) uint64 { return n + 1 })
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, callers*each, mustNumber(t, app.KV(), key("n")))
	})
}

func TestTransactionSeesItsOwnWritesAndNobodyElseDoes(t *testing.T) {
	_, app := openApp(t, vfs.NewMem())
	createDoctors(t, app)
	ctx := t.Context()
	names := func(v *aedb.View) (out []string) {
		for row, err := range v.Rows(ctx, query.Select("name").From("doctors"), aedb.AllowFullScan()) {
			require.NoError(t, err)
			out = append(out, row[0].AsText())
		}
		return out
	}
	require.NoError(t, app.Update(ctx, func(tx *aedb.Tx) error {
		require.NoError(t, tx.Set([]byte("k"), []byte("1")))
		require.NoError(t, tx.Insert("doctors", aedb.Row{aedb.Text("carol"), aedb.Bool(true), aedb.Int(1)}))
		require.NoError(t, tx.Delete("doctors", aedb.Text("alice")))
		v, found, err := tx.Get(ctx, []byte("k"))
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, "1", string(v))
		require.Equal(t, []string{"bob", "carol"}, names(&tx.View))

		_, found, err = app.KV().Get(ctx, []byte("k"))
		require.NoError(t, err)
		require.False(t, found)
		return app.View(ctx, func(v *aedb.View) error {
			require.Equal(t, []string{"alice", "bob"}, names(v))
			return nil
		})
	}))
	require.NoError(t, app.View(ctx, func(v *aedb.View) error {
		require.Equal(t, []string{"bob", "carol"}, names(v))
		return nil
	}))
}

func TestSavepointTakesBackWhatFollowedIt(t *testing.T) {
	_, app := openApp(t, vfs.NewMem())
	createDoctors(t, app)
	ctx := t.Context()
	result, err := app.Transact(ctx, func(tx *aedb.Tx) error {
		require.NoError(t, tx.Set([]byte("a"), []byte("1")))
		outer := tx.Savepoint()
		require.NoError(t, tx.Set([]byte("a"), []byte("2")))
		require.NoError(t, tx.Delete("doctors", aedb.Text("alice")))
		inner := tx.Savepoint()
		require.NoError(t, tx.Set([]byte("b"), []byte("3")))
		tx.RollbackTo(inner)
		_, found, err := tx.Get(ctx, []byte("b"))
		require.NoError(t, err)
		require.False(t, found)

		// A call that fails in the middle leaves nothing of itself.
		require.ErrorIs(t, tx.Do(
			app.KvSet([]byte("c"), nil), app.Insert("doctors", aedb.Row{aedb.Text("bob"), aedb.Bool(true), aedb.Int(1)}),
		), aedb.ErrDuplicatePrimaryKey)
		_, found, err = tx.Get(ctx, []byte("c"))
		require.NoError(t, err)
		require.False(t, found)

		tx.RollbackTo(outer)
		tx.RollbackTo(inner) // taken back already: does nothing
		row, _, err := tx.Row(ctx, "doctors", aedb.Text("alice"))
		require.NoError(t, err)
		require.NotNil(t, row)
		return tx.Set([]byte("d"), []byte("4"))
	})
	require.NoError(t, err)
	var found []string
	for e, err := range app.KV().Scan(ctx, aedb.Range{}) {
		require.NoError(t, err)
		require.Equal(t, result.CommitSeq, e.Version)
		found = append(found, string(e.Key)+"="+string(e.Value))
	}
	require.Equal(t, []string{"a=1", "d=4"}, found)
	_, version, err := app.Row(ctx, "doctors", aedb.Text("alice"))
	require.NoError(t, err)
	require.Less(t, version, result.CommitSeq, "what was taken back left no trace")
}

func TestUpdateGivesUpAfterItsRetries(t *testing.T) {
	const retries = 3
	db, app := openApp(t, vfs.NewMem(), func(c *aedb.Config) { c.UpdateRetries = retries })
	ctx := t.Context()
	runs := 0
	err := app.Update(ctx, func(tx *aedb.Tx) error {
		runs++
		if _, err := readNumber(ctx, tx.KV(), key("n")); err != nil {
			return err
		}
		if _, err := app.Commit(ctx, add(app, key("n"), 1)); err != nil {
			return err
		}
		return tx.Set([]byte("mine"), nil)
	})
	require.ErrorIs(t, err, aedb.ErrConflict)
	require.Equal(t, aedb.ClassConflict, aedb.ClassOf(err))
	require.Equal(t, 1+retries, runs)
	_, found, err := app.KV().Get(ctx, []byte("mine"))
	require.NoError(t, err)
	require.False(t, found)
	require.EqualValues(t, 1+retries, db.OperationalMetrics().ReadSetConflicts)
}

func TestClosureThatFailsOrPanicsCommitsNothing(t *testing.T) {
	db, app := openApp(t, vfs.NewMem())
	ctx := t.Context()
	before := db.Heads()
	boom := errors.New("boom")
	require.ErrorIs(t, app.Update(ctx, func(tx *aedb.Tx) error {
		require.NoError(t, tx.Set([]byte("k"), nil))
		return boom
	}), boom)
	require.PanicsWithValue(t, "boom", func() {
		_ = app.Update(ctx, func(tx *aedb.Tx) error {
			require.NoError(t, tx.Set([]byte("k"), nil))
			panic("boom")
		})
	})
	var kept *aedb.Tx
	require.NoError(t, app.Update(ctx, func(tx *aedb.Tx) error { kept = tx; return nil }))
	require.ErrorIs(t, kept.Set([]byte("k"), nil), aedb.ErrSnapshotExpired)
	_, _, err := kept.Get(ctx, []byte("k"))
	require.ErrorIs(t, err, aedb.ErrSnapshotExpired)
	require.Equal(t, before, db.Heads())
	_, found, err := app.KV().Get(ctx, []byte("k"))
	require.NoError(t, err)
	require.False(t, found)
}

func TestUpdateEndsWithItsContext(t *testing.T) {
	db, app := openApp(t, vfs.NewMem(), func(c *aedb.Config) { c.UpdateRetries = 1 << 20 })
	background := t.Context()

	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(background)
		cancel()
		err := app.Update(ctx, func(*aedb.Tx) error { t.Error("the closure ran"); return nil })
		require.ErrorIs(t, err, aedb.ErrCanceled)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("within", func(t *testing.T) {
		before := db.Heads()
		ctx, cancel := context.WithCancel(background)
		err := app.Update(ctx, func(tx *aedb.Tx) error {
			defer cancel()
			return tx.Set([]byte("k"), nil)
		})
		require.ErrorIs(t, err, aedb.ErrCanceled)
		require.Equal(t, before, db.Heads())
	})
	t.Run("while in conflict", func(t *testing.T) {
		ctx, cancel := context.WithCancel(background)
		runs := 0
		err := app.Update(ctx, func(tx *aedb.Tx) error {
			if runs++; runs == 5 {
				cancel()
			}
			if _, _, err := tx.Get(background, []byte("n")); err != nil {
				return err
			}
			if _, err := app.Commit(background, add(app, []byte("n"), 1)); err != nil {
				return err
			}
			return tx.Set([]byte("mine"), nil)
		})
		require.ErrorIs(t, err, aedb.ErrCanceled)
		require.Equal(t, 5, runs)
		_, found, err := app.KV().Get(background, []byte("mine"))
		require.NoError(t, err)
		require.False(t, found)
	})
}
