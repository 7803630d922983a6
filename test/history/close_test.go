package history

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/vfs"
)

// TestCloseAmidTrafficLosesNoAnsweredCommit closes the store while 64 callers
// commit, and opens it again. The simulated disk then loses what was not synced:
// Close must have left nothing unsynced, in any mode.
func TestCloseAmidTrafficLosesNoAnsweredCommit(t *testing.T) {
	forEachMode(t, func(t *testing.T, mode aedb.Durability) {
		fsys := vfs.NewMem()
		db, app := openApp(t, fsys, durability(mode), func(c *aedb.Config) { c.Pipeline.SequencerQueue = 16 })
		const callers = 64
		var answered atomic.Int64
		enough := make(chan struct{})
		committed := make([][]uint64, callers)
		refused := make([][]byte, callers)
		var wg sync.WaitGroup
		for id := range callers {
			wg.Go(func() {
				for i := uint64(0); ; i++ {
					k := key("%d/%d", id, i)
					r, err := app.Commit(context.Background(), app.KvSet(k, nil), add(app, key("n"), 1))
					if err != nil {
						if aedb.CodeOf(err) != aedb.ErrUnavailable.Code {
							t.Errorf("want unavailable, got %v", err)
						}
						refused[id] = k
						return
					}
					committed[id] = append(committed[id], r.CommitSeq)
					if answered.Add(1) == int64(scale(2000)) {
						close(enough)
					}
				}
			})
		}
		<-enough
		require.NoError(t, db.Close(t.Context()))
		wg.Wait()
		require.False(t, t.Failed())

		db, app = reopen(t, fsys.Crash(vfs.AllLost()))
		total := 0
		for id, seqs := range committed {
			for i, seq := range seqs {
				e, found, err := app.KV().Get(t.Context(), key("%d/%d", id, i))
				require.NoError(t, err)
				require.True(t, found, "commit %d is lost", seq)
				require.Equal(t, seq, e.Version)
			}
			_, found, err := app.KV().Get(t.Context(), refused[id])
			require.NoError(t, err)
			require.False(t, found, "refused, but done")
			total += len(seqs)
		}
		require.EqualValues(t, total, mustNumber(t, app.KV(), key("n")))
		require.EqualValues(t, total+1, db.Heads().VisibleSeq, "seqs have no gaps")
	})
}

// TestCallsAfterCloseAreUnavailable goes through the whole front door.
func TestCallsAfterCloseAreUnavailable(t *testing.T) {
	db, app := openApp(t, vfs.NewMem())
	ctx := t.Context()
	createDoctors(t, app)
	tx, err := db.NoAuth().BeginRead(ctx, aedb.AtLatest)
	require.NoError(t, err)
	page, err := app.Query(ctx, query.Select().From("doctors").Limit(1))
	require.NoError(t, err)
	before := db.Heads()
	require.NoError(t, db.Close(ctx))
	require.NoError(t, db.Close(ctx), "closing again changes nothing")

	s, q := db.NoAuth(), query.Select().From("doctors").Limit(1)
	set := app.KvSet([]byte("k"), nil)
	calls := map[string]func() error{
		"Commit":         func() error { _, err := app.Commit(ctx, set); return err },
		"Submit":         func() error { _, err := app.Submit(ctx, aedb.Envelope{Mutations: []aedb.Mutation{set}}); return err },
		"Update":         func() error { return app.Update(ctx, func(*aedb.Tx) error { t.Error("it ran"); return nil }) },
		"View":           func() error { return app.View(ctx, func(*aedb.View) error { t.Error("it ran"); return nil }) },
		"BeginRead":      func() error { _, err := s.BeginRead(ctx, aedb.AtLatest); return err },
		"Query":          func() error { _, err := app.Query(ctx, q); return err },
		"Query, cursor":  func() error { _, err := app.Query(ctx, q, aedb.WithCursor(page.Cursor)); return err },
		"Explain":        func() error { _, err := app.Explain(ctx, q); return err },
		"Row":            func() error { _, _, err := app.Row(ctx, "doctors", aedb.Text("bob")); return err },
		"Rows":           func() error { return lastError(app.Rows(ctx, q)) },
		"KV.Get":         func() error { _, _, err := app.KV().Get(ctx, []byte("k")); return err },
		"KV.GetMany":     func() error { _, err := app.KV().GetMany(ctx, [][]byte{[]byte("k")}); return err },
		"KV.Prefix":      func() error { return lastError(app.KV().Prefix(ctx, nil)) },
		"KV.Page":        func() error { _, err := app.KV().Page(ctx, aedb.Range{Limit: 1}); return err },
		"KV.Get at seq":  func() error { _, _, err := app.KV().Get(ctx, nil, aedb.At(aedb.AtSeq(1))); return err },
		"KV.Get durable": func() error { _, _, err := app.KV().Get(ctx, nil, aedb.At(aedb.AtDurable)); return err },
		"Projects":       func() error { _, err := s.Projects(); return err },
		"Scopes":         func() error { _, err := s.Scopes("p"); return err },
		"Tables":         func() error { _, err := app.Tables(); return err },
		"Describe":       func() error { _, err := app.Describe("doctors"); return err },
		"CreateProject":  func() error { _, err := s.CreateProject(ctx, "q"); return err },
		"DropScope":      func() error { _, err := s.DropScope(ctx, "p", "app"); return err },
		"Flush":          func() error { _, err := db.Flush(ctx); return err },
		"Checkpoint":     func() error { _, err := db.Checkpoint(ctx); return err },
		"Err":            db.Err,
	}
	for name, f := range calls {
		err := f()
		require.ErrorIs(t, err, aedb.ErrUnavailable, name)
		require.Equal(t, aedb.ClassUnavailable, aedb.ClassOf(err), name)
	}
	_, _, err = tx.Scope("p", "app").KV().Get(ctx, []byte("k"))
	require.ErrorIs(t, err, aedb.ErrSnapshotExpired)
	tx.Close()
	require.Equal(t, before, db.Heads())
	require.Equal(t, before.VisibleSeq, db.OperationalMetrics().VisibleHeadSeq)
}

func lastError[T any](seq func(yield func(T, error) bool)) (last error) {
	for _, err := range seq {
		last = err
	}
	return last
}

// TestCloseThatIsCutShortIsLikeACrash: nothing durable is lost, and whoever
// waits is told.
func TestCloseThatIsCutShortIsLikeACrash(t *testing.T) {
	fsys := vfs.NewMem()
	db, app := openApp(t, fsys)
	ctx := t.Context()
	_, err := app.Commit(ctx, add(app, key("n"), 1))
	require.NoError(t, err)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_ = db.Close(ended) // what it could not finish is what a crash leaves too
	_, err = app.Commit(ctx, add(app, key("n"), 1))
	require.ErrorIs(t, err, aedb.ErrUnavailable)
	_, app = reopen(t, fsys)
	require.EqualValues(t, 1, mustNumber(t, app.KV(), key("n")))
}

// TestLogThatFailsEndsTheTrafficAndLosesNothing fails one sync in the middle of
// traffic, with what a kernel then forgets.
func TestLogThatFailsEndsTheTrafficAndLosesNothing(t *testing.T) {
	forEachSeed(t, func(t *testing.T, seed uint64) {
		fsys := vfs.NewMem()
		db, app := openApp(t, fsys)
		at := fsys.Ops() + 100 + int64(seed*37%200)
		fsys.SetInjector(func(op vfs.Op) vfs.Fault {
			if op.N >= at && op.Kind == vfs.OpSync {
				return vfs.Fault{Err: vfs.ErrPowerLost, DropUnsynced: true}
			}
			return vfs.Fault{}
		})
		const callers = 32
		committed := make([]uint64, callers)
		var wg sync.WaitGroup
		for id := range callers {
			wg.Go(func() {
				for {
					_, err := app.Commit(context.Background(), add(app, key("%d", id), 1))
					if err != nil {
						if class := aedb.ClassOf(err); class != aedb.ClassUnavailable {
							t.Errorf("class %v: %v", class, err)
						}
						return
					}
					committed[id]++
				}
			})
		}
		wg.Wait()
		require.ErrorIs(t, db.Err(), aedb.ErrUnavailable)
		require.True(t, db.OperationalMetrics().WALPoisoned)
		for id := range callers { // reads go on, at what was published
			require.GreaterOrEqual(t, mustNumber(t, app.KV(), key("%d", id)), committed[id])
		}
		require.Error(t, db.Close(t.Context()))
		_, app = reopen(t, fsys.Crash(vfs.AllLost()))
		for id := range callers {
			n := mustNumber(t, app.KV(), key("%d", id))
			require.GreaterOrEqual(t, n, committed[id])
			require.LessOrEqual(t, n, committed[id]+1)
		}
	})
}
