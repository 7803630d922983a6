package executor_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/applier"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

// engine is an applier with the scope p.app and its table t, with the key (a, b).
type engine struct {
	t *testing.T
	x *executor.Executor
	w *state.Working
	a *applier.Applier
}

var (
	app   = msgs.ScopeName{Project: "p", Scope: "app"}
	table = msgs.TableName{Project: "p", Scope: "app", Table: "t"}
)

func newEngine(t *testing.T) *engine {
	e := &engine{t: t, w: state.NewWorking(), x: &executor.Executor{Limits: executor.Limits{
		MaxMutations: 50, MaxAssertions: 20, MaxTransactionSize: 1 << 20, MaxBatchRows: 10,
		MaxKVKey: 64, MaxKVValue: 1 << 10, MaxTableValue: 1 << 10, MaxPrimaryKey: 256, MaxEventPayload: 128,
	}}}
	e.a = applier.New(e.x, applier.Window{}, e.w, e.w.Freeze(), nil)
	e.must(msgs.Define{Statement: catalog.CreateProject{Project: "p"}}, msgs.Define{Statement: catalog.CreateTable{
		Project: "p", Scope: "app", Table: "t", PrimaryKey: []string{"a", "b"},
		Columns: []catalog.ColumnSpec{
			{Name: "a", Kind: value.KindInteger}, {Name: "b", Kind: value.KindInteger}, {Name: "n", Kind: value.KindInteger, Nullable: true},
		},
	}})
	return e
}

func (e *engine) commit(env msgs.Envelope) error {
	r, err := e.x.Prepare(e.w.Catalog(), &env)
	require.NoError(e.t, err)
	r.Ticket = msgs.NewTicket(nil, 0)
	epoch := &msgs.Epoch{Requests: []*msgs.Request{r}}
	e.a.Step(epoch)
	return epoch.Answers[0].Err
}

func (e *engine) must(mutations ...msgs.Mutation) {
	e.t.Helper()
	require.NoError(e.t, e.commit(msgs.Envelope{Mutations: mutations}))
}

func pair(a, b int64) []value.Value { return []value.Value{value.Int(a), value.Int(b)} }

func put(a, b, n int64) msgs.Mutation {
	return msgs.WriteRows{Table: table, Mode: msgs.WriteUpsert, Rows: []value.Row{append(pair(a, b), value.Int(n))}}
}

func del(a, b int64) msgs.Mutation { return msgs.DeleteRow{Table: table, Key: pair(a, b)} }

func set(k string) msgs.Mutation { return msgs.KvSet{Scope: app, Key: []byte(k)} }

// Where the table's structural version would reject a range for an insert or a
// removal anywhere in the table, the range alone is looked at: both are found if
// they lie in it (decisions 1 and 3), and only then.
func TestStructuralVersionsAreAnsweredByTheRangeItself(t *testing.T) {
	rows := func(r msgs.RowRangeRead) msgs.ReadSet {
		r.Table = table
		return msgs.ReadSet{RowRanges: []msgs.RowRangeRead{r}}
	}
	at := func(v ...int64) msgs.RowBound {
		var b msgs.RowBound
		for _, n := range v {
			b.Key = append(b.Key, value.Int(n))
		}
		return b
	}
	open := func(b msgs.RowBound) msgs.RowBound { b.Open = true; return b }
	prefix := func(n int64) []value.Value { return []value.Value{value.Int(n)} }
	keys := msgs.ReadSet{KeyRanges: []msgs.KeyRangeRead{{Scope: app, Start: []byte("b"), End: []byte("d")}}}
	all := rows(msgs.RowRangeRead{})
	under2 := rows(msgs.RowRangeRead{Prefix: prefix(2)})
	closed := rows(msgs.RowRangeRead{Start: at(2), End: at(2)})
	inner := rows(msgs.RowRangeRead{Start: open(at(1)), End: open(at(3))})
	exact := rows(msgs.RowRangeRead{Start: at(2, 2), End: open(at(2, 4))})
	within := rows(msgs.RowRangeRead{Prefix: prefix(2), Start: at(2, 2), End: at(9)})
	empty := rows(msgs.RowRangeRead{Start: at(3), End: at(1)})
	for name, tc := range map[string]struct {
		read      msgs.ReadSet
		meanwhile msgs.Mutation
		conflict  bool
	}{
		"14: insert of a key in the range":     {keys, set("bb"), true},
		"14: removal of a key in the range":    {keys, msgs.KvDel{Scope: app, Key: []byte("b")}, true},
		"overwrite of a key in the range":      {keys, set("c"), true},
		"insert of a key elsewhere":            {keys, set("e"), false},
		"removal of a key elsewhere":           {keys, msgs.KvDel{Scope: app, Key: []byte("a")}, false},
		"insert into the table":                {all, put(9, 9, 0), true},
		"removal from the table":               {all, del(1, 1), true},
		"18: insert under the prefix":          {under2, put(2, 9, 0), true},
		"18: removal under the prefix":         {under2, del(2, 1), true},
		"18: insert under another prefix":      {under2, put(3, 9, 0), false},
		"removal under another prefix":         {under2, del(1, 1), false},
		"predicate removal under the prefix":   {under2, msgs.DeleteRows{Selection: msgs.Selection{Table: table, Where: query.Eq("b", 2)}}, true},
		"predicate removal elsewhere":          {under2, msgs.DeleteRows{Selection: msgs.Selection{Table: table, Where: query.Eq("a", 1)}}, false},
		"Included bounds, insert":              {closed, put(2, 9, 0), true},
		"Included bounds, above":               {closed, put(3, 0, 0), false},
		"Excluded bounds, inside":              {inner, put(2, 9, 0), true},
		"Excluded bounds, at the lower":        {inner, put(1, 9, 0), false},
		"Excluded bounds, at the upper":        {inner, put(3, -9, 0), false},
		"whole keys, inside":                   {exact, put(2, 3, 0), true},
		"whole keys, at the excluded end":      {exact, put(2, 4, 0), false},
		"a bound within a prefix, inside":      {within, put(2, 8, 0), true},
		"a bound within a prefix, before":      {within, del(2, 1), false},
		"a bound beyond a prefix ends with it": {within, put(3, 0, 0), false},
		"an empty range":                       {empty, put(2, 9, 0), false},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			e.must(set("a"), set("b"), set("c"), put(1, 1, 0), put(1, 2, 0), put(2, 1, 0), put(2, 2, 0), put(3, 1, 0))
			for i := range tc.read.KeyRanges {
				tc.read.KeyRanges[i].Version = e.w.Seq()
			}
			for i := range tc.read.RowRanges {
				tc.read.RowRanges[i].Version = e.w.Seq()
			}
			env := msgs.Envelope{ReadSet: tc.read, Mutations: []msgs.Mutation{set("done")}}
			require.NoError(t, e.commit(env))
			e.must(tc.meanwhile)
			if err := e.commit(env); tc.conflict {
				require.ErrorIs(t, err, errs.ErrConflict)
				require.ErrorContains(t, err, "range read set conflict")
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestPointReadsSeeEveryKindOfRemoval(t *testing.T) {
	for name, removal := range map[string]msgs.Mutation{
		"DeleteRow":  del(2, 1),
		"DeleteRows": msgs.DeleteRows{Selection: msgs.Selection{Table: table, Where: query.Eq("b", 1)}},
		"Guarded":    msgs.Guarded{If: []msgs.Assertion{msgs.RowExists{Table: table, Key: pair(2, 1), Expected: true}}, Do: del(2, 1)},
	} {
		e := newEngine(t)
		e.must(put(2, 1, 0))
		env := msgs.Envelope{Mutations: []msgs.Mutation{set("done")}, ReadSet: msgs.ReadSet{
			Rows: []msgs.RowRead{{Table: table, Key: pair(2, 1), Version: e.w.Seq()}},
		}}
		require.NoError(t, e.commit(env), name)
		e.must(removal)
		require.ErrorIs(t, e.commit(env), errs.ErrConflict, name)
	}
}
