package acceptance

import (
	"errors"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
)

// requireLimit checks that an error names a limit with both figures.
func requireLimit(t testing.TB, err error, limit string, val, most int64) {
	t.Helper()
	var e *aedb.Error
	require.True(t, errors.As(err, &e))
	require.ErrorIs(t, err, aedb.ErrLimitExceeded)
	require.Equal(t, aedb.ClassValidation, aedb.ClassOf(err))
	require.Equal(t, limit, e.Limit)
	require.Equal(t, val, e.Value)
	require.Equal(t, most, e.Max)
}

// Fact 33.
func TestSubtractionWorksForBothWidths(t *testing.T) {
	s := newStore(t)
	s.must(s.app.KvSetU64([]byte("n"), 9), s.app.KvSetU256([]byte("m"), uint256.NewInt(9)))
	r, err := s.commit(
		s.app.KvSubU64([]byte("n"), 4, aedb.RejectMissing, aedb.RejectLimit),
		s.app.KvSubU256([]byte("m"), uint256.NewInt(4), aedb.RejectMissing, aedb.RejectLimit))
	require.NoError(t, err)
	require.Equal(t, aedb.U64(5), r.Replies[0].Value)
	require.Equal(t, aedb.U256(uint256.NewInt(5)), r.Replies[1].Value)
}

// Fact 35.
func TestArithmeticOnBytesThatAreNoNumberNamesTheirLength(t *testing.T) {
	s := newStore(t)
	s.must(s.set("k", "abc"))
	err := s.refused(aedb.ErrValidation, s.app.KvAddU256([]byte("k"), uint256.NewInt(1), aedb.TreatAsZero, aedb.RejectLimit))
	require.ErrorContains(t, err, "length")
}

// Fact 36.
func TestACellKeepsToItsRange(t *testing.T) {
	s := newStore(t)
	most := new(uint256.Int).SetAllOne()
	s.must(s.app.Insert("users", aedb.Row{aedb.Text("eu"), aedb.Int(1), aedb.Null(), aedb.U256(most)}))
	one := aedb.U256(uint256.NewInt(1))
	coins := func(sub bool, amount aedb.Value) aedb.Mutation {
		if sub {
			return s.app.CellSub("users", pk("eu", 1), "coins", amount, aedb.RejectLimit)
		}
		return s.app.CellAdd("users", pk("eu", 1), "coins", amount, aedb.RejectLimit)
	}
	s.refused(aedb.ErrOverflow, coins(false, one))
	row, _ := s.row("eu", 1)
	require.Equal(t, aedb.U256(most), row[3])
	s.must(coins(true, aedb.U256(most)))
	s.refused(aedb.ErrUnderflow, coins(true, one))
	s.must(coins(false, one))
	row, _ = s.row("eu", 1)
	require.Equal(t, one, row[3])
	s.refused(aedb.ErrRowNotFound, s.app.CellAdd("users", pk("eu", 2), "coins", one, aedb.RejectLimit))
	s.refused(aedb.ErrTypeMismatch, s.app.CellAdd("users", pk("eu", 1), "name", one, aedb.RejectLimit))
}

// Facts 38 and 39, with every other limit of an envelope.
func TestLimitsAreNamedWithBothFigures(t *testing.T) {
	s := newStore(t, func(c *aedb.Config) {
		c.Limits.KVKeyBytes, c.Limits.KVValueBytes, c.Limits.TableValueBytes = 4, 8, 16
		c.Limits.BatchRows, c.Limits.Mutations, c.Limits.Assertions = 2, 3, 2
		c.Limits.EventPayloadBytes, c.Reads.MaxScanRows = 8, 2
	})
	s.must(s.user("eu", 1, "a"), s.user("eu", 2, "b"), s.user("us", 1, "c"))
	sequenced := s.db.OperationalMetrics().CommitsTotal
	rows := []aedb.Row{user("eu", 7, "x"), user("eu", 8, "y"), user("eu", 9, "z")}
	held := s.app.KeyExists([]byte("k"), false)
	for _, tc := range []struct {
		limit     string
		val, most int64
		m         []aedb.Mutation
	}{
		{"max_kv_value_bytes", 9, 8, []aedb.Mutation{s.set("k", "123456789")}},
		{"max_kv_key_bytes", 5, 4, []aedb.Mutation{s.set("12345", "")}},
		{"max_batch_rows", 3, 2, []aedb.Mutation{s.app.InsertBatch("users", rows)}},
		{"max_batch_rows", 3, 2, []aedb.Mutation{s.app.UpsertBatch("users", rows)}},
		{"max_table_value_bytes", 17, 16, []aedb.Mutation{s.user("eu", 9, "12345678901234567")}},
		{"max_mutations_per_envelope", 4, 3, []aedb.Mutation{s.set("a", ""), s.set("b", ""), s.set("c", ""), s.set("d", "")}},
		{"max_read_assertions_per_envelope", 3, 2, []aedb.Mutation{s.set("a", ""), aedb.Check(aedb.All(held, held))}},
		{"max_event_payload_bytes", 9, 8, []aedb.Mutation{s.app.EmitEvent("t", "k", `"1234567"`)}},
	} {
		requireLimit(t, s.refused(aedb.ErrLimitExceeded, tc.m...), tc.limit, tc.val, tc.most)
	}
	require.Equal(t, sequenced, s.db.OperationalMetrics().CommitsTotal, "nothing of it was queued")
	requireLimit(t, s.refused(aedb.ErrLimitExceeded, s.app.DeleteWhere("users", everything)), "max_scan_rows", 3, 2)
}
