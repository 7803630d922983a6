package acceptance

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// keyed is an envelope under an idempotency key that adds to a number.
func (s *store) keyed(id byte, amount uint64) aedb.Envelope {
	return aedb.Envelope{
		IdempotencyKey: &aedb.IdempotencyKey{id},
		Mutations:      []aedb.Mutation{s.app.KvAddU64([]byte("n"), amount, aedb.TreatAsZero, aedb.RejectLimit)},
	}
}

func (s *store) requireOutcome(want aedb.Outcome, env aedb.Envelope) aedb.Result {
	s.t.Helper()
	r, err := s.send(env)
	require.NoError(s.t, err)
	require.Equal(s.t, want, r.Outcome)
	return r
}

// Fact 48.
func TestTheSameEnvelopeTwiceIsAppliedOnce(t *testing.T) {
	s := newStore(t)
	env := s.keyed(1, 5)
	env.Assertions = []aedb.Assertion{s.app.KeyExists([]byte("n"), false)} // fails the second time
	env.ReadSet.Keys = []aedb.KeyRead{s.app.KeyRead([]byte("n"), 0)}       // and so does this
	first := s.requireOutcome(aedb.Applied, env)
	again := s.requireOutcome(aedb.Duplicate, env)
	require.Equal(t, first.CommitSeq, again.CommitSeq)
	require.Equal(t, first.Replies, again.Replies)
	env.BaseSeq, env.ReadSet = s.head(), aedb.ReadSet{} // rebuilt on a newer snapshot
	require.Equal(t, first.CommitSeq, s.requireOutcome(aedb.Duplicate, env).CommitSeq)
	require.EqualValues(t, 5, s.number("n"))
	require.Equal(t, first.CommitSeq, s.head())
}

// Fact 49.
func TestAKeyBelongsToOneRequestOfOneCaller(t *testing.T) {
	s := newStore(t)
	first := s.requireOutcome(aedb.Applied, s.keyed(1, 5))
	s.refusedEnvelope(aedb.ErrIdempotencyMismatch, s.keyed(1, 6))
	economic := s.keyed(1, 5)
	economic.WriteClass = aedb.Economic
	s.refusedEnvelope(aedb.ErrIdempotencyMismatch, economic)
	other, err := s.db.As("other").CommitEnvelope(t.Context(), s.keyed(1, 5), aedb.Visible)
	require.NoError(t, err)
	require.Equal(t, aedb.Applied, other.Outcome)
	require.NotEqual(t, first.CommitSeq, other.CommitSeq)
}

// Fact 50.
func TestARetryAfterARestartIsADuplicate(t *testing.T) {
	for _, checkpoint := range []bool{false, true} {
		s := newStore(t)
		first := s.requireOutcome(aedb.Applied, s.keyed(1, 5))
		if checkpoint {
			_, err := s.db.Checkpoint(t.Context())
			require.NoError(t, err)
		}
		s.crash()
		again := s.requireOutcome(aedb.Duplicate, s.keyed(1, 5))
		require.Equal(t, first.CommitSeq, again.CommitSeq)
		require.Equal(t, first.Replies, again.Replies)
	}
}

// Fact 51. The time counts by itself: it takes no further commit for a request to
// be forgotten.
func TestAKeyIsForgottenOutsideTheWindow(t *testing.T) {
	s := newStore(t, func(c *aedb.Config) { c.IdempotencyCommits, c.IdempotencyAge = 1, 0 })
	s.requireOutcome(aedb.Applied, s.keyed(1, 5))
	s.requireOutcome(aedb.Duplicate, s.keyed(1, 5))
	s.must(s.set("k", ""))
	s.requireOutcome(aedb.Applied, s.keyed(1, 6))

	clock := vfs.NewManualClock(time.Unix(1_700_000_000, 0), 0)
	s = newStore(t, func(c *aedb.Config) { c.Clock, c.IdempotencyCommits, c.IdempotencyAge = clock, 0, time.Second })
	s.requireOutcome(aedb.Applied, s.keyed(1, 5))
	clock.Advance(time.Second)
	s.requireOutcome(aedb.Duplicate, s.keyed(1, 5))
	clock.Advance(time.Microsecond)
	_, found, err := s.db.NoAuth().Outcome(t.Context(), aedb.IdempotencyKey{1})
	require.NoError(t, err)
	require.False(t, found)
	s.requireOutcome(aedb.Applied, s.keyed(1, 5))

	s = newStore(t, func(c *aedb.Config) { c.IdempotencyCommits, c.IdempotencyAge = 0, 0 })
	s.requireOutcome(aedb.Applied, s.keyed(1, 5))
	s.requireOutcome(aedb.Applied, s.keyed(1, 6))
	_, _, err = s.db.NoAuth().Outcome(t.Context(), aedb.IdempotencyKey{1})
	require.ErrorIs(t, err, aedb.ErrValidation, "a store that remembers nothing cannot tell")
}

// Fact 52.
func TestConcurrentSubmissionsUnderOneKeyAreOneCommit(t *testing.T) {
	s := newStore(t)
	var seq, applied, duplicates atomic.Uint64
	together(8, func(int) {
		r, err := s.send(s.keyed(1, 1))
		if err != nil {
			t.Error(err)
		}
		if r.Outcome == aedb.Applied {
			applied.Add(1)
			seq.Store(r.CommitSeq)
		} else {
			duplicates.Add(1)
		}
	})
	require.EqualValues(t, 1, applied.Load())
	require.EqualValues(t, 7, duplicates.Load())
	require.EqualValues(t, 1, s.number("n"))
	require.Equal(t, seq.Load(), s.head())
}

// Fact 52, with callers who do not wait long enough: what they are told makes a
// retry safe, and it happens once.
func TestRetriesAfterTimeoutsAreOneCommit(t *testing.T) {
	s := newStore(t)
	for id := range byte(8) {
		together(4, func(int) {
			for wait := time.Microsecond; ; wait *= 2 {
				ctx, cancel := context.WithTimeout(context.Background(), wait)
				_, err := s.app.CommitEnvelope(ctx, s.keyed(id, 1), aedb.Visible)
				cancel()
				if err == nil {
					return
				}
				if !errors.Is(err, context.DeadlineExceeded) || aedb.ClassOf(err) != aedb.ClassRetryable {
					t.Error(err)
					return
				}
			}
		})
		require.EqualValues(t, id+1, s.number("n"))
	}
}

// A rejected request records nothing, so that it may be sent again.
func TestARefusedRequestRecordsNothing(t *testing.T) {
	s := newStore(t)
	env := s.keyed(1, 1)
	env.Assertions = []aedb.Assertion{s.app.KeyExists([]byte("gate"), true)}
	s.refusedEnvelope(aedb.ErrAssertionFailed, env)
	s.refusedEnvelope(aedb.ErrTableNotFound, aedb.Envelope{
		IdempotencyKey: env.IdempotencyKey, Mutations: []aedb.Mutation{s.app.Delete("none", aedb.Int(1))},
	})
	s.must(s.set("gate", ""))
	s.requireOutcome(aedb.Applied, env)
}
