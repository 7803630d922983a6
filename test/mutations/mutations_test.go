// Package mutations measures what each kind of mutation costs who commits it: one
// caller, one mutation a commit, the log written and not synced.
//
// `make mutations` prints the table of docs/performance.md. The kinds take turns
// within each round, and the figure of a kind is the median of its rounds, as a
// ratio to KvSet or to Upsert.
package mutations

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/holiman/uint256"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

const entries = 10_000

// kind is a kind of mutation; row says what it is compared with.
type kind struct {
	name string
	row  bool
	of   func(i int) aedb.Mutation
}

func kinds(app *aedb.Scope) []kind {
	key := func(i int) []byte { return fmt.Appendf(nil, "n/%08d", i%entries) }
	wide := func(i int) []byte { return fmt.Appendf(nil, "w/%08d", i%entries) }
	pk := func(i int) []aedb.Value { return []aedb.Value{aedb.Int(int64(i % entries))} }
	eight := make([]byte, 8)
	more := query.Assign("score", query.Add(query.Col("score"), query.Lit(1)))
	one := uint256.NewInt(1)
	return []kind{
		{"KvSet", false, func(i int) aedb.Mutation { return app.KvSet(key(i), eight) }},
		{"KvDel of a missing key", false, func(i int) aedb.Mutation { return app.KvDel([]byte("none")) }},
		{"KvAddU64", false, func(i int) aedb.Mutation { return app.KvAddU64(key(i), 1, aedb.TreatAsZero, aedb.RejectLimit) }},
		{"KvMaxU64", false, func(i int) aedb.Mutation { return app.KvMaxU64(key(i), uint64(i), aedb.TreatAsZero) }},
		{"KvAddU256", false, func(i int) aedb.Mutation { return app.KvAddU256(wide(i), one, aedb.TreatAsZero, aedb.RejectLimit) }},
		{"KvAddI64", false, func(i int) aedb.Mutation { return app.KvAddI64(key(i), 1, aedb.TreatAsZero, nil, nil) }},
		{"CounterAdd, 8 shards", false, func(i int) aedb.Mutation { return app.CounterAdd([]byte("c"), 1, 8, uint32(i)) }},
		{"KvSet under a guard", false, func(i int) aedb.Mutation { return aedb.If(app.KvSet(key(i), eight), app.KeyExists(key(i), true)) }},
		{"KvSet, then a Check", false, nil},
		{"Upsert", true, func(i int) aedb.Mutation { return app.Upsert("users", row(i)) }},
		{"InsertOr, kept", true, func(i int) aedb.Mutation { return app.InsertOr("users", aedb.OnConflict{}, row(i)) }},
		{"InsertOr, merged", true, func(i int) aedb.Mutation {
			return app.InsertOr("users", aedb.OnConflict{Action: aedb.MergeRow}, row(i))
		}},
		{"InsertOr, updated by a unique index", true, func(i int) aedb.Mutation {
			return app.InsertOr("users", aedb.OnConflict{Index: "by_name", Action: aedb.UpdateRow, Set: []query.Assignment{more}}, row(i))
		}},
		{"UpdateFields", true, func(i int) aedb.Mutation {
			return app.UpdateFields("users", pk(i), aedb.Set("score", aedb.Int(int64(i))))
		}},
		{"CellAdd", true, func(i int) aedb.Mutation {
			return app.CellAdd("users", pk(i), "score", aedb.Int(1), aedb.RejectLimit)
		}},
		{"UpdateWhere of one key", true, func(i int) aedb.Mutation {
			return app.UpdateWhere("users", query.Eq("id", int64(i%entries)), more)
		}},
		{"ClaimOne by an index", true, func(i int) aedb.Mutation {
			return app.ClaimOne("users", "by_age", query.Gte("age", int64(i%90)), more)
		}},
		{"Delete of a missing row", true, func(i int) aedb.Mutation { return app.Delete("users", aedb.Int(-1)) }},
		{"EmitEvent", true, func(i int) aedb.Mutation { return app.EmitEvent("topic", "key", `{"n":1}`) }},
	}
}

func row(i int) aedb.Row {
	i %= entries
	return aedb.Row{aedb.Int(int64(i)), aedb.Text(fmt.Sprintf("user %08d", i)), aedb.Int(int64(i % 100)), aedb.Int(int64(i))}
}

func open(t *testing.T) (*aedb.DB, *aedb.Scope) {
	ctx := context.Background()
	cfg := aedb.DefaultConfig()
	cfg.Durability, cfg.Logger = aedb.OsBuffered, aedb.Zerolog(zerolog.Nop())
	cfg.Checkpoint.OnClose = false
	db, err := aedb.OpenNoAuth(t.TempDir(), cfg)
	require.NoError(t, err)
	_, err = db.NoAuth().CreateProject(ctx, "p")
	require.NoError(t, err)
	app := db.NoAuth().Scope("p", "app")
	_, err = app.Commit(ctx, app.CreateTable("users", aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("id", aedb.TypeInteger), aedb.Column("name", aedb.TypeText),
			aedb.Column("age", aedb.TypeInteger), aedb.Column("score", aedb.TypeInteger),
		},
		PrimaryKey: []string{"id"},
		Indexes: []aedb.IndexSpec{
			{Name: "by_name", Columns: []string{"name"}, Unique: true}, {Name: "by_age", Columns: []string{"age"}},
		},
	}))
	require.NoError(t, err)
	for from := 0; from < entries; from += 1000 {
		var list []aedb.Mutation
		for i := range 1000 {
			list = append(list, app.KvSet(fmt.Appendf(nil, "n/%08d", from+i), make([]byte, 8)),
				app.KvSetU256(fmt.Appendf(nil, "w/%08d", from+i), uint256.NewInt(0)), app.Insert("users", row(from+i)))
		}
		_, err := app.Commit(ctx, list...)
		require.NoError(t, err)
	}
	return db, app
}

func TestNoKindOfMutationIsSlow(t *testing.T) {
	rounds, each := 3, 200
	if os.Getenv("AEDB_LONG") != "" {
		rounds, each = 15, 20_000
	}
	ctx := context.Background()
	db, app := open(t)
	defer func() { require.NoError(t, db.Close(ctx)) }()
	all := kinds(app)
	times, allocs := make([][]float64, len(all)), make([]float64, len(all))
	for round := range rounds {
		for k := range all {
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			for i := range each {
				at := (round*each + i) * 7919
				list := []aedb.Mutation{nil}
				if of := all[k].of; of != nil {
					list[0] = of(at)
				} else {
					set := all[0].of(at)
					list[0] = set
					list = append(list, aedb.Check(app.KeyExists(fmt.Appendf(nil, "n/%08d", at%entries), true)))
				}
				_, err := app.Commit(ctx, list...)
				require.NoError(t, err, all[k].name)
			}
			times[k] = append(times[k], float64(time.Since(began).Nanoseconds())/float64(each))
			runtime.ReadMemStats(&after)
			allocs[k] = float64(after.Mallocs-before.Mallocs) / float64(each)
		}
	}
	base := map[bool]float64{}
	table := "\n| mutation | us a commit | allocations | to KvSet or Upsert |\n| --- | ---: | ---: | ---: |\n"
	for k := range all {
		slices.Sort(times[k])
		median := times[k][len(times[k])/2]
		if _, known := base[all[k].row]; !known {
			base[all[k].row] = median
		}
		table += fmt.Sprintf("| %s | %.2f | %.0f | %.2f |\n", all[k].name, median/1000, allocs[k], median/base[all[k].row])
	}
	t.Log(table)
}
