package aedb_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/vfs"
)

// openApp opens an empty store in memory and returns a scope of it.
func openApp(t testing.TB) *aedb.Scope {
	ctx := context.Background()
	cfg := aedb.DefaultConfig()
	cfg.FS, cfg.Durability = vfs.NewMem(), aedb.OsBuffered
	db, app := openWith(t, cfg)
	t.Cleanup(func() { require.NoError(t, db.Close(ctx)) })
	return app
}

func commit(t testing.TB, app *aedb.Scope, mutations ...aedb.Mutation) {
	t.Helper()
	_, err := app.Commit(context.Background(), mutations...)
	require.NoError(t, err)
}

// notes is a table whose rows hold text in the key, in an index and in neither.
var notes = aedb.TableSpec{
	Columns: []aedb.ColumnSpec{
		aedb.Column("id", aedb.TypeText), aedb.Column("owner", aedb.TypeText), aedb.Column("body", aedb.TypeText),
	},
	PrimaryKey: []string{"id"},
	Indexes:    []aedb.IndexSpec{{Name: "by_owner", Columns: []string{"owner"}}},
}

func note(i, round int) aedb.Row {
	return aedb.Row{
		aedb.Text(fmt.Sprintf("note-%04d", i)), aedb.Text(fmt.Sprintf("owner-%02d-%d", i%20, round)),
		aedb.Text(fmt.Sprintf("body %d of round %d, %0*d", i, round, round%50, 0)),
	}
}

// held is what reads gave out, beside copies of it.
type held struct {
	entries, entryCopies []aedb.Entry
	rows, rowCopies      []aedb.Row
}

// take holds on to one answer of every kind of read.
func (h *held) take(t testing.TB, v *aedb.View) {
	ctx := context.Background()
	for e, err := range v.KV().Prefix(ctx, nil) {
		require.NoError(t, err)
		h.entries = append(h.entries, e)
	}
	page, err := v.KV().Page(ctx, aedb.Range{Limit: 50, Reverse: true})
	require.NoError(t, err)
	h.entries = append(h.entries, page.Entries...)
	all := query.Select().From("notes")
	for _, q := range []query.Query{
		all.Limit(1000), all.OrderBy("owner", query.Asc).Limit(1000), all.OrderBy("body", query.Desc).Limit(50),
		query.Select("owner", "id").From("notes").OrderBy("owner", query.Desc).Limit(50), // from the index alone
	} {
		r, err := v.Query(ctx, q)
		require.NoError(t, err)
		h.rows = append(h.rows, r.Rows...)
	}
	row, _, err := v.Row(ctx, "notes", aedb.Text("note-0003"))
	require.NoError(t, err)
	h.rows = append(h.rows, row)
	for _, e := range h.entries[len(h.entryCopies):] {
		h.entryCopies = append(h.entryCopies, e.Clone())
	}
	for _, r := range h.rows[len(h.rowCopies):] {
		h.rowCopies = append(h.rowCopies, r.Clone())
	}
}

func (h *held) requireUnchanged(t testing.TB) {
	require.NotEmpty(t, h.entries)
	require.NotEmpty(t, h.rows)
	for i, e := range h.entries {
		c := h.entryCopies[i]
		require.True(t, bytes.Equal(c.Key, e.Key) && bytes.Equal(c.Value, e.Value), "entry %d was %q: %q, is %q: %q", i, c.Key, c.Value, e.Key, e.Value)
	}
	for i, r := range h.rows {
		require.True(t, slices.Equal(h.rowCopies[i], r), "row %d was %v, is %v", i, h.rowCopies[i], r)
	}
}

func TestWhatAReadLendsIsNeverChanged(t *testing.T) {
	ctx := context.Background()
	app := openApp(t)
	const keys, commits = 200, 10_000
	key := func(i int) []byte { return fmt.Appendf(nil, "key-%04d", i) }
	val := func(i, round int) []byte { return fmt.Appendf(nil, "%d of round %d %0*d", i, round, round%80, 0) }
	commit(t, app, app.CreateTable("notes", notes))
	for i := range keys {
		commit(t, app, app.KvSet(key(i), val(i, 0)), app.Insert("notes", note(i, 0)))
	}
	var h held
	take := func(v *aedb.View) error { h.take(t, v); return nil }
	require.NoError(t, app.View(ctx, take))
	for n := range commits {
		i, round := n*7919%keys, 1+n/keys
		change := []aedb.Mutation{app.KvSet(key(i), val(i, round)), app.Upsert("notes", note(i, round))}
		if n%5 == 0 {
			change = []aedb.Mutation{app.KvDel(key(i)), app.Delete("notes", aedb.Text(fmt.Sprintf("note-%04d", i)))}
		}
		if n%100 != 99 {
			_, err := app.Submit(ctx, aedb.Envelope{Mutations: change})
			require.NoError(t, err)
			continue
		}
		commit(t, app, change...)
		if n%1000 == 999 {
			require.NoError(t, app.View(ctx, take))
		}
	}
	h.requireUnchanged(t)
}

func TestWhatATransactionReadsOutlivesItsWrites(t *testing.T) {
	ctx := context.Background()
	app := openApp(t)
	commit(t, app, app.CreateTable("notes", notes))
	var h held
	require.NoError(t, app.Update(ctx, func(tx *aedb.Tx) error {
		h = held{}
		for round := range 50 {
			for i := range 40 {
				key := fmt.Appendf(nil, "key-%04d", i*(round+1)%60)
				if err := tx.Set(key, fmt.Appendf(nil, "%d %0*d", round, round, 0)); err != nil {
					return err
				}
				if err := tx.Upsert("notes", note(i*(round+1)%60, round)); err != nil {
					return err
				}
			}
			h.take(t, &tx.View)
			if err := tx.Unset(fmt.Appendf(nil, "key-%04d", round)); err != nil {
				return err
			}
		}
		return nil
	}))
	h.requireUnchanged(t)
}

func TestWhatGetReturnsIsTheCallersOwn(t *testing.T) {
	ctx := context.Background()
	app := openApp(t)
	commit(t, app, app.KvSet([]byte("k"), []byte("value")), app.KvSet([]byte("empty"), nil))
	kv := app.KV()
	key := []byte("k")
	e, ok, err := kv.Get(ctx, key)
	require.NoError(t, err)
	require.True(t, ok)
	many, err := kv.GetMany(ctx, [][]byte{key, []byte("missing")})
	require.NoError(t, err)
	require.Nil(t, many[1])
	e.Value[0], many[0].Value[0], key[0] = 'X', 'Y', 'Z'
	require.Equal(t, "k", string(e.Key))
	_ = append(e.Key, "overflow"...)
	require.Equal(t, "Xalue", string(e.Value), "key and value do not run into each other")

	buf := []byte("is ")
	buf, ok, err = kv.AppendValue(ctx, buf, []byte("k"))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "is value", string(buf))
	buf, ok, err = kv.AppendValue(ctx, buf, []byte("missing"))
	require.NoError(t, err)
	require.False(t, ok)
	require.Equal(t, "is value", string(buf))

	e, ok, err = kv.Get(ctx, []byte("empty"))
	require.NoError(t, err)
	require.True(t, ok)
	require.NotNil(t, e.Value)
	require.Empty(t, e.Value)
}

func TestPointReadsAllocateWhatTheyReturn(t *testing.T) {
	ctx := context.Background()
	app := openApp(t)
	commit(t, app, app.KvSet([]byte("k"), []byte("value")))
	kv, key, buf := app.KV(), []byte("k"), make([]byte, 0, 16)
	require.EqualValues(t, 1, testing.AllocsPerRun(100, func() { _, _, _ = kv.Get(ctx, key) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _, _ = kv.AppendValue(ctx, buf, key) }))
}

// A handle remembers what its names mean. What it remembers must not be used for
// another schema: neither a newer one, nor that of an older snapshot.
func TestAHandleFollowsTheSchemaOfTheSnapshot(t *testing.T) {
	ctx := context.Background()
	app := openApp(t)
	tx := func() *aedb.ReadTx {
		tx, err := app.Session().BeginRead(ctx, aedb.AtLatest)
		require.NoError(t, err)
		t.Cleanup(tx.Close)
		return tx
	}
	key := aedb.Text("note-0001")
	all := query.Select().From("notes").Limit(10)

	without := tx()
	_, _, err := app.Row(ctx, "notes", key)
	require.ErrorIs(t, err, aedb.ErrTableNotFound)
	commit(t, app, app.CreateTable("notes", notes), app.Insert("notes", note(1, 0)))
	first := tx()
	commit(t, app, app.DropTable("notes"))
	dropped := tx()
	smaller := aedb.TableSpec{Columns: []aedb.ColumnSpec{aedb.Column("id", aedb.TypeText)}, PrimaryKey: []string{"id"}}
	commit(t, app, app.CreateTable("notes", smaller), app.Insert("notes", aedb.Row{key}))

	views := []*aedb.View{without.Scope("p", "app"), first.Scope("p", "app"), dropped.Scope("p", "app")}
	for range 3 { // each time with what the reads before have remembered
		for i, want := range []aedb.Row{nil, note(1, 0), nil} {
			row, _, err := views[i].Row(ctx, "notes", key)
			result, queryErr := views[i].Query(ctx, all)
			if want == nil {
				require.ErrorIs(t, err, aedb.ErrTableNotFound)
				require.ErrorIs(t, queryErr, aedb.ErrTableNotFound)
				continue
			}
			require.NoError(t, err)
			require.NoError(t, queryErr)
			require.Equal(t, want, row)
			require.Equal(t, []aedb.Row{want}, result.Rows)
		}
		row, _, err := app.Row(ctx, "notes", key)
		require.NoError(t, err)
		require.Equal(t, aedb.Row{key}, row)
		result, err := app.Query(ctx, all, aedb.At(aedb.AtSeq(first.SnapshotSeq())))
		require.NoError(t, err)
		require.Equal(t, []aedb.Row{note(1, 0)}, result.Rows)
	}
}

// A scope that is dropped and made anew shares nothing with its predecessor,
// whoever reads it through the same handle at the time.
func TestAHandleIsSharedWhileTheSchemaChanges(t *testing.T) {
	ctx := context.Background()
	app := openApp(t)
	commit(t, app, app.KvSet([]byte("round"), []byte("0")))
	old, err := app.Session().BeginRead(ctx, aedb.AtLatest)
	require.NoError(t, err)
	defer old.Close()

	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			kv, v := app.KV(), old.Scope("p", "app")
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, _, err := kv.Get(ctx, []byte("round")); err != nil {
					t.Errorf("latest: %v", err)
				}
				if e, ok, err := v.KV().Get(ctx, []byte("round")); err != nil || !ok || string(e.Value) != "0" {
					t.Errorf("old: %q %v %v", e.Value, ok, err)
				}
			}
		})
	}
	for round := range 100 {
		_, err := app.Session().DropScope(ctx, "p", "app")
		require.NoError(t, err)
		_, ok, err := app.KV().Get(ctx, []byte("round"))
		require.NoError(t, err)
		require.False(t, ok)
		_, err = app.Session().CreateScope(ctx, "p", "app")
		require.NoError(t, err)
		want := fmt.Append(nil, round)
		commit(t, app, app.KvSet([]byte("round"), want))
		e, _, err := app.KV().Get(ctx, []byte("round"))
		require.NoError(t, err)
		require.Equal(t, want, e.Value)
	}
	close(stop)
	readers.Wait()
}
