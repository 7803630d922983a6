package reader

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

// fixturesT returns the small table T, whose answers can be worked out by hand,
// under every set of indexes.
func fixturesT() map[string]*state.Image {
	out := map[string]*state.Image{}
	for name, indexes := range map[string][]catalog.IndexSpec{
		"none": nil, "pay": {index("i", "pay")}, "dept": {index("i", "dept")},
		"both": {index("i", "pay"), index("j", "dept")}, "composite": {index("i", "dept", "pay")},
	} {
		s := newStore()
		a, b, null := value.Text("a"), value.Text("b"), value.Null()
		s.table(catalog.CreateTable{
			Table:      "T",
			Columns:    []catalog.ColumnSpec{column("id", value.KindInteger), nullable("dept", value.KindText), nullable("pay", value.KindInteger)},
			PrimaryKey: []string{"id"}, Indexes: indexes,
		},
			value.Row{value.Int(1), a, value.Int(10)}, value.Row{value.Int(2), a, value.Int(20)}, value.Row{value.Int(3), b, value.Int(20)},
			value.Row{value.Int(4), b, null}, value.Row{value.Int(5), null, value.Int(30)})
		out[name] = s.image()
	}
	return out
}

func TestWorkedFilters(t *testing.T) {
	null := value.Null()
	cases := []struct {
		e    query.Expr
		want []int64
	}{
		{query.Eq("pay", 20), []int64{2, 3}},
		{query.Ne("pay", 20), []int64{1, 5}},
		{query.Lt("pay", 20), []int64{1}},
		{query.Gt("pay", 15), []int64{2, 3, 5}},
		{query.Gt("pay", 15.5), []int64{2, 3, 5}},
		{query.Eq("pay", 20.0), []int64{2, 3}},
		{query.Eq("pay", uint64(20)), []int64{2, 3}},
		{query.Eq("pay", uint8(20)), []int64{2, 3}},
		{query.Between("pay", 20, 30), []int64{2, 3, 5}},
		{query.In("pay", 10, 10), []int64{1}},
		{query.Like("dept", "%"), []int64{1, 2, 3, 4}},
		{query.Or(query.Gt("pay", 15), query.Eq("dept", "b")), []int64{2, 3, 4, 5}},
		{query.Not(query.And(query.Gt("pay", 15), query.Eq("dept", "a"))), []int64{1, 3, 4}},
		{query.Not(query.Eq("pay", 20)), []int64{1, 5}},
		{query.Not(query.In("pay", 20)), []int64{1, 5}},
		{query.In("pay", value.Int(20), null), []int64{2, 3}},
		{query.Not(query.In("pay", value.Int(20), null)), []int64{}},
		{query.Eq("pay", null), []int64{}},
		{query.IsNull("pay"), []int64{4}},
		{query.Between("pay", 30, 20), []int64{}},
		{query.In[int]("pay"), []int64{}},
		{query.Like("dept", "A"), []int64{}},
		{query.And(query.Gt("pay", 15), query.IsNull("dept")), []int64{5}},
	}
	for name, src := range fixturesT() {
		for i, c := range cases {
			hints := []string{""}
			for _, x := range mustTable(src, "T").Indexes {
				hints = append(hints, x.Name)
			}
			for _, hint := range hints {
				q := query.Select().From("T").Where(c.e).UseIndex(hint)
				got := ids(run(t, src, q).Rows)
				slices.Sort(got)
				require.Equal(t, c.want, got, "case %d, indexes %s, hint %q", i, name, hint)
				require.Equal(t, c.want, ids(run(t, src, q.OrderBy("id", query.Asc)).Rows), "case %d in order", i)
			}
		}
		_, err := Query(context.Background(), src, nil, request(t, query.Select().From("T").Where(query.Eq("pay", "x"))))
		require.ErrorIs(t, err, errs.ErrTypeMismatch)
	}
}

func mustTable(src Source, name string) *catalog.Table {
	t, err := src.Catalog().Table(project, catalog.DefaultScope, name)
	if err != nil {
		panic(err)
	}
	return t
}

func TestWorkedOrdersAndPages(t *testing.T) {
	for name, src := range fixturesT() {
		for direction, want := range map[query.Direction]string{
			query.Asc: "[[4 1] [2 3] [5]]", query.Desc: "[[5 2] [3 1] [4]]",
		} {
			q := query.Select().From("T").OrderBy("pay", direction)
			all, _ := pages(t, src, request(t, q.Limit(2)))
			var got [][]int64
			for _, p := range all {
				got = append(got, ids(p))
			}
			require.Equal(t, want, fmt.Sprint(got), name)
			require.Equal(t, ids(flat(all)), ids(run(t, src, q.Limit(9)).Rows), name)
		}
	}
}
