package history

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/vfs"
)

// TestAtSeqShowsExactlyTheCommitsUpToIt: every commit adds one, so the state
// right after a commit is known, whatever epochs the commits were grouped in.
func TestAtSeqShowsExactlyTheCommitsUpToIt(t *testing.T) {
	forEachMode(t, func(t *testing.T, mode aedb.Durability) {
		db, app := openApp(t, vfs.NewMem(), durability(mode), func(c *aedb.Config) { c.Reads.HistoryCommits = 1 << 16 })
		ctx := t.Context()
		base := db.Heads().VisibleSeq
		var wg sync.WaitGroup
		for id := range 16 {
			rng := rand.New(rand.NewPCG(1, uint64(id)))
			wg.Go(func() {
				own := key("own/%d", id)
				for i := range scale(60) {
					r, err := app.Commit(ctx, add(app, key("n"), 1), app.KvSet(own, number(uint64(i))))
					if err != nil {
						t.Error(err)
						return
					}
					past := base + rng.Uint64N(r.CommitSeq-base+1)
					for _, seq := range []uint64{r.CommitSeq, past} {
						n, err := readNumber(ctx, app.KV(), key("n"), aedb.At(aedb.AtSeq(seq)))
						if err != nil || n != seq-base {
							t.Errorf("at %d: %d, %v, want %d", seq, n, err, seq-base)
							return
						}
					}
					e, _, err := app.KV().Get(ctx, own, aedb.At(aedb.AtSeq(r.CommitSeq)))
					if err != nil || e.Version != r.CommitSeq {
						t.Errorf("own key at %d: version %d, %v", r.CommitSeq, e.Version, err)
						return
					}
				}
			})
		}
		wg.Wait()
		head := db.Heads().VisibleSeq
		_, err := readNumber(ctx, app.KV(), key("n"), aedb.At(aedb.AtSeq(head+1)))
		require.ErrorIs(t, err, aedb.ErrSeqNotYetVisible)
	})
}

func TestAtSeqReachesNoFurtherThanTheHistory(t *testing.T) {
	db, app := openApp(t, vfs.NewMem(), func(c *aedb.Config) { c.Reads.HistoryCommits = 64; c.Pipeline.EpochCommits = 1 })
	ctx := t.Context()
	for range 200 {
		_, err := app.Commit(ctx, add(app, key("n"), 1))
		require.NoError(t, err)
	}
	head := db.Heads().VisibleSeq
	for back := range uint64(32) {
		require.EqualValues(t, 200-back, mustNumber(t, app.KV(), key("n"), aedb.At(aedb.AtSeq(head-back))))
	}
	_, err := readNumber(ctx, app.KV(), key("n"), aedb.At(aedb.AtSeq(head-65)))
	require.ErrorIs(t, err, aedb.ErrSeqGarbageCollected)
}

// TestAtDurableShowsNothingThatAPowerLossTakesBack copies the disk as a power
// loss would leave it right after a durable read, and opens the copy.
func TestAtDurableShowsNothingThatAPowerLossTakesBack(t *testing.T) {
	for _, mode := range []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered} {
		t.Run(mode.String(), func(t *testing.T) {
			fsys := vfs.NewMem()
			db, app := openApp(t, fsys, durability(mode), func(c *aedb.Config) { c.BatchInterval = time.Millisecond })
			ctx := t.Context()
			_, err := db.Flush(ctx)
			require.NoError(t, err)
			var stop atomic.Bool
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					for i := 0; !stop.Load(); i++ {
						finality := aedb.Visible
						if i%8 == 0 {
							finality = aedb.Durable
						}
						r, err := app.CommitEnvelope(ctx, aedb.Envelope{Mutations: []aedb.Mutation{add(app, key("n"), 1)}}, finality)
						if err != nil {
							t.Error(err)
							return
						}
						if finality == aedb.Durable && r.DurableSeq < r.CommitSeq {
							t.Errorf("commit %d was called durable at %d", r.CommitSeq, r.DurableSeq)
						}
					}
				})
			}
			for range scale(20) {
				var seq, n uint64
				require.NoError(t, app.View(ctx, func(v *aedb.View) (err error) {
					seq = v.SnapshotSeq()
					n, err = readNumber(ctx, v.KV(), key("n"))
					return err
				}, aedb.At(aedb.AtDurable)))
				heads := db.Heads()
				require.LessOrEqual(t, heads.DurableSeq, heads.VisibleSeq)
				copied := open(t, fsys.Clone(vfs.AllLost()), durability(mode))
				require.GreaterOrEqual(t, copied.Heads().VisibleSeq, max(seq, heads.DurableSeq))
				after := copied.NoAuth().Scope("p", "app")
				require.GreaterOrEqual(t, mustNumber(t, after.KV(), key("n")), n)
				require.NoError(t, copied.Close(ctx))
			}
			stop.Store(true)
			wg.Wait()
			_, err = db.Flush(ctx)
			require.NoError(t, err)
			require.Equal(t, mustNumber(t, app.KV(), key("n")), mustNumber(t, app.KV(), key("n"), aedb.At(aedb.AtDurable)))
		})
	}
}

// TestPagesOfOneCursorAreOfOneSnapshot writes into what is being paged through.
func TestPagesOfOneCursorAreOfOneSnapshot(t *testing.T) {
	_, app := openApp(t, vfs.NewMem(), func(c *aedb.Config) { c.Reads.HistoryCommits = 2 })
	ctx := t.Context()
	createDoctors(t, app)
	const rows = 100
	var all []aedb.Mutation
	for i := range rows {
		all = append(all, app.KvSet(key("k/%03d", i), number(1)),
			app.Upsert("doctors", aedb.Row{aedb.Text(fmt.Sprintf("d%03d", i)), aedb.Bool(true), aedb.Int(1)}))
	}
	_, err := app.Commit(ctx, all...)
	require.NoError(t, err)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for id := range 4 {
		rng := rand.New(rand.NewPCG(1, uint64(id)))
		wg.Go(func() {
			for !stop.Load() {
				i := rng.IntN(2 * rows)
				_, err := app.Commit(ctx, app.KvSet(key("k/%03d", i), number(2)), app.KvDel(key("k/%03d", rng.IntN(rows))),
					app.Upsert("doctors", aedb.Row{aedb.Text(fmt.Sprintf("d%03d", i)), aedb.Bool(false), aedb.Int(2)}),
					app.Delete("doctors", aedb.Text(fmt.Sprintf("d%03d", rng.IntN(rows)))))
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range scale(20) {
		var want, got []aedb.Entry
		var rowsWanted, rowsGot []aedb.Row
		q := query.Select().From("doctors").Where(query.Gte("name", "d")).Limit(7)
		var page aedb.Page
		var result aedb.QueryResult
		require.NoError(t, app.View(ctx, func(v *aedb.View) error {
			for e, err := range v.KV().Prefix(ctx, []byte("k/")) {
				require.NoError(t, err)
				want = append(want, e)
			}
			for row, err := range v.Rows(ctx, query.Select().From("doctors").Where(query.Gte("name", "d"))) {
				require.NoError(t, err)
				rowsWanted = append(rowsWanted, row)
			}
			var err error
			page, err = v.KV().Page(ctx, aedb.Range{Prefix: []byte("k/"), Limit: 7})
			require.NoError(t, err)
			result, err = v.Query(ctx, q)
			require.NoError(t, err)
			return nil
		}))
		for {
			got = append(got, page.Entries...)
			if page.Cursor == "" {
				break
			}
			var err error
			page, err = app.KV().Page(ctx, aedb.Range{Prefix: []byte("k/"), Limit: 7}, aedb.WithCursor(page.Cursor))
			require.NoError(t, err)
		}
		for {
			rowsGot = append(rowsGot, result.Rows...)
			if result.Cursor == "" {
				break
			}
			var err error
			result, err = app.Query(ctx, q, aedb.WithCursor(result.Cursor))
			require.NoError(t, err)
		}
		require.Equal(t, want, got)
		require.Equal(t, rowsWanted, rowsGot)
	}
	stop.Store(true)
	wg.Wait()
}

// Time passes only when all goroutines of the bubble wait.
func TestCursorsAndReadTransactionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, app := openApp(t, vfs.NewMem(), func(c *aedb.Config) {
			c.Reads.HistoryCommits = 2
			c.Reads.SnapshotAge = 30 * time.Second
			c.Checkpoint.Interval = 0
			c.Pipeline.EpochCommits = 1
		})
		ctx := t.Context()
		write := func() {
			for i := range 10 {
				_, err := app.Commit(ctx, app.KvSet(key("k/%d", i), number(uint64(i))))
				require.NoError(t, err)
			}
		}
		write()
		r := aedb.Range{Prefix: []byte("k/"), Limit: 2}
		page, err := app.KV().Page(ctx, r)
		require.NoError(t, err)
		tx, err := db.NoAuth().BeginRead(ctx, aedb.AtLatest)
		require.NoError(t, err)
		write()

		// Use keeps a cursor alive, but not a read transaction.
		time.Sleep(20 * time.Second)
		_, err = app.KV().Page(ctx, r, aedb.WithCursor(page.Cursor))
		require.NoError(t, err)
		require.EqualValues(t, 3, mustNumber(t, tx.Scope("p", "app").KV(), key("k/3")))
		time.Sleep(20 * time.Second)
		_, err = app.KV().Page(ctx, r, aedb.WithCursor(page.Cursor))
		require.NoError(t, err)
		_, err = readNumber(ctx, tx.Scope("p", "app").KV(), key("k/3"))
		require.ErrorIs(t, err, aedb.ErrSnapshotExpired)
		require.Equal(t, aedb.ClassRetryable, aedb.ClassOf(err))
		require.Zero(t, db.OperationalMetrics().ActiveSnapshots)

		time.Sleep(31 * time.Second)
		_, err = app.KV().Page(ctx, r, aedb.WithCursor(page.Cursor))
		require.ErrorIs(t, err, aedb.ErrCursorExpired)
		require.Equal(t, aedb.ClassRetryable, aedb.ClassOf(err))
		require.NoError(t, db.Close(ctx))
	})
}

func TestReadTransactionsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, _ := openApp(t, vfs.NewMem(), func(c *aedb.Config) { c.Reads.MaxSnapshots = 3 })
		ctx := t.Context()
		var all []*aedb.ReadTx
		for range 3 {
			tx, err := db.NoAuth().BeginRead(ctx, aedb.AtLatest)
			require.NoError(t, err)
			all = append(all, tx)
		}
		_, err := db.NoAuth().BeginRead(ctx, aedb.AtLatest)
		require.ErrorIs(t, err, aedb.ErrSnapshotLimit)
		require.Equal(t, aedb.ClassRetryable, aedb.ClassOf(err))
		require.Equal(t, 3, db.OperationalMetrics().ActiveSnapshots)

		all[0].Close()
		all[0].Close()
		_, err = db.NoAuth().BeginRead(ctx, aedb.AtLatest)
		require.NoError(t, err)
		time.Sleep(31 * time.Second) // those that have expired make room
		for range 3 {
			_, err := db.NoAuth().BeginRead(ctx, aedb.AtLatest)
			require.NoError(t, err)
		}
		require.NoError(t, db.Close(ctx))
	})
}

func TestReadTransactionSeesOneStateWhileOthersCommit(t *testing.T) {
	db, app := openApp(t, vfs.NewMem())
	ctx := t.Context()
	var wg sync.WaitGroup
	var stop atomic.Bool
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				if _, err := app.Commit(ctx, add(app, key("a"), 1), add(app, key("b"), 1)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range scale(200) {
		tx, err := db.NoAuth().BeginRead(ctx, aedb.AtLatest)
		require.NoError(t, err)
		kv := tx.Scope("p", "app").KV()
		first := mustNumber(t, kv, key("a"))
		for range 5 {
			require.Equal(t, first, mustNumber(t, kv, key("b")))
			require.Equal(t, first, mustNumber(t, kv, key("a")))
		}
		tx.Close()
		_, err = readNumber(ctx, kv, key("a"))
		require.ErrorIs(t, err, aedb.ErrSnapshotExpired)
	}
	stop.Store(true)
	wg.Wait()
}

func TestAtCheckpointShowsTheCheckpoint(t *testing.T) {
	db, app := openApp(t, vfs.NewMem())
	ctx := t.Context()
	_, _, err := app.KV().Get(ctx, key("n"), aedb.At(aedb.AtCheckpoint))
	require.ErrorIs(t, err, aedb.ErrUnavailable)
	_, err = app.Commit(ctx, add(app, key("n"), 1))
	require.NoError(t, err)
	seq, err := db.Checkpoint(ctx)
	require.NoError(t, err)
	require.Equal(t, db.Heads().VisibleSeq, seq)
	_, err = app.Commit(ctx, add(app, key("n"), 1))
	require.NoError(t, err)
	require.EqualValues(t, 1, mustNumber(t, app.KV(), key("n"), aedb.At(aedb.AtCheckpoint)))
	require.EqualValues(t, 2, mustNumber(t, app.KV(), key("n")))
}
