package reader

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

func TestPagesShowEachRowOnceInOrder(t *testing.T) {
	u := fixtureU()
	base := query.Select().From("users")
	byAge := func(descending bool) []int64 {
		r := run(t, u, base.OrderBy("age", query.Direction(flag(descending))).Limit(200))
		return ids(r.Rows)
	}
	for _, size := range []int{1, 2, 3, 7, 10, 11, 99, 100} {
		all, _ := pages(t, u, request(t, base.OrderBy("id", query.Asc).Limit(size)))
		require.True(t, slices.IsSorted(ids(flat(all))))
		require.Len(t, flat(all), 100)
		all, _ = pages(t, u, request(t, base.OrderBy("id", query.Desc).Limit(size)))
		require.Equal(t, int64(99), flat(all)[0][0].AsInt())
		require.Len(t, flat(all), 100)

		all, examined := pages(t, u, request(t, base.OrderBy("age", query.Asc).Limit(size)))
		require.Equal(t, byAge(false), ids(flat(all)))
		for _, n := range examined {
			require.LessOrEqual(t, n, size+1, "a page costs a page")
		}
		all, examined = pages(t, u, request(t, base.OrderBy("age", query.Desc).Limit(size)))
		require.Equal(t, byAge(true), ids(flat(all)))
		for _, n := range examined {
			require.LessOrEqual(t, n, size+1, "a page costs a page")
		}

		all, _ = pages(t, u, request(t, base.Where(query.Gt("age", 20)).Limit(size)))
		require.Len(t, flat(all), 94)
		got := ids(flat(all))
		slices.Sort(got)
		require.Len(t, slices.Compact(got), 94)
	}
}

func TestAPageWithoutALimitTakesTheSizeOfTheOneBefore(t *testing.T) {
	u := fixtureU()
	q := query.Select("id").From("users").OrderBy("id", query.Asc)
	req := request(t, q.Limit(30))
	r, err := Query(context.Background(), u, nil, req)
	require.NoError(t, err)
	req.Query, req.Cursor = q, r.Cursor
	r, err = Query(context.Background(), u, nil, req)
	require.NoError(t, err)
	require.Len(t, r.Rows, 30)

	// Columns and limit may change from page to page.
	req.Query, req.Cursor = query.Select("age", "id").From("users").OrderBy("id", query.Asc).Limit(1), r.Cursor
	r, err = Query(context.Background(), u, nil, req)
	require.NoError(t, err)
	require.Equal(t, []value.Row{{value.Int(28), value.Int(60)}}, r.Rows)
}

func TestACursorIsGoodForItsListingOnly(t *testing.T) {
	u := fixtureU()
	base := query.Select().From("users").Where(query.Gt("age", 20)).OrderBy("age", query.Asc)
	first := request(t, base.Limit(3))
	first.Caller = "alice"
	r, err := Query(context.Background(), u, nil, first)
	require.NoError(t, err)
	cursor := r.Cursor
	seq, err := first.Sealer.Peek(cursor)
	require.NoError(t, err)
	require.EqualValues(t, 1, seq)

	ask := func(change func(*Request)) error {
		req := first
		req.Cursor = cursor
		change(&req)
		_, err := Query(context.Background(), u, nil, req)
		return err
	}
	require.NoError(t, ask(func(*Request) {}))
	require.NoError(t, ask(func(r *Request) { r.Cursor = strings.ToUpper(cursor) }))
	foreign, err := NewSealer([32]byte{9})
	require.NoError(t, err)
	for name, change := range map[string]func(*Request){
		"caller":     func(r *Request) { r.Caller = "bob" },
		"condition":  func(r *Request) { r.Query = r.Query.Where(query.Gt("id", 0)) },
		"order":      func(r *Request) { r.Query = r.Query.OrderBy("id", query.Asc) },
		"hint":       func(r *Request) { r.Query = r.Query.UseIndex("by_age") },
		"scope":      func(r *Request) { r.Scope = "other" },
		"key":        func(r *Request) { r.Sealer = foreign },
		"no sealer":  func(r *Request) { r.Sealer = nil },
		"odd length": func(r *Request) { r.Cursor = cursor[1:] },
		"not hex":    func(r *Request) { r.Cursor = "zz" + cursor[2:] },
		"short":      func(r *Request) { r.Cursor = cursor[:20] },
		"unsigned":   func(r *Request) { r.Cursor = hex.EncodeToString([]byte{1, 1, 1, 1}) },
	} {
		err := ask(change)
		require.ErrorIs(t, err, errs.ErrInvalidCursor, name)
		require.Equal(t, errInvalidCursor().Error(), err.Error(), name)
	}
	raw, err := hex.DecodeString(cursor)
	require.NoError(t, err)
	for i := range raw {
		for bit := range 8 {
			flipped := slices.Clone(raw)
			flipped[i] ^= 1 << bit
			_, err := first.Sealer.Peek(hex.EncodeToString(flipped))
			require.ErrorIs(t, err, errs.ErrInvalidCursor)
		}
	}
	require.ErrorIs(t, ask(func(r *Request) { r.Query = r.Query.Offset(1) }), errs.ErrInvalidQuery)

	later := u.Fork()
	later.Begin(2, 0)
	req := first
	req.Cursor = cursor
	_, err = Query(context.Background(), later, nil, req)
	require.ErrorIs(t, err, errs.ErrInvalidCursor, "another snapshot")
	require.NotContains(t, cursor, hex.EncodeToString([]byte("alice")))
}

func TestRowsThatComeAndGoBetweenPagesDoNotShow(t *testing.T) {
	u := users(20)
	table := mustTable(u, "users")
	q := query.Select("id").From("users").OrderBy("id", query.Asc).Limit(10)
	first := run(t, u, q)

	w := u.Fork()
	w.Begin(2, 0)
	s := store{w}
	s.insert(table, value.Row{value.Int(100), value.Text("new"), value.Int(1), value.Null()})
	w.Delete(table.ID, prefixRange(value.Int(15)).Start)
	w.Freeze()

	req := request(t, q)
	req.Cursor = first.Cursor
	r, err := Query(context.Background(), u, nil, req)
	require.NoError(t, err)
	require.Equal(t, []int64{10, 11, 12, 13, 14, 15, 16, 17, 18, 19}, ids(r.Rows))
}

func FuzzCursor(f *testing.F) {
	sealer := testSealer(f)
	u := users(10)
	req := request(f, query.Select().From("users").OrderBy("age", query.Asc).Limit(3))
	r, err := Query(context.Background(), u, nil, req)
	require.NoError(f, err)
	f.Add(r.Cursor, []byte{cursorVersion, 1, 1, 1})
	f.Add("", []byte{})
	f.Fuzz(func(t *testing.T, cursor string, payload []byte) {
		if seq, err := sealer.Peek(cursor); err != nil {
			require.ErrorIs(t, err, errs.ErrInvalidCursor)
		} else {
			require.Equal(t, u.Seq(), seq, "only seeds are under this key")
		}
		// A payload under the right key: only what was encoded decodes.
		if p, ok := decodePosition(payload); ok {
			again, err := sealer.open(sealer.seal(p))
			require.NoError(t, err)
			require.Equal(t, p, again)
			req := req
			p.fingerprint, p.seq = req.fingerprint(), u.Seq()
			req.Cursor = sealer.seal(p)
			if _, err := Query(context.Background(), u, nil, req); err != nil {
				require.ErrorIs(t, err, errs.ErrInvalidCursor)
			}
		}
	})
}
