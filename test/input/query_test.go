package input

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestQueriesThatAreWrongAreRefused(t *testing.T) {
	db := open(t, vfs.NewMem(), func(c *aedb.Config) { c.Reads.MaxScanRows = 50; c.Reads.MaxQueryBytes = 256 })
	app := fill(t, db)
	for i := range int64(60) {
		_, err := app.Commit(t.Context(), app.Insert("people", person(100+i)))
		require.NoError(t, err)
	}
	before := contents(t, db)
	people := query.Select().From("people")
	all := people.Where(query.Gte("id", 0))
	deep := query.Eq("id", 1)
	for range 200 {
		deep = query.Not(deep)
	}
	cases := []struct {
		name   string
		q      query.Query
		opts   []aedb.ReadOption
		want   *aedb.Error
		object string
	}{
		{name: "no table", q: query.Select("id").Limit(1), want: aedb.ErrTableNotFound},
		{name: "unknown table", q: query.Select().From("nope").Limit(1), want: aedb.ErrTableNotFound, object: "nope"},
		{name: "unknown global table", q: query.Select().From("_global.nope").Limit(1), want: aedb.ErrProjectNotFound},
		{name: "unknown column", q: query.Select("nope").From("people").Limit(1), want: aedb.ErrColumnNotFound, object: "nope"},
		{name: "unknown column in condition", q: people.Where(query.Eq("nope", 1)), want: aedb.ErrColumnNotFound},
		{name: "unknown column in order", q: people.OrderBy("nope", query.Asc).Limit(1), want: aedb.ErrColumnNotFound},
		{name: "unknown index", q: people.UseIndex("nope").Limit(1), want: aedb.ErrInvalidQuery, object: string(query.ReasonUnknownIndex)},
		{name: "wrong type in condition", q: people.Where(query.Eq("id", secret)), want: aedb.ErrTypeMismatch},
		{name: "all rows", q: people, want: aedb.ErrInvalidQuery, object: string(query.ReasonUnboundedScan)},
		{name: "negative limit", q: people.Limit(-1), want: aedb.ErrInvalidQuery, object: string(query.ReasonNegativeWindow)},
		{name: "negative offset", q: people.Limit(1).Offset(-1), want: aedb.ErrInvalidQuery, object: string(query.ReasonNegativeWindow)},
		{name: "offset without limit", q: all.Offset(1), want: aedb.ErrInvalidQuery, object: string(query.ReasonOffsetWithoutLimit)},
		{name: "deep condition", q: people.Where(deep), want: aedb.ErrInvalidQuery, object: string(query.ReasonTooDeep)},
		{name: "long pattern", q: people.Where(query.Like("name", strings.Repeat("a%", 1<<16))), want: aedb.ErrInvalidQuery, object: string(query.ReasonLikeTooLong)},
		{name: "too many rows examined", q: people.Where(query.Eq("visits", 99)), want: aedb.ErrScanBoundExceeded},
		{name: "more examined than allowed", q: people.Where(query.Eq("visits", 99)).Limit(1), opts: []aedb.ReadOption{aedb.MaxExamined(10)}, want: aedb.ErrScanBoundExceeded},
		{name: "offset beyond the bound", q: people.Limit(10).Offset(1000), want: aedb.ErrScanBoundExceeded},
		{name: "sort beyond memory", q: people.Where(query.Lt("id", 140)).OrderBy("name", query.Asc).Limit(50), want: aedb.ErrMaterializationBudget},
		{name: "cursor of nobody", q: all.Limit(1), opts: []aedb.ReadOption{aedb.WithCursor("00ff")}, want: aedb.ErrInvalidCursor},
		{name: "cursor that is not one", q: all.Limit(1), opts: []aedb.ReadOption{aedb.WithCursor(secret)}, want: aedb.ErrInvalidCursor},
		{name: "future", q: all.Limit(1), opts: []aedb.ReadOption{aedb.At(aedb.AtSeq(1 << 40))}, want: aedb.ErrSeqNotYetVisible},
		{name: "no checkpoint", q: all.Limit(1), opts: []aedb.ReadOption{aedb.At(aedb.AtCheckpoint)}, want: aedb.ErrUnavailable},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := app.Query(t.Context(), c.q, c.opts...)
			refused(t, err, c.want)
			if c.object != "" {
				var e *aedb.Error
				require.True(t, errors.As(err, &e))
				require.Equal(t, c.object, e.Object)
			}
		})
	}
	same(t, before, contents(t, db))
}

// TestCursorsAreGoodForTheirOwnQueryOnly changes all that a cursor is bound to.
func TestCursorsAreGoodForTheirOwnQueryOnly(t *testing.T) {
	fsys := vfs.NewMem()
	db := open(t, fsys)
	app := fill(t, db)
	ctx := t.Context()
	q := query.Select().From("people").Where(query.Gte("id", 0)).Limit(1)
	result, err := app.Query(ctx, q)
	require.NoError(t, err)
	require.NotEmpty(t, result.Cursor)
	with := aedb.WithCursor(result.Cursor)
	_, err = app.Query(ctx, q, with)
	require.NoError(t, err)

	flipped := []byte(result.Cursor)
	flipped[len(flipped)/2] ^= 1
	other := db.As("someone").Scope("p", "app")
	for name, err := range map[string]error{
		"other query":  second(app.Query(ctx, q.Where(query.Eq("visits", 0)), with)),
		"other order":  second(app.Query(ctx, q.OrderBy("id", query.Desc), with)),
		"other caller": second(other.Query(ctx, q, with)),
		"keys":         second(app.KV().Page(ctx, aedb.Range{Limit: 1}, with)),
		"changed":      second(app.Query(ctx, q, aedb.WithCursor(string(flipped)))),
		"cut short":    second(app.Query(ctx, q, aedb.WithCursor(result.Cursor[:20]))),
	} {
		require.ErrorIs(t, err, aedb.ErrInvalidCursor, name)
		require.NotContains(t, err.Error(), secret)
	}
	require.NoError(t, db.Close(ctx))
	app = open(t, fsys).NoAuth().Scope("p", "app")
	_, err = app.Query(ctx, q, with)
	require.ErrorIs(t, err, aedb.ErrInvalidCursor, "another opening")
}

func TestReadsOfWhatIsNotThere(t *testing.T) {
	db := open(t, vfs.NewMem())
	app := fill(t, db)
	ctx := t.Context()
	nowhere := db.NoAuth().Scope("nope", "app")
	refused(t, second(db.NoAuth().Scopes("nope")), aedb.ErrProjectNotFound)
	refused(t, second(nowhere.Tables()), aedb.ErrProjectNotFound)
	refused(t, second(db.NoAuth().Scope("p", "nope").Tables()), aedb.ErrScopeNotFound)
	refused(t, second(app.Describe("nope")), aedb.ErrTableNotFound)
	refused(t, third(app.Row(ctx, "nope", aedb.Int(1))), aedb.ErrTableNotFound)
	refused(t, third(app.Row(ctx, "people", aedb.Text(secret))), aedb.ErrTypeMismatch)
	refused(t, third(app.Row(ctx, "people", aedb.Null())), aedb.ErrNotNullViolation)
	refused(t, third(app.Row(ctx, "people")), aedb.ErrValidation)
	refused(t, second(app.KV().Page(ctx, aedb.Range{})), aedb.ErrValidation)
	refused(t, second(app.KV().Page(ctx, aedb.Range{Limit: -1})), aedb.ErrValidation)
	refused(t, db.WaitDurable(ctx, db.Heads().VisibleSeq+1), aedb.ErrValidation)

	// A scope that does not exist has no keys: that is an answer, not an error.
	_, found, err := nowhere.KV().Get(ctx, []byte("text"))
	require.NoError(t, err)
	require.False(t, found)
	for range nowhere.KV().Prefix(ctx, nil) {
		t.Fatal("a key")
	}
	row, version, err := app.Row(ctx, "people", aedb.Int(9))
	require.NoError(t, err)
	require.Nil(t, row)
	require.Zero(t, version)
}

func TestScansEndWithTheirContext(t *testing.T) {
	db := open(t, vfs.NewMem())
	app := fill(t, db)
	var all []aedb.Mutation
	for i := range 4096 {
		all = append(all, app.KvSet([]byte{byte(i >> 8), byte(i)}, nil))
	}
	_, err := app.Commit(t.Context(), all...)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err = range app.KV().Scan(ctx, aedb.Range{}) {
		if n++; n == 10 {
			cancel()
		}
	}
	refused(t, err, aedb.ErrCanceled)
	require.Less(t, n, 2048)
}
