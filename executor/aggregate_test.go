package executor

import (
	"math"
	"strings"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

func (s *store) holds(a msgs.Assertion) {
	s.t.Helper()
	require.NoError(s.t, s.guarded(a))
}

func (s *store) finds(a msgs.Assertion, actual msgs.Actual) {
	s.t.Helper()
	var failed *msgs.AssertionError
	require.ErrorAs(s.t, s.guarded(a), &failed)
	require.Equal(s.t, a, failed.Assertion)
	require.Equal(s.t, actual, failed.Actual)
}

func TestFact19KeyCompareGuardsADebit(t *testing.T) {
	s := newStore(t)
	n := func(n uint64) []byte { b := uint256.NewInt(n).Bytes32(); return b[:] }
	s.must(msgs.KvSet{Scope: app, Key: []byte("n"), Value: n(100)})
	enough := msgs.KeyCompare{Scope: app, Key: []byte("n"), Form: msgs.FormUnsigned, Op: msgs.Gte, Threshold: n(80)}
	debit := msgs.Envelope{Assertions: []msgs.Assertion{enough}, Mutations: []msgs.Mutation{
		arithmetic(msgs.ArithmeticSub, msgs.Width256, number(80), msgs.MissingReject, msgs.LimitReject),
	}}
	require.NoError(t, s.commit(debit))
	require.ErrorIs(t, s.commit(debit), errs.ErrAssertionFailed)
	s.finds(enough, msgs.Actual{Kind: msgs.ActualBytes, Bytes: n(20)})
}

func TestKeysAreComparedInTheFormAskedFor(t *testing.T) {
	minusOne, one := "\xff\xff\xff\xff\xff\xff\xff\xff", "\x00\x00\x00\x00\x00\x00\x00\x01"
	wideOne := strings.Repeat("\x00", 31) + "\x01"
	for name, tc := range map[string]struct {
		form             msgs.KeyForm
		stored           string
		op               msgs.CompareOp
		threshold        string
		holds, malformed bool
	}{
		"bytes":                       {msgs.FormBytes, "b", msgs.Gt, "aa", true, false},
		"bytes, prefix":               {msgs.FormBytes, "a", msgs.Lt, "aa", true, false},
		"unsigned":                    {msgs.FormUnsigned, minusOne, msgs.Gt, one, true, false},
		"unsigned of two widths":      {msgs.FormUnsigned, minusOne, msgs.Gt, wideOne, true, false},
		"unsigned, equal in value":    {msgs.FormUnsigned, one, msgs.Eq, wideOne, true, false},
		"signed":                      {msgs.FormSigned, minusOne, msgs.Lt, one, true, false},
		"signed, equal":               {msgs.FormSigned, minusOne, msgs.Gte, minusOne, true, false},
		"unsigned fails":              {msgs.FormUnsigned, one, msgs.Ne, one, false, false},
		"what is stored is no number": {msgs.FormUnsigned, "abc", msgs.Ne, one, false, true},
		"nor a signed one":            {msgs.FormSigned, wideOne, msgs.Ne, one, false, true},
		"nor is the threshold":        {msgs.FormUnsigned, one, msgs.Ne, "abc", false, true},
		"unknown form":                {9, one, msgs.Ne, one, false, true},
		"unknown comparison":          {0, one, 9, one, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			s.must(set("k", tc.stored))
			a := msgs.KeyCompare{Scope: app, Key: []byte("k"), Form: tc.form, Op: tc.op, Threshold: []byte(tc.threshold)}
			switch {
			case tc.malformed:
				require.ErrorIs(t, s.guarded(a), errs.ErrValidation)
				require.ErrorIs(t, s.guarded(msgs.Not{Inner: a}), errs.ErrValidation, "an error is no failure")
			case tc.holds:
				s.holds(a)
			default:
				s.finds(a, msgs.Actual{Kind: msgs.ActualBytes, Bytes: []byte(tc.stored)})
			}
		})
	}
	s := newStore(t)
	s.finds(msgs.KeyCompare{Scope: app, Key: []byte("k"), Op: msgs.Ne}, msgs.Actual{})
}

func TestFact21CountAdmitsTheSecondAndRejectsTheThird(t *testing.T) {
	s := newStore(t)
	few := msgs.CountCompare{Table: users, Where: query.Eq("age", 5), Op: msgs.Lt, Threshold: 2}
	join := func(id int64) error {
		return s.commit(msgs.Envelope{Assertions: []msgs.Assertion{few}, Mutations: []msgs.Mutation{insert(user(id, "", 5))}})
	}
	s.must(insert(user(9, "", 6)))
	require.NoError(t, join(1))
	require.NoError(t, join(2))
	require.ErrorIs(t, join(3), errs.ErrAssertionFailed)
	s.finds(few, msgs.Actual{Kind: msgs.ActualCount, Count: 2})
	s.holds(msgs.CountCompare{Table: users, Op: msgs.Eq, Threshold: 3})
	s.holds(msgs.CountCompare{Table: users, Where: query.Eq("age", 7), Op: msgs.Eq})
}

func TestFact22SumsAreComparedExactly(t *testing.T) {
	sum := func(column string, where query.Expr, op msgs.CompareOp, v value.Value) msgs.Assertion {
		return msgs.SumCompare{Table: accounts, Column: column, Where: where, Op: op, Threshold: v}
	}
	s := newAccounts(t)
	most := new(uint256.Int).SetAllOne()
	s.must(msgs.WriteRows{Table: accounts, Rows: []value.Row{{
		value.Int(2), value.U8(255), value.U64(math.MaxUint64), value.Int(-7), value.U256(most), value.I256(most), value.Timestamp(7),
		value.Int(55), value.Null(), value.Float(1.5),
	}}})
	of := func(v value.Value) msgs.Actual { return msgs.Actual{Kind: msgs.ActualValue, Value: v} }
	wide := func(n uint64) value.Value { return value.U256(uint256.NewInt(n)) }
	s.finds(sum("u8", query.Expr{}, msgs.Lt, value.U8(50)), of(wide(260)))
	over := uint256.NewInt(math.MaxUint64)
	s.finds(sum("u64", query.Expr{}, msgs.Lt, value.U64(50)), of(value.U256(over.AddUint64(over, 5))))
	s.finds(sum("int", query.Expr{}, msgs.Gt, value.Int(0)), of(value.Int(-2)))
	s.finds(sum("u256", query.Expr{}, msgs.Eq, wide(4)), of(value.Null())) // beyond 256 bits, and never modulo
	s.finds(sum("i256", query.Expr{}, msgs.Ne, value.I256(uint256.NewInt(4))), of(value.I256(uint256.NewInt(4))))
	s.finds(sum("none", query.Expr{}, msgs.Lt, value.Int(50)), of(value.Int(55)))
	s.finds(sum("at", query.Eq("id", 2), msgs.Ne, value.Timestamp(7)), of(value.Timestamp(7)))
	s.finds(sum("float", query.Expr{}, msgs.Gt, value.Float(1.5)), of(value.Float(1.5)))
	s.holds(sum("u8", query.Eq("id", 9), msgs.Eq, value.U8(0)))
	for name, tc := range map[string]struct {
		a    msgs.Assertion
		code errs.Code
	}{
		"text":                {sum("text", query.Expr{}, msgs.Eq, value.Text("x")), errs.CodeTypeMismatch},
		"other kind":          {sum("u8", query.Expr{}, msgs.Eq, value.Int(1)), errs.CodeTypeMismatch},
		"Null":                {sum("none", query.Expr{}, msgs.Eq, value.Null()), errs.CodeNotNullViolation},
		"unknown column":      {sum("no", query.Expr{}, msgs.Eq, value.Int(1)), errs.CodeUnknownColumn},
		"unknown comparison":  {sum("u8", query.Expr{}, 9, value.U8(1)), errs.CodeValidation},
		"condition":           {sum("u8", query.Eq("no", 1), 0, value.U8(1)), errs.CodeColumnNotFound},
		"no table":            {msgs.CountCompare{Table: msgs.TableName{Project: "p", Scope: "app", Table: "no"}}, errs.CodeTableNotFound},
		"count, comparison":   {msgs.CountCompare{Table: users, Op: 9}, errs.CodeValidation},
		"count, deep":         {msgs.CountCompare{Table: users, Where: deep(query.MaxDepth + 1)}, errs.CodeInvalidQuery},
		"infinite as a bound": {sum("float", query.Expr{}, msgs.Lt, value.Float(math.Inf(1))), errs.CodeValidation},
		"32 levels are few":   {msgs.CountCompare{Table: users, Where: deep(query.MaxDepth)}, ""},
	} {
		err := s.guarded(msgs.Not{Inner: msgs.Not{Inner: tc.a}})
		require.Equal(t, tc.code, errs.CodeOf(err), "%s: %v", name, err)
	}
	s.must(msgs.UpdateRows{Selection: msgs.Selection{Table: accounts}, Set: []query.Assignment{query.Assign("float", query.Lit(math.MaxFloat64))}})
	require.ErrorIs(t, s.guarded(sum("float", query.Expr{}, msgs.Gt, value.Float(0))), errs.ErrOverflow)
}

// deep returns a condition of that depth, which no user meets.
func deep(depth int) query.Expr {
	e := query.Eq("id", -1)
	for range depth - 1 {
		e = query.Or(e, query.Eq("id", -2))
	}
	return e
}

func TestFact29AssertionsKeepToTheirReadBudget(t *testing.T) {
	s := newStore(t)
	s.x.Limits.MaxReadBytes = 512
	bio := strings.Repeat("x", 100)
	for id := range int64(8) {
		row := user(id, "", 1)
		row[3] = value.Text(bio)
		s.must(insert(row))
	}
	err := s.guarded(msgs.CountCompare{Table: users, Op: msgs.Gt})
	require.ErrorIs(t, err, errs.ErrLimitExceeded)
	require.ErrorContains(t, err, "max_read_bytes_per_envelope")
	err = s.guarded(msgs.Any{msgs.Not{Inner: msgs.CountCompare{Table: users}}, msgs.KeyExists{Scope: app}})
	require.ErrorIs(t, err, errs.ErrLimitExceeded, "an error is no failure")
	s.must(set("k", strings.Repeat("x", 300)))
	equals := msgs.KeyCompare{Scope: app, Key: []byte("k"), Op: msgs.Gt}
	s.holds(equals)
	require.ErrorIs(t, s.guarded(equals, equals), errs.ErrLimitExceeded)
	s.fails(errs.CodeLimitExceeded, msgs.PostflightCheck{Assertions: []msgs.Assertion{equals}}, msgs.PostflightCheck{Assertions: []msgs.Assertion{equals}})
	column := msgs.RowColumnCompare{Table: users, Key: key(1), Column: "age", Threshold: value.Int(1)}
	require.ErrorIs(t, s.guarded(column, column, column, column, column), errs.ErrLimitExceeded)
	s.x.Limits.MaxReadBytes = 1
	s.holds(msgs.KeyExists{Scope: app, Key: []byte("absent")})
	s.holds(msgs.KeyVersion{Scope: app, Key: []byte("absent")})
	s.holds(msgs.RowExists{Table: users, Key: key(1), Expected: true})
	s.x.Limits.MaxReadBytes, s.x.Limits.MaxScanRows = 0, 7
	err = s.guarded(msgs.CountCompare{Table: users})
	require.ErrorContains(t, err, "max_scan_rows")
}

func TestAFailureTellsItsFindingToCodeAndNotInItsText(t *testing.T) {
	s := newStore(t)
	s.must(set("k", "secret"), insert(user(1, "secret", 1)))
	for _, a := range []msgs.Assertion{
		msgs.KeyEquals{Scope: app, Key: []byte("k")}, msgs.KeyCompare{Scope: app, Key: []byte("k")},
		msgs.RowColumnCompare{Table: users, Key: key(1), Column: "name", Threshold: value.Text("x")},
	} {
		err := s.guarded(a)
		require.ErrorIs(t, err, errs.ErrAssertionFailed)
		require.NotContains(t, err.Error(), "secret")
	}
}
