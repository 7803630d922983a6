package acceptance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/locks"
)

func batch(c *aedb.Config) {
	c.Durability, c.BatchInterval = aedb.Batch, time.Hour
	c.Checkpoint.OnClose = false
}

// Fact 53.
func TestDurableFinalityWaitsForTheSync(t *testing.T) {
	s := newStore(t, batch)
	r, err := s.commit(s.set("k", "v"))
	require.NoError(t, err)
	require.Less(t, r.DurableSeq, r.CommitSeq)
	require.Less(t, s.db.Heads().DurableSeq, s.head())
	ticket, err := s.app.Submit(t.Context(), aedb.Envelope{Mutations: []aedb.Mutation{s.set("k", "w")}})
	require.NoError(t, err)
	_, err = ticket.Visible(t.Context())
	require.NoError(t, err)
	go func() { _, _ = s.db.Flush(t.Context()) }() // the interval is an hour
	r, err = ticket.Durable(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, r.DurableSeq, r.CommitSeq)
	require.GreaterOrEqual(t, s.db.Heads().DurableSeq, r.CommitSeq)
}

// A duplicate is durable when its original is.
func TestDurableFinalityOfADuplicateWaitsForTheOriginal(t *testing.T) {
	s := newStore(t, batch)
	first := s.requireOutcome(aedb.Applied, s.keyed(1, 1))
	again := s.requireOutcome(aedb.Duplicate, s.keyed(1, 1))
	require.Less(t, again.DurableSeq, again.CommitSeq, "what is not synced is not said to be")
	go func() { _, _ = s.db.Flush(t.Context()) }()
	again, err := s.app.CommitEnvelope(t.Context(), s.keyed(1, 1), aedb.Durable)
	require.NoError(t, err)
	require.Equal(t, first.CommitSeq, again.CommitSeq)
	require.GreaterOrEqual(t, again.DurableSeq, first.CommitSeq)
	s.crash(batch)
	require.EqualValues(t, 1, s.number("n"))
}

// Facts 55 and 56.
func TestACrashLosesWhatTheModeMayLose(t *testing.T) {
	s := newStore(t)
	s.must(s.set("k", "full"))
	head := s.head()
	s.crash(batch)
	require.Equal(t, head, s.head(), "in Full mode nothing")
	s.must(s.set("k", "lost"))
	heads := s.db.Heads()
	s.crash()
	require.GreaterOrEqual(t, s.head(), heads.DurableSeq)
	require.LessOrEqual(t, s.head(), heads.VisibleSeq)
	val, _, _ := s.get("k")
	require.Equal(t, "full", val)
}

// Fact 57.
func TestAnEconomicCommitSurvivesACrashInEveryMode(t *testing.T) {
	for _, mode := range []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered} {
		tune := func(c *aedb.Config) { batch(c); c.Durability = mode }
		s := newStore(t, tune)
		r, err := s.send(aedb.Envelope{WriteClass: aedb.Economic, Mutations: []aedb.Mutation{s.set("k", "v")}})
		require.NoError(t, err)
		require.GreaterOrEqual(t, r.DurableSeq, r.CommitSeq)
		s.crash(tune)
		_, _, found := s.get("k")
		require.True(t, found, mode)
	}
}

// Fact 62: a commit that finds no room in bytes is refused at once, if that is the
// policy, and counted.
func TestACommitThatFindsNoRoomIsQueueFull(t *testing.T) {
	s := newStore(t, batch, func(c *aedb.Config) {
		c.Pipeline.OnFull, c.Pipeline.QueueBytes, c.Limits.TransactionBytes = aedb.FailFast, 4096, 4096
	})
	big := make([]byte, 3000)
	full := 0
	for range 1000 {
		_, err := s.app.Submit(t.Context(), aedb.Envelope{Mutations: []aedb.Mutation{s.app.KvSet([]byte("k"), big)}})
		if err != nil {
			require.ErrorIs(t, err, aedb.ErrQueueFull)
			full++
		}
	}
	require.EqualValues(t, full, s.db.OperationalMetrics().QueueFullRejections)
	require.Positive(t, full)
}

// Fact 67: locks are the application's own; commits and reads do not look at them.
func TestReadsAndWritesProceedWhileALockIsHeld(t *testing.T) {
	s := newStore(t)
	s.must(s.set("k", "1"))
	guard := s.db.Locks().Guard(t.Context())
	defer guard.Release()
	_, err := guard.Lock(t.Context(), s.app.LockKey("k"), locks.Exclusive)
	require.NoError(t, err)
	s.must(s.set("k", "2"))
	val, _, _ := s.get("k")
	require.Equal(t, "2", val)
}
