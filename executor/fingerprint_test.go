package executor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// requests returns envelopes that all ask something different: for each part of a
// request one that stands for it, followed by the same with one field changed.
func requests() (envs []msgs.Envelope) {
	scope, scope2, scope3 := msgs.ScopeName{Project: "p", Scope: "s"}, msgs.ScopeName{Project: "ps", Scope: ""}, msgs.ScopeName{Project: "p", Scope: "t"}
	table := msgs.TableName{Project: "p", Scope: "s", Table: "t"}
	table2, table3, table4 := msgs.TableName{Project: "ps", Table: "t"}, msgs.TableName{Project: "p", Scope: "st"}, msgs.TableName{Project: "p", Scope: "s", Table: "u"}
	k, l := []byte("k"), []byte("l")
	ints := func(ns ...int64) (vs []value.Value) {
		for _, n := range ns {
			vs = append(vs, value.Int(n))
		}
		return vs
	}
	one, two := value.Int(1), value.Int(2)
	mutations := []msgs.Mutation{
		msgs.WriteRows{Table: table, Rows: []value.Row{ints(1, 2)}},
		msgs.WriteRows{Table: table2, Rows: []value.Row{ints(1, 2)}},
		msgs.WriteRows{Table: table3, Rows: []value.Row{ints(1, 2)}},
		msgs.WriteRows{Table: table4, Rows: []value.Row{ints(1, 2)}},
		msgs.WriteRows{Table: table, Mode: msgs.WriteUpsert, Rows: []value.Row{ints(1, 2)}},
		msgs.WriteRows{Table: table, Columns: []string{"ab"}, Rows: []value.Row{ints(1, 2)}},
		msgs.WriteRows{Table: table, Columns: []string{"a", "b"}, Rows: []value.Row{ints(1, 2)}},
		msgs.WriteRows{Table: table, Columns: []string{}, Rows: []value.Row{ints(1, 2)}},
		msgs.WriteRows{Table: table, Rows: []value.Row{ints(1), ints(2)}},
		msgs.WriteRows{Table: table, Rows: []value.Row{ints(1, 3)}},
		msgs.WriteRows{Table: table, Rows: []value.Row{{value.Int(1), value.U64(2)}}},
		msgs.WriteRows{Table: table, Rows: []value.Row{{value.Int(1), value.Null()}}},
		msgs.WriteRows{Table: table},

		msgs.UpdateFields{Table: table, Key: ints(1), Fields: []msgs.Field{{Column: "a", Value: one}}},
		msgs.UpdateFields{Table: table4, Key: ints(1), Fields: []msgs.Field{{Column: "a", Value: one}}},
		msgs.UpdateFields{Table: table, Key: ints(2), Fields: []msgs.Field{{Column: "a", Value: one}}},
		msgs.UpdateFields{Table: table, Key: ints(1), Fields: []msgs.Field{{Column: "b", Value: one}}},
		msgs.UpdateFields{Table: table, Key: ints(1), Fields: []msgs.Field{{Column: "a", Value: two}}},
		msgs.UpdateFields{Table: table, Key: ints(1), Fields: []msgs.Field{{Column: "a", Value: one}, {Column: "b", Value: one}}},

		msgs.DeleteRow{Table: table, Key: ints(1)},
		msgs.DeleteRow{Table: table4, Key: ints(1)},
		msgs.DeleteRow{Table: table, Key: ints(2)},

		msgs.KvSet{Scope: scope, Key: k, Value: l},
		msgs.KvSet{Scope: scope2, Key: k, Value: l},
		msgs.KvSet{Scope: scope3, Key: k, Value: l},
		msgs.KvSet{Scope: scope, Key: l, Value: l},
		msgs.KvSet{Scope: scope, Key: k, Value: k},
		msgs.KvSet{Scope: scope, Key: []byte("kl")},
		msgs.KvSetMany{Scope: scope}, msgs.KvSetMany{Scope: scope3},
		msgs.KvSetMany{Scope: scope, Pairs: []msgs.KvPair{{Key: k}}}, msgs.KvSetMany{Scope: scope, Pairs: []msgs.KvPair{{Value: k}}},
		msgs.KvSetMany{Scope: scope, Pairs: []msgs.KvPair{{Key: k}, {}}}, msgs.KvSetMany{Scope: scope, Pairs: []msgs.KvPair{{}, {Key: k}}},
		msgs.KvDel{Scope: scope, Key: k},
		msgs.KvDel{Scope: scope3, Key: k},
		msgs.KvDel{Scope: scope, Key: l},

		msgs.KvArithmetic{Scope: scope, Key: k, Width: msgs.Width64, Amount: number(1)},
		msgs.KvArithmetic{Scope: scope3, Key: k, Width: msgs.Width64, Amount: number(1)},
		msgs.KvArithmetic{Scope: scope, Key: l, Width: msgs.Width64, Amount: number(1)},
		msgs.KvArithmetic{Scope: scope, Key: k, Op: msgs.ArithmeticSub, Width: msgs.Width64, Amount: number(1)},
		msgs.KvArithmetic{Scope: scope, Key: k, Width: msgs.Width256, Amount: number(1)},
		msgs.KvArithmetic{Scope: scope, Key: k, Width: msgs.Width64, Amount: number(256)},
		msgs.KvArithmetic{Scope: scope, Key: k, Width: msgs.Width64, Amount: number(1), OnMissing: msgs.MissingReject},
		msgs.KvArithmetic{Scope: scope, Key: k, Width: msgs.Width64, Amount: number(1), OnLimit: msgs.LimitSaturate},
		msgs.KvArithmetic{Scope: scope, Key: k, Width: msgs.Width64, Amount: number(1), OnLimit: msgs.LimitNoOp},

		msgs.EmitEvent{Scope: scope, Topic: "t", Key: "k", PayloadJSON: "1"},
		msgs.EmitEvent{Scope: scope3, Topic: "t", Key: "k", PayloadJSON: "1"},
		msgs.EmitEvent{Scope: scope, Topic: "tk", Key: "", PayloadJSON: "1"},
		msgs.EmitEvent{Scope: scope, Topic: "u", Key: "k", PayloadJSON: "1"},
		msgs.EmitEvent{Scope: scope, Topic: "t", Key: "l", PayloadJSON: "1"},
		msgs.EmitEvent{Scope: scope, Topic: "t", Key: "k", PayloadJSON: "2"},
	}
	statements := []catalog.Statement{catalog.CreateSystem{}}
	for _, name := range []string{"p", "q"} {
		for _, flag := range []bool{false, true} {
			statements = append(statements,
				catalog.CreateProject{Project: name, MustBeNew: flag}, catalog.DropProject{Project: name, MustExist: flag},
				catalog.CreateScope{Project: name, Scope: "s", MustBeNew: flag}, catalog.CreateScope{Project: "x", Scope: name, MustBeNew: flag},
				catalog.DropScope{Project: name, Scope: "s", MustExist: flag}, catalog.DropScope{Project: "x", Scope: name, MustExist: flag},
				catalog.DropTable{Project: name, Scope: "s", Table: "t", MustExist: flag}, catalog.DropTable{Project: "x", Scope: name, Table: "t", MustExist: flag},
				catalog.DropTable{Project: "x", Scope: "s", Table: name, MustExist: flag},
				catalog.DropIndex{Project: name, Scope: "s", Table: "t", Index: "i", MustExist: flag}, catalog.DropIndex{Project: "x", Scope: name, Table: "t", Index: "i", MustExist: flag},
				catalog.DropIndex{Project: "x", Scope: "s", Table: name, Index: "i", MustExist: flag}, catalog.DropIndex{Project: "x", Scope: "s", Table: "t", Index: name, MustExist: flag},
			)
		}
	}
	mutations = append(mutations, writes(table, table4, scope, scope3)...)
	columns := []catalog.ColumnSpec{{Name: "id", Kind: value.KindInteger}}
	index := catalog.IndexSpec{Name: "i", Columns: []string{"id"}}
	for _, change := range []func(*catalog.CreateTable){
		func(*catalog.CreateTable) {},
		func(s *catalog.CreateTable) { s.Project = "x" },
		func(s *catalog.CreateTable) { s.Scope = "x" },
		func(s *catalog.CreateTable) { s.Table = "x" },
		func(s *catalog.CreateTable) { s.IfNotExists = true },
		func(s *catalog.CreateTable) { s.PrimaryKey = []string{"x"} },
		func(s *catalog.CreateTable) { s.Columns[0].Name = "x" },
		func(s *catalog.CreateTable) { s.Columns[0].Kind = value.KindU64 },
		func(s *catalog.CreateTable) { s.Columns[0].Nullable = true },
		func(s *catalog.CreateTable) { s.Columns[0].Default = &one },
		func(s *catalog.CreateTable) { s.Columns[0].Default = &two },
		func(s *catalog.CreateTable) { s.Columns = append(s.Columns, s.Columns[0]) },
		func(s *catalog.CreateTable) { s.Indexes = nil },
		func(s *catalog.CreateTable) { s.Indexes[0].Name = "x" },
		func(s *catalog.CreateTable) { s.Indexes[0].Unique = true },
		func(s *catalog.CreateTable) { s.Indexes[0].Columns = []string{"x"} },
	} {
		s := catalog.Clone(catalog.CreateTable{
			Project: "p", Scope: "s", Table: "t", Columns: columns, PrimaryKey: []string{"id"}, Indexes: []catalog.IndexSpec{index},
		}).(catalog.CreateTable)
		change(&s)
		statements = append(statements, s)
	}
	for _, s := range []catalog.CreateIndex{
		{Project: "p", Scope: "s", Table: "t", Index: index}, {Project: "x", Scope: "s", Table: "t", Index: index},
		{Project: "p", Scope: "x", Table: "t", Index: index}, {Project: "p", Scope: "s", Table: "x", Index: index},
		{Project: "p", Scope: "s", Table: "t", Index: index, IfNotExists: true},
		{Project: "p", Scope: "s", Table: "t", Index: catalog.IndexSpec{Name: "i", Columns: []string{"x"}}},
	} {
		statements = append(statements, s)
	}
	for _, s := range statements {
		mutations = append(mutations, msgs.Define{Statement: s})
	}
	assertions := []msgs.Assertion{
		msgs.KeyEquals{Scope: scope, Key: k, Expected: l}, msgs.KeyEquals{Scope: scope3, Key: k, Expected: l},
		msgs.KeyEquals{Scope: scope, Key: l, Expected: l}, msgs.KeyEquals{Scope: scope, Key: k, Expected: k},
		msgs.KeyExists{Scope: scope, Key: k}, msgs.KeyExists{Scope: scope3, Key: k},
		msgs.KeyExists{Scope: scope, Key: l}, msgs.KeyExists{Scope: scope, Key: k, Expected: true},
		msgs.KeyVersion{Scope: scope, Key: k}, msgs.KeyVersion{Scope: scope3, Key: k},
		msgs.KeyVersion{Scope: scope, Key: l}, msgs.KeyVersion{Scope: scope, Key: k, Seq: 1},
		msgs.RowExists{Table: table, Key: ints(1)}, msgs.RowExists{Table: table4, Key: ints(1)},
		msgs.RowExists{Table: table, Key: ints(2)}, msgs.RowExists{Table: table, Key: ints(1), Expected: true},
		msgs.RowVersion{Table: table, Key: ints(1)}, msgs.RowVersion{Table: table4, Key: ints(1)},
		msgs.RowVersion{Table: table, Key: ints(2)}, msgs.RowVersion{Table: table, Key: ints(1), Seq: 1},
		msgs.RowColumnCompare{Table: table, Key: ints(1), Column: "c", Threshold: one},
		msgs.RowColumnCompare{Table: table4, Key: ints(1), Column: "c", Threshold: one},
		msgs.RowColumnCompare{Table: table, Key: ints(2), Column: "c", Threshold: one},
		msgs.RowColumnCompare{Table: table, Key: ints(1), Column: "d", Threshold: one},
		msgs.RowColumnCompare{Table: table, Key: ints(1), Column: "c", Op: msgs.Gt, Threshold: one},
		msgs.RowColumnCompare{Table: table, Key: ints(1), Column: "c", Threshold: two},
	}
	where := query.Eq("c", 1)
	assertions = append(assertions,
		msgs.KeyCompare{Scope: scope, Key: k, Threshold: k}, msgs.KeyCompare{Scope: scope3, Key: k, Threshold: k},
		msgs.KeyCompare{Scope: scope, Key: l, Threshold: k}, msgs.KeyCompare{Scope: scope, Key: k, Threshold: l},
		msgs.KeyCompare{Scope: scope, Key: k, Op: msgs.Gt, Threshold: k}, msgs.KeyCompare{Scope: scope, Key: k, Form: msgs.FormSigned, Threshold: k},
		msgs.CountCompare{Table: table}, msgs.CountCompare{Table: table4}, msgs.CountCompare{Table: table, Where: where},
		msgs.CountCompare{Table: table, Op: msgs.Gt}, msgs.CountCompare{Table: table, Threshold: 1},
		msgs.SumCompare{Table: table, Column: "c", Threshold: one}, msgs.SumCompare{Table: table4, Column: "c", Threshold: one},
		msgs.SumCompare{Table: table, Column: "d", Threshold: one}, msgs.SumCompare{Table: table, Column: "c", Threshold: two},
		msgs.SumCompare{Table: table, Column: "c", Where: where, Threshold: one}, msgs.SumCompare{Table: table, Column: "c", Op: msgs.Gt, Threshold: one},
	)
	a, b := assertions[0], assertions[1]
	assertions = append(assertions,
		msgs.All{a}, msgs.Any{a}, msgs.Not{Inner: a}, msgs.Not{Inner: b},
		msgs.All{a, b}, msgs.All{b, a}, msgs.All{msgs.All{a}, b}, msgs.All{msgs.All{a, b}}, msgs.Any{a, b},
	)
	for _, m := range mutations {
		envs = append(envs, msgs.Envelope{Mutations: []msgs.Mutation{m}})
	}
	for _, m := range mutations {
		envs = append(envs, msgs.Envelope{Mutations: []msgs.Mutation{msgs.Guarded{Do: m}}})
	}
	m, n := mutations[0], mutations[1]
	for _, a := range assertions {
		check := msgs.PostflightCheck{Assertions: []msgs.Assertion{a}}
		envs = append(envs,
			msgs.Envelope{Mutations: []msgs.Mutation{m}, Assertions: []msgs.Assertion{a}},
			msgs.Envelope{Mutations: []msgs.Mutation{msgs.Guarded{If: []msgs.Assertion{a}, Do: m}}},
			msgs.Envelope{Mutations: []msgs.Mutation{m, check}}, msgs.Envelope{Mutations: []msgs.Mutation{check, m}},
		)
	}
	return append(envs,
		msgs.Envelope{},
		msgs.Envelope{Mutations: []msgs.Mutation{m}, WriteClass: msgs.Economic},
		msgs.Envelope{Mutations: []msgs.Mutation{m}, Assertions: []msgs.Assertion{a, b}},
		msgs.Envelope{Mutations: []msgs.Mutation{m}, Assertions: []msgs.Assertion{b, a}},
		msgs.Envelope{Mutations: []msgs.Mutation{m, n}}, msgs.Envelope{Mutations: []msgs.Mutation{n, m}},
		msgs.Envelope{Mutations: []msgs.Mutation{m, m}},
	)
}

// writes are the kinds of write that choose rows, or calculate, or both.
func writes(table, table4 msgs.TableName, scope, scope3 msgs.ScopeName) (out []msgs.Mutation) {
	k, l, one, two := []byte("k"), []byte("l"), value.Int(1), value.Int(2)
	row, where := []value.Row{{one}}, query.Eq("a", 1)
	terms := []query.Term{
		query.Lit(1), query.Lit(2), query.Lit(uint8(1)), query.Col("a"), query.Col("b"), query.Proposed("a"),
		query.Add(query.Col("a"), query.Lit(1)), query.Add(query.Lit(1), query.Col("a")), query.Sub(query.Col("a"), query.Lit(1)),
		query.Coalesce(query.Col("a"), query.Lit(1)), query.Coalesce(query.Col("a"), query.Add(query.Lit(1), query.Lit(2))), {},
	}
	sets := [][]query.Assignment{nil, {query.Assign("b", terms[0])}, {query.Assign("a", terms[0]), query.Assign("b", terms[0])}}
	for _, to := range terms {
		sets = append(sets, []query.Assignment{query.Assign("a", to)})
	}
	for _, set := range sets {
		out = append(out,
			msgs.WriteRows{Table: table, Rows: row, OnConflict: &msgs.OnConflict{Set: set}},
			msgs.UpdateRows{Selection: msgs.Selection{Table: table}, Set: set},
			msgs.UpdateRows{Selection: msgs.Selection{Table: table}, Set: set, Return: true},
		)
	}
	for _, c := range []msgs.OnConflict{
		{Action: msgs.ConflictMerge}, {Action: msgs.ConflictUpdate}, {Index: "i"}, {Index: "j"}, {Where: where},
		{Columns: []string{}}, {Columns: []string{"a"}}, {Columns: []string{"a", "b"}},
	} {
		out = append(out, msgs.WriteRows{Table: table, Rows: row, OnConflict: &c})
	}
	for _, s := range []msgs.Selection{
		{Table: table}, {Table: table4}, {Table: table, Where: where}, {Table: table, Where: query.Ne("a", 1)},
		{Table: table, Index: "i"}, {Table: table, Backward: true}, {Table: table, Limit: 1},
	} {
		out = append(out, msgs.DeleteRows{Selection: s}, msgs.DeleteRows{Selection: s, Return: true})
	}
	least, greatest := int64(1), int64(2)
	return append(out,
		msgs.CellArithmetic{Table: table, Key: []value.Value{one}, Column: "a", Amount: one},
		msgs.CellArithmetic{Table: table4, Key: []value.Value{one}, Column: "a", Amount: one},
		msgs.CellArithmetic{Table: table, Key: []value.Value{two}, Column: "a", Amount: one},
		msgs.CellArithmetic{Table: table, Key: []value.Value{one}, Column: "b", Amount: one},
		msgs.CellArithmetic{Table: table, Key: []value.Value{one}, Column: "a", Amount: two},
		msgs.CellArithmetic{Table: table, Key: []value.Value{one}, Column: "a", Amount: one, Op: msgs.ArithmeticMax},
		msgs.CellArithmetic{Table: table, Key: []value.Value{one}, Column: "a", Amount: one, OnLimit: msgs.LimitSaturate},
		msgs.KvAddSigned{Scope: scope, Key: k}, msgs.KvAddSigned{Scope: scope3, Key: k}, msgs.KvAddSigned{Scope: scope, Key: l},
		msgs.KvAddSigned{Scope: scope, Key: k, Delta: -1}, msgs.KvAddSigned{Scope: scope, Key: k, OnMissing: msgs.MissingReject},
		msgs.KvAddSigned{Scope: scope, Key: k, Least: &least}, msgs.KvAddSigned{Scope: scope, Key: k, Least: &greatest},
		msgs.KvAddSigned{Scope: scope, Key: k, Greatest: &least}, msgs.KvAddSigned{Scope: scope, Key: k, Least: &least, Greatest: &greatest},
		msgs.CounterAdd{Scope: scope, Key: k}, msgs.CounterAdd{Scope: scope3, Key: k}, msgs.CounterAdd{Scope: scope, Key: l},
		msgs.CounterAdd{Scope: scope, Key: k, Amount: 1}, msgs.CounterAdd{Scope: scope, Key: k, Shards: 1}, msgs.CounterAdd{Scope: scope, Key: k, Hint: 1},
	)
}

func TestFingerprintsOfDifferentRequestsDiffer(t *testing.T) {
	seen := map[[32]byte]msgs.Envelope{}
	for _, env := range requests() {
		f, err := Fingerprint(&env)
		require.NoError(t, err)
		other, twice := seen[f]
		require.False(t, twice, "%#v\nand\n%#v", env, other)
		seen[f] = env
	}
}

func TestFingerprintOfARebuiltRequestIsTheSame(t *testing.T) {
	again := requests()
	for i, env := range requests() {
		env.BaseSeq, env.IdempotencyKey = 77, &msgs.IdempotencyKey{1}
		env.ReadSet.Keys = []msgs.KeyRead{{Key: []byte("k"), Version: 9}}
		want, err := Fingerprint(&again[i])
		require.NoError(t, err)
		got, err := Fingerprint(&env)
		require.NoError(t, err)
		require.Equal(t, want, got, "a newer snapshot makes no other request")
	}
}

// A fingerprint is taken before binding, so it meets whatever a caller can build.
func TestWhatIsNoRequestHasNoFingerprint(t *testing.T) {
	deep := msgs.Assertion(msgs.KeyExists{})
	for range 1 << 16 {
		deep = msgs.Not{Inner: deep}
	}
	nested := msgs.Mutation(msgs.KvDel{})
	for range 1 << 16 {
		nested = msgs.Guarded{Do: nested}
	}
	for name, tc := range map[string]struct {
		env  msgs.Envelope
		code errs.Code
	}{
		"no mutation":          {msgs.Envelope{Mutations: []msgs.Mutation{nil}}, errs.CodeValidation},
		"guarded no mutation":  {msgs.Envelope{Mutations: []msgs.Mutation{msgs.Guarded{}}}, errs.CodeValidation},
		"no statement":         {msgs.Envelope{Mutations: []msgs.Mutation{msgs.Define{}}}, errs.CodeValidation},
		"no assertion":         {msgs.Envelope{Assertions: []msgs.Assertion{msgs.Not{}}}, errs.CodeValidation},
		"assertions too deep":  {msgs.Envelope{Assertions: []msgs.Assertion{deep}}, errs.CodeLimitExceeded},
		"mutations too deep":   {msgs.Envelope{Mutations: []msgs.Mutation{nested}}, errs.CodeLimitExceeded},
		"checked, but no list": {msgs.Envelope{Mutations: []msgs.Mutation{msgs.PostflightCheck{Assertions: []msgs.Assertion{nil}}}}, errs.CodeValidation},
	} {
		_, err := Fingerprint(&tc.env)
		require.Equal(t, tc.code, errs.CodeOf(err), name)
	}
}

// Conditions, terms and lists of assertions may share their parts: what fits into a
// page of memory can take for ever to walk through.
func TestWhatSharesItsPartsIsRefusedBeforeItIsWalkedThrough(t *testing.T) {
	where, term := query.Eq("age", 1), query.Col("score")
	var list msgs.Assertion = msgs.KeyExists{Scope: app, Key: []byte("k")}
	for i := range 30 {
		if i%2 == 0 {
			where = query.And(where, where)
		} else {
			where = query.Or(where, where)
		}
		term = query.Add(term, term)
	}
	for range 14 {
		list = msgs.All{list, list, list, list, list, list, list, list, list, list}
	}
	s := newStore(t)
	for name, env := range map[string]msgs.Envelope{
		"condition": {Mutations: []msgs.Mutation{msgs.DeleteRows{Selection: from(where)}}},
		"term":      {Mutations: []msgs.Mutation{msgs.UpdateRows{Selection: from(query.Expr{}), Set: []query.Assignment{query.Assign("score", term)}}}},
		"count":     {Assertions: []msgs.Assertion{msgs.CountCompare{Table: users, Where: where}}, Mutations: []msgs.Mutation{unset("k")}},
		"list":      {Assertions: []msgs.Assertion{list}, Mutations: []msgs.Mutation{unset("k")}},
		"check":     {Mutations: []msgs.Mutation{msgs.PostflightCheck{Assertions: []msgs.Assertion{list}}}},
	} {
		_, err := Fingerprint(&env)
		require.Error(t, err, name)
		_, err = s.x.Prepare(s.w.Catalog(), &env)
		require.Error(t, err, name)
	}
}
