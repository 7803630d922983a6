package reader

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

func TestQueryWithoutABoundingClauseNeedsLeaveToScan(t *testing.T) {
	u := fixtureU()
	req := request(t, query.Select("*").From("users"))
	for _, q := range []query.Query{req.Query, req.Query.OrderBy("id", query.Asc)} {
		r := req
		r.Query = q
		_, err := Query(context.Background(), u, nil, r)
		require.ErrorIs(t, err, errs.ErrInvalidQuery)
	}
	req.Options.AllowFullScan = true
	r, err := Query(context.Background(), u, nil, req)
	require.NoError(t, err)
	require.Len(t, r.Rows, 100)
	for i, id := range ids(r.Rows) {
		require.EqualValues(t, i, id)
	}
	require.Equal(t, []query.Column{
		{Name: "id", Kind: value.KindInteger}, {Name: "name", Kind: value.KindText},
		{Name: "age", Kind: value.KindInteger}, {Name: "email", Kind: value.KindText, Nullable: true},
	}, r.Columns)
	require.EqualValues(t, 1, r.SnapshotSeq)
}

func TestEveryProjectSeesItsOwnRows(t *testing.T) {
	s := newStore()
	s.define(catalog.CreateProject{Project: "other"})
	s.define(catalog.CreateProject{Project: "_global"})
	for i, p := range []string{project, "other", "_global"} {
		s.table(catalog.CreateTable{
			Project: p, Table: "t", Columns: []catalog.ColumnSpec{column("id", value.KindInteger)}, PrimaryKey: []string{"id"},
		}, value.Row{value.Int(int64(i))})
	}
	src := s.image()
	require.Equal(t, []int64{0}, ids(run(t, src, query.Select().From("t").Limit(9)).Rows))
	require.Equal(t, []int64{2}, ids(run(t, src, query.Select().From("_global.t").Limit(9)).Rows))
	req := request(t, query.Select().From("t").Limit(9))
	req.Project = "other"
	r, err := Query(context.Background(), src, nil, req)
	require.NoError(t, err)
	require.Equal(t, []int64{1}, ids(r.Rows))
}

func TestFiltersOfFixtureU(t *testing.T) {
	u := fixtureU()
	base := query.Select().From("users")

	for _, row := range run(t, u, base.Where(query.Gt("age", 30))).Rows {
		require.Greater(t, row[2].AsInt(), int64(30))
	}
	both := run(t, u, base.Where(query.And(query.Gt("age", 30), query.Like("email", "%@gmail.com"))))
	require.Len(t, both.Rows, 36)

	between := run(t, u, base.Where(query.Between("age", 40, 41)))
	require.Len(t, between.Rows, 4)
	require.Less(t, between.RowsExamined, 100)

	require.LessOrEqual(t, run(t, u, base.Where(query.Eq("age", 42)).Limit(7)).RowsExamined, 8)
	filtered := run(t, u, base.Where(query.And(query.Eq("age", 42), query.Eq("email", "u74@gmail.com"))).Limit(1))
	require.Equal(t, []int64{74}, ids(filtered.Rows), "candidates are not capped before filtering")

	require.Equal(t, []int64{17}, ids(run(t, u, base.Where(query.Like("name", "u1%7%"))).Rows))

	point := run(t, u, base.Where(query.Eq("id", 42)))
	require.Equal(t, []int64{42}, ids(point.Rows))
	require.Equal(t, 1, point.RowsExamined)
	require.Len(t, run(t, u, base.Where(query.And(query.Eq("id", 42), query.Eq("age", 60)))).Rows, 1)
	none := run(t, u, base.Where(query.And(query.Eq("id", 1), query.Eq("id", 2))))
	require.Empty(t, none.Rows)
	require.Zero(t, none.RowsExamined)

	require.Len(t, run(t, u, base.Where(query.In("age", 40, 41))).Rows, 4)
	require.Len(t, run(t, u, base.Where(query.Or(query.Eq("name", "u1"), query.Like("name", "u2%")))).Rows, 12)
}

func TestErrorsComeBeforeAnyRow(t *testing.T) {
	u := fixtureU()
	base := query.Select().From("users")
	for _, c := range []struct {
		name string
		q    query.Query
		code *errs.Error
	}{
		{"type of a key", base.Where(query.Eq("id", "x")), errs.ErrTypeMismatch},
		{"unknown table", query.Select().From("nope").Limit(1), errs.ErrTableNotFound},
		{"unknown output column", query.Select("nope").From("users").Limit(0), errs.ErrColumnNotFound},
		{"unknown filter column", base.Where(query.Eq("nope", 1)), errs.ErrColumnNotFound},
		{"unknown sort column", base.OrderBy("nope", query.Asc).Limit(0), errs.ErrColumnNotFound},
		{"qualified name", base.Where(query.Eq("users.id", 1)), errs.ErrColumnNotFound},
		{"unknown index", base.Limit(1).UseIndex("nope"), errs.ErrInvalidQuery},
		{"offset without limit", base.Where(query.Eq("age", 1)).Offset(1), errs.ErrInvalidQuery},
	} {
		_, err := Query(context.Background(), u, nil, request(t, c.q))
		require.ErrorIs(t, err, c.code, c.name)
		_, err = Explain(u, request(t, c.q))
		require.ErrorIs(t, err, c.code, c.name)
		for _, err := range Stream(context.Background(), u, nil, request(t, c.q)) {
			require.ErrorIs(t, err, c.code, c.name)
		}
	}
	_, err := Query(context.Background(), u, nil, request(t, base.Where(query.Eq("id", "x"))))
	require.ErrorContains(t, err, `"id"`)
}

func TestACompositeIndexServesItsLeftmostColumns(t *testing.T) {
	u := users(100, index("by_age_name", "age", "name"))
	base := query.Select().From("users")
	e := explain(t, u, base.Where(query.Eq("age", 40)))
	require.Equal(t, "by_age_name", e.IndexUsed)
	require.Equal(t, EvaluateBySecondary, e.Evaluation)
	require.NotContains(t, e.Stages, StageFilter)
	require.Equal(t, EvaluateByFullScan, explain(t, u, base.Where(query.Eq("email", "x"))).Evaluation)

	and := query.And(query.Like("name", "u2%"), query.Eq("age", 40))
	e = explain(t, u, base.Where(and))
	require.Equal(t, "by_age_name", e.IndexUsed)
	require.NotContains(t, e.Stages, StageFilter, "equality and range on the next column, in any order")
	require.Equal(t, []int64{22}, ids(run(t, u, base.Where(and)).Rows))

	// Ties are in the order of the primary key, not of the index.
	q := base.OrderBy("age", query.Asc).Limit(4)
	require.Contains(t, explain(t, u, q).Stages, StageSort)
	require.Equal(t, []int64{0, 50, 1, 51}, ids(run(t, u, q).Rows))
}

func TestAnIndexDoesNotChangeWhatMatches(t *testing.T) {
	s := newStore()
	for name, indexes := range map[string][]catalog.IndexSpec{"plain": nil, "indexed": {index("a", "u8"), index("b", "u64"), unique("c", "f")}} {
		rows := []value.Row{}
		for i := range 20 {
			rows = append(rows, value.Row{value.Int(int64(i)), value.U8(uint8(i)), value.U64(uint64(i)), value.Float(float64(i) / 2)})
		}
		s.table(catalog.CreateTable{
			Table:   name,
			Columns: []catalog.ColumnSpec{column("id", value.KindInteger), column("u8", value.KindU8), column("u64", value.KindU64), column("f", value.KindFloat)}, PrimaryKey: []string{"id"}, Indexes: indexes,
		}, rows...)
	}
	src := s.image()
	for _, c := range []struct {
		e    query.Expr
		want []int64
	}{
		{query.Eq("u8", 7), []int64{7}}, {query.Eq("u64", 7), []int64{7}}, {query.Eq("u64", 7.0), []int64{7}},
		{query.Eq("u64", 7.5), []int64{}}, {query.Gt("u64", 17.5), []int64{18, 19}}, {query.Lt("u64", -1), []int64{}},
		{query.Gt("u8", 1000), []int64{}}, {query.Lt("u8", 2), []int64{0, 1}}, {query.Eq("f", 3), []int64{6}},
		{query.Ne("u8", 300), []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}},
	} {
		for _, table := range []string{"plain", "indexed"} {
			require.Equal(t, c.want, ids(run(t, src, query.Select().From(table).Where(c.e)).Rows), table)
		}
	}
}

func TestAKeyPrefixIsABand(t *testing.T) {
	s := newStore()
	var rows []value.Row
	for a := range 3 {
		for b := range 3 {
			for c := range 3 {
				rows = append(rows, value.Row{value.Int(int64(100*a + 10*b + c)), value.Int(int64(a)), value.Int(int64(b)), value.Int(int64(c))})
			}
		}
	}
	s.table(catalog.CreateTable{
		Table:      "t",
		Columns:    []catalog.ColumnSpec{column("n", value.KindInteger), column("a", value.KindInteger), column("b", value.KindInteger), column("c", value.KindInteger)},
		PrimaryKey: []string{"a", "b", "c"},
	}, rows...)
	src := s.image()
	a, b, c := query.Eq("a", 1), query.Eq("b", 2), query.Eq("c", 1)
	for _, k := range []struct {
		e        query.Expr
		how      Evaluation
		filter   bool
		examined int
		want     []int64
	}{
		{a, EvaluateByKeyPrefix, false, 9, []int64{100, 101, 102, 110, 111, 112, 120, 121, 122}},
		{query.And(b, a), EvaluateByKeyPrefix, false, 3, []int64{120, 121, 122}},
		{query.And(c, a, b), EvaluateByKey, false, 1, []int64{121}},
		{query.And(a, c), EvaluateByKeyPrefix, true, 9, []int64{101, 111, 121}},
		{query.And(query.Gt("b", 1), a), EvaluateByKeyRange, false, 3, []int64{120, 121, 122}},
		{query.And(a, query.Eq("n", 101)), EvaluateByKeyPrefix, true, 9, []int64{101}},
		{query.And(c, b), EvaluateByFullScan, true, 27, []int64{21, 121, 221}},
		{query.And(query.Or(a, query.Eq("a", 2)), b, c), EvaluateByKeyRange, false, 2, []int64{121, 221}},
		{query.In("a", 2, 0, 2), EvaluateByKeyRange, false, 18, []int64{0, 1, 2, 10, 11, 12, 20, 21, 22, 200, 201, 202, 210, 211, 212, 220, 221, 222}},
	} {
		q := query.Select().From("t").Where(k.e)
		e, r := explain(t, src, q), run(t, src, q)
		require.Equal(t, k.how, e.Evaluation)
		require.Equal(t, k.filter, len(e.Stages) > 1 && e.Stages[1] == StageFilter)
		require.Equal(t, k.want, ids(r.Rows))
		require.Equal(t, k.examined, r.RowsExamined)
	}
}

func TestOrderIsServedByAnIndexInBothDirections(t *testing.T) {
	u := fixtureU()
	base := query.Select().From("users")
	for _, c := range []struct {
		name     string
		q        query.Query
		want     []int64
		examined int
		sort     bool
	}{
		{"age asc", base.OrderBy("age", query.Asc).Limit(5), []int64{0, 50, 1, 51, 2}, 6, false},
		{"age desc, ties ascending", base.OrderBy("age", query.Desc).Limit(5), []int64{49, 99, 48, 98, 47}, 6, false},
		{"age desc, id desc", base.OrderBy("age", query.Desc).OrderBy("id", query.Desc).Limit(3), []int64{99, 49, 98}, 4, false},
		{"id desc", base.OrderBy("id", query.Desc).Limit(3), []int64{99, 98, 97}, 4, false},
		{"age asc with offset", base.OrderBy("age", query.Asc).Limit(3).Offset(4), []int64{2, 52, 3}, 4, false},
		{"mixed directions", base.OrderBy("age", query.Asc).OrderBy("id", query.Desc).Limit(4), []int64{50, 0, 51, 1}, 100, true},
		{"nullable, null first", base.OrderBy("email", query.Asc).Limit(3), []int64{0, 10, 11}, 100, true},
		{"range in its own order", base.Where(query.Between("age", 25, 35)).OrderBy("age", query.Asc).Limit(4).Offset(3), []int64{58, 9, 59, 10}, 5, false},
		{"equality, then key", base.Where(query.Eq("age", 20)).OrderBy("id", query.Desc).Limit(1), []int64{52}, 2, false},
	} {
		e, r := explain(t, u, c.q), run(t, u, c.q)
		require.Equal(t, c.want, ids(r.Rows), c.name)
		require.Equal(t, c.examined, r.RowsExamined, c.name)
		require.True(t, r.Truncated, c.name)
		require.Equal(t, c.q.Window.Offset == 0, r.Cursor != "", c.name)
		if c.sort {
			require.Contains(t, e.Stages, StageSort, c.name)
		} else {
			require.NotContains(t, e.Stages, StageSort, c.name)
		}
	}
	require.Equal(t, "by_age", explain(t, u, base.OrderBy("age", query.Desc).Limit(5)).IndexUsed)
	byEmail := users(100, index("by_email", "email"))
	r := run(t, byEmail, base.OrderBy("email", query.Asc).Limit(3))
	require.Equal(t, []int64{0, 10, 11}, ids(r.Rows), "the key encoding puts Null first")
	require.Equal(t, 4, r.RowsExamined)
}

func TestWindowsOfFixtureU(t *testing.T) {
	u := fixtureU()
	base := query.Select().From("users")
	r := run(t, u, base.Limit(5).Offset(10))
	require.Equal(t, []int64{10, 11, 12, 13, 14}, ids(r.Rows))
	require.True(t, r.Truncated)
	require.Empty(t, r.Cursor)
	require.LessOrEqual(t, r.RowsExamined, 16)
	require.Equal(t, []int64{52}, ids(run(t, u, base.Where(query.Eq("age", 20)).Limit(1).Offset(1)).Rows))
	deep := run(t, u, base.Where(query.Gte("age", 18)).Limit(5).Offset(90))
	require.Len(t, deep.Rows, 5)
	require.LessOrEqual(t, deep.RowsExamined, 6)

	zero := run(t, u, base.OrderBy("age", query.Asc).Limit(0))
	require.Equal(t, Result{Columns: zero.Columns, SnapshotSeq: 1}, zero)

	for _, q := range []query.Query{base.Limit(1).Offset(math.MaxInt), base.Limit(10).Offset(9_991)} {
		_, err := Query(context.Background(), u, nil, request(t, q))
		require.ErrorIs(t, err, errs.ErrScanBoundExceeded)
	}
	req := request(t, base.Limit(50))
	req.Options.MaxScanRows = 10
	capped, err := Query(context.Background(), u, nil, req)
	require.NoError(t, err)
	require.Len(t, capped.Rows, 10)
	require.NotEmpty(t, capped.Cursor)
}

func TestTopKIsThePrefixOfTheFullSort(t *testing.T) {
	u := users(500)
	full := query.Select().From("users").OrderBy("age", query.Desc).OrderBy("name", query.Asc)
	var all []value.Row
	req := request(t, full)
	req.Options.AllowFullScan = true
	for row, err := range Stream(context.Background(), u, nil, req) {
		require.NoError(t, err)
		all = append(all, row)
	}
	require.Len(t, all, 500)
	for _, k := range []int{1, 2, 3, 10, 250, 499, 500, 501} {
		r := run(t, u, full.Limit(k))
		require.Equal(t, all[:min(k, 500)], r.Rows)
		require.Equal(t, k < 500, r.Truncated)
	}
}

func TestBoundsOfAQuery(t *testing.T) {
	u := users(300)
	base := query.Select().From("users")
	ask := func(q query.Query, o Options) (Result, error) {
		req := request(t, q)
		req.Options = o
		return Query(context.Background(), u, nil, req)
	}
	// Without a limit the rows examined are bounded, with one they are not.
	sparse := base.Where(query.Eq("email", "u298@gmail.com"))
	_, err := ask(sparse, Options{MaxScanRows: 200, AllowFullScan: true})
	require.ErrorIs(t, err, errs.ErrScanBoundExceeded)
	r, err := ask(sparse.Limit(1), Options{MaxScanRows: 200})
	require.NoError(t, err)
	require.Len(t, r.Rows, 1)
	_, err = ask(base.OrderBy("name", query.Asc), Options{MaxScanRows: 299, AllowFullScan: true})
	require.ErrorIs(t, err, errs.ErrScanBoundExceeded)
	_, err = ask(sparse.Limit(1), Options{MaxExaminedRows: 200})
	require.ErrorIs(t, err, errs.ErrScanBoundExceeded)
	_, err = ask(base.OrderBy("name", query.Asc).Limit(300), Options{MaxMemory: 10_000})
	require.ErrorIs(t, err, errs.ErrMaterializationBudget)
	_, err = ask(base.OrderBy("name", query.Asc).Limit(10), Options{MaxMemory: 10_000})
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Query(ctx, u, nil, request(t, sparse))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, &errs.Error{Code: errs.CodeCanceled})
}

func TestPageKOfATableAboveTheScanBoundSucceeds(t *testing.T) {
	u := users(60)
	req := request(t, query.Select("id").From("users").Where(query.Gte("id", 0)))
	req.Options.MaxScanRows = 10
	all, examined := pages(t, u, req)
	require.Len(t, all, 6)
	require.Len(t, flat(all), 60)
	for _, n := range examined {
		require.LessOrEqual(t, n, 11)
	}
}

func TestAQueryWithoutALimitHasPagesOfOneHundred(t *testing.T) {
	all, _ := pages(t, users(250), request(t, query.Select().From("users").Where(query.Gte("id", 0))))
	require.Len(t, all, 3)
	require.Len(t, all[0], 100)
	require.Len(t, all[1], 100)
	require.Len(t, all[2], 50)
}

func TestRowsWrittenBeforeAColumnWasAddedReadItsDefault(t *testing.T) {
	s := newStore()
	def := value.Int(7)
	table := s.table(catalog.CreateTable{
		Table:      "t",
		Columns:    []catalog.ColumnSpec{column("id", value.KindInteger), nullable("late", value.KindText), {Name: "d", Kind: value.KindInteger, Default: &def}},
		PrimaryKey: []string{"id"},
	})
	key := record.AppendRowKey(nil, []value.Value{value.Int(1)})
	s.w.Put(table.ID, key, value.AppendRow(nil, nil))
	src := s.image()
	for _, e := range []query.Expr{query.IsNull("late"), query.Eq("d", 7)} {
		r := run(t, src, query.Select().From("t").Where(e).OrderBy("late", query.Asc))
		require.Equal(t, []value.Row{{value.Int(1), value.Null(), value.Int(7)}}, r.Rows)
	}
}

func TestAGroupThatLiesInSeveralRangesStaysInOrder(t *testing.T) {
	s := newStore()
	var rows []value.Row
	for i := range 30 {
		rows = append(rows, value.Row{value.Int(int64(i)), value.Int(int64(i % 3)), value.Int(int64(i / 3))})
	}
	s.table(catalog.CreateTable{
		Table:      "t",
		Columns:    []catalog.ColumnSpec{column("id", value.KindInteger), column("a", value.KindInteger), column("b", value.KindInteger)},
		PrimaryKey: []string{"id"}, Indexes: []catalog.IndexSpec{index("ab", "a", "b")},
	}, rows...)
	q := query.Select("b").From("t").UseIndex("ab").
		Where(query.In("a", 1, 2)).Where(query.Ne("b", 5)).
		OrderBy("a", query.Desc).OrderBy("b", query.Asc).Limit(12)
	require.Equal(t, []int64{0, 1, 2, 3, 4, 6, 7, 8, 9, 0, 1, 2}, ids(run(t, s.image(), q).Rows))
}

func TestRowsOfAPageDoNotRunIntoEachOther(t *testing.T) {
	u := fixtureU()
	r := run(t, u, query.Select("id", "name").From("users").Limit(40))
	for i := range r.Rows {
		r.Rows[i] = append(r.Rows[i], value.Text("more"))
	}
	for i, row := range r.Rows {
		require.Equal(t, value.Row{value.Int(int64(i)), value.Text(fmt.Sprintf("u%d", i)), value.Text("more")}, row)
	}
}
