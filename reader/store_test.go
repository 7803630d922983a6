package reader

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

const project = "p"

// store is a database under construction, loaded without any stage.
type store struct {
	w *state.Working
}

func newStore() *store {
	s := &store{w: state.NewWorking()}
	s.w.Begin(1, 0)
	s.define(catalog.CreateProject{Project: project})
	return s
}

func (s *store) define(st catalog.Statement) {
	c, _, err := s.w.Catalog().Apply(st, 0)
	if err != nil {
		panic(err)
	}
	s.w.SetCatalog(c)
}

// table makes a table in the scope "app" with the given rows.
func (s *store) table(st catalog.CreateTable, rows ...value.Row) *catalog.Table {
	if st.Project == "" {
		st.Project = project
	}
	st.Scope = catalog.DefaultScope
	s.define(st)
	t, err := s.w.Catalog().Table(st.Project, st.Scope, st.Table)
	if err != nil {
		panic(err)
	}
	for _, row := range rows {
		s.insert(t, row)
	}
	return t
}

func (s *store) insert(t *catalog.Table, row value.Row) {
	key := record.AppendRowKeyOf(nil, t, row)
	s.w.Put(t.ID, key, record.AppendRow(nil, t, row))
	for _, x := range t.Indexes {
		e := record.Index(x, func(p int) value.Value { return row[p] }, key)
		s.w.Put(x.ID, e.Key, e.Value)
	}
}

func (s *store) image() *state.Image { return s.w.Freeze() }

func column(name string, kind value.Kind) catalog.ColumnSpec {
	return catalog.ColumnSpec{Name: name, Kind: kind}
}

func nullable(name string, kind value.Kind) catalog.ColumnSpec {
	return catalog.ColumnSpec{Name: name, Kind: kind, Nullable: true}
}

func index(name string, columns ...string) catalog.IndexSpec {
	return catalog.IndexSpec{Name: name, Columns: columns}
}

func unique(name string, columns ...string) catalog.IndexSpec {
	return catalog.IndexSpec{Name: name, Columns: columns, Unique: true}
}

// users returns a table of as many users as asked for; the first has no address.
func users(n int, indexes ...catalog.IndexSpec) *state.Image {
	s := newStore()
	rows := make([]value.Row, n)
	for i := range rows {
		email := value.Text(fmt.Sprintf("u%d@example.com", i))
		switch {
		case i == 0:
			email = value.Null()
		case i%2 == 0:
			email = value.Text(fmt.Sprintf("u%d@gmail.com", i))
		}
		rows[i] = value.Row{value.Int(int64(i)), value.Text(fmt.Sprintf("u%d", i)), value.Int(int64(18 + i%50)), email}
	}
	s.table(catalog.CreateTable{
		Table: "users",
		Columns: []catalog.ColumnSpec{
			column("id", value.KindInteger), column("name", value.KindText), column("age", value.KindInteger), nullable("email", value.KindText),
		},
		PrimaryKey: []string{"id"}, Indexes: indexes,
	}, rows...)
	return s.image()
}

func fixtureU() *state.Image { return users(100, index("by_age", "age"), index("by_name", "name")) }

func testSealer(t testing.TB) *Sealer {
	s, err := NewSealer([32]byte{1, 2, 3})
	require.NoError(t, err)
	return s
}

func run(t testing.TB, src Source, q query.Query) Result {
	t.Helper()
	r, err := Query(context.Background(), src, nil, request(t, q))
	require.NoError(t, err)
	return r
}

func request(t testing.TB, q query.Query) Request {
	return Request{Project: project, Scope: catalog.DefaultScope, Query: q, Sealer: testSealer(t)}
}

func explain(t testing.TB, src Source, q query.Query) Explanation {
	t.Helper()
	e, err := Explain(src, request(t, q))
	require.NoError(t, err)
	require.NotEmpty(t, e.Trace)
	return e
}

// ids returns the first column of the rows.
func ids(rows []value.Row) []int64 {
	out := make([]int64, len(rows))
	for i, r := range rows {
		out[i] = r[0].AsInt()
	}
	return out
}

// pages runs a query to its end, page by page.
func pages(t testing.TB, src Source, req Request) (all [][]value.Row, examined []int) {
	t.Helper()
	for {
		r, err := Query(context.Background(), src, nil, req)
		require.NoError(t, err)
		all, examined = append(all, r.Rows), append(examined, r.RowsExamined)
		require.Equal(t, r.Truncated, r.Cursor != "")
		if r.Cursor == "" {
			return all, examined
		}
		req.Cursor = r.Cursor
	}
}

func flat(pages [][]value.Row) (rows []value.Row) {
	for _, p := range pages {
		rows = append(rows, p...)
	}
	return rows
}
