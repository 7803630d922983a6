package executor

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
)

func TestOverwriteKeepsTheFirstSeqAndMovesTheVersion(t *testing.T) {
	s := newStore(t) // commit 1
	s.must(set("k", "a"))
	s.must(set("k", "b"))
	got, created, version := s.kv("k")
	require.Equal(t, "b", got)
	require.Equal(t, uint64(2), created)
	require.Equal(t, uint64(3), version)
	s.must(unset("k"), set("k", "c"))
	_, created, version = s.kv("k")
	require.Equal(t, uint64(4), created, "a key that was removed starts anew")
	require.Equal(t, uint64(4), version)
}

// many returns the mutation that sets keys to values, given in turn.
func many(keysAndValues ...string) msgs.Mutation {
	m := msgs.KvSetMany{Scope: app}
	for i := 0; i < len(keysAndValues); i += 2 {
		m.Pairs = append(m.Pairs, msgs.KvPair{Key: []byte(keysAndValues[i]), Value: []byte(keysAndValues[i+1])})
	}
	return m
}

// Many pairs at once are what so many single ones are: the same entries with the same
// first and last commits, and effects in the same order.
func TestManyPairsAreAsManySets(t *testing.T) {
	one, all := newStore(t), newStore(t)
	for _, pairs := range [][]string{
		{"b", "1", "a", "2"},
		{"a", "3", "a", "4", "c", ""},
		{"d", "5"},
	} {
		var sets []msgs.Mutation
		for i := 0; i < len(pairs); i += 2 {
			sets = append(sets, set(pairs[i], pairs[i+1]))
		}
		one.must(sets...)
		all.must(many(pairs...))
	}
	require.Equal(t, one.w.Freeze().Digest(), all.w.Freeze().Digest())
	got, created, version := all.kv("a")
	require.Equal(t, "4", got)
	require.Less(t, created, version)

	all.x.Limits.MaxBatchRows = 100
	long := msgs.KvSetMany{Scope: app} // more than are looked for together
	for i := range 5*Abreast + 3 {
		long.Pairs = append(long.Pairs, msgs.KvPair{Key: fmt.Appendf(nil, "%03d", i*37%100), Value: fmt.Append(nil, i)})
	}
	all.must(long)
	for _, p := range long.Pairs {
		got, _, _ := all.kv(string(p.Key))
		require.Equal(t, string(p.Value), got)
	}
}

func TestManyPairsAreCheckedOneByOne(t *testing.T) {
	s := newStore(t)
	s.fails(errs.CodeValidation, many())
	s.fails(errs.CodeLimitExceeded, many("k", "", strings.Repeat("k", 65), ""))
	s.fails(errs.CodeLimitExceeded, many("k", strings.Repeat("v", 1<<10+1)))
	s.fails(errs.CodeValidation, many("k", "", record.CounterPrefix+"x", ""))
	s.fails(errs.CodeScopeNotFound, msgs.KvSetMany{Scope: msgs.ScopeName{Project: "p", Scope: "no"}, Pairs: []msgs.KvPair{{Key: []byte("k")}}})
	s.fails(errs.CodeLimitExceeded, msgs.KvSetMany{Scope: app, Pairs: make([]msgs.KvPair, s.x.Limits.MaxBatchRows+1)})
	_, _, version := s.kv("k")
	require.Zero(t, version)
}

func TestDeleteOfAMissingKeySucceeds(t *testing.T) {
	s := newStore(t)
	s.must(unset("k"))
	s.must(set("k", "a"), unset("k"))
	_, _, version := s.kv("k")
	require.Zero(t, version)
}

func TestKeysAreCheckedAgainstLimitsAndScope(t *testing.T) {
	s := newStore(t)
	s.must(set(strings.Repeat("k", 64), strings.Repeat("v", 1<<10)))
	s.fails(errs.CodeLimitExceeded, set(strings.Repeat("k", 65), ""))
	s.fails(errs.CodeLimitExceeded, set("k", strings.Repeat("v", 1<<10+1)))
	s.fails(errs.CodeLimitExceeded, unset(strings.Repeat("k", 65)))
	s.fails(errs.CodeScopeNotFound, msgs.KvSet{Scope: msgs.ScopeName{Project: "p", Scope: "no"}})
	s.fails(errs.CodeProjectNotFound, msgs.KvSet{Scope: msgs.ScopeName{Project: "no", Scope: "app"}})
	s.fails(errs.CodeScopeNotFound, msgs.KvDel{Scope: msgs.ScopeName{Project: "p", Scope: "no"}})
}

// arithmetic is one KvArithmetic on the key "n".
func arithmetic(op msgs.ArithmeticOp, width msgs.NumberWidth, amount uint256.Int, missing msgs.MissingPolicy, limit msgs.LimitPolicy) msgs.Mutation {
	return msgs.KvArithmetic{
		Scope: app, Key: []byte("n"), Op: op, Width: width, Amount: amount, OnMissing: missing, OnLimit: limit,
	}
}

func TestArithmeticFollowsItsPolicies(t *testing.T) {
	const add, sub = msgs.ArithmeticAdd, msgs.ArithmeticSub
	const zero, mustExist = msgs.MissingTreatAsZero, msgs.MissingReject
	const reject, saturate, noop = msgs.LimitReject, msgs.LimitSaturate, msgs.LimitNoOp
	for _, width := range []msgs.NumberWidth{msgs.Width64, msgs.Width256} {
		most := uint256.Int{}
		most.SetAllOne()
		if width == msgs.Width64 {
			most = number(^uint64(0))
		}
		below := most
		below.SubUint64(&most, 1)
		stored := func(n uint256.Int) string {
			b := n.Bytes32()
			return string(b[32-int(width):])
		}
		for name, tc := range map[string]struct {
			before *uint256.Int // nil: missing
			m      msgs.Mutation
			want   *uint256.Int // nil: missing, or unchanged if it failed
			code   errs.Code
		}{
			"add":                             {ptr(5), arithmetic(add, width, number(3), mustExist, reject), ptr(8), ""},
			"add zero":                        {ptr(5), arithmetic(add, width, number(0), mustExist, reject), ptr(5), ""},
			"add to a missing key":            {nil, arithmetic(add, width, number(3), zero, reject), ptr(3), ""},
			"add to a missing key, refused":   {nil, arithmetic(add, width, number(3), mustExist, reject), nil, errs.CodeValidation},
			"add up to the most":              {&below, arithmetic(add, width, number(1), zero, reject), &most, ""},
			"add beyond, refused":             {&below, arithmetic(add, width, number(2), zero, reject), nil, errs.CodeOverflow},
			"add beyond, saturated":           {&below, arithmetic(add, width, number(2), zero, saturate), &most, ""},
			"add the most to the most":        {&most, arithmetic(add, width, most, zero, saturate), &most, ""},
			"sub":                             {ptr(5), arithmetic(sub, width, number(3), mustExist, reject), ptr(2), ""},
			"sub to zero":                     {ptr(5), arithmetic(sub, width, number(5), zero, reject), ptr(0), ""},
			"sub below, refused":              {ptr(5), arithmetic(sub, width, number(6), zero, reject), nil, errs.CodeUnderflow},
			"sub below, without effect":       {ptr(5), arithmetic(sub, width, number(6), zero, noop), ptr(5), ""},
			"sub from missing, no effect":     {nil, arithmetic(sub, width, number(1), zero, noop), nil, ""},
			"sub from missing, refused":       {nil, arithmetic(sub, width, number(1), zero, reject), nil, errs.CodeUnderflow},
			"sub from missing, must exist":    {nil, arithmetic(sub, width, number(1), mustExist, noop), nil, errs.CodeValidation},
			"sub nothing from a missing key":  {nil, arithmetic(sub, width, number(0), zero, noop), ptr(0), ""},
			"saturate goes with addition":     {ptr(5), arithmetic(sub, width, number(1), zero, saturate), nil, errs.CodeValidation},
			"no-op goes with subtraction":     {ptr(5), arithmetic(add, width, number(1), zero, noop), nil, errs.CodeValidation},
			"unknown operation":               {ptr(5), arithmetic(9, width, number(1), zero, reject), nil, errs.CodeValidation},
			"unknown policy for missing keys": {ptr(5), arithmetic(add, width, number(1), 9, reject), nil, errs.CodeValidation},
			"unknown policy for the limit":    {ptr(5), arithmetic(add, width, number(1), zero, 9), nil, errs.CodeValidation},
			"unknown width":                   {ptr(5), arithmetic(add, 16, number(1), zero, reject), nil, errs.CodeValidation},
		} {
			t.Run(name, func(t *testing.T) {
				s := newStore(t)
				if tc.before != nil {
					s.must(set("n", stored(*tc.before)))
				}
				was, _, versionWas := s.kv("n")
				err := s.do(tc.m)
				require.Equal(t, tc.code, errs.CodeOf(err), "%v", err)
				got, created, version := s.kv("n")
				switch {
				case err != nil || tc.want == nil:
					require.Equal(t, was, got)
					require.Equal(t, versionWas, version)
				case name == "sub below, without effect":
					require.Equal(t, stored(*tc.want), got)
					require.Equal(t, versionWas, version, "nothing was written")
				default:
					require.Equal(t, stored(*tc.want), got)
					require.Equal(t, s.w.Seq(), version, "the version moves, whatever the amount")
					require.LessOrEqual(t, created, version)
				}
			})
		}
	}
}

func ptr(n uint64) *uint256.Int { return uint256.NewInt(n) }

func TestArithmeticRefusesWhatIsNoNumberOfItsWidth(t *testing.T) {
	s := newStore(t)
	s.must(set("n", "abc"))
	for _, width := range []msgs.NumberWidth{msgs.Width64, msgs.Width256} {
		err := s.do(arithmetic(msgs.ArithmeticAdd, width, number(1), msgs.MissingTreatAsZero, msgs.LimitReject))
		require.ErrorIs(t, err, errs.ErrValidation)
		require.ErrorContains(t, err, "length")
	}
	big := uint256.Int{0, 1}
	s.fails(errs.CodeOverflow, arithmetic(msgs.ArithmeticAdd, msgs.Width64, big, msgs.MissingTreatAsZero, msgs.LimitReject))
}

func TestSixtyFourAddsOfOneMakeSixtyFour(t *testing.T) {
	s := newStore(t)
	for range 64 {
		s.must(arithmetic(msgs.ArithmeticAdd, msgs.Width64, number(1), msgs.MissingTreatAsZero, msgs.LimitReject))
	}
	got, created, version := s.kv("n")
	require.Equal(t, uint64(64), binary.BigEndian.Uint64([]byte(got)))
	require.Equal(t, uint64(2), created)
	require.Equal(t, uint64(65), version)
}
