package aedb_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

const benchRows = 100_000

// scatter returns the i-th of a sequence of numbers below n.
func scatter(i, n int) int { return int((uint64(i) * 0x9E3779B97F4A7C15 >> 20) % uint64(n)) }

// openLoaded opens a store with benchRows keys under two-level names, and as many
// rows with two indexes.
func openLoaded(b *testing.B) *aedb.Scope {
	ctx := context.Background()
	cfg := aedb.DefaultConfig()
	cfg.Durability = aedb.OsBuffered
	db, err := aedb.OpenNoAuth(b.TempDir(), cfg)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close(ctx)) })
	_, err = db.NoAuth().CreateProject(ctx, "bench")
	require.NoError(b, err)
	app := db.NoAuth().Scope("bench", "app")
	_, err = app.Commit(ctx, app.CreateTable("rows", aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("id", aedb.TypeInteger), aedb.Column("owner", aedb.TypeText), aedb.Column("amount", aedb.TypeInteger),
			aedb.Column("active", aedb.TypeBoolean), aedb.Column("note", aedb.TypeText),
		},
		PrimaryKey: []string{"id"},
		Indexes:    []aedb.IndexSpec{{Name: "by_owner", Columns: []string{"owner"}}, {Name: "by_amount", Columns: []string{"amount"}}},
	}))
	require.NoError(b, err)
	for first := 0; first < benchRows; first += 1000 {
		var mutations []aedb.Mutation
		rows := make([]aedb.Row, 0, 1000)
		for i := first; i < first+1000; i++ {
			mutations = append(mutations, app.KvSet(benchKey(i), make([]byte, 84)))
			rows = append(rows, aedb.Row{
				aedb.Int(int64(i)), aedb.Text(benchOwner(i % (benchRows / 10))), aedb.Int(int64(scatter(i, 1<<40))),
				aedb.Bool(i%2 == 0), aedb.Text("a note of some forty bytes, and no more"),
			})
		}
		_, err := app.Commit(ctx, append(mutations, app.InsertBatch("rows", rows))...)
		require.NoError(b, err)
	}
	return app
}

// benchKey is one of 100 keys with the same eight leading bytes.
func benchKey(i int) []byte {
	key := binary.BigEndian.AppendUint64(nil, uint64(scatter(i/100, 1<<40)))
	return binary.BigEndian.AppendUint64(key, uint64(i))
}

func benchOwner(n int) string { return fmt.Sprintf("owner-%08d", n) }

func BenchmarkRead(b *testing.B) {
	app := openLoaded(b)
	ctx := context.Background()
	kv := app.KV()
	keys := make([][]byte, benchRows)
	for i := range keys {
		keys[i] = benchKey(i)
	}
	run := func(name string, read func(i int) (found, want int, err error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if found, want, err := read(i); err != nil || found != want {
					b.Fatalf("%d found, want %d: %v", found, want, err)
				}
			}
		})
	}
	run("get", func(i int) (int, int, error) {
		e, _, err := kv.Get(ctx, keys[scatter(i, benchRows)])
		return len(e.Value), 84, err
	})
	buf := make([]byte, 0, 128)
	run("append-value", func(i int) (int, int, error) {
		v, _, err := kv.AppendValue(ctx, buf, keys[scatter(i, benchRows)])
		return len(v), 84, err
	})
	run("scan-100", func(i int) (n, want int, err error) {
		for _, err := range kv.Prefix(ctx, keys[scatter(i, benchRows)][:8]) {
			if err != nil {
				return n, 100, err
			}
			n++
		}
		return n, 100, nil
	})
	run("row", func(i int) (int, int, error) {
		row, _, err := app.Row(ctx, "rows", aedb.Int(int64(scatter(i, benchRows))))
		return len(row), 5, err
	})
	rows := func(q query.Query, want int) (int, int, error) {
		n := 0
		for _, err := range app.Rows(ctx, q) {
			if err != nil {
				return n, want, err
			}
			n++
		}
		return n, want, nil
	}
	run("rows-10-by-index", func(i int) (int, int, error) {
		return rows(query.Select().From("rows").Where(query.Eq("owner", benchOwner(scatter(i, benchRows/10)))), 10)
	})
	run("rows-100-in-index-order", func(i int) (int, int, error) {
		return rows(query.Select().From("rows").Where(query.Gte("amount", int64(scatter(i, 1<<39)))).
			OrderBy("amount", query.Asc).Limit(100), 100)
	})
	run("page-100-in-index-order", func(i int) (int, int, error) {
		r, err := app.Query(ctx, query.Select().From("rows").Where(query.Gte("amount", int64(scatter(i, 1<<39)))).
			OrderBy("amount", query.Asc).Limit(100))
		return len(r.Rows), 100, err
	})
}
