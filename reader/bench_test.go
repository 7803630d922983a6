package reader

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/query"
)

func BenchmarkQuery(b *testing.B) {
	u := users(10_000, index("by_age", "age"))
	all := query.Select().From("users")
	for _, c := range []struct {
		name string
		q    query.Query
		rows int
	}{
		{"point", all.Where(query.Eq("id", 4_242)), 1},
		{"index_eq_limit_20", all.Where(query.Eq("age", 42)).Limit(20), 20},
		{"range_limit_100", all.Where(query.Gte("id", 5_000)).Limit(100), 100},
		{"order_by_index_limit_100", all.OrderBy("age", query.Desc).Limit(100), 100},
		{"filter_int_10k", all.Where(query.Or(query.Gt("age", 1_000), query.Lt("id", 0))).Limit(1), 0},
		{"filter_text_10k", all.Where(query.Like("email", "%nowhere%")).Limit(1), 0},
		{"top_10_of_10k", all.OrderBy("name", query.Desc).Limit(10), 10},
	} {
		b.Run(c.name, func(b *testing.B) {
			req := request(b, c.q)
			req.Sealer = nil
			b.ReportAllocs()
			for b.Loop() {
				r, err := Query(context.Background(), u, nil, req)
				if err != nil || len(r.Rows) != c.rows {
					require.NoError(b, err)
					b.Fatalf("%d rows", len(r.Rows))
				}
			}
		})
	}
}

// What a query costs before it reads a row.
func BenchmarkPlan(b *testing.B) {
	u := users(10_000, index("by_age", "age"), index("by_name", "name"))
	all := query.Select().From("users")
	for _, c := range []struct {
		name string
		q    query.Query
	}{
		{"key", all.Where(query.Eq("id", 4_242))},
		{"index", all.Where(query.Eq("age", 42))},
		{"index_order_limit", all.Where(query.Gte("age", 30)).OrderBy("age", query.Asc).Limit(100)},
	} {
		b.Run(c.name, func(b *testing.B) {
			req := request(b, c.q)
			req.Names = new(Names)
			b.ReportAllocs()
			for b.Loop() {
				var p plan
				if err := p.make(u, &req, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
