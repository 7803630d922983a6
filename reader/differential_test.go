package reader

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// drawValue draws from a few values of each kind, so that rows often tie.
func drawValue(t *rapid.T, kind value.Kind) value.Value {
	n := rapid.Int64Range(-2, 4).Draw(t, "n")
	u := uint64(max(n, 0))
	switch kind {
	case value.KindBoolean:
		return value.Bool(n > 0)
	case value.KindU8:
		return value.U8(uint8(u))
	case value.KindU64:
		return value.U64(u)
	case value.KindInteger:
		return value.Int(n)
	case value.KindTimestamp:
		return value.Timestamp(n)
	case value.KindFloat:
		return value.Float(float64(n) / 2)
	case value.KindU256:
		return value.U256(uint256.NewInt(u))
	case value.KindI256:
		return value.I256(new(uint256.Int).Sub(uint256.NewInt(u), uint256.NewInt(1)))
	case value.KindJSON:
		return value.JSON(rapid.SampledFrom([]string{"1", "2", "{}"}).Draw(t, "json"))
	case value.KindBlob:
		return value.Blob([]byte(rapid.SampledFrom([]string{"", "\x00", "\x00\x01", "\xff\xff"}).Draw(t, "blob")))
	}
	return value.Text(rapid.SampledFrom([]string{"", "a", "ab", "a\x00", "abc", "b", "é"}).Draw(t, "text"))
}

// world is a random table with its rows, in the order of the primary key.
type world struct {
	s     *store
	table *catalog.Table
	rows  []value.Row
}

func drawWorld(t *rapid.T) *world {
	kind := rapid.SampledFrom([]value.Kind{
		value.KindBoolean, value.KindU8, value.KindU64, value.KindInteger, value.KindU256, value.KindI256,
		value.KindTimestamp, value.KindFloat, value.KindText, value.KindJSON, value.KindBlob,
	})
	st := catalog.CreateTable{Table: "t"}
	for i := range rapid.IntRange(2, 6).Draw(t, "columns") {
		c := column(fmt.Sprintf("c%d", i), kind.Draw(t, "kind"))
		c.Nullable = rapid.Bool().Draw(t, "nullable")
		st.Columns = append(st.Columns, c)
	}
	names := func(most int) []string {
		var all []string
		for _, c := range st.Columns {
			all = append(all, c.Name)
		}
		all = rapid.Permutation(all).Draw(t, "names")
		return all[:rapid.IntRange(1, min(most, len(all))).Draw(t, "some")]
	}
	st.PrimaryKey = names(3)
	for i := range rapid.IntRange(0, 4).Draw(t, "indexes") {
		x := index(fmt.Sprintf("x%d", i), names(3)...)
		x.Unique = rapid.IntRange(0, 3).Draw(t, "unique") == 0
		st.Indexes = append(st.Indexes, x)
	}
	w := &world{s: newStore()}
	w.table = w.s.table(st)
	for range rapid.IntRange(0, 40).Draw(t, "rows") {
		w.insert(w.drawRow(t))
	}
	return w
}

func (w *world) drawRow(t *rapid.T) value.Row {
	row := make(value.Row, len(w.table.Columns))
	for i, c := range w.table.Columns {
		if !c.Nullable || rapid.IntRange(0, 3).Draw(t, "null") > 0 {
			row[i] = drawValue(t, c.Kind)
		}
	}
	return row
}

// insert adds the row, unless a key or a unique index forbids it.
func (w *world) insert(row value.Row) bool {
	key := record.AppendRowKeyOf(nil, w.table, row)
	if _, _, ok := w.s.w.Get(w.table.ID, key); ok {
		return false
	}
	for _, x := range w.table.Indexes {
		e := record.Index(x, func(p int) value.Value { return row[p] }, key)
		if _, _, ok := w.s.w.Get(x.ID, e.Key); ok {
			return false
		}
	}
	w.s.insert(w.table, row)
	w.rows = append(w.rows, row)
	slices.SortFunc(w.rows, func(a, b value.Row) int { return w.compareKeys(a, b) })
	return true
}

func (w *world) remove(row value.Row) {
	key := record.AppendRowKeyOf(nil, w.table, row)
	w.s.w.Delete(w.table.ID, key)
	for _, x := range w.table.Indexes {
		w.s.w.Delete(x.ID, record.Index(x, func(p int) value.Value { return row[p] }, key).Key)
	}
	w.rows = slices.DeleteFunc(w.rows, func(r value.Row) bool { return w.compareKeys(r, row) == 0 })
}

func (w *world) compareKeys(a, b value.Row) int {
	for _, p := range w.table.PrimaryKey {
		if c := value.Compare(a[p], b[p]); c != 0 {
			return c
		}
	}
	return 0
}

// condition is an expression and its meaning, made side by side.
type condition struct {
	e    query.Expr
	eval func(value.Row) query.Truth
}

func (w *world) drawCondition(t *rapid.T, depth int) condition {
	n := rapid.IntRange(0, 14).Draw(t, "op")
	if depth == 0 {
		n %= 11
	}
	p := rapid.IntRange(0, len(w.table.Columns)-1).Draw(t, "column")
	c := &w.table.Columns[p]
	literal := func() value.Value {
		if rapid.IntRange(0, 9).Draw(t, "null literal") == 0 {
			return value.Null()
		}
		switch c.Kind {
		case value.KindU8, value.KindU64, value.KindInteger, value.KindTimestamp, value.KindFloat:
			return drawValue(t, rapid.SampledFrom([]value.Kind{c.Kind, value.KindInteger, value.KindU64, value.KindFloat}).Draw(t, "as"))
		case value.KindU256, value.KindI256:
			return drawValue(t, rapid.SampledFrom([]value.Kind{c.Kind, value.KindInteger}).Draw(t, "as"))
		}
		return drawValue(t, c.Kind)
	}
	truth := func(ok bool) query.Truth {
		if ok {
			return query.True
		}
		return query.False
	}
	compare := func(v value.Value, ok func(c int) bool) func(value.Row) query.Truth {
		return func(row value.Row) query.Truth {
			c, known := value.ComparePredicate(row[p], v)
			if !known {
				return query.Unknown
			}
			return truth(ok(c))
		}
	}
	switch v := literal(); n {
	case 0, 1:
		return condition{query.Eq(c.Name, v), compare(v, func(c int) bool { return c == 0 })}
	case 2:
		return condition{query.Ne(c.Name, v), compare(v, func(c int) bool { return c != 0 })}
	case 3:
		return condition{query.Lt(c.Name, v), compare(v, func(c int) bool { return c < 0 })}
	case 4:
		return condition{query.Lte(c.Name, v), compare(v, func(c int) bool { return c <= 0 })}
	case 5:
		return condition{query.Gt(c.Name, v), compare(v, func(c int) bool { return c > 0 })}
	case 6:
		return condition{query.Gte(c.Name, v), compare(v, func(c int) bool { return c >= 0 })}
	case 7:
		hi := literal()
		low, high := compare(v, func(c int) bool { return c >= 0 }), compare(hi, func(c int) bool { return c <= 0 })
		return condition{query.Between(c.Name, v, hi), func(r value.Row) query.Truth { return min(low(r), high(r)) }}
	case 8:
		list := []value.Value{v}
		for range rapid.IntRange(0, 3).Draw(t, "more") {
			list = append(list, literal())
		}
		return condition{query.In(c.Name, list...), func(r value.Row) query.Truth {
			out := query.False
			for _, v := range list {
				out = max(out, compare(v, func(c int) bool { return c == 0 })(r))
			}
			return out
		}}
	case 9:
		return condition{query.IsNull(c.Name), func(r value.Row) query.Truth { return truth(r[p].IsNull()) }}
	case 10:
		if c.Kind == value.KindText {
			return condition{query.Like(c.Name, "a%"), func(r value.Row) query.Truth {
				if r[p].IsNull() {
					return query.Unknown
				}
				return truth(bytes.HasPrefix([]byte(r[p].AsText()), []byte("a")))
			}}
		}
		return condition{query.IsNotNull(c.Name), func(r value.Row) query.Truth { return truth(!r[p].IsNull()) }}
	case 11:
		a := w.drawCondition(t, depth-1)
		return condition{query.Not(a.e), func(r value.Row) query.Truth { return a.eval(r).Not() }}
	case 12:
		a, b := w.drawCondition(t, depth-1), w.drawCondition(t, depth-1)
		return condition{query.Or(a.e, b.e), func(r value.Row) query.Truth { return max(a.eval(r), b.eval(r)) }}
	}
	a, b := w.drawCondition(t, depth-1), w.drawCondition(t, depth-1)
	return condition{query.And(a.e, b.e), func(r value.Row) query.Truth { return min(a.eval(r), b.eval(r)) }}
}

// drawQuery draws a query and the rows it has to give, in their order if it
// asks for one and by primary key if not.
func (w *world) drawQuery(t *rapid.T) (query.Query, []value.Row) {
	q := query.Select().From("t")
	rows := slices.Clone(w.rows)
	if rapid.IntRange(0, 5).Draw(t, "filtered") > 0 {
		c := w.drawCondition(t, 3)
		q = q.Where(c.e)
		rows = slices.DeleteFunc(rows, func(r value.Row) bool { return c.eval(r) != query.True })
	}
	for range rapid.IntRange(0, 3).Draw(t, "sort keys") {
		c := rapid.SampledFrom(w.table.Columns).Draw(t, "sort column")
		q = q.OrderBy(c.Name, query.Direction(rapid.IntRange(0, 1).Draw(t, "direction")))
	}
	slices.SortFunc(rows, func(a, b value.Row) int {
		for _, k := range q.Order {
			p, _ := w.table.Column(k.Column)
			c := value.Compare(a[p], b[p])
			if k.Direction == query.Desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return w.compareKeys(a, b)
	})
	return q, rows
}

func collect(t require.TestingT, src Source, rec Recorder, req Request) []value.Row {
	var rows []value.Row
	for row, err := range Stream(context.Background(), src, rec, req) {
		require.NoError(t, err)
		rows = append(rows, row)
	}
	return rows
}

func TestEveryPlanEqualsBruteForce(t *testing.T) {
	sealer := testSealer(t)
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		src := w.s.image()
		for range 4 {
			q, want := w.drawQuery(t)
			ordered := len(q.Order) > 0
			hints := []string{""}
			for _, x := range w.table.Indexes {
				hints = append(hints, x.Name)
			}
			for _, hint := range hints {
				req := Request{Project: project, Scope: "app", Query: q.UseIndex(hint), Sealer: sealer, Options: Options{AllowFullScan: true}}
				plan, err := Explain(src, req)
				require.NoError(t, err)
				got := collect(t, src, nil, req)
				set := slices.Clone(got)
				if !ordered {
					slices.SortFunc(set, w.compareKeys)
				}
				equalRows(t, want, set, plan)

				size := rapid.IntRange(1, 7).Draw(t, "page")
				var paged []value.Row
				for next := req; ; {
					next.Query = next.Query.Limit(size)
					r, err := Query(context.Background(), src, nil, next)
					require.NoError(t, err)
					paged = append(paged, r.Rows...)
					if next.Cursor = r.Cursor; r.Cursor == "" {
						break
					}
					size = rapid.IntRange(1, 7).Draw(t, "next page")
				}
				set = paged
				if !ordered {
					set = slices.SortedFunc(slices.Values(paged), w.compareKeys)
				}
				equalRows(t, want, set, plan)

				offset, limit := rapid.IntRange(0, 10).Draw(t, "offset"), rapid.IntRange(1, 10).Draw(t, "limit")
				req.Query = req.Query.Offset(offset).Limit(limit)
				r, err := Query(context.Background(), src, nil, req)
				require.NoError(t, err)
				require.Equal(t, offset+limit < len(want), r.Truncated)
				if ordered {
					equalRows(t, want[min(offset, len(want)):min(offset+limit, len(want))], r.Rows, plan)
				}
				equalRows(t, r.Rows, collect(t, src, nil, req), plan)
			}
		}
	})
}

func equalRows(t *rapid.T, want, got []value.Row, plan Explanation) {
	if !slices.EqualFunc(want, got, func(a, b value.Row) bool { return slices.Equal(a, b) }) {
		t.Fatalf("want %v\ngot  %v\nplan %v", want, got, plan)
	}
}

// footprint collects what a read depended on.
type footprint struct {
	points []struct {
		space catalog.SpaceID
		key   string
	}
	ranges []struct {
		space catalog.SpaceID
		KeyRange
	}
}

func (f *footprint) Point(space catalog.SpaceID, key []byte) {
	f.points = append(f.points, struct {
		space catalog.SpaceID
		key   string
	}{space, string(key)})
}

func (f *footprint) Range(space catalog.SpaceID, start, end []byte) {
	f.ranges = append(f.ranges, struct {
		space catalog.SpaceID
		KeyRange
	}{space, KeyRange{bytes.Clone(start), bytes.Clone(end)}})
}

func (f *footprint) covers(space catalog.SpaceID, key []byte) bool {
	for _, p := range f.points {
		if p.space == space && p.key == string(key) {
			return true
		}
	}
	for _, r := range f.ranges {
		if r.space == space && bytes.Compare(key, r.Start) >= 0 && below(key, r.End) {
			return true
		}
	}
	return false
}

// TestWhatIsNotRecordedCannotChangeAnAnswer is the property that serialisable
// transactions rest on.
func TestWhatIsNotRecordedCannotChangeAnAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		before := w.s.image()
		q, _ := w.drawQuery(t)
		if len(w.table.Indexes) > 0 {
			q = q.UseIndex(rapid.SampledFrom(w.table.Indexes).Draw(t, "hint").Name)
		}
		q = q.Limit(rapid.IntRange(1, 6).Draw(t, "limit"))
		if rapid.Bool().Draw(t, "skip") {
			q = q.Offset(rapid.IntRange(0, 3).Draw(t, "offset"))
		}
		req := Request{Project: project, Scope: "app", Query: q}
		var seen footprint
		want, err := Query(context.Background(), before, &seen, req)
		require.NoError(t, err)
		for range 10 {
			w.s.w.Commit()
			w.s.w.Begin(2, 0)
			if len(w.rows) > 0 && rapid.Bool().Draw(t, "delete") {
				w.remove(rapid.SampledFrom(w.rows).Draw(t, "row"))
			} else {
				w.insert(w.drawRow(t))
			}
			for _, e := range w.s.w.Commit().Effects {
				if seen.covers(e.Space, e.Key) {
					return
				}
			}
			got, err := Query(context.Background(), w.s.image(), nil, req)
			require.NoError(t, err)
			require.Equal(t, want.Rows, got.Rows, "%+v", seen)
		}
	})
}
