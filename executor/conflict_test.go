package executor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

func insertOr(c msgs.OnConflict, rows ...value.Row) msgs.Mutation {
	return msgs.WriteRows{Table: users, Rows: rows, OnConflict: &c}
}

// replies runs mutations that must succeed, and returns what they tell.
func (s *store) replies(mutations ...msgs.Mutation) []msgs.Reply {
	s.t.Helper()
	r, err := s.x.Prepare(s.w.Catalog(), &msgs.Envelope{Mutations: mutations})
	require.NoError(s.t, err)
	require.NoError(s.t, s.run(r))
	return r.Replies
}

func (s *store) version(id int64) uint64 {
	t, err := s.w.Catalog().Table("p", "app", "users")
	require.NoError(s.t, err)
	_, version, _ := s.w.Get(t.ID, value.AppendKeyRow(nil, key(id)...))
	return version
}

func TestOnConflictActsOnTheRowThatIsThere(t *testing.T) {
	const keep, merge, change = msgs.ConflictKeep, msgs.ConflictMerge, msgs.ConflictUpdate
	was := user(1, "a", 5)
	rewritten := func(id int64, name string, age int64, bio string) value.Row {
		row := user(id, name, age)
		if bio != "" {
			row[3] = value.Text(bio)
		}
		return row
	}
	age := func(to query.Term) []query.Assignment { return []query.Assignment{query.Assign("age", to)} }
	sum := query.Add(query.Col("age"), query.Proposed("age"))
	for name, tc := range map[string]struct {
		c        msgs.OnConflict
		proposed value.Row
		want     value.Row // of row 1
		affected int
	}{
		"41: DoNothing keeps the row":                {msgs.OnConflict{Action: keep}, user(1, "b", 9), was, 0},
		"DoMerge skips Null":                         {msgs.OnConflict{Action: merge}, rewritten(1, "", 9, "x"), rewritten(1, "a", 9, "x"), 1},
		"DoMerge by a unique index keeps the key":    {msgs.OnConflict{Action: merge, Index: "by_name"}, user(2, "a", 9), user(1, "a", 9), 1},
		"41: AddI64 5 + 2 = 7":                       {msgs.OnConflict{Action: change, Set: age(sum)}, user(1, "b", 2), user(1, "a", 7), 1},
		"DoUpdate with a literal":                    {msgs.OnConflict{Action: change, Set: age(query.Lit(3))}, user(1, "b", 2), user(1, "a", 3), 1},
		"terms see the row as it was":                {msgs.OnConflict{Action: change, Set: append(age(query.Lit(3)), query.Assign("score", query.Col("age")))}, user(1, "b", 2), value.Row{value.Int(1), value.Text("a"), value.Int(3), value.Null(), value.Int(5)}, 1},
		"41: a unique index target inserts no key":   {msgs.OnConflict{Index: "by_name", Action: change, Set: age(sum)}, user(2, "a", 2), user(1, "a", 7), 1},
		"columns of the primary key":                 {msgs.OnConflict{Columns: []string{"id"}, Action: change, Set: age(sum)}, user(1, "b", 2), user(1, "a", 7), 1},
		"columns of a unique index":                  {msgs.OnConflict{Columns: []string{"name"}, Action: change, Set: age(sum)}, user(2, "a", 2), user(1, "a", 7), 1},
		"a condition that is true":                   {msgs.OnConflict{Action: change, Set: age(sum), Where: query.Lt("age", 6)}, user(1, "b", 2), user(1, "a", 7), 1},
		"a condition that is not keeps row, version": {msgs.OnConflict{Action: change, Set: age(sum), Where: query.Gt("age", 6)}, user(1, "b", 2), was, 0},
		"an unknown condition too":                   {msgs.OnConflict{Action: merge, Where: query.Eq("bio", "x")}, user(1, "b", 2), was, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			s.must(insert(was))
			version := s.version(1)
			replies := s.replies(insertOr(tc.c, tc.proposed))
			require.Equal(t, []msgs.Reply{{Affected: tc.affected}}, replies)
			require.Equal(t, tc.want, s.row(1))
			require.Nil(t, s.row(2))
			if tc.affected == 0 {
				require.Equal(t, version, s.version(1))
			} else {
				require.Equal(t, s.w.Seq(), s.version(1))
			}
		})
	}
}

func TestOnConflictInsertsWhatIsNotThere(t *testing.T) {
	s := newStore(t)
	s.must(insert(user(1, "a", 5)))
	byName := msgs.OnConflict{Index: "by_name", Action: msgs.ConflictMerge}
	s.must(insertOr(byName, user(2, "b", 6)))
	s.must(insertOr(byName, user(3, "", 6)), insertOr(byName, user(4, "", 6))) // Null conflicts with nothing
	require.Equal(t, 4, s.entries("by_name"))
	s.fails(errs.CodeDuplicatePrimaryKey, insertOr(byName, user(1, "c", 6)))
	s.fails(errs.CodeUniqueViolation, insertOr(msgs.OnConflict{}, user(5, "a", 6)))
}

func TestFact41BatchOfOneKeyTwiceEndsWithTheSecond(t *testing.T) {
	s := newStore(t)
	replies := s.replies(insertOr(msgs.OnConflict{Action: msgs.ConflictMerge}, user(1, "a", 5), user(1, "b", -1)))
	require.Equal(t, user(1, "b", 5), s.row(1))
	require.Equal(t, 2, replies[0].Affected)
}

func TestMalformedConflictsAreRefused(t *testing.T) {
	set := []query.Assignment{query.Assign("age", query.Lit(1))}
	assign := func(a ...query.Assignment) msgs.OnConflict {
		return msgs.OnConflict{Action: msgs.ConflictUpdate, Set: a}
	}
	for name, tc := range map[string]struct {
		c    msgs.OnConflict
		code errs.Code
	}{
		"no such index":               {msgs.OnConflict{Index: "no"}, errs.CodeIndexNotFound},
		"an index that is not unique": {msgs.OnConflict{Index: "by_age"}, errs.CodeValidation},
		"two targets":                 {msgs.OnConflict{Index: "by_name", Columns: []string{"name"}}, errs.CodeValidation},
		"no columns":                  {msgs.OnConflict{Columns: []string{}}, errs.CodeValidation},
		"columns of no key":           {msgs.OnConflict{Columns: []string{"age", "name"}}, errs.CodeValidation},
		"unknown column of a target":  {msgs.OnConflict{Columns: []string{"no"}}, errs.CodeUnknownColumn},
		"unknown action":              {msgs.OnConflict{Action: 9}, errs.CodeValidation},
		"assignments not made":        {msgs.OnConflict{Set: set}, errs.CodeValidation},
		"no assignment":               {assign(), errs.CodeValidation},
		"key column":                  {assign(query.Assign("id", query.Lit(1))), errs.CodeValidation},
		"unknown column":              {assign(query.Assign("no", query.Lit(1))), errs.CodeUnknownColumn},
		"column twice":                {assign(set[0], set[0]), errs.CodeValidation},
		"literal of another kind":     {assign(query.Assign("age", query.Lit(uint64(1)))), errs.CodeTypeMismatch},
		"column of another kind":      {assign(query.Assign("age", query.Col("name"))), errs.CodeTypeMismatch},
		"Null where none may be":      {assign(query.Assign("score", query.Term{})), errs.CodeNotNullViolation},
		"arithmetic on text":          {assign(query.Assign("name", query.Add(query.Lit("a"), query.Lit("b")))), errs.CodeTypeMismatch},
		"condition on no column":      {msgs.OnConflict{Where: query.Eq("no", 1)}, errs.CodeColumnNotFound},
	} {
		s := newStore(t)
		err := s.do(insertOr(tc.c, user(1, "a", 1)))
		require.Equal(t, tc.code, errs.CodeOf(err), "%s: %v", name, err)
	}
	s := newStore(t)
	s.fails(errs.CodeValidation, msgs.WriteRows{
		Table: users, Mode: msgs.WriteUpsert, Rows: []value.Row{user(1, "a", 1)}, OnConflict: &msgs.OnConflict{},
	})
	s.must(insert(user(1, "a", -1)))
	s.fails(errs.CodeNotNullViolation, insertOr(assign(query.Assign("score", query.Col("age"))), user(1, "b", 1)))
}
