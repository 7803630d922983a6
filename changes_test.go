package aedb_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/feed"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/vfs"
)

// followed is a configuration of a store in memory whose recent past is short, so
// that feeds have to read the log.
func followed() aedb.Config {
	cfg := aedb.DefaultConfig()
	cfg.FS, cfg.Durability = vfs.NewMem(), aedb.OsBuffered
	cfg.SegmentBytes, cfg.Reads.HistoryCommits = 2<<10, 8
	cfg.Checkpoint.OnClose = false
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

func openWith(t testing.TB, cfg aedb.Config) (*aedb.DB, *aedb.Scope) {
	db, err := aedb.OpenNoAuth("store", cfg)
	require.NoError(t, err)
	_, err = db.NoAuth().CreateProject(context.Background(), "p")
	require.NoError(t, err)
	return db, db.NoAuth().Scope("p", "app")
}

// churn makes a commit of several kinds of write, now and then with definitions.
func churn(t testing.TB, app *aedb.Scope, rng *rand.Rand) {
	numbers := aedb.TableSpec{
		Columns:    []aedb.ColumnSpec{aedb.Column("id", aedb.TypeInteger), aedb.Column("n", aedb.TypeInteger)},
		PrimaryKey: []string{"id"}, Indexes: []aedb.IndexSpec{{Name: "by_n", Columns: []string{"n"}}},
	}
	texts := aedb.TableSpec{
		Columns:    []aedb.ColumnSpec{aedb.Column("v", aedb.TypeText), aedb.Column("id", aedb.TypeInteger), aedb.Column("n", aedb.TypeInteger)},
		PrimaryKey: []string{"id"},
	}
	row := func() aedb.Row { return aedb.Row{aedb.Int(rng.Int64N(8)), aedb.Int(rng.Int64N(100))} }
	var mutations []aedb.Mutation
	if rng.IntN(6) == 0 {
		// The shape changes back and forth within the commit.
		mutations = append(mutations, app.DropTable("t"), app.CreateTable("t", texts),
			app.Insert("t", aedb.Row{aedb.Text("x"), aedb.Int(3), aedb.Int(9)}), app.DropTable("t"), app.CreateTable("t", numbers))
	}
	for range 1 + rng.IntN(4) {
		key := fmt.Appendf(nil, "k%d", rng.IntN(6))
		mutations = append(mutations, []aedb.Mutation{
			app.Upsert("t", row()),
			app.UpsertBatch("t", []aedb.Row{row(), row()}),
			app.DeleteWhere("t", query.Lt("n", rng.IntN(40))),
			app.UpdateWhere("t", query.Gt("n", rng.IntN(100)), query.Assign("n", query.Add(query.Col("n"), query.Lit(1)))),
			app.Delete("t", aedb.Int(rng.Int64N(8))),
			app.KvSet(key, fmt.Append(nil, rng.Int())),
			app.KvDel(key),
			app.EmitEvent("topic", fmt.Sprint(len(mutations)), `{}`),
		}[rng.IntN(8)])
	}
	_, err := app.Commit(context.Background(), mutations...)
	if errors.Is(err, aedb.ErrTableNotFound) || errors.Is(err, aedb.ErrRowNotFound) {
		_, err = app.Commit(context.Background(), app.CreateTable("t", numbers), app.Insert("t", row()))
		if errors.Is(err, aedb.ErrTableAlreadyExists) {
			err = nil
		}
	}
	require.NoError(t, err)
}

// contents returns what reads give of a scope at a seq.
func contents(t testing.TB, app *aedb.Scope, seq uint64) map[string]string {
	ctx := context.Background()
	m := map[string]string{}
	require.NoError(t, app.View(ctx, func(v *aedb.View) error {
		for e, err := range v.KV().Prefix(ctx, nil) {
			require.NoError(t, err)
			m[string(e.Key)] = string(e.Value)
		}
		for row, err := range v.Rows(ctx, query.Select().From("t"), aedb.AllowFullScan()) {
			if errors.Is(err, aedb.ErrTableNotFound) {
				break
			}
			require.NoError(t, err)
			m["t/"+fmt.Sprint(row[0])] = fmt.Sprint(row)
		}
		return nil
	}, aedb.At(aedb.AtSeq(seq))))
	return m
}

// follow makes the changes of a delta to a map like that, and checks what it says
// of the state before.
func follow(t testing.TB, m map[string]string, d *aedb.Delta) {
	for _, c := range d.Changes {
		name, before, after := string(c.Key), string(c.Before.Value), string(c.After.Value)
		if c.PrimaryKey != nil {
			name, before, after = "t/"+fmt.Sprint(c.PrimaryKey[0]), fmt.Sprint(c.Before.Row), fmt.Sprint(c.After.Row)
		}
		if c.Kind == feed.Update || c.Kind == feed.Delete {
			require.Equal(t, m[name], before)
		}
		switch c.Kind {
		case feed.Insert, feed.Update, feed.Put:
			m[name] = after
		case feed.Delete:
			delete(m, name)
		case feed.DropTable:
			maps.DeleteFunc(m, func(key, _ string) bool { return strings.HasPrefix(key, "t/") })
		}
	}
}

func changesUpTo(t testing.TB, s *aedb.Session, from, last uint64) []aedb.Delta {
	var out []aedb.Delta
	if from == last {
		return nil
	}
	for d, err := range s.Changes(context.Background(), from, aedb.ChangeOptions{AllCommits: true}) {
		require.NoError(t, err)
		out = append(out, d)
		if d.Seq == last {
			break
		}
	}
	return out
}

// plain is a delta without what the log does not hold.
func plain(d aedb.Delta) aedb.Delta {
	changes := make([]aedb.Change, len(d.Changes))
	for i, c := range d.Changes {
		c.Before = feed.Content{}
		if c.Kind == feed.Insert || c.Kind == feed.Update {
			c.Kind = feed.Put
		}
		changes[i] = c
	}
	d.Changes, d.BeforeKnown = changes, false
	return d
}

func TestChangesAppliedInOrderGiveWhatReadsGiveAtEverySeq(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	cfg := followed()
	cfg.Reads.HistoryCommits = 1000
	db, app := openWith(t, cfg)
	defer db.Close(t.Context())
	for range 120 {
		churn(t, app, rng)
	}
	m := map[string]string{}
	for _, d := range changesUpTo(t, db.NoAuth(), 0, db.Heads().VisibleSeq) {
		require.True(t, d.BeforeKnown)
		follow(t, m, &d)
		require.Equal(t, contents(t, app, d.Seq), m, "commit %d", d.Seq)
	}
}

func TestRowWritesAreToldWithTheOldAndTheNewRow(t *testing.T) {
	db, app := openWith(t, followed())
	defer db.Close(t.Context())
	commit(t, app, app.CreateTable("notes", notes))
	from := db.Heads().VisibleSeq
	first, second, other := note(1, 0), note(1, 1), note(2, 0)
	commit(t, app, app.Insert("notes", first), app.Insert("notes", other), app.Upsert("notes", second))
	commit(t, app, app.DeleteWhere("notes", query.IsNotNull("body")))
	deltas := changesUpTo(t, db.NoAuth(), from, db.Heads().VisibleSeq)
	require.Len(t, deltas, 2)
	change := func(kind feed.Kind, before, after aedb.Row) aedb.Change {
		key := append(slices.Clone(before), after...)[:1]
		return aedb.Change{
			Kind: kind, Project: "p", Scope: "app", Table: "notes", PrimaryKey: key,
			Before: feed.Content{Row: before}, After: feed.Content{Row: after},
		}
	}
	require.Equal(t, []aedb.Change{
		change(feed.Insert, nil, first), change(feed.Insert, nil, other), change(feed.Update, first, second),
	}, deltas[0].Changes)
	require.Equal(t, []aedb.Change{change(feed.Delete, second, nil), change(feed.Delete, other, nil)}, deltas[1].Changes)
}

func TestChangesAfterARestartAreWhatALiveSubscriberSaw(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	rng := rand.New(rand.NewPCG(3, 4))
	cfg := followed()
	var live []aedb.Delta
	var oldest uint64 // that one can go on from
	for round := range 3 {
		db, app := openWith(t, cfg)
		last := db.Heads().VisibleSeq
		live = append(live, changesUpTo(t, db.NoAuth(), uint64(len(live)), last)...) // what opening has made
		for from := oldest; from < last; from++ {
			again := changesUpTo(t, db.NoAuth(), from, last)
			require.Len(t, again, int(last-from))
			for i := range again {
				require.Equal(t, plain(live[int(from)+i]), plain(again[i]), "round %d, from %d", round, from)
			}
		}
		for range 40 {
			churn(t, app, rng)
			live = append(live, changesUpTo(t, db.NoAuth(), uint64(len(live)), db.Heads().VisibleSeq)...)
			require.True(t, live[len(live)-1].BeforeKnown)
		}
		if round == 1 {
			var err error
			oldest, err = db.Checkpoint(t.Context())
			require.NoError(t, err)
		}
		require.NoError(t, db.Close(t.Context()))
	}
}

func TestSubscribersBesideConcurrentCommitsAllSeeTheSame(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	cfg := followed()
	db, app := openWith(t, cfg)
	from := db.Heads().VisibleSeq
	const writers, commits, subscribers = 4, 100, 3
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for i := range commits {
				_, err := app.Commit(t.Context(), app.KvSet(fmt.Appendf(nil, "%d/%d", w, i), nil))
				require.NoError(t, err)
			}
		})
	}
	seen := make([][]aedb.Delta, subscribers)
	for i := range subscribers {
		wait.Go(func() { seen[i] = changesUpTo(t, db.NoAuth(), from, from+writers*commits) })
	}
	wait.Wait()
	keys := map[string]bool{}
	for i, d := range seen[0] {
		require.Equal(t, from+uint64(i)+1, d.Seq)
		require.Len(t, d.Changes, 1)
		keys[string(d.Changes[0].Key)] = true
		for _, other := range seen[1:] {
			require.Equal(t, plain(d), plain(other[i]))
		}
	}
	require.Len(t, keys, writers*commits)
	require.NoError(t, db.Close(t.Context()))
}

func TestSlowSubscriberIsToldOfWhatItMissed(t *testing.T) {
	db, app := openWith(t, followed())
	defer db.Close(t.Context())
	from := db.Heads().VisibleSeq
	fill := func() {
		for range 60 {
			commit(t, app, app.KvSet([]byte("key"), make([]byte, 200)))
		}
		_, err := db.Checkpoint(t.Context())
		require.NoError(t, err)
	}
	fill()
	var end error
	for d, err := range app.Changes(t.Context(), from, aedb.ChangeOptions{}) {
		if end = err; err == nil && d.Seq == from+1 {
			for range 3 { // the log is released over its head
				fill()
			}
		}
	}
	require.ErrorIs(t, end, aedb.ErrSeqGarbageCollected)

	next, missed := from, uint64(0)
	for d, err := range app.Changes(t.Context(), from, aedb.ChangeOptions{SkipMissed: true}) {
		require.NoError(t, err)
		require.Equal(t, next+max(d.Missed, 1), d.Seq)
		next, missed = d.Seq, missed+d.Missed
		if next == db.Heads().VisibleSeq {
			break
		}
	}
	require.Positive(t, missed)
}

func TestScopeIsToldOfItselfOnly(t *testing.T) {
	db, app := openWith(t, followed())
	defer db.Close(t.Context())
	from := db.Heads().VisibleSeq
	_, err := db.NoAuth().CreateScope(t.Context(), "p", "other")
	require.NoError(t, err)
	other := db.NoAuth().Scope("p", "other")
	commit(t, app, app.KvSet([]byte("a/1"), nil), other.KvSet([]byte("a/2"), nil))
	commit(t, app, other.KvSet([]byte("a/3"), nil))
	commit(t, app, app.KvSet([]byte("b/4"), nil), app.KvSet([]byte("a/5"), nil))
	var keys []string
	selector := aedb.ChangeSelector{Project: "p", Scope: "other", KeyPrefix: []byte("a/")}
	for d, err := range app.Changes(t.Context(), from, aedb.ChangeOptions{Only: []aedb.ChangeSelector{selector}}) {
		require.NoError(t, err)
		for _, c := range d.Changes {
			keys = append(keys, string(c.Key))
		}
		if d.Seq == db.Heads().VisibleSeq {
			break
		}
	}
	require.Equal(t, []string{"a/1", "a/5"}, keys)
	for _, err := range db.NoAuth().Scope("", "").Changes(t.Context(), 0, aedb.ChangeOptions{}) {
		require.ErrorIs(t, err, aedb.ErrValidation)
	}
	for _, err := range db.As("system").Changes(t.Context(), 0, aedb.ChangeOptions{}) {
		require.ErrorIs(t, err, aedb.ErrPermissionDenied)
	}
}

func TestChangesEndWithTheStore(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for name, end := range map[string]func(*aedb.DB, *aedb.Scope, *vfs.Mem){
		"closed": func(db *aedb.DB, _ *aedb.Scope, _ *vfs.Mem) { _ = db.Close(context.Background()) },
		"broken": func(_ *aedb.DB, app *aedb.Scope, fsys *vfs.Mem) {
			fsys.SetInjector(func(op vfs.Op) (f vfs.Fault) {
				if op.Kind == vfs.OpWrite {
					f.Err = errors.New("no more paper")
				}
				return f
			})
			_, _ = app.Commit(context.Background(), app.KvSet([]byte("lost"), nil))
		},
	} {
		cfg := followed()
		db, app := openWith(t, cfg)
		from := db.Heads().VisibleSeq
		commit(t, app, app.KvSet([]byte("last"), nil))
		waiting, ended := make(chan struct{}), make(chan error)
		go func() {
			for d, err := range app.Changes(context.Background(), from, aedb.ChangeOptions{}) {
				if err != nil {
					ended <- err
					return
				}
				if d.Seq == from+1 {
					close(waiting)
				}
			}
		}()
		<-waiting
		end(db, app, cfg.FS.(*vfs.Mem))
		require.Equal(t, errs.CodeUnavailable, errs.CodeOf(<-ended), name)
		_ = db.Close(context.Background())
		for _, err := range app.Changes(context.Background(), from, aedb.ChangeOptions{}) {
			require.ErrorIs(t, err, aedb.ErrUnavailable, name)
		}
	}
}

func BenchmarkChanges(b *testing.B) {
	const commits = 20_000
	fill := func(history int) *aedb.DB {
		cfg := followed()
		cfg.SegmentBytes, cfg.Reads.HistoryCommits = 8<<20, history
		db, app := openWith(b, cfg)
		commit(b, app, app.CreateTable("notes", notes))
		tickets := make([]*aedb.Ticket, 0, commits)
		for i := range commits {
			ticket, err := app.Submit(b.Context(), aedb.Envelope{Mutations: []aedb.Mutation{app.Upsert("notes", note(i%1000, i))}})
			require.NoError(b, err)
			tickets = append(tickets, ticket)
		}
		_, err := tickets[commits-1].Visible(b.Context())
		require.NoError(b, err)
		return db
	}
	for name, history := range map[string]int{"memory": 2 * commits, "log": 1} {
		b.Run(name, func(b *testing.B) {
			db := fill(history)
			defer db.Close(context.Background())
			last := db.Heads().VisibleSeq
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; {
				for d, err := range db.NoAuth().Changes(b.Context(), 2, aedb.ChangeOptions{}) {
					require.NoError(b, err)
					if n++; d.Seq == last || n == b.N {
						break
					}
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deltas/s")
		})
	}
}

func BenchmarkChangesBesideCommits(b *testing.B) {
	for _, subscribers := range []int{0, 1, 4} {
		b.Run(fmt.Sprint(subscribers), func(b *testing.B) {
			cfg := followed()
			cfg.SegmentBytes, cfg.Reads.HistoryCommits = 8<<20, 1024
			db, app := openWith(b, cfg)
			defer db.Close(context.Background())
			from := db.Heads().VisibleSeq
			var wait sync.WaitGroup
			for range subscribers {
				wait.Go(func() {
					for d, err := range app.Changes(context.Background(), from, aedb.ChangeOptions{}) {
						if err != nil {
							b.Error(err)
						}
						if d.Seq == from+uint64(b.N) {
							break
						}
					}
				})
			}
			b.ResetTimer()
			var last *aedb.Ticket
			for range b.N {
				var err error
				last, err = app.Submit(b.Context(), aedb.Envelope{Mutations: []aedb.Mutation{app.KvSet([]byte("key"), []byte("value"))}})
				require.NoError(b, err)
			}
			_, err := last.Visible(b.Context())
			require.NoError(b, err)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			wait.Wait()
		})
	}
}

// A consumer that keeps its position beside what it has derived, and goes on from
// there after any interruption.
func ExampleScope_Changes() {
	ctx := context.Background()
	db, done := open()
	defer done()
	must(db.NoAuth().CreateProject(ctx, "shop"))
	app := db.NoAuth().Scope("shop", "app")
	position := db.Heads().VisibleSeq

	must(app.Commit(ctx, app.KvSet([]byte("stock/tea"), []byte("10"))))
	must(app.Commit(ctx, app.KvSet([]byte("stock/tea"), []byte("9")), app.KvSet([]byte("note"), []byte("a cup"))))
	must(app.Commit(ctx, app.KvDel([]byte("stock/tea"))))

	stock := aedb.ChangeOptions{Only: []aedb.ChangeSelector{{KeyPrefix: []byte("stock/")}}}
	for delta, err := range app.Changes(ctx, position, stock) {
		if err != nil {
			fmt.Println(err)
			break
		}
		for _, c := range delta.Changes {
			fmt.Printf("%s %s %q -> %q\n", c.Kind, c.Key, c.Before.Value, c.After.Value)
		}
		if position = delta.Seq; position == db.Heads().VisibleSeq {
			break // there is no more for the moment
		}
	}
	// Output:
	// insert stock/tea "" -> "10"
	// update stock/tea "10" -> "9"
	// delete stock/tea "9" -> ""
}
