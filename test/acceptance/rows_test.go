package acceptance

import (
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

// Fact 40.
func TestAKeyThatIsThereOrComesTwiceRefusesTheBatch(t *testing.T) {
	s := newStore(t)
	s.must(s.user("eu", 1, "ann"))
	for _, rows := range [][]aedb.Row{
		{user("eu", 2, "bob"), user("eu", 2, "eve")},
		{user("eu", 2, "bob"), user("eu", 1, "eve")},
	} {
		s.refused(aedb.ErrDuplicatePrimaryKey, s.app.InsertBatch("users", rows))
		row, _ := s.row("eu", 2)
		require.Nil(t, row)
	}
	s.refused(aedb.ErrNotNullViolation, s.app.Insert("users", aedb.Row{aedb.Text("eu"), aedb.Null(), aedb.Null(), aedb.Null()}))
}

// Fact 42.
func TestUpdateFieldsChangesTheColumnsItNames(t *testing.T) {
	s := newStore(t)
	s.must(s.user("eu", 1, "ann"), s.user("eu", 2, "bob"))
	rename := func(id int64, column string, v aedb.Value) aedb.Mutation {
		return s.app.UpdateFields("users", pk("eu", id), aedb.Set(column, v))
	}
	seq := s.must(rename(1, "name", aedb.Text("eve")))
	row, version := s.row("eu", 1)
	require.Equal(t, user("eu", 1, "eve"), row)
	require.Equal(t, seq, version)
	for name, want := range map[string]int{"ann": 0, "eve": 1} {
		page, err := s.app.Query(t.Context(), query.Select("id").From("users").Where(query.Eq("name", name)))
		require.NoError(t, err)
		require.Len(t, page.Rows, want, "the index has moved with it")
	}
	s.refused(aedb.ErrValidation, rename(1, "id", aedb.Int(9)))
	s.refused(aedb.ErrUnknownColumn, rename(1, "nickname", aedb.Text("x")))
	s.refused(aedb.ErrRowNotFound, rename(3, "name", aedb.Text("x")))
	s.refused(aedb.ErrTypeMismatch, rename(1, "name", aedb.Int(1)))
	s.refused(aedb.ErrUniqueViolation, rename(1, "name", aedb.Text("bob")))
	s.refused(aedb.ErrValidation, s.app.UpdateFields("users", pk("eu", 1)))
}

// Fact 43: no row outside the band is even looked at.
func TestUpdateWhereOfAPrefixTouchesItsBandOnly(t *testing.T) {
	s := newStore(t, func(c *aedb.Config) { c.Reads.MaxScanRows = 3 })
	for i := range int64(3) {
		s.must(s.app.Insert("users", aedb.Row{aedb.Text("eu"), aedb.Int(i), aedb.Null(), aedb.Null()}))
		s.must(s.app.Insert("users", aedb.Row{aedb.Text("us"), aedb.Int(i), aedb.Null(), aedb.Null()}))
	}
	before := s.head()
	coins := query.Assign("coins", query.Lit(aedb.U256(uint256.NewInt(7))))
	r, err := s.commit(s.app.UpdateWhere("users", query.Eq("region", "eu"), coins))
	require.NoError(t, err)
	require.Equal(t, 3, r.Replies[0].Affected)
	for i := range int64(3) {
		_, eu := s.row("eu", i)
		_, us := s.row("us", i)
		require.Equal(t, r.CommitSeq, eu)
		require.LessOrEqual(t, us, before)
	}
	s.refused(aedb.ErrLimitExceeded, s.app.UpdateWhere("users", everything, coins))
}

// The conditions of writes and of assertions are those of queries: a comparison
// with Null is not true, and neither is its negation.
func TestConditionsOnNullAreTheSameEverywhere(t *testing.T) {
	s := newStore(t)
	s.must(s.app.Insert("users", aedb.Row{aedb.Text("eu"), aedb.Int(1), aedb.Null(), aedb.Null()}))
	for _, where := range []query.Expr{
		query.Lt("name", "z"), query.Not(query.Lt("name", "z")), query.Like("name", "%"),
	} {
		page, err := s.app.Query(t.Context(), query.Select("id").From("users").Where(query.And(query.Eq("region", "eu"), where)))
		require.NoError(t, err)
		require.Empty(t, page.Rows)
		r, err := s.commit(s.app.DeleteWhere("users", where))
		require.NoError(t, err)
		require.Zero(t, r.Replies[0].Affected)
		_, err = s.send(aedb.Envelope{
			Assertions: []aedb.Assertion{s.app.CountCompare("users", where, aedb.Eq, 0)}, Mutations: []aedb.Mutation{s.set("k", "")},
		})
		require.NoError(t, err)
	}
}
