package aedb_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// modes are the durability modes by name, with intervals that do not end within
// a test.
func modes() map[string]aedb.Config {
	all := map[string]aedb.Config{}
	for _, d := range []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered} {
		cfg := aedb.DefaultConfig()
		cfg.Durability, cfg.BatchInterval = d, time.Hour
		cfg.FS, cfg.Logger = vfs.NewMem(), slog.New(slog.DiscardHandler)
		cfg.Checkpoint.OnClose = false
		all[d.String()] = cfg
	}
	return all
}

// crashed loses power and opens what is left.
func crashed(t *testing.T, db *aedb.DB, cfg aedb.Config) (*aedb.DB, *aedb.Scope) {
	t.Helper()
	after := cfg.FS.(*vfs.Mem).Crash(vfs.AllLost())
	_ = db.Close(context.Background()) // the disk is gone
	cfg.FS = after
	db, err := aedb.OpenNoAuth("store", cfg)
	require.NoError(t, err)
	return db, db.NoAuth().Scope("p", "app")
}

func volatile(app *aedb.Scope, key, value string) aedb.Envelope {
	return aedb.Envelope{WriteClass: aedb.Volatile, Mutations: []aedb.Mutation{app.KvSet([]byte(key), []byte(value))}}
}

func has(t *testing.T, app *aedb.Scope, key string) bool {
	t.Helper()
	_, found, err := app.KV().Get(context.Background(), []byte(key))
	require.NoError(t, err)
	return found
}

func TestVolatileCommitIsVisibleAtOnceAndNeverWritten(t *testing.T) {
	ctx := context.Background()
	for name, cfg := range modes() {
		t.Run(name, func(t *testing.T) {
			db, app := openWith(t, cfg)
			defer func() { require.NoError(t, db.Close(ctx)) }()
			_, err := db.Flush(ctx)
			require.NoError(t, err)
			before, ops := db.Heads(), cfg.FS.(*vfs.Mem).Ops()

			for i := range uint64(10) {
				r, err := app.CommitEnvelope(ctx, volatile(app, "k", fmt.Sprint(i)), aedb.Durable)
				require.NoError(t, err)
				require.Equal(t, before.VisibleSeq+i+1, r.CommitSeq)
			}
			require.True(t, has(t, app, "k"))
			require.NoError(t, db.WaitDurable(ctx, before.VisibleSeq+10), "there is nothing to wait for")
			after := db.Heads()
			require.Equal(t, before.VisibleSeq+10, after.VisibleSeq)
			require.Equal(t, before.DurableSeq, after.DurableSeq)
			require.Equal(t, ops, cfg.FS.(*vfs.Mem).Ops(), "no call of the file system")
		})
	}
}

func TestRefusalBehindAVolatileCommitIsAnswered(t *testing.T) {
	for name, cfg := range modes() {
		t.Run(name, func(t *testing.T) {
			db, app := openWith(t, cfg)
			defer func() { require.NoError(t, db.Close(context.Background())) }()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := app.CommitEnvelope(ctx, volatile(app, "k", "1"), aedb.Visible)
			require.NoError(t, err)
			_, err = app.CommitEnvelope(ctx, aedb.Envelope{
				Assertions: []aedb.Assertion{app.KeyExists([]byte("k"), false)},
				Mutations:  []aedb.Mutation{app.KvSet([]byte("k"), []byte("2"))},
			}, aedb.Visible)
			require.Equal(t, errs.CodeAssertionFailed, errs.CodeOf(err))
		})
	}
}

func TestVolatileCommitIsLostByACrash(t *testing.T) {
	ctx := context.Background()
	for name, cfg := range modes() {
		t.Run(name, func(t *testing.T) {
			db, app := openWith(t, cfg)
			_, err := app.Commit(ctx, app.KvSet([]byte("a"), []byte("1")))
			require.NoError(t, err)
			_, err = app.CommitEnvelope(ctx, volatile(app, "v", "1"), aedb.Visible)
			require.NoError(t, err)
			// A later commit that is durable takes the seq along, not what it wrote.
			r, err := app.CommitEnvelope(ctx, aedb.Envelope{Mutations: []aedb.Mutation{
				app.KvSet([]byte("b"), []byte("1")), app.KvDel([]byte("v")),
				app.KvSet([]byte("w"), []byte("1")),
			}}, aedb.Visible)
			require.NoError(t, err)
			durable, err := db.Flush(ctx)
			require.NoError(t, err)
			require.Equal(t, r.CommitSeq, durable)
			_, err = app.CommitEnvelope(ctx, volatile(app, "w", "2"), aedb.Visible)
			require.NoError(t, err)

			db, app = crashed(t, db, cfg)
			defer func() { require.NoError(t, db.Close(ctx)) }()
			require.Equal(t, r.CommitSeq, db.Heads().VisibleSeq)
			require.True(t, has(t, app, "a"))
			require.True(t, has(t, app, "b"))
			require.False(t, has(t, app, "v"))
			e, found, err := app.KV().Get(ctx, []byte("w"))
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, "1", string(e.Value), "what a volatile commit replaced is back")
		})
	}
}

func TestVolatileCommitSurvivesThroughACheckpoint(t *testing.T) {
	ctx := context.Background()
	for name, cfg := range modes() {
		t.Run(name, func(t *testing.T) {
			db, app := openWith(t, cfg)
			_, err := app.CommitEnvelope(ctx, volatile(app, "kept", "1"), aedb.Visible)
			require.NoError(t, err)
			seq, err := db.Checkpoint(ctx)
			require.NoError(t, err)
			require.Equal(t, db.Heads().VisibleSeq, seq, "a checkpoint shows all that is visible")
			_, err = app.CommitEnvelope(ctx, volatile(app, "lost", "1"), aedb.Visible)
			require.NoError(t, err)

			db, app = crashed(t, db, cfg)
			defer func() { require.NoError(t, db.Close(ctx)) }()
			require.True(t, has(t, app, "kept"))
			require.False(t, has(t, app, "lost"))
			r, err := app.CommitEnvelope(ctx, aedb.Envelope{Mutations: []aedb.Mutation{app.KvSet([]byte("next"), nil)}}, aedb.Visible)
			require.NoError(t, err)
			require.Equal(t, seq+1, r.CommitSeq)
		})
	}
}

func TestVolatileCommitIsKeptByACloseWithACheckpoint(t *testing.T) {
	ctx := context.Background()
	for name, cfg := range modes() {
		for _, checkpoint := range []bool{true, false} {
			t.Run(fmt.Sprint(name, checkpoint), func(t *testing.T) {
				cfg.FS, cfg.Checkpoint.OnClose = vfs.NewMem(), checkpoint
				db, app := openWith(t, cfg)
				r, err := app.CommitEnvelope(ctx, volatile(app, "v", "1"), aedb.Visible)
				require.NoError(t, err)
				require.NoError(t, db.Close(ctx))
				db, err = aedb.OpenNoAuth("store", cfg)
				require.NoError(t, err)
				defer func() { require.NoError(t, db.Close(ctx)) }()
				require.Equal(t, checkpoint, has(t, db.NoAuth().Scope("p", "app"), "v"))
				require.Equal(t, r.CommitSeq, db.Heads().VisibleSeq, "its seq is not used again")
			})
		}
	}
}

func TestManyVolatileCommitsTakeNextToNothingOfTheLog(t *testing.T) {
	ctx := context.Background()
	cfg := modes()["full"]
	cfg.Pipeline.EpochCommits = 64
	db, app := openWith(t, cfg)
	tickets := make([]*aedb.Ticket, 5000)
	for i := range tickets {
		var err error
		tickets[i], err = app.Submit(ctx, volatile(app, fmt.Sprint(i%100), string(make([]byte, 1000))))
		require.NoError(t, err)
	}
	for _, ticket := range tickets {
		_, err := ticket.Durable(ctx)
		require.NoError(t, err)
	}
	seq, err := db.Flush(ctx)
	require.NoError(t, err)
	require.Equal(t, db.Heads().VisibleSeq, seq)
	require.Less(t, db.OperationalMetrics().WALAppendBytes, uint64(5000*16))
	require.NoError(t, db.Close(ctx))
}

// Effects of later commits are worked out on what volatile ones have left, and have
// to be sound without it.
func TestVolatileCommitWritesNothingThatLaterCommitsBuildOn(t *testing.T) {
	ctx := context.Background()
	db, app := openWith(t, modes()["full"])
	defer func() { require.NoError(t, db.Close(ctx)) }()
	_, err := app.Commit(ctx, app.CreateTable("t", aedb.TableSpec{
		Columns: []aedb.ColumnSpec{aedb.Column("id", aedb.TypeInteger)}, PrimaryKey: []string{"id"},
	}))
	require.NoError(t, err)
	for name, m := range map[string]aedb.Mutation{
		"row": app.Insert("t", aedb.Row{aedb.Int(1)}), "removal": app.Delete("t", aedb.Int(1)),
		"counter": app.CounterAdd([]byte("c"), 1, 4, 0), "event": app.EmitEvent("topic", "key", "{}"),
		"definition": app.DropTable("t"), "guarded row": aedb.If(app.Insert("t", aedb.Row{aedb.Int(1)}), app.KeyExists([]byte("k"), false)),
	} {
		_, err := app.CommitEnvelope(ctx, aedb.Envelope{WriteClass: aedb.Volatile, Mutations: []aedb.Mutation{m}}, aedb.Visible)
		require.ErrorIs(t, err, errs.ErrValidation, name)
		var at *aedb.MutationError
		require.ErrorAs(t, err, &at, name)
	}
	keyed := volatile(app, "k", "1")
	keyed.IdempotencyKey = &aedb.IdempotencyKey{1}
	_, err = app.CommitEnvelope(ctx, keyed, aedb.Visible)
	require.ErrorIs(t, err, errs.ErrValidation)

	_, err = app.CommitEnvelope(ctx, aedb.Envelope{WriteClass: aedb.Volatile, Mutations: []aedb.Mutation{
		app.KvSet([]byte("a"), nil), app.KvDel([]byte("b")), app.KvAddU64([]byte("n"), 1, aedb.TreatAsZero, aedb.RejectLimit),
		app.KvAddI64([]byte("s"), -1, aedb.TreatAsZero, nil, nil), app.KvSetIfAbsent([]byte("c"), nil),
		aedb.Check(app.RowExists("t", []aedb.Value{aedb.Int(1)}, false)),
	}}, aedb.Visible)
	require.NoError(t, err)
}

func TestFeedTellsVolatileCommitsFromMemoryAndMarksThemInTheLog(t *testing.T) {
	ctx := context.Background()
	cfg := modes()["os_buffered"]
	db, app := openWith(t, cfg)
	from := db.Heads().VisibleSeq
	_, err := app.CommitEnvelope(ctx, volatile(app, "v", "1"), aedb.Visible)
	require.NoError(t, err)
	next := func(db *aedb.DB) aedb.Delta {
		for d, err := range db.NoAuth().Changes(ctx, from, aedb.ChangeOptions{}) {
			require.NoError(t, err)
			return d
		}
		return aedb.Delta{}
	}
	d := next(db)
	require.True(t, d.Volatile)
	require.Len(t, d.Changes, 1)
	require.NoError(t, db.Close(ctx))

	db, err = aedb.OpenNoAuth("store", cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(ctx)) }()
	d = next(db)
	require.True(t, d.Volatile)
	require.Equal(t, from+1, d.Seq)
	require.Empty(t, d.Changes)
}

// The log is told of volatile commits late. A feed that comes when memory has let go
// of them already finds their marks all the same.
func TestFeedFindsVolatileCommitsThatMemoryHasLetGoOf(t *testing.T) {
	ctx := t.Context()
	for name, cfg := range modes() {
		t.Run(name, func(t *testing.T) {
			cfg.Reads.HistoryCommits = 8
			db, app := openWith(t, cfg)
			defer func() { require.NoError(t, db.Close(context.Background())) }()
			from := db.Heads().VisibleSeq
			for i := range 40 {
				_, err := app.CommitEnvelope(ctx, volatile(app, "k", fmt.Sprint(i)), aedb.Visible)
				require.NoError(t, err)
			}
			next, head := from, db.Heads().VisibleSeq
			for d, err := range db.NoAuth().Changes(ctx, from, aedb.ChangeOptions{}) {
				require.NoError(t, err)
				next++
				require.Equal(t, next, d.Seq)
				require.True(t, d.Volatile)
				require.Equal(t, d.BeforeKnown, len(d.Changes) == 1)
				if d.Seq == head {
					break
				}
			}
		})
	}
}

// What a logged commit removes is gone after a crash and for readers of the log, also
// if a volatile commit had removed it before, of which the log does not know.
func TestRemovalBehindAVolatileOneIsLogged(t *testing.T) {
	ctx := t.Context()
	for name, cfg := range modes() {
		t.Run(name, func(t *testing.T) {
			db, app := openWith(t, cfg)
			_, err := db.NoAuth().CreateScope(ctx, "p", "other")
			require.NoError(t, err)
			other := db.NoAuth().Scope("p", "other")
			commit(t, app, app.KvSet([]byte("k"), []byte("v")), other.KvSet([]byte("k"), []byte("v")))
			_, err = app.CommitEnvelope(ctx, aedb.Envelope{WriteClass: aedb.Volatile, Mutations: []aedb.Mutation{
				app.KvDel([]byte("k")), other.KvDel([]byte("k")),
			}}, aedb.Visible)
			require.NoError(t, err)

			from := db.Heads().VisibleSeq
			r, err := app.Commit(ctx, app.KvDel([]byte("k")))
			require.NoError(t, err)
			require.Zero(t, r.Replies[0].Affected)
			_, err = db.NoAuth().DropScope(ctx, "p", "other")
			require.NoError(t, err)
			for d, err := range db.NoAuth().Changes(ctx, from, aedb.ChangeOptions{AllCommits: true}) {
				require.NoError(t, err)
				require.Empty(t, d.Changes, "there was nothing to remove")
				break
			}
			_, err = db.Flush(ctx)
			require.NoError(t, err)
			reader, err := aedb.OpenReader(ctx, "store", cfg)
			require.NoError(t, err)
			_, found, err := reader.NoAuth().Scope("p", "app").KV().Get(ctx, []byte("k"))
			require.NoError(t, err)
			require.False(t, found)
			require.NoError(t, reader.Close())

			db, app = crashed(t, db, cfg)
			defer func() { require.NoError(t, db.Close(context.Background())) }()
			require.False(t, has(t, app, "k"))
			violations, err := db.CheckInvariants(aedb.AtLatest)
			require.NoError(t, err)
			require.Empty(t, violations)
		})
	}
}
