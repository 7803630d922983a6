package executor

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

func from(where query.Expr) msgs.Selection { return msgs.Selection{Table: users, Where: where} }

func assign(column string, to query.Term) []query.Assignment {
	return []query.Assignment{query.Assign(column, to)}
}

// populated has the users 1 to 6, aged 10, 20, 30, Null, 50, 60.
func populated(t testing.TB) *store {
	s := newStore(t)
	for id := int64(1); id <= 6; id++ {
		age := 10 * id
		if id == 4 {
			age = -1
		}
		s.must(insert(user(id, fmt.Sprintf("u%d", id), age)))
	}
	return s
}

func (s *store) ids() (ids []int64) {
	for id := int64(0); id < 10; id++ {
		if s.row(id) != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestDeleteWhereRemovesTheFirstMatchesInKeyOrder(t *testing.T) {
	limited := func(s msgs.Selection, n int) msgs.Selection { s.Limit = n; return s }
	backward := func(s msgs.Selection) msgs.Selection { s.Backward = true; return s }
	by := func(s msgs.Selection, index string) msgs.Selection { s.Index = index; return s }
	for name, tc := range map[string]struct {
		s    msgs.Selection
		left []int64
	}{
		"all":                              {from(query.Expr{}), nil},
		"none":                             {from(query.Eq("id", 9)), []int64{1, 2, 3, 4, 5, 6}},
		"an empty domain":                  {from(query.And(query.Eq("id", 1), query.Eq("id", 2))), []int64{1, 2, 3, 4, 5, 6}},
		"by key":                           {from(query.Eq("id", 2)), []int64{1, 3, 4, 5, 6}},
		"by keys":                          {from(query.In("id", 6, 2, 9)), []int64{1, 3, 4, 5}},
		"43: a band of keys":               {from(query.And(query.Gt("id", 1), query.Lte("id", 3))), []int64{1, 4, 5, 6}},
		"an open end":                      {from(query.Gte("id", 3)), []int64{1, 2}},
		"by an index":                      {from(query.Gt("age", 20)), []int64{1, 2, 4}},
		"Null is not compared":             {from(query.Lt("age", 100)), []int64{4}},
		"by Null":                          {from(query.IsNull("age")), []int64{1, 2, 3, 5, 6}},
		"neither key nor index":            {from(query.Eq("score", 7)), nil},
		"limit":                            {limited(from(query.Expr{}), 2), []int64{3, 4, 5, 6}},
		"limit counts matches":             {limited(from(query.Like("name", "%2")), 2), []int64{1, 3, 4, 5, 6}},
		"limit, found by an index":         {limited(from(query.Gt("age", 10)), 2), []int64{1, 4, 5, 6}},
		"highest keys first":               {backward(limited(from(query.Expr{}), 2)), []int64{1, 2, 3, 4}},
		"highest of a band first":          {backward(limited(from(query.Lt("id", 4)), 2)), []int64{1, 4, 5, 6}},
		"highest, found by an index":       {backward(limited(from(query.Gt("age", 10)), 2)), []int64{1, 2, 3, 4}},
		"in the order of an index":         {by(limited(from(query.Expr{}), 2), "by_age"), []int64{2, 3, 5, 6}},
		"in its order, backward":           {backward(by(limited(from(query.Expr{}), 2), "by_age")), []int64{1, 2, 3, 4}},
		"in its order, with a condition":   {by(limited(from(query.Lte("age", 30)), 1), "by_age"), []int64{2, 3, 4, 5, 6}},
		"in the order of a unique index":   {by(limited(from(query.Eq("score", 7)), 1), "by_name"), []int64{2, 3, 4, 5, 6}},
		"several ranges of an index, back": {backward(by(limited(from(query.In("age", 10, 30, 60)), 2), "by_age")), []int64{1, 2, 4, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			s := populated(t)
			replies := s.replies(msgs.DeleteRows{Selection: tc.s})
			require.Equal(t, tc.left, s.ids())
			require.Equal(t, 6-len(tc.left), replies[0].Affected)
		})
	}
}

// A selection by any path is what a filter over the whole table gives.
func TestSelectionsChooseWhatAFilterOfAllRowsChooses(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newStore(t)
		s.x.Limits.MaxBatchRows = 100
		var rows []value.Row
		n := rapid.IntRange(0, 12).Draw(rt, "rows")
		for id := range n {
			rows = append(rows, user(int64(id), fmt.Sprintf("n%d", (id*7)%13), int64(rapid.IntRange(-1, 4).Draw(rt, "age"))))
		}
		if n > 0 {
			s.must(insert(rows...))
		}
		test := func() query.Expr {
			v := rapid.IntRange(0, 6).Draw(rt, "v")
			column := rapid.SampledFrom([]string{"id", "age"}).Draw(rt, "column")
			switch rapid.IntRange(0, 6).Draw(rt, "op") {
			case 0:
				return query.Eq(column, v)
			case 1:
				return query.Ne(column, v)
			case 2:
				return query.Lt(column, v)
			case 3:
				return query.Gte(column, v)
			case 4:
				return query.In(column, v, v+2)
			case 5:
				return query.IsNull(column)
			}
			return query.Not(query.Between(column, v, v+1))
		}
		where := query.And(test(), query.Or(test(), test()))
		sel := from(where)
		sel.Backward = rapid.Bool().Draw(rt, "backward")
		sel.Limit = rapid.IntRange(0, 3).Draw(rt, "limit")
		sel.Index = rapid.SampledFrom([]string{"", "", "by_age", "by_name"}).Draw(rt, "index")

		table, err := s.w.Catalog().Table("p", "app", "users")
		require.NoError(rt, err)
		predicate, err := query.Bind(where, layout{table})
		require.NoError(rt, err)
		var want []value.Row
		for _, row := range rows {
			if predicate.Eval(func(p int) value.Value { return row[p] }) == query.True {
				want = append(want, row)
			}
		}
		slices.SortFunc(want, func(a, b value.Row) int {
			columns := map[string][]int{"": {0}, "by_age": {2, 1}, "by_name": {1}}[sel.Index]
			for _, p := range columns {
				if c := value.Compare(a[p], b[p]); c != 0 {
					return c
				}
			}
			return 0
		})
		if sel.Backward {
			slices.Reverse(want)
		}
		if sel.Limit > 0 && len(want) > sel.Limit {
			want = want[:sel.Limit]
		}
		got := s.replies(msgs.DeleteRows{Selection: sel, Return: true})[0]
		require.Equal(rt, len(want), got.Affected)
		for i := range want {
			require.Equal(rt, want[i], got.Rows[i].Before)
			require.Nil(rt, got.Rows[i].After)
		}
	})
}

func TestFact44UpdatesByExpression(t *testing.T) {
	s := populated(t)
	fill := msgs.UpdateRows{Selection: from(query.Expr{}), Set: assign("age", query.Coalesce(query.Col("age"), query.Lit(40)))}
	s.must(fill)
	require.Equal(t, value.Int(40), s.row(4)[2])
	require.Equal(t, value.Int(50), s.row(5)[2])
	s.must(msgs.UpdateRows{Selection: from(query.Gte("age", 50)), Set: assign("age", query.Add(query.Col("age"), query.Lit(1)))})
	require.Equal(t, value.Int(51), s.row(5)[2])
	before := s.w.Freeze().Digest()
	rows := s.replies(fill)[0].Affected
	require.Equal(t, 6, rows, "a second Coalesce chooses the rows, and changes no value")
	require.Equal(t, value.Int(40), s.row(4)[2])
	require.NotEqual(t, before, s.w.Freeze().Digest(), "their versions move")

	s.must(msgs.UpdateRows{Selection: from(query.Eq("id", 1)), Set: []query.Assignment{
		query.Assign("age", query.Col("score")), query.Assign("score", query.Col("age")),
	}})
	require.Equal(t, value.Row{value.Int(1), value.Text("u1"), value.Int(7), value.Null(), value.Int(10)}, s.row(1), "terms see the row as it was")

	s.must(msgs.UpdateRows{Selection: from(query.Eq("id", 1)), Set: assign("age", query.Term{})})
	s.must(msgs.UpdateRows{Selection: from(query.Eq("id", 1)), Set: assign("age", query.Sub(query.Col("age"), query.Lit(1)))})
	require.True(t, s.row(1)[2].IsNull(), "arithmetic on Null is Null")
	s.fails(errs.CodeNotNullViolation, msgs.UpdateRows{Selection: from(query.Eq("id", 1)), Set: assign("score", query.Col("age"))})
	s.fails(errs.CodeOverflow, msgs.UpdateRows{Selection: from(query.Eq("id", 2)), Set: assign("age", query.Add(query.Col("age"), query.Lit(1<<62+(1<<62-1))))})
	s.fails(errs.CodeLimitExceeded, msgs.UpdateRows{Selection: from(query.Expr{}), Set: assign("bio", query.Lit(strings.Repeat("x", 30<<10+1)))})
	s.fails(errs.CodeValidation, msgs.UpdateRows{Selection: from(query.Expr{}), Set: assign("age", query.Proposed("age"))})
}

func TestUniqueValuesMayMoveAmongUpdatedRows(t *testing.T) {
	s := newStore(t)
	s.must(define(catalog.CreateTable{
		Project: "p", Scope: "app", Table: "line", PrimaryKey: []string{"id"},
		Columns: []catalog.ColumnSpec{{Name: "id", Kind: value.KindInteger}, {Name: "place", Kind: value.KindInteger}},
		Indexes: []catalog.IndexSpec{{Name: "by_place", Columns: []string{"place"}, Unique: true}},
	}))
	line := msgs.TableName{Project: "p", Scope: "app", Table: "line"}
	s.must(msgs.WriteRows{Table: line, Rows: []value.Row{
		{value.Int(1), value.Int(1)}, {value.Int(2), value.Int(2)}, {value.Int(3), value.Int(3)},
	}})
	step := msgs.UpdateRows{Selection: msgs.Selection{Table: line}, Set: assign("place", query.Add(query.Col("place"), query.Lit(1)))}
	s.must(step)
	s.fails(errs.CodeUniqueViolation, msgs.UpdateRows{Selection: msgs.Selection{Table: line}, Set: assign("place", query.Lit(9))})
	s.fails(errs.CodeUniqueViolation, msgs.UpdateRows{
		Selection: msgs.Selection{Table: line, Where: query.Eq("id", 1)}, Set: assign("place", query.Lit(3)),
	})
}

func TestFact45MutateWhereReturningTellsBeforeAndAfter(t *testing.T) {
	s := populated(t)
	claim := msgs.UpdateRows{Selection: from(query.And(query.IsNull("bio"), query.IsNotNull("age"))), Set: assign("bio", query.Lit("mine")), Return: true}
	claim.Limit, claim.Index, claim.Backward = 1, "by_age", true
	after := user(6, "u6", 60)
	after[3] = value.Text("mine")
	replies := s.replies(set("k", "v"), claim)
	require.Equal(t, []msgs.Reply{{
		Mutation: 1, Affected: 1, Rows: []msgs.RowChange{{Before: user(6, "u6", 60), After: after}},
	}}, replies)
	for _, id := range []int64{5, 3, 2, 1} {
		require.Equal(t, value.Int(id), s.replies(claim)[0].Rows[0].Before[0], "the next claim gets the next row")
	}
	require.Equal(t, []msgs.Reply{{}}, s.replies(claim), "nothing is left")
}

func TestFact34DeletesTellHowManyThereWere(t *testing.T) {
	s := populated(t)
	s.must(set("k", "v"))
	require.Equal(t, []msgs.Reply{
		{Mutation: 0, Affected: 1}, {Mutation: 1}, {Mutation: 2, Affected: 1}, {Mutation: 3},
	}, s.replies(remove(1), remove(1), unset("k"), unset("k")))
}

func TestSelectionsAreBounded(t *testing.T) {
	s := populated(t)
	all, one := msgs.DeleteRows{Selection: from(query.Expr{})}, msgs.DeleteRows{Selection: from(query.Expr{})}
	one.Limit = 1
	s.x.Limits.MaxScanRows = 3
	err := s.do(all)
	require.ErrorIs(t, err, errs.ErrLimitExceeded)
	require.ErrorContains(t, err, "max_scan_rows")
	s.fails(errs.CodeLimitExceeded, msgs.DeleteRows{Selection: from(query.Eq("score", 0))}) // counted before the filter
	s.must(one)
	s.must(msgs.DeleteRows{Selection: from(query.Gt("id", 4))})
	s.x.Limits.MaxReadBytes = 20
	err = s.do(all)
	require.ErrorContains(t, err, "max_read_bytes_per_envelope")
	s.fails(errs.CodeLimitExceeded, one, one) // of the envelope together
}

func TestMalformedSelectionsAreRefused(t *testing.T) {
	s := populated(t)
	set := assign("age", query.Lit(1))
	negative, index := from(query.Expr{}), from(query.Expr{})
	negative.Limit, index.Index = -1, "no"
	system := msgs.TableName{Project: catalog.SystemProject, Scope: catalog.DefaultScope, Table: catalog.EventOutbox}
	s.must(msgs.EmitEvent{Scope: app, Topic: "t", Key: "k", PayloadJSON: "1"})
	for name, tc := range map[string]struct {
		s    msgs.Selection
		set  []query.Assignment
		code errs.Code
	}{
		"no table":         {msgs.Selection{Table: msgs.TableName{Project: "p", Scope: "app", Table: "no"}}, set, errs.CodeTableNotFound},
		"47: managed":      {msgs.Selection{Table: system}, set, errs.CodeValidation},
		"negative limit":   {negative, set, errs.CodeValidation},
		"no such index":    {index, set, errs.CodeIndexNotFound},
		"no such column":   {from(query.Eq("no", 1)), set, errs.CodeColumnNotFound},
		"mistyped literal": {from(query.Eq("age", "x")), set, errs.CodeTypeMismatch},
		"no assignment":    {from(query.Expr{}), nil, errs.CodeValidation},
		"key column":       {from(query.Expr{}), assign("id", query.Lit(1)), errs.CodeValidation},
	} {
		err := s.do(msgs.UpdateRows{Selection: tc.s, Set: tc.set})
		require.Equal(t, tc.code, errs.CodeOf(err), "%s: %v", name, err)
		if name != "no assignment" && name != "key column" {
			err = s.do(msgs.DeleteRows{Selection: tc.s})
			require.Equal(t, tc.code, errs.CodeOf(err), "%s: %v", name, err)
		}
	}
}
