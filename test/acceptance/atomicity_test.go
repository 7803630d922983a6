package acceptance

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

// Fact 1.
func TestEnvelopeWhoseLastMutationFailsLeavesNothing(t *testing.T) {
	s := newStore(t)
	s.must(s.user("eu", 1, "ann"))
	s.refused(aedb.ErrUniqueViolation,
		s.set("k", "v"), s.user("eu", 2, "bob"), s.app.EmitEvent("topic", "key", "{}"), s.user("eu", 3, "ann"))
	_, _, found := s.get("k")
	require.False(t, found)
	row, _ := s.row("eu", 2)
	require.Nil(t, row)
	page, err := s.app.Query(t.Context(), query.Select("id").From("users").Where(query.Eq("name", "bob")))
	require.NoError(t, err)
	require.Empty(t, page.Rows, "not in the index either")
	_, err = s.db.NoAuth().Scope("_system", "app").Describe("event_outbox")
	require.Error(t, err, "not even the table of events was made")
}

// Facts 2 and 4.
func TestAnEnvelopeIsAllAtOneSeq(t *testing.T) {
	s := newStore(t)
	seq := s.must(s.user("eu", 1, "ann"), s.set("a", "1"), s.set("b", "2"))
	_, version := s.row("eu", 1)
	require.Equal(t, seq, version)
	for _, k := range []string{"a", "b"} {
		_, version, _ := s.get(k)
		require.Equal(t, seq, version)
		_, _, found := s.get(k, aedb.At(aedb.AtSeq(seq)))
		require.True(t, found)
		_, _, found = s.get(k, aedb.At(aedb.AtSeq(seq-1)))
		require.False(t, found)
	}
	before := query.Select("id").From("users").Where(query.Eq("name", "ann"))
	for at, want := range map[uint64]int{seq - 1: 0, seq: 1} {
		page, err := s.app.Query(t.Context(), before, aedb.At(aedb.AtSeq(at)))
		require.NoError(t, err)
		require.Len(t, page.Rows, want)
	}
}

// Fact 4: a read that was begun before a commit does not show it.
func TestAReadBegunBeforeACommitDoesNotShowIt(t *testing.T) {
	s := newStore(t)
	require.NoError(t, s.app.View(t.Context(), func(v *aedb.View) error {
		s.must(s.set("k", "v"))
		_, found, err := v.KV().Get(t.Context(), []byte("k"))
		require.False(t, found)
		return err
	}))
	_, _, found := s.get("k")
	require.True(t, found)
}

// Facts 5, 7 and 8.
func TestWhatIsWrongIsRefusedAndMovesNoHead(t *testing.T) {
	s := newStore(t)
	s.refused(aedb.ErrTypeMismatch, s.app.Insert("users", aedb.Row{aedb.Int(1), aedb.Int(1), aedb.Null(), aedb.Null()}))
	s.refused(aedb.ErrValidation)
	s.refused(aedb.ErrProjectNotFound, s.db.NoAuth().Scope("other", "app").Insert("users", user("eu", 1, "a")))
	s.refused(aedb.ErrScopeNotFound, s.db.NoAuth().Scope("p", "other").KvSet([]byte("k"), nil))
	s.refused(aedb.ErrTableNotFound, s.app.Insert("other", user("eu", 1, "a")))
}

// Fact 6.
func TestLaterMutationsOfAnEnvelopeSeeItsDefinitions(t *testing.T) {
	s := newStore(t)
	other := s.db.NoAuth().Scope("q", "app")
	s.must(createProject("q"), other.CreateTable("t", aedb.TableSpec{
		Columns: []aedb.ColumnSpec{aedb.Column("id", aedb.TypeInteger)}, PrimaryKey: []string{"id"},
	}), other.Upsert("t", aedb.Row{aedb.Int(1)}))
	row, _, err := other.Row(t.Context(), "t", aedb.Int(1))
	require.NoError(t, err)
	require.NotNil(t, row)
}

// Fact 11: what a transfer read is in its read set, so a stale one is in conflict.
func TestTransfersUnderReadSetsConserveTheMoney(t *testing.T) {
	s := newStore(t)
	const start = 50
	s.must(s.app.KvSetU64([]byte("a"), start), s.app.KvSetU64([]byte("b"), start))
	var done, lost atomic.Int64
	together(8, func(i int) {
		from, to := "a", "b"
		if i%2 == 1 {
			from, to = to, from
		}
		for range 20 {
			var env aedb.Envelope
			enough := false
			if err := s.app.View(t.Context(), func(v *aedb.View) error {
				e, _, err := v.KV().Get(t.Context(), []byte(from))
				enough = e.Value[7] >= 7
				env.ReadSet.Keys = append(env.ReadSet.Keys, s.app.KeyRead([]byte(from), e.Version))
				env.BaseSeq = v.SnapshotSeq()
				return err
			}); err != nil {
				t.Error(err)
			}
			if !enough {
				continue
			}
			env.Mutations = []aedb.Mutation{
				s.app.KvSubU64([]byte(from), 7, aedb.RejectMissing, aedb.RejectLimit),
				s.app.KvAddU64([]byte(to), 7, aedb.RejectMissing, aedb.RejectLimit),
			}
			switch _, err := s.send(env); aedb.CodeOf(err) {
			case "":
				done.Add(1)
			case "conflict":
				lost.Add(1)
			default:
				t.Error(err)
			}
		}
	})
	require.EqualValues(t, 2*start, s.number("a")+s.number("b"))
	require.Positive(t, done.Load())
	m := s.db.OperationalMetrics()
	require.EqualValues(t, lost.Load(), m.ReadSetConflicts)
	require.Equal(t, m.ReadSetConflicts, m.ConflictRejections)
}

// Fact 61.
func TestAnEnvelopeAcrossScopesIsAppliedInAllOrInNone(t *testing.T) {
	s := newStore(t)
	_, err := s.db.NoAuth().CreateScope(t.Context(), "p", "other")
	require.NoError(t, err)
	other := s.db.NoAuth().Scope("p", "other")
	seq := s.must(s.set("k", "1"), other.KvSet([]byte("k"), []byte("1")))
	for _, scope := range []*aedb.Scope{s.app, other} {
		e, _, err := scope.KV().Get(t.Context(), []byte("k"))
		require.NoError(t, err)
		require.Equal(t, seq, e.Version)
	}
	s.refused(aedb.ErrUnderflow, s.set("k", "2"), other.KvSubU64([]byte("n"), 1, aedb.TreatAsZero, aedb.RejectLimit))
	val, _, _ := s.get("k")
	require.Equal(t, "1", val)
}
