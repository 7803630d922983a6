package history

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/vfs"
)

// solo draws what transactions and their rivals do in one scope.
type solo struct {
	rng *rand.Rand
	app *aedb.Scope
}

func (s solo) key() []byte  { return fmt.Appendf(nil, "k%d", s.rng.IntN(6)) }
func (s solo) num() []byte  { return fmt.Appendf(nil, "n%d", s.rng.IntN(2)) }
func (s solo) name() string { return []string{"t", "u"}[s.rng.IntN(8)/7] }
func (s solo) id() []aedb.Value {
	return []aedb.Value{aedb.Int(s.rng.Int64N(3)), aedb.Int(s.rng.Int64N(3))}
}

func (s solo) row() aedb.Row {
	row := aedb.Row{aedb.Int(s.rng.Int64N(3)), aedb.Int(s.rng.Int64N(3)), aedb.Int(s.rng.Int64N(5)), aedb.Null()}
	if s.rng.IntN(3) == 0 {
		row[3] = aedb.Int(s.rng.Int64N(6))
	}
	return row
}

func (s solo) where() query.Expr {
	switch s.rng.IntN(7) {
	case 0:
		return query.Eq("a", s.rng.IntN(3))
	case 1:
		return query.And(query.Eq("a", s.rng.IntN(3)), query.Gte("b", s.rng.IntN(3)))
	case 2:
		return query.Eq("n", s.rng.IntN(5))
	case 3:
		return query.Lt("n", s.rng.IntN(5))
	case 4:
		return query.Eq("u", s.rng.IntN(6))
	case 5:
		return query.IsNull("u")
	}
	return query.In("n", s.rng.IntN(5), s.rng.IntN(5))
}

func (s solo) table() aedb.TableSpec {
	return aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("a", aedb.TypeInteger), aedb.Column("b", aedb.TypeInteger),
			aedb.Column("n", aedb.TypeInteger), aedb.NullableColumn("u", aedb.TypeInteger),
		},
		PrimaryKey: []string{"a", "b"},
		Indexes: []aedb.IndexSpec{
			{Name: "by_n", Columns: []string{"n"}}, {Name: "by_u", Columns: []string{"u"}, Unique: true},
		},
	}
}

// other is a scope that is not always there.
func (s solo) other() *aedb.Scope { return s.app.Session().Scope("p", "other") }

// mutation draws a write; one in a few defines something.
func (s solo) mutation() aedb.Mutation {
	app, t := s.app, s.name()
	switch s.rng.IntN(27) {
	case 24:
		return s.other().KvSet(s.key(), []byte("other"))
	case 25:
		return msgs.Define{Statement: catalog.CreateScope{Project: "p", Scope: "other"}}
	case 26:
		return msgs.Define{Statement: catalog.DropScope{Project: "p", Scope: "other"}}
	case 0, 1:
		return app.KvSet(s.key(), fmt.Append(nil, s.rng.IntN(100)))
	case 2:
		return app.KvDel(s.key())
	case 3:
		return app.KvSetIfAbsent(s.key(), []byte("new"))
	case 4:
		return app.KvAddU64(s.num(), s.rng.Uint64N(4), aedb.TreatAsZero, aedb.RejectLimit)
	case 5:
		return app.KvSubU64(s.num(), s.rng.Uint64N(4), aedb.RejectMissing, aedb.RejectLimit)
	case 6:
		return app.KvMaxU64(s.num(), s.rng.Uint64N(9), aedb.TreatAsZero)
	case 7:
		return app.KvDel(s.num())
	case 8:
		return app.CounterAdd([]byte("c"), s.rng.Uint64N(3), 2, s.rng.Uint32())
	case 9, 10:
		return app.Insert(t, s.row())
	case 11:
		return app.UpsertBatch(t, []aedb.Row{s.row(), s.row()})
	case 12:
		return app.UpdateFields(t, s.id(), aedb.Set("n", aedb.Int(s.rng.Int64N(5))))
	case 13:
		return app.Delete(t, s.id()...)
	case 14:
		return app.DeleteWhere(t, s.where())
	case 15:
		return app.UpdateWhere(t, s.where(), query.Assign("n", query.Add(query.Col("n"), query.Lit(1))))
	case 16:
		return app.ClaimOne(t, "by_n", query.IsNull("u"), query.Assign("u", query.Lit(s.rng.IntN(6))))
	case 17:
		return app.InsertOr(t, aedb.OnConflict{Index: "by_u", Action: aedb.MergeRow}, s.row())
	case 18:
		return app.CellAdd(t, s.id(), "n", aedb.Int(1), aedb.RejectLimit)
	case 19:
		return aedb.If(app.KvSet(s.key(), []byte("if")), app.CountCompare(t, s.where(), aedb.Lt, 2))
	case 20:
		return app.EmitEvent("topic", fmt.Sprint(s.rng.IntN(3)), "{}")
	case 21:
		return app.CreateTable("u", s.table())
	case 22:
		return app.DropTable("u")
	default:
		if s.rng.IntN(2) == 0 {
			return app.DropIndex("t", "by_b")
		}
		return app.CreateIndex("t", aedb.IndexSpec{Name: "by_b", Columns: []string{"b"}, Unique: s.rng.IntN(3) == 0})
	}
}

// read draws a read and returns what it told.
func (s solo) read(t testing.TB, tx *aedb.Tx) string {
	ctx := t.Context()
	version := func(v uint64) string {
		if v > tx.SnapshotSeq() {
			return "own"
		}
		return fmt.Sprint(v)
	}
	switch s.rng.IntN(11) {
	case 7:
		_, found, err := tx.Scope("p", "other").KV().Get(ctx, s.key())
		return fmt.Sprint("other ", found, errs.CodeOf(err))
	case 8:
		entries, err := tx.KV().GetMany(ctx, [][]byte{s.key(), s.num()})
		return fmt.Sprint("many ", entries[0] != nil, entries[1] != nil, errs.CodeOf(err))
	case 9:
		page, err := tx.KV().Page(ctx, aedb.Range{Prefix: s.key()[:1], Limit: 2})
		return fmt.Sprint("page ", len(page.Entries), page.Truncated, errs.CodeOf(err))
	case 10: // by_n has all that is asked for
		page, err := tx.Query(ctx, query.Select("n", "a").From(s.name()).Where(query.Eq("n", s.rng.IntN(6))).UseIndex("by_n"))
		return fmt.Sprint("covered ", page.Rows, errs.CodeOf(err))
	case 0:
		e, found, err := tx.KV().Get(ctx, s.key())
		return fmt.Sprint("get ", found, string(e.Value), version(e.Version), errs.CodeOf(err))
	case 1:
		r := aedb.Range{Start: s.key(), Reverse: s.rng.IntN(2) == 0, Limit: s.rng.IntN(3)}
		var b strings.Builder
		for e, err := range tx.KV().Scan(ctx, r) {
			fmt.Fprint(&b, string(e.Key), string(e.Value), version(e.Version), errs.CodeOf(err), " ")
			if s.rng.IntN(4) == 0 {
				break
			}
		}
		return "scan " + b.String()
	case 2:
		row, v, err := tx.Row(ctx, s.name(), s.id()...)
		return fmt.Sprint("row ", row, version(v), errs.CodeOf(err))
	case 3:
		n, shards, err := tx.KV().Counter(ctx, []byte("c"))
		return fmt.Sprint("counter ", n, shards, errs.CodeOf(err))
	case 4:
		page, err := tx.Query(ctx, query.Select("a", "b").From("t").Where(query.Gte("b", s.rng.IntN(3))).UseIndex("by_b"))
		return fmt.Sprint("hint ", page.Rows, errs.CodeOf(err))
	}
	q := query.Select().From(s.name())
	if s.rng.IntN(4) > 0 {
		q = q.Where(s.where())
	}
	// Without an order, which rows come first is up to the plan.
	q = q.OrderBy([]string{"a", "n", "u"}[s.rng.IntN(3)], query.Direction(s.rng.IntN(2))).Limit(s.rng.IntN(4) + 1)
	if s.rng.IntN(4) == 0 {
		q = q.Offset(s.rng.IntN(3))
	}
	if s.rng.IntN(2) == 0 {
		var b strings.Builder
		for row, err := range tx.Rows(ctx, q) {
			fmt.Fprint(&b, row, errs.CodeOf(err), " ")
			if s.rng.IntN(4) == 0 {
				break
			}
		}
		return "rows " + b.String()
	}
	page, err := tx.Query(ctx, q)
	return fmt.Sprint("query ", page.Rows, page.Truncated, errs.CodeOf(err))
}

// transact runs a drawn transaction. What it was told, the last time that it ran,
// is part of what it writes. Before a step of its first run, the rivals come.
func transact(t testing.TB, app *aedb.Scope, seed uint64, rivals func()) (told string, err error) {
	came := rand.New(rand.NewPCG(seed, 0)).IntN(8)
	err = app.Update(t.Context(), func(tx *aedb.Tx) error {
		var b strings.Builder
		var points []aedb.Savepoint
		steps := 1 + rand.New(rand.NewPCG(seed, 1)).IntN(8)
		for step := range steps {
			if step == came%steps && rivals != nil {
				rivals()
				rivals = nil
			}
			s := solo{rand.New(rand.NewPCG(seed, uint64(step)+2)), app}
			switch k := s.rng.IntN(16); {
			case k < 7:
				fmt.Fprintln(&b, s.read(t, tx))
			case k < 13:
				fmt.Fprintln(&b, "do", errs.CodeOf(tx.Do(s.mutation())))
			case k < 14:
				points = append(points, tx.Savepoint())
			case len(points) > 0:
				tx.RollbackTo(points[s.rng.IntN(len(points))])
			}
		}
		told = b.String()
		return tx.Set([]byte("told"), []byte(told))
	})
	return told, err
}

// contents returns all that is in the scope.
func contents(t testing.TB, app *aedb.Scope) string {
	var b strings.Builder
	for e, err := range app.KV().Scan(t.Context(), aedb.Range{}) {
		require.NoError(t, err)
		fmt.Fprintf(&b, "%s=%s@%d,%d\n", e.Key, e.Value, e.Version, e.Created)
	}
	tables, err := app.Tables()
	require.NoError(t, err)
	for _, table := range tables {
		fmt.Fprintln(&b, table.Name, len(table.Indexes))
		for row, err := range app.Rows(t.Context(), query.Select().From(table.Name), aedb.AllowFullScan()) {
			require.NoError(t, err)
			fmt.Fprintln(&b, row)
		}
	}
	return b.String()
}

// TestATransactionThatCommitsIsAsIfItHadRunAlone has drawn transactions with rivals,
// who commit while the transaction runs, and compares with a store in which it runs
// when they have gone: it has to have been told the same, and to leave the same.
func TestATransactionThatCommitsIsAsIfItHadRunAlone(t *testing.T) {
	for _, seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			buffered := func(c *aedb.Config) { c.Durability = aedb.OsBuffered }
			_, crowded := openApp(t, vfs.NewMem(), buffered)
			_, alone := openApp(t, vfs.NewMem(), buffered)
			both := func(draw func(solo) []aedb.Mutation, seed, stream uint64) {
				var codes [2]errs.Code
				for i, app := range []*aedb.Scope{crowded, alone} {
					_, err := app.Commit(t.Context(), draw(solo{rand.New(rand.NewPCG(seed, stream)), app})...)
					codes[i] = errs.CodeOf(err)
				}
				require.Equal(t, codes[0], codes[1])
			}
			both(func(s solo) []aedb.Mutation {
				return []aedb.Mutation{s.app.CreateTable("t", s.table()), s.app.Insert("t", s.row())}
			}, seed, 0)
			one := func(s solo) []aedb.Mutation { return []aedb.Mutation{s.mutation()} }
			for round := range uint64(scale(400)) {
				at := seed<<32 + round
				both(one, at, 1000)
				wantTold, wantErr := "", error(nil)
				told, err := transact(t, crowded, at, func() {
					for i := range 1 + at%3 {
						both(one, at, 1001+i)
					}
				})
				wantTold, wantErr = transact(t, alone, at, nil)
				require.Equal(t, wantTold, told, "round %d", round)
				require.Equal(t, errs.CodeOf(wantErr), errs.CodeOf(err), "round %d", round)
				require.Equal(t, contents(t, alone), contents(t, crowded), "round %d", round)
			}
		})
	}
}

// TestWhatATransactionHasSeenStillHoldsWhenItCommits has ways of seeing something
// that leave no read of it behind: in what it wrote itself, in what it took back, and
// in being refused.
func TestWhatATransactionHasSeenStillHoldsWhenItCommits(t *testing.T) {
	doctor := []aedb.Value{aedb.Text("bob")}
	on := func(app *aedb.Scope, shift int) aedb.Mutation {
		return app.UpdateFields("doctors", doctor, aedb.Set("shift", aedb.Int(int64(shift))))
	}
	rows := func(t *testing.T, tx *aedb.Tx, q query.Query) {
		for range tx.Rows(t.Context(), q.Limit(9)) {
			continue
		}
	}
	cases := map[string]struct {
		see      func(t *testing.T, app *aedb.Scope, tx *aedb.Tx)
		rival    func(app *aedb.Scope) aedb.Mutation
		conflict bool
	}{
		"row claimed": {func(t *testing.T, app *aedb.Scope, tx *aedb.Tx) {
			require.NoError(t, tx.Do(app.ClaimOne("doctors", "by_shift", query.Eq("on_call", true), query.Assign("on_call", query.Lit(false)))))
			rows(t, tx, query.Select("name").From("doctors").Where(query.Eq("name", "alice")))
		}, func(app *aedb.Scope) aedb.Mutation { return on(app, 1) }, true},
		"rows selected by key": {func(t *testing.T, app *aedb.Scope, tx *aedb.Tx) {
			require.NoError(t, tx.Do(app.DeleteWhere("doctors", query.And(query.Gte("name", "b"), query.Eq("shift", 7)))))
			rows(t, tx, query.Select("name").From("doctors").Where(query.Eq("shift", 8)))
		}, func(app *aedb.Scope) aedb.Mutation { return on(app, 9) }, true},
		"rows beside those selected by key": {func(t *testing.T, app *aedb.Scope, tx *aedb.Tx) {
			require.NoError(t, tx.Do(app.DeleteWhere("doctors", query.Eq("name", "alice"))))
			rows(t, tx, query.Select("name").From("doctors").Where(query.Eq("name", "alice")))
		}, func(app *aedb.Scope) aedb.Mutation { return on(app, 9) }, false},
		"cell by an index that covers it": {func(t *testing.T, app *aedb.Scope, tx *aedb.Tx) {
			require.NoError(t, tx.Do(app.CellAdd("doctors", doctor, "shift", aedb.Int(1), aedb.RejectLimit)))
			rows(t, tx, query.Select("shift").From("doctors").Where(query.Eq("shift", 8)).UseIndex("by_shift"))
		}, func(app *aedb.Scope) aedb.Mutation { return on(app, 3) }, true},
		"row in whose place one was": {func(t *testing.T, app *aedb.Scope, tx *aedb.Tx) {
			require.NoError(t, tx.Do(app.InsertOr("doctors", aedb.OnConflict{Action: aedb.MergeRow},
				aedb.Row{doctor[0], aedb.Bool(true), aedb.Int(8)})))
			rows(t, tx, query.Select("name").From("doctors").Where(query.Eq("shift", 8)).UseIndex("by_shift"))
		}, func(app *aedb.Scope) aedb.Mutation { return app.Delete("doctors", doctor...) }, true},
		"index made": {func(t *testing.T, app *aedb.Scope, tx *aedb.Tx) {
			require.NoError(t, tx.Do(app.CreateIndex("doctors", aedb.IndexSpec{Name: "by_call", Columns: []string{"on_call"}})))
			rows(t, tx, query.Select("name").From("doctors").Where(query.Eq("on_call", false)).UseIndex("by_call"))
		}, func(app *aedb.Scope) aedb.Mutation {
			return app.UpdateFields("doctors", doctor, aedb.Set("on_call", aedb.Bool(false)))
		}, true},
		"fields that nobody looked at": {func(t *testing.T, app *aedb.Scope, tx *aedb.Tx) {
			require.NoError(t, tx.Do(on(app, 5)))
		}, func(app *aedb.Scope) aedb.Mutation { return on(app, 6) }, false},
		"missing table, by a stream": {func(t *testing.T, app *aedb.Scope, tx *aedb.Tx) {
			rows(t, tx, query.Select().From("nurses"))
		}, func(app *aedb.Scope) aedb.Mutation {
			return app.CreateTable("nurses", aedb.TableSpec{Columns: []aedb.ColumnSpec{aedb.Column("id", aedb.TypeInteger)}, PrimaryKey: []string{"id"}})
		}, true},
		"missing index": {func(t *testing.T, app *aedb.Scope, tx *aedb.Tx) {
			_, err := tx.Query(t.Context(), query.Select().From("doctors").Where(query.Eq("on_call", true)).UseIndex("by_call"))
			require.Error(t, err)
		}, func(app *aedb.Scope) aedb.Mutation {
			return app.CreateIndex("doctors", aedb.IndexSpec{Name: "by_call", Columns: []string{"on_call"}})
		}, true},
		"scope of a write taken back": {func(t *testing.T, app *aedb.Scope, tx *aedb.Tx) {
			before := tx.Savepoint()
			require.NoError(t, tx.Do(app.Session().Scope("p", "other").KvSet([]byte("k"), nil)))
			tx.RollbackTo(before)
		}, func(*aedb.Scope) aedb.Mutation {
			return msgs.Define{Statement: catalog.DropScope{Project: "p", Scope: "other"}}
		}, true},
		"key of a write taken back": {func(t *testing.T, app *aedb.Scope, tx *aedb.Tx) {
			before := tx.Savepoint()
			require.NoError(t, tx.Set([]byte("k"), nil))
			tx.RollbackTo(before)
		}, func(app *aedb.Scope) aedb.Mutation { return app.KvSet([]byte("k"), []byte("rival")) }, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			db, app := openApp(t, vfs.NewMem(), func(c *aedb.Config) { c.UpdateRetries = 0 })
			createDoctors(t, app)
			_, err := db.NoAuth().CreateScope(t.Context(), "p", "other")
			require.NoError(t, err)
			err = app.Update(t.Context(), func(tx *aedb.Tx) error {
				c.see(t, app, tx)
				_, err := app.Commit(t.Context(), c.rival(app))
				require.NoError(t, err)
				return tx.Set([]byte("seen"), nil)
			})
			if c.conflict {
				require.ErrorIs(t, err, aedb.ErrConflict)
			} else {
				require.NoError(t, err)
			}
		})
	}
}
