package invariant

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

var limits = executor.Limits{
	MaxMutations: 100, MaxAssertions: 100, MaxTransactionSize: 1 << 20, MaxBatchRows: 100,
	MaxKVKey: 100, MaxKVValue: 1000, MaxTableValue: 1000, MaxPrimaryKey: 1000, MaxEventPayload: 1000,
}

// sound returns a store with something of everything, two commits old: a plain
// index built late, a unique index with a Null in it, keys, an event and a
// remembered request.
func sound(t *testing.T) *state.Working {
	x := executor.Executor{Limits: limits}
	w := state.NewWorking()
	scope := msgs.ScopeName{Project: "p", Scope: "app"}
	table := msgs.TableName{Project: "p", Scope: "app", Table: "t"}
	row := func(id int64, a, b value.Value) value.Row { return value.Row{value.Int(id), a, b} }
	run := func(seq uint64, mutations ...msgs.Mutation) {
		w.Begin(seq, int64(seq))
		for _, m := range mutations {
			op, err := x.Bind(w.Catalog(), m)
			require.NoError(t, err)
			require.NoError(t, x.Perform(w, op))
		}
	}
	run(1,
		msgs.Define{Statement: catalog.CreateProject{Project: "p"}},
		msgs.Define{Statement: catalog.CreateTable{
			Project: "p", Scope: "app", Table: "t", PrimaryKey: []string{"id"},
			Columns: []catalog.ColumnSpec{
				{Name: "id", Kind: value.KindInteger},
				{Name: "a", Kind: value.KindText, Nullable: true},
				{Name: "b", Kind: value.KindInteger, Nullable: true},
			},
			Indexes: []catalog.IndexSpec{{Name: "u", Columns: []string{"a"}, Unique: true}},
		}},
		msgs.WriteRows{Table: table, Rows: []value.Row{
			row(1, value.Text("x"), value.Int(1)), row(2, value.Null(), value.Int(1)), row(3, value.Null(), value.Null()),
		}},
		msgs.KvSet{Scope: scope, Key: []byte("k"), Value: []byte("v")},
		msgs.EmitEvent{Scope: scope, Topic: "t", Key: "k", PayloadJSON: "{}"},
	)
	w.Commit()
	run(2,
		msgs.Define{Statement: catalog.CreateIndex{
			Project: "p", Scope: "app", Table: "t", Index: catalog.IndexSpec{Name: "i", Columns: []string{"b", "a"}},
		}},
		msgs.UpdateFields{Table: table, Key: []value.Value{value.Int(2)}, Fields: []msgs.Field{{Column: "b", Value: value.Int(9)}}},
	)
	key := record.IdempotencyKey("", false, [16]byte{1})
	w.Put(catalog.SpaceIdempotency, key, record.AppendIdempotency(nil, record.Idempotency{Seq: 2, Micros: 2}))
	w.Put(catalog.SpaceIdempotencyAge, record.AppendIdempotencyAge(nil, 2, key), nil)
	w.Commit()
	return w
}

func TestASoundStoreHasNoViolations(t *testing.T) {
	require.Empty(t, Check(state.NewWorking().Freeze()))
	require.Empty(t, Check(sound(t).Freeze()))
}

func TestEveryKindOfDamageIsFound(t *testing.T) {
	const third = 3 // the commit that does the damage
	cases := map[string]struct {
		damage func(w *state.Working, table *catalog.Table, scope catalog.SpaceID)
		want   string
		object string
	}{
		"orphan space": {func(w *state.Working, _ *catalog.Table, _ catalog.SpaceID) {
			w.Put(9999, []byte("k"), nil)
		}, "without an owner", "nothing"},
		"version from the future": {func(w *state.Working, _ *catalog.Table, scope catalog.SpaceID) {
			w.Begin(99, 3)
			w.Put(scope, []byte("k2"), record.AppendKV(nil, 3, nil))
			w.Begin(third, 3)
		}, "version 99", "p.app"},
		"key-value entry without a creation seq": {func(w *state.Working, _ *catalog.Table, scope catalog.SpaceID) {
			w.Put(scope, []byte("k"), nil)
		}, "no creation seq", "p.app"},
		"key-value entry older than itself": {func(w *state.Working, _ *catalog.Table, scope catalog.SpaceID) {
			w.Put(scope, []byte("k"), record.AppendKV(nil, 50, nil))
		}, "first written at 50", "p.app"},
		"row key of another kind": {func(w *state.Working, t *catalog.Table, _ catalog.SpaceID) {
			w.Put(t.ID, record.AppendRowKey(nil, []value.Value{value.Text("x")}), good(t))
		}, "does not allow", "p.app.t"},
		"row key with more behind": {func(w *state.Working, t *catalog.Table, _ catalog.SpaceID) {
			w.Put(t.ID, record.AppendRowKey(nil, []value.Value{value.Int(1), value.Int(1)}), good(t))
		}, "not the encoding of a primary key", "p.app.t"},
		"row cut short": {func(w *state.Working, t *catalog.Table, _ catalog.SpaceID) {
			w.Put(t.ID, rowKey(1), good(t)[:4])
		}, "", "p.app.t"},
		"row with a cell of another kind": {func(w *state.Working, t *catalog.Table, _ catalog.SpaceID) {
			w.Put(t.ID, rowKey(1), value.AppendRow(nil, []value.Cell{{ID: 2, Value: value.Int(1)}, {ID: 3, Value: value.Int(1)}}))
		}, "does not allow", "p.app.t"},
		"row without a column": {func(w *state.Working, t *catalog.Table, _ catalog.SpaceID) {
			w.Put(t.ID, rowKey(1), value.AppendRow(nil, []value.Cell{{ID: 2, Value: value.Text("x")}}))
		}, "does not hold the columns", "p.app.t"},
		"row with another column": {func(w *state.Working, t *catalog.Table, _ catalog.SpaceID) {
			w.Put(t.ID, rowKey(1), value.AppendRow(nil, []value.Cell{{ID: 2, Value: value.Text("x")}, {ID: 4}}))
		}, "does not hold the columns", "p.app.t"},
		"row deleted alone": {func(w *state.Working, t *catalog.Table, _ catalog.SpaceID) {
			w.Delete(t.ID, rowKey(1))
		}, "3 entries, but 2 rows", "p.app.t.u"},
		"index entry missing": {func(w *state.Working, t *catalog.Table, _ catalog.SpaceID) {
			w.DropSpace(t.Indexes[1].ID)
		}, "no entry of its own", "p.app.t.i"},
		"index entry too many": {func(w *state.Working, t *catalog.Table, _ catalog.SpaceID) {
			w.Put(t.Indexes[1].ID, []byte("x"), nil)
		}, "4 entries, but 3 rows", "p.app.t.i"},
		"unique value twice": {func(w *state.Working, t *catalog.Table, _ catalog.SpaceID) {
			full := value.Row{value.Int(4), value.Text("x"), value.Null()}
			w.Put(t.ID, rowKey(4), record.AppendRow(nil, t, full))
		}, "no entry of its own", "p.app.t.u"},
		"index entry newer than its row": {func(w *state.Working, t *catalog.Table, _ catalog.SpaceID) {
			c := w.Cursor(t.Indexes[0].ID)
			c.First()
			w.Put(t.Indexes[0].ID, append([]byte{}, c.Key()...), append([]byte{}, c.Value()...))
		}, "no entry of its own", "p.app.t.u"},
		"catalog entry missing": {func(w *state.Working, t *catalog.Table, _ catalog.SpaceID) {
			key, _ := w.Catalog().Definition(t.ID)
			w.Delete(catalog.SpaceCatalog, key)
		}, "1 objects have no entry", "catalog"},
		"catalog entry that differs": {func(w *state.Working, t *catalog.Table, _ catalog.SpaceID) {
			key, _ := w.Catalog().Definition(t.ID)
			w.Put(catalog.SpaceCatalog, key, nil)
		}, "differs", "catalog"},
		"catalog entry that does not load": {func(w *state.Working, _ *catalog.Table, _ catalog.SpaceID) {
			w.Put(catalog.SpaceCatalog, []byte("x"), nil)
		}, "make no catalog", "catalog"},
		"catalog entry of no object": {func(w *state.Working, _ *catalog.Table, _ catalog.SpaceID) {
			w.Put(catalog.SpaceCatalog, []byte("x"), nil)
		}, "of no object", "catalog"},
		"idempotency record damaged": {func(w *state.Working, _ *catalog.Table, _ catalog.SpaceID) {
			w.Put(catalog.SpaceIdempotency, []byte("x"), nil)
		}, "0 bytes", "idempotency records"},
		"idempotency record of another commit": {func(w *state.Working, _ *catalog.Table, _ catalog.SpaceID) {
			w.Put(catalog.SpaceIdempotency, []byte("x"), record.AppendIdempotency(nil, record.Idempotency{Seq: 1}))
		}, "of commit 1, written by 3", "idempotency records"},
		"idempotency record from the future": {func(w *state.Working, _ *catalog.Table, _ catalog.SpaceID) {
			w.Put(catalog.SpaceIdempotency, []byte("x"), record.AppendIdempotency(nil, record.Idempotency{Seq: third, Micros: 1 << 40}))
		}, "from after the image", "idempotency records"},
		"idempotency record without an age": {func(w *state.Working, _ *catalog.Table, _ catalog.SpaceID) {
			w.DropSpace(catalog.SpaceIdempotencyAge)
		}, "missing from the order by age", "idempotency records"},
		"idempotency age without a record": {func(w *state.Working, _ *catalog.Table, _ catalog.SpaceID) {
			w.DropSpace(catalog.SpaceIdempotency)
		}, "1 entries for 0 records", "idempotency records by age"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := sound(t)
			table, err := w.Catalog().Table("p", "app", "t")
			require.NoError(t, err)
			w.Begin(third, 3)
			tc.damage(w, table, table.ScopeID)
			w.Commit()
			found := Check(w.Freeze())
			for _, v := range found {
				if v.Object == tc.object && (tc.want == "" || strings.Contains(v.Problem, tc.want)) {
					require.NotEmpty(t, v.String())
					return
				}
			}
			t.Fatalf("not found; found are %v", found)
		})
	}
}

func rowKey(id int64) []byte { return record.AppendRowKey(nil, []value.Value{value.Int(id)}) }

// good returns the stored columns of row 1.
func good(t *catalog.Table) []byte {
	return record.AppendRow(nil, t, value.Row{value.Int(1), value.Text("x"), value.Int(1)})
}

func TestCheckStopsAtTheMostItReports(t *testing.T) {
	w := sound(t)
	table, err := w.Catalog().Table("p", "app", "t")
	require.NoError(t, err)
	w.Begin(3, 3)
	for i := range 3 * MaxViolations {
		w.Put(table.ID, rowKey(int64(i)), nil)
	}
	w.Commit()
	require.Len(t, Check(w.Freeze()), MaxViolations)
}
