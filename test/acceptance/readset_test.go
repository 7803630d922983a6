package acceptance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
)

// Facts 12, 13 and 15: a point that was read and has changed since is a conflict,
// which is counted, and the newer value stays.
func TestAPointThatHasChangedSinceIsAConflict(t *testing.T) {
	s := newStore(t)
	read := s.must(s.set("k", "old"), s.user("eu", 1, "old"))
	rename := s.app.UpdateFields("users", pk("eu", 1), aedb.Set("name", aedb.Text("new")))
	s.must(s.set("k", "new"), rename)
	for _, reads := range []aedb.ReadSet{
		{Keys: []aedb.KeyRead{s.app.KeyRead([]byte("k"), read)}},
		{Rows: []aedb.RowRead{s.app.RowRead("users", pk("eu", 1), read)}},
	} {
		before := s.db.OperationalMetrics()
		err := s.refusedEnvelope(aedb.ErrConflict, aedb.Envelope{
			ReadSet: reads, BaseSeq: read, Mutations: []aedb.Mutation{s.set("k", "mine")},
		})
		require.ErrorContains(t, err, "read set conflict")
		after := s.db.OperationalMetrics()
		require.Equal(t, before.ReadSetConflicts+1, after.ReadSetConflicts)
		require.Equal(t, before.ConflictRejections+1, after.ConflictRejections)
	}
	val, _, _ := s.get("k")
	require.Equal(t, "new", val)
}

// A removal is a change like any other.
func TestAPointThatHasGoneSinceIsAConflict(t *testing.T) {
	s := newStore(t)
	read := s.must(s.set("k", "old"))
	s.must(s.app.KvDel([]byte("k")))
	s.refusedEnvelope(aedb.ErrConflict, aedb.Envelope{
		ReadSet:   aedb.ReadSet{Keys: []aedb.KeyRead{s.app.KeyRead([]byte("k"), read)}},
		Mutations: []aedb.Mutation{s.set("k", "mine")},
	})
}

// Facts 14 and 16, with what a range does not depend on: keys outside it.
func TestARangeInWhichSomethingCameOrWentIsAConflict(t *testing.T) {
	for name, tc := range map[string]struct {
		since    func(s *store) aedb.Mutation
		conflict bool
	}{
		"insert":            {func(s *store) aedb.Mutation { return s.set("b2", "") }, true},
		"delete":            {func(s *store) aedb.Mutation { return s.app.KvDel([]byte("b")) }, true},
		"overwrite":         {func(s *store) aedb.Mutation { return s.set("b", "x") }, true},
		"insert outside":    {func(s *store) aedb.Mutation { return s.set("d", "") }, false},
		"delete outside":    {func(s *store) aedb.Mutation { return s.app.KvDel([]byte("a")) }, false},
		"delete of nothing": {func(s *store) aedb.Mutation { return s.app.KvDel([]byte("b3")) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			read := s.must(s.set("a", ""), s.set("b", ""), s.set("c", ""))
			s.must(tc.since(s))
			env := aedb.Envelope{
				ReadSet:   aedb.ReadSet{KeyRanges: []aedb.KeyRangeRead{s.app.KeyRangeRead([]byte("b"), []byte("c"), read)}},
				Mutations: []aedb.Mutation{s.set("mine", "")},
			}
			if !tc.conflict {
				_, err := s.send(env)
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, s.refusedEnvelope(aedb.ErrConflict, env), "range read set conflict")
		})
	}
}

// Fact 17: scopes whose names run together are different scopes. Here names may
// not even hold the character that would separate them.
func TestReadsOfAScopeDoNotConflictWithOneOfSimilarNames(t *testing.T) {
	s := newStore(t)
	ab, a := s.db.NoAuth().Scope("a-b", "c"), s.db.NoAuth().Scope("a", "b-c")
	s.must(createProject("a-b"), createScope("a-b", "c"), createProject("a"), createScope("a", "b-c"))
	read := s.head()
	s.must(a.KvSet([]byte("k"), nil))
	_, err := s.send(aedb.Envelope{
		ReadSet: aedb.ReadSet{
			Keys:      []aedb.KeyRead{ab.KeyRead([]byte("k"), 0)},
			KeyRanges: []aedb.KeyRangeRead{ab.KeyRangeRead(nil, nil, read)},
		},
		Mutations: []aedb.Mutation{ab.KvSet([]byte("x"), nil)},
	})
	require.NoError(t, err)
	_, err = s.db.NoAuth().CreateProject(t.Context(), "a:b")
	require.ErrorIs(t, err, aedb.ErrValidation)
}

// Fact 18, at the commit point: a prefix of the primary key covers its rows, also
// those to come, and nothing else.
func TestAPrefixReadCoversItsRowsOnly(t *testing.T) {
	for name, tc := range map[string]struct {
		since    func(s *store) aedb.Mutation
		conflict bool
	}{
		"row to come":      {func(s *store) aedb.Mutation { return s.user("eu", 9, "new") }, true},
		"row changed":      {func(s *store) aedb.Mutation { return s.app.Upsert("users", user("eu", 1, "x")) }, true},
		"row removed":      {func(s *store) aedb.Mutation { return s.app.Delete("users", pk("eu", 1)...) }, true},
		"row of another":   {func(s *store) aedb.Mutation { return s.user("us", 9, "new") }, false},
		"longer prefix":    {func(s *store) aedb.Mutation { return s.user("eu2", 9, "new") }, false},
		"key of the scope": {func(s *store) aedb.Mutation { return s.set("eu", "") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			read := s.must(s.user("eu", 1, "ann"), s.user("us", 1, "bob"))
			s.must(tc.since(s))
			env := aedb.Envelope{
				ReadSet:   aedb.ReadSet{RowRanges: []aedb.RowRangeRead{s.app.RowRangeRead("users", []aedb.Value{aedb.Text("eu")}, read)}},
				Mutations: []aedb.Mutation{s.set("mine", "")},
			}
			if tc.conflict {
				s.refusedEnvelope(aedb.ErrConflict, env)
				return
			}
			_, err := s.send(env)
			require.NoError(t, err)
		})
	}
}

// A read set or a base from the future is no read.
func TestReadsOfCommitsToComeAreRefused(t *testing.T) {
	s := newStore(t)
	ahead := s.head() + 1
	mutations := []aedb.Mutation{s.set("k", "")}
	s.refusedEnvelope(aedb.ErrValidation, aedb.Envelope{BaseSeq: ahead, Mutations: mutations})
	s.refusedEnvelope(aedb.ErrValidation, aedb.Envelope{
		ReadSet: aedb.ReadSet{Keys: []aedb.KeyRead{s.app.KeyRead([]byte("k"), ahead)}}, Mutations: mutations,
	})
}
