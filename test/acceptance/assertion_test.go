package acceptance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
)

// Fact 20.
func TestRowVersionPassesForTheCurrentSeqOnly(t *testing.T) {
	s := newStore(t)
	old := s.must(s.user("eu", 1, "ann"))
	now := s.must(s.app.Upsert("users", user("eu", 1, "bob")))
	guarded := func(seq uint64) aedb.Envelope {
		return aedb.Envelope{
			Assertions: []aedb.Assertion{s.app.RowVersion("users", pk("eu", 1), seq)},
			Mutations:  []aedb.Mutation{s.set("k", "v")},
		}
	}
	err := s.refusedEnvelope(aedb.ErrAssertionFailed, guarded(old))
	var failed *aedb.AssertionError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, now, failed.Actual.Version)
	_, err = s.send(guarded(now))
	require.NoError(t, err)
}

// Fact 23: what would be an error is not even looked at behind one that holds.
func TestAnyEndsWithTheFirstThatHolds(t *testing.T) {
	s := newStore(t)
	s.must(s.set("k", "no number"))
	holds := s.app.KeyExists([]byte("k"), true)
	wrong := s.app.KeyCompare([]byte("k"), aedb.FormUnsigned, aedb.Gt, big(1))
	_, err := s.send(aedb.Envelope{Assertions: []aedb.Assertion{aedb.Any(holds, wrong)}, Mutations: []aedb.Mutation{s.set("x", "")}})
	require.NoError(t, err)
	// An error is no failure: it ends the envelope within Any and Not too.
	for _, a := range []aedb.Assertion{aedb.Any(wrong, holds), aedb.Not(wrong), aedb.All(holds, wrong)} {
		s.refusedEnvelope(aedb.ErrValidation, aedb.Envelope{Assertions: []aedb.Assertion{a}, Mutations: []aedb.Mutation{s.set("x", "")}})
	}
}

// Lists without an element are a mistake, whatever they would mean.
func TestAnEmptyListOfAssertionsIsRefused(t *testing.T) {
	s := newStore(t)
	for _, a := range []aedb.Assertion{aedb.Any(), aedb.All(), aedb.Not(aedb.All()), aedb.Not(nil)} {
		s.refusedEnvelope(aedb.ErrValidation, aedb.Envelope{Assertions: []aedb.Assertion{a}, Mutations: []aedb.Mutation{s.set("x", "")}})
		s.refused(aedb.ErrValidation, aedb.Check(a))
	}
}

// Fact 25: a refusal changes nothing. Here it makes no commit either, and is
// counted instead.
func TestAFailedAssertionBlocksAllMutations(t *testing.T) {
	s := newStore(t)
	before := s.db.OperationalMetrics()
	err := s.refusedEnvelope(aedb.ErrAssertionFailed, aedb.Envelope{
		Assertions: []aedb.Assertion{s.app.KeyExists([]byte("a"), false), s.app.KeyExists([]byte("b"), true)},
		Mutations:  []aedb.Mutation{s.set("k", "v"), s.user("eu", 1, "ann")},
	})
	var failed *aedb.AssertionError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, 1, failed.Index)
	require.Equal(t, s.app.KeyExists([]byte("b"), true), failed.Assertion)
	_, _, found := s.get("k")
	require.False(t, found)
	after := s.db.OperationalMetrics()
	require.Equal(t, before.AssertionRejections+1, after.AssertionRejections)
	require.Equal(t, before.WALAppendOps, after.WALAppendOps)
}

// Fact 25, with whom it concerned: kept for the operator, and no content in it.
func TestTheNewestFailedAssertionsAreKept(t *testing.T) {
	s := newStore(t)
	ann := s.db.As("ann")
	s.must(s.set("k", "secret"))
	for i := range 300 {
		_, err := ann.CommitEnvelope(t.Context(), aedb.Envelope{
			Assertions: []aedb.Assertion{s.app.KeyExists([]byte("k"), true), s.app.KeyEquals([]byte("k"), []byte("guess"))},
			Mutations:  []aedb.Mutation{s.set("k", "x")},
		}, aedb.Visible)
		require.ErrorIs(t, err, aedb.ErrAssertionFailed)
		if i == 298 {
			s.must(s.set("other", ""))
		}
	}
	s.refused(aedb.ErrUnderflow, s.app.KvSubU64([]byte("n"), 1, aedb.TreatAsZero, aedb.RejectLimit))
	s.refused(aedb.ErrAssertionFailed, aedb.If(s.set("k", "x"), s.app.KeyVersion([]byte("k"), 1)))
	failed := s.db.FailedAssertions()
	require.Len(t, failed, 256)
	last, before, first := failed[255], failed[254], failed[0]
	require.Equal(t, []any{"", 0, "KeyVersion"}, []any{last.Caller, last.Index, last.Kind})
	require.Equal(t, []any{"ann", 1, "KeyEquals", "6 bytes"}, []any{before.Caller, before.Index, before.Kind, before.Finding})
	require.Equal(t, s.head(), before.Seq)
	require.Equal(t, s.head()-1, first.Seq)
	require.False(t, last.Time.Before(first.Time))
}

// A check that fails takes back what came before it.
func TestAFailedCheckRevertsTheArithmeticBeforeIt(t *testing.T) {
	s := newStore(t)
	s.must(s.app.KvSetU64([]byte("n"), 5))
	s.refused(aedb.ErrAssertionFailed,
		s.app.KvSubU64([]byte("n"), 5, aedb.RejectMissing, aedb.RejectLimit),
		aedb.Check(s.app.KeyCompare([]byte("n"), aedb.FormUnsigned, aedb.Gt, big(0))))
	require.EqualValues(t, 5, s.number("n"))
}

// Fact 27: a transaction does not come to depend on what it checks.
func TestACheckIsNoRead(t *testing.T) {
	s := newStore(t)
	s.must(s.app.KvSetU64([]byte("hot"), 5))
	runs := 0
	require.NoError(t, s.app.Update(t.Context(), func(tx *aedb.Tx) error {
		if runs++; runs == 1 {
			s.must(s.app.KvSetU64([]byte("hot"), 6))
		}
		return tx.Do(s.set("k", "v"), aedb.Check(s.app.KeyCompare([]byte("hot"), aedb.FormUnsigned, aedb.Gt, big(0))))
	}))
	require.Equal(t, 1, runs)
}

// Fact 28: assertions hold nobody up.
func TestAnAssertionDoesNotBlockUnrelatedWrites(t *testing.T) {
	s := newStore(t)
	s.must(s.set("x", "1"))
	together(32, func(i int) {
		env := aedb.Envelope{Mutations: []aedb.Mutation{s.set("y", "1")}}
		if i%2 == 0 {
			env.Assertions = []aedb.Assertion{s.app.KeyEquals([]byte("x"), []byte("1"))}
		}
		if _, err := s.send(env); err != nil {
			t.Error(err)
		}
	})
	require.Zero(t, s.db.OperationalMetrics().ConflictRejections)
}

// Assertions on what is not there: keys are absent, tables are table_not_found.
func TestAssertionsOnWhatIsNotThere(t *testing.T) {
	s := newStore(t)
	nowhere := s.db.NoAuth().Scope("p", "nowhere")
	send := func(want error, a aedb.Assertion) {
		t.Helper()
		env := aedb.Envelope{Assertions: []aedb.Assertion{a}, Mutations: []aedb.Mutation{s.set("x", "")}}
		if want == nil {
			_, err := s.send(env)
			require.NoError(t, err)
			return
		}
		s.refusedEnvelope(want, env)
	}
	send(nil, nowhere.KeyExists([]byte("k"), false))
	send(nil, nowhere.KeyVersion([]byte("k"), 0))
	send(aedb.ErrScopeNotFound, nowhere.RowExists("t", []aedb.Value{aedb.Int(1)}, false))
	send(aedb.ErrTableNotFound, s.app.RowExists("t", []aedb.Value{aedb.Int(1)}, false))
	send(aedb.ErrTableNotFound, s.app.CountCompare("t", everything, aedb.Eq, 0))
	send(aedb.ErrTableNotFound, s.app.SumCompare("t", "n", everything, aedb.Eq, aedb.U64(0)))
	send(aedb.ErrAssertionFailed, s.app.KeyCompare([]byte("none"), aedb.FormBytes, aedb.Ne, []byte("x")))
	send(aedb.ErrValidation, s.app.RowExists("users", []aedb.Value{aedb.Text("eu")}, false)) // half a key
	send(aedb.ErrNotNullViolation, s.app.ColumnCompare("users", pk("eu", 1), "id", aedb.Eq, aedb.Null()))
}

// A request of checks alone is answered, and takes no seq.
func TestChecksAloneTakeNoSeq(t *testing.T) {
	s := newStore(t)
	seq := s.must(s.set("k", "v"))
	r, err := s.commit(aedb.Check(s.app.KeyExists([]byte("k"), true)))
	require.NoError(t, err)
	require.Equal(t, aedb.Checked, r.Outcome)
	require.Equal(t, seq, r.CommitSeq)
	require.Equal(t, seq, s.head())
	s.refused(aedb.ErrAssertionFailed, aedb.Check(s.app.KeyExists([]byte("k"), false)))
	require.Zero(t, s.db.OperationalMetrics().InflightCommits)
}
