package executor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/value"
)

func TestEnvelopesAreCheckedForTheirShape(t *testing.T) {
	s := newStore(t)
	s.fails(errs.CodeValidation)
	many := make([]msgs.Mutation, 51)
	for i := range many {
		many[i] = unset("k")
	}
	s.fails(errs.CodeLimitExceeded, many...)
	s.must(many[:50]...)
	s.fails(errs.CodeValidation, nil)
	s.fails(errs.CodeValidation, msgs.Define{})
	s.fails(errs.CodeValidation, &msgs.KvDel{Scope: app})
	require.ErrorIs(t, s.commit(msgs.Envelope{WriteClass: 9, Mutations: many[:1]}), errs.ErrValidation)
	require.NoError(t, s.commit(msgs.Envelope{WriteClass: msgs.Economic, Mutations: many[:1]}))
}

func TestEverythingInAnEnvelopeCountsForItsSize(t *testing.T) {
	s := newStore(t)
	big := make([]byte, 1<<10)
	size := func(env msgs.Envelope) int64 {
		if env.Mutations == nil {
			env.Mutations = []msgs.Mutation{unset("")}
		}
		r, err := s.x.Prepare(s.w.Catalog(), &env)
		require.NoError(t, err)
		return r.Size
	}
	least := size(msgs.Envelope{})
	equals := msgs.KeyEquals{Scope: app, Expected: big}
	for _, env := range []msgs.Envelope{
		{Mutations: []msgs.Mutation{msgs.KvSet{Scope: app, Value: big}}},
		{Mutations: []msgs.Mutation{update(1, msgs.Field{Column: "bio", Value: value.Text(string(big))})}},
		{Mutations: []msgs.Mutation{insert(value.Row{value.Int(1), value.Null(), value.Null(), value.Text(string(big)), value.Int(1)})}},
		{Mutations: []msgs.Mutation{msgs.PostflightCheck{Assertions: []msgs.Assertion{msgs.Not{Inner: equals}}}}},
		{Assertions: []msgs.Assertion{equals}},
		{Assertions: []msgs.Assertion{msgs.RowColumnCompare{Table: users, Key: key(1), Column: "bio", Threshold: value.Text(string(big))}}},
		{ReadSet: msgs.ReadSet{Keys: []msgs.KeyRead{{Scope: app, Key: big}}}},
		{ReadSet: msgs.ReadSet{KeyRanges: []msgs.KeyRangeRead{{Scope: app, Start: big}}}},
	} {
		require.GreaterOrEqual(t, size(env), least+int64(len(big)), "%#v", env)
	}
	s.x.Limits.MaxTransactionSize = 1 << 10
	s.fails(errs.CodeLimitExceeded, msgs.KvSet{Scope: app, Value: big})
}

func TestLaterMutationsSeeEarlierDefinitions(t *testing.T) {
	s := newStore(t)
	other := msgs.TableName{Project: "q", Scope: "app", Table: "t"}
	create := catalog.CreateTable{
		Project: "q", Scope: "app", Table: "t", PrimaryKey: []string{"id"},
		Columns: []catalog.ColumnSpec{{Name: "id", Kind: value.KindInteger}},
	}
	write := msgs.WriteRows{Table: other, Mode: msgs.WriteUpsert, Rows: []value.Row{{value.Int(1)}}}
	s.must(
		define(catalog.CreateProject{Project: "q"}), define(create), write,
		msgs.KvSet{Scope: msgs.ScopeName{Project: "q", Scope: "app"}, Key: []byte("k")},
	)
	s.must(define(catalog.DropTable{Project: "q", Scope: "app", Table: "t"}), define(create), write)
	s.fails(errs.CodeTableNotFound, write, define(catalog.DropTable{Project: "q", Scope: "app", Table: "t"}), write)
	s.fails(errs.CodeTableAlreadyExists, define(create))
	table, err := s.w.Catalog().Table("q", "app", "t")
	require.NoError(t, err)
	require.Equal(t, 1, s.w.Len(table.ID))
}

func TestDroppingATableDropsItsSpaces(t *testing.T) {
	s := newStore(t)
	s.must(insert(user(1, "a", 1)), set("k", "v"))
	s.must(define(catalog.DropProject{Project: "p"})) // invariant finds what is left over
	require.ErrorIs(t, s.do(set("k", "v")), errs.ErrProjectNotFound)
	for id := range s.w.Freeze().Spaces() {
		require.Equal(t, catalog.SpaceCatalog, id)
	}
}

func TestAssembleTakesOperationsAsTheyAreBound(t *testing.T) {
	s := newStore(t)
	mutations := []msgs.Mutation{set("a", "1"), insert(user(1, "a", 1)), remove(2)}
	var bound []msgs.Operation
	for _, m := range mutations {
		op, err := s.x.Bind(s.w.Catalog(), m)
		require.NoError(t, err)
		bound = append(bound, op)
	}
	r, err := s.x.Assemble(s.w.Catalog(), mutations, bound, msgs.Dependencies{})
	require.NoError(t, err)
	alone := r.Size
	require.NoError(t, s.run(r))
	require.Equal(t, user(1, "a", 1), s.row(1))

	reads := msgs.Dependencies{Points: []msgs.PointRead{{Key: []byte("key")}}}
	r, err = s.x.Assemble(s.w.Catalog(), mutations, bound, reads)
	require.NoError(t, err)
	require.Greater(t, r.Size, alone, "reads count too")
	s.x.Limits.MaxTransactionSize = int(alone)
	_, err = s.x.Assemble(s.w.Catalog(), mutations, bound, reads)
	require.ErrorIs(t, err, errs.ErrLimitExceeded)
}

func TestReadSetsAreBoundToSpaces(t *testing.T) {
	s := newStore(t)
	table, err := s.w.Catalog().Table("p", "app", "users")
	require.NoError(t, err)
	d, err := s.x.BindReads(s.w.Catalog(), &msgs.ReadSet{
		Keys:      []msgs.KeyRead{{Scope: app, Key: []byte("k"), Version: 1}},
		Rows:      []msgs.RowRead{{Table: users, Key: key(1), Version: 2}},
		KeyRanges: []msgs.KeyRangeRead{{Scope: app, Start: []byte("a"), Version: 3}, {Scope: app, End: []byte{}, Version: 4}},
		RowRanges: []msgs.RowRangeRead{{Table: users, Version: 5}, {Table: users, Prefix: key(1), Version: 6}},
	})
	require.NoError(t, err)
	require.Equal(t, []msgs.PointRead{
		{Space: table.ScopeID, Key: []byte("k"), Version: 1},
		{Space: table.ID, Key: value.AppendKeyRow(nil, key(1)...), Version: 2},
	}, d.Points)
	one := value.AppendKeyRow(nil, key(1)...)
	require.Equal(t, []msgs.RangeRead{
		{Space: table.ScopeID, Start: []byte("a"), Version: 3},
		{Space: table.ScopeID, End: []byte{}, Version: 4},
		{Space: table.ID, Version: 5},
		{Space: table.ID, Start: one, End: value.PrefixEnd(one), Version: 6},
	}, d.Ranges)
	no := msgs.TableName{Project: "p", Scope: "app", Table: "no"}
	for _, tc := range []struct {
		set  msgs.ReadSet
		code errs.Code
	}{
		{msgs.ReadSet{Keys: []msgs.KeyRead{{Scope: msgs.ScopeName{Project: "p", Scope: "no"}}}}, errs.CodeScopeNotFound},
		{msgs.ReadSet{KeyRanges: []msgs.KeyRangeRead{{Scope: msgs.ScopeName{Project: "no", Scope: "no"}}}}, errs.CodeProjectNotFound},
		{msgs.ReadSet{Rows: []msgs.RowRead{{Table: no, Key: key(1)}}}, errs.CodeTableNotFound},
		{msgs.ReadSet{Rows: []msgs.RowRead{{Table: users}}}, errs.CodeValidation},
		{msgs.ReadSet{RowRanges: []msgs.RowRangeRead{{Table: no}}}, errs.CodeTableNotFound},
		{msgs.ReadSet{RowRanges: []msgs.RowRangeRead{{Table: users, Prefix: []value.Value{value.Int(1), value.Int(2)}}}}, errs.CodeValidation},
		{msgs.ReadSet{RowRanges: []msgs.RowRangeRead{{Table: users, Prefix: []value.Value{value.Text("1")}}}}, errs.CodeTypeMismatch},
	} {
		_, err := s.x.BindReads(s.w.Catalog(), &tc.set)
		require.Equal(t, tc.code, errs.CodeOf(err), "%v", err)
	}
}
