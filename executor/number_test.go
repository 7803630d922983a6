package executor

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// u64 is arithmetic of 64 bits on the key "n", which counts from zero.
func u64(op msgs.ArithmeticOp, amount uint64) msgs.KvArithmetic {
	return msgs.KvArithmetic{Scope: app, Key: []byte("n"), Op: op, Width: msgs.Width64, Amount: number(amount)}
}

func (s *store) u64() uint64 {
	val, _, _ := s.kv("n")
	require.Len(s.t, val, 8)
	return binary.BigEndian.Uint64([]byte(val))
}

func TestFact31MaxThenMinMovesTenToTwelveToThree(t *testing.T) {
	for _, width := range []msgs.NumberWidth{msgs.Width64, msgs.Width256} {
		s := newStore(t)
		for _, step := range []struct {
			op              msgs.ArithmeticOp
			candidate, want uint64
			written         bool
		}{
			{msgs.ArithmeticSet, 10, 10, true},
			{msgs.ArithmeticMax, 12, 12, true},
			{msgs.ArithmeticMax, 11, 12, false},
			{msgs.ArithmeticMax, 12, 12, false},
			{msgs.ArithmeticMin, 12, 12, false},
			{msgs.ArithmeticMin, 3, 3, true},
		} {
			_, _, version := s.kv("n")
			m := u64(step.op, step.candidate)
			m.Width = width
			reply := s.replies(m)[0]
			want := value.U64(step.want)
			if width == msgs.Width256 {
				want = value.U256(uint256.NewInt(step.want))
			}
			require.Equal(t, want, reply.Value)
			if step.written {
				version = s.w.Seq()
			}
			_, _, now := s.kv("n")
			require.Equal(t, version, now)
			require.Equal(t, version, reply.Version)
			require.Equal(t, count(step.written), reply.Affected)
		}
	}
}

func TestMaxAndMinOfAMissingKeyCountItAsZero(t *testing.T) {
	for op, want := range map[msgs.ArithmeticOp]uint64{msgs.ArithmeticMax: 5, msgs.ArithmeticMin: 0, msgs.ArithmeticSet: 5} {
		s := newStore(t)
		must := u64(op, 5)
		must.OnMissing = msgs.MissingReject
		s.fails(errs.CodeValidation, must)
		s.must(u64(op, 5))
		require.Equal(t, want, s.u64())
	}
	s := newStore(t)
	s.must(u64(msgs.ArithmeticMax, 0))
	require.Zero(t, s.u64(), "it is written, since it was missing")
	for _, limit := range []msgs.LimitPolicy{msgs.LimitSaturate, msgs.LimitNoOp} {
		m := u64(msgs.ArithmeticMax, 5)
		m.OnLimit = limit
		s.fails(errs.CodeValidation, m)
	}
}

func TestFact30SubNoOpOnAMissingKeyLeavesItMissing(t *testing.T) {
	s := newStore(t)
	m := u64(msgs.ArithmeticSub, 1)
	m.OnLimit = msgs.LimitNoOp
	require.Equal(t, []msgs.Reply{{}}, s.replies(m))
	_, _, version := s.kv("n")
	require.Zero(t, version)
	m.OnMissing = msgs.MissingReject
	s.fails(errs.CodeValidation, m)
	s.must(u64(msgs.ArithmeticSet, 5))
	m = u64(msgs.ArithmeticSub, 6)
	m.OnLimit = msgs.LimitNoOp
	require.Equal(t, []msgs.Reply{{Value: value.U64(5), Version: s.w.Seq()}}, s.replies(m))
}

func TestFact32MutateWithAnExpectedVersion(t *testing.T) {
	s := newStore(t)
	expecting := func(seq uint64, m msgs.Mutation) msgs.Mutation {
		return msgs.Guarded{If: []msgs.Assertion{msgs.KeyVersion{Scope: app, Key: []byte("n"), Seq: seq}}, Do: m}
	}
	s.must(expecting(0, u64(msgs.ArithmeticSet, 10)))
	s.must(expecting(2, u64(msgs.ArithmeticAdd, 3)))
	require.Equal(t, []msgs.Reply{{Affected: 1, Value: value.U64(9), Version: 4}}, s.replies(expecting(3, u64(msgs.ArithmeticSub, 4))))
	err := s.do(expecting(3, u64(msgs.ArithmeticSub, 4)))
	var failed *msgs.AssertionError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, 0, failed.Index)
	require.Equal(t, msgs.KeyVersion{Scope: app, Key: []byte("n"), Seq: 3}, failed.Assertion)
	require.Equal(t, msgs.Actual{Kind: msgs.ActualVersion, Version: 4}, failed.Actual)
	require.Equal(t, uint64(9), s.u64())
}

func TestAGuardIsCheckedAtItsPlace(t *testing.T) {
	s := newStore(t)
	absent := func(k string) []msgs.Assertion { return []msgs.Assertion{msgs.KeyExists{Scope: app, Key: []byte(k)}} }
	s.must(msgs.Guarded{If: absent("k"), Do: set("k", "a")})
	s.fails(errs.CodeAssertionFailed, msgs.Guarded{If: absent("k"), Do: set("k", "b")})
	s.must(unset("k"), msgs.Guarded{If: absent("k"), Do: set("k", "c")})
	s.fails(errs.CodeAssertionFailed, unset("k"), set("k", "d"), msgs.Guarded{If: absent("k"), Do: set("k", "e")})
	got, _, _ := s.kv("k")
	require.Equal(t, "c", got)
	equals := msgs.KeyEquals{Scope: app, Key: []byte("k"), Expected: []byte("c")}
	s.must(msgs.Guarded{If: []msgs.Assertion{equals}, Do: unset("k")})
	s.fails(errs.CodeAssertionFailed, msgs.Guarded{If: []msgs.Assertion{equals}, Do: unset("k")})
	s.must(msgs.Guarded{Do: set("k", "f")})

	for name, m := range map[string]msgs.Mutation{
		"nothing": nil, "a definition": define(catalog.DropScope{Project: "p", Scope: "app"}),
		"a check": msgs.PostflightCheck{Assertions: absent("x")}, "a guard": msgs.Guarded{Do: set("k", "v")}, "a pointer": &msgs.KvDel{},
	} {
		err := s.do(msgs.Guarded{If: absent("x"), Do: m})
		require.ErrorIs(t, err, errs.ErrValidation, name)
	}
	many := make([]msgs.Assertion, 11)
	for i := range many {
		many[i] = msgs.KeyExists{Scope: app, Key: []byte("x")}
	}
	s.fails(errs.CodeLimitExceeded, msgs.Guarded{If: many, Do: set("k", "v")}, msgs.Guarded{If: many, Do: set("k", "v")})
}

func TestAddSignedKeepsToItsBounds(t *testing.T) {
	n := func(n int64) *int64 { return &n }
	for name, tc := range map[string]struct {
		before *int64
		m      msgs.KvAddSigned
		want   int64
		code   errs.Code
	}{
		"missing counts as zero": {nil, msgs.KvAddSigned{Delta: -3}, -3, ""},
		"missing, refused":       {nil, msgs.KvAddSigned{Delta: -3, OnMissing: msgs.MissingReject}, 0, errs.CodeValidation},
		"below zero":             {n(2), msgs.KvAddSigned{Delta: -3}, -1, ""},
		"down to the least":      {n(2), msgs.KvAddSigned{Delta: -3, Least: n(-1)}, -1, ""},
		"below the least":        {n(2), msgs.KvAddSigned{Delta: -4, Least: n(-1)}, 0, errs.CodeValidation},
		"up to the greatest":     {n(2), msgs.KvAddSigned{Delta: 3, Greatest: n(5)}, 5, ""},
		"above the greatest":     {n(2), msgs.KvAddSigned{Delta: 4, Greatest: n(5)}, 0, errs.CodeValidation},
		"above int64":            {n(math.MaxInt64), msgs.KvAddSigned{Delta: 1}, 0, errs.CodeOverflow},
		"below int64":            {n(math.MinInt64), msgs.KvAddSigned{Delta: -1}, 0, errs.CodeUnderflow},
		"bounds crossed":         {nil, msgs.KvAddSigned{Least: n(1), Greatest: n(0)}, 0, errs.CodeValidation},
		"unknown policy":         {nil, msgs.KvAddSigned{OnMissing: 9}, 0, errs.CodeValidation},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			if tc.before != nil {
				s.must(msgs.KvSet{Scope: app, Key: []byte("n"), Value: binary.BigEndian.AppendUint64(nil, uint64(*tc.before))})
			}
			tc.m.Scope, tc.m.Key = app, []byte("n")
			if tc.code != "" {
				s.fails(tc.code, tc.m)
				return
			}
			require.Equal(t, []msgs.Reply{{Affected: 1, Value: value.Int(tc.want), Version: s.w.Seq() + 1}}, s.replies(tc.m))
			require.Equal(t, uint64(tc.want), s.u64())
		})
	}
	s := newStore(t)
	s.must(set("n", "abc"))
	s.fails(errs.CodeValidation, msgs.KvAddSigned{Scope: app, Key: []byte("n")})
}

func counter(amount uint64, shards int, hint uint32) msgs.Mutation {
	return msgs.CounterAdd{Scope: app, Key: []byte("c"), Amount: amount, Shards: shards, Hint: hint}
}

func TestFact37ThirtyTwoAddsOnEightShardsReadThirtyTwo(t *testing.T) {
	s := newStore(t)
	scope, err := s.w.Catalog().Scope("p", "app")
	require.NoError(t, err)
	read := func(src Source, name string) (uint64, int) {
		sum, shards, err := ReadCounter(src, scope.ID, []byte(name))
		require.NoError(t, err)
		return sum, shards
	}
	add := func() {
		for i := range uint32(32) {
			s.must(counter(1, 8, i*5))
		}
	}
	add()
	then := s.w.Freeze()
	add()
	sum, shards := read(s.w, "c")
	require.Equal(t, uint64(64), sum)
	require.Equal(t, 8, shards)
	sum, _ = read(then, "c")
	require.Equal(t, uint64(32), sum)
	s.must(msgs.CounterAdd{Scope: app, Key: []byte("cc"), Amount: 7, Shards: 1})
	s.must(msgs.CounterAdd{Scope: app, Key: nil, Amount: 7, Shards: 1})
	sum, _ = read(s.w, "c")
	require.Equal(t, uint64(64), sum, "counters do not run into each other")
	sum, shards = read(s.w, "no")
	require.Zero(t, sum+uint64(shards))
}

func TestTheNumberOfShardsStaysAsTheFirstAdditionSaid(t *testing.T) {
	s := newStore(t)
	for _, shards := range []int{-1, 0, msgs.MaxCounterShards + 1} {
		s.fails(errs.CodeValidation, counter(1, shards, 0))
	}
	s.must(counter(1, msgs.MaxCounterShards, math.MaxUint32))
	s.fails(errs.CodeValidation, counter(1, 8, 0))
	s.fails(errs.CodeOverflow, counter(math.MaxUint64, msgs.MaxCounterShards, math.MaxUint32))
	s.must(counter(math.MaxUint64, msgs.MaxCounterShards, 1))
	scope, err := s.w.Catalog().Scope("p", "app")
	require.NoError(t, err)
	_, _, err = ReadCounter(s.w, scope.ID, []byte("c"))
	require.ErrorIs(t, err, errs.ErrOverflow)
}

func TestNobodyWritesWhereCountersAreKept(t *testing.T) {
	s := newStore(t)
	s.must(counter(1, 8, 0))
	for _, k := range []string{record.CounterPrefix, record.CounterPrefix + "x", string(counterHead([]byte("c")))} {
		s.fails(errs.CodeValidation, set(k, "v"))
		s.fails(errs.CodeValidation, unset(k))
		s.fails(errs.CodeValidation, msgs.KvArithmetic{Scope: app, Key: []byte(k), Width: msgs.Width64})
		s.fails(errs.CodeValidation, msgs.KvAddSigned{Scope: app, Key: []byte(k)})
		s.must(msgs.KvDel{Scope: app, Key: []byte(k[1:])})
	}
}

var accounts = msgs.TableName{Project: "p", Scope: "app", Table: "accounts"}

// newAccounts returns a store with a table that has a column of every integral
// kind, and the row 1, in which all of them are 5 but "none", which is Null.
func newAccounts(t testing.TB) *store {
	s := newStore(t)
	five := uint256.NewInt(5)
	s.must(define(catalog.CreateTable{
		Project: "p", Scope: "app", Table: "accounts", PrimaryKey: []string{"id"},
		Columns: []catalog.ColumnSpec{
			{Name: "id", Kind: value.KindInteger},
			{Name: "u8", Kind: value.KindU8}, {Name: "u64", Kind: value.KindU64}, {Name: "int", Kind: value.KindInteger},
			{Name: "u256", Kind: value.KindU256}, {Name: "i256", Kind: value.KindI256}, {Name: "at", Kind: value.KindTimestamp},
			{Name: "none", Kind: value.KindInteger, Nullable: true}, {Name: "text", Kind: value.KindText, Nullable: true},
			{Name: "float", Kind: value.KindFloat, Nullable: true},
		},
		Indexes: []catalog.IndexSpec{{Name: "by_u256", Columns: []string{"u256"}}},
	}), msgs.WriteRows{Table: accounts, Rows: []value.Row{{
		value.Int(1), value.U8(5), value.U64(5), value.Int(5), value.U256(five), value.I256(five), value.Timestamp(5),
		value.Null(), value.Null(), value.Null(),
	}}})
	return s
}

func cell(column string, op msgs.ArithmeticOp, amount value.Value, limit msgs.LimitPolicy) msgs.Mutation {
	return msgs.CellArithmetic{Table: accounts, Key: key(1), Column: column, Op: op, Amount: amount, OnLimit: limit}
}

func TestCellArithmeticFollowsItsPolicies(t *testing.T) {
	const add, sub, store, most, least = msgs.ArithmeticAdd, msgs.ArithmeticSub, msgs.ArithmeticSet, msgs.ArithmeticMax, msgs.ArithmeticMin
	const reject, saturate, noop = msgs.LimitReject, msgs.LimitSaturate, msgs.LimitNoOp
	wide := func(n uint64) value.Value { return value.U256(uint256.NewInt(n)) }
	for name, tc := range map[string]struct {
		m    msgs.Mutation
		want value.Value
		n    int // affected
		code errs.Code
	}{
		"u256":                 {cell("u256", add, wide(3), reject), wide(8), 1, ""},
		"u256 zero":            {cell("u256", add, wide(0), reject), wide(5), 1, ""},
		"36: underflow":        {cell("u256", sub, wide(6), reject), wide(5), 0, errs.CodeUnderflow},
		"without effect":       {cell("u256", sub, wide(6), noop), wide(5), 0, ""},
		"36: overflow":         {cell("u256", add, value.U256(new(uint256.Int).SetAllOne()), reject), wide(5), 0, errs.CodeOverflow},
		"saturated":            {cell("u256", add, value.U256(new(uint256.Int).SetAllOne()), saturate), value.U256(new(uint256.Int).SetAllOne()), 1, ""},
		"u8 saturated":         {cell("u8", add, value.U8(251), saturate), value.U8(255), 1, ""},
		"u8":                   {cell("u8", add, value.U8(250), reject), value.U8(255), 1, ""},
		"u64 underflow":        {cell("u64", sub, value.U64(6), reject), value.Value{}, 0, errs.CodeUnderflow},
		"u64 set":              {cell("u64", store, value.U64(6), reject), value.U64(6), 1, ""},
		"int below zero":       {cell("int", sub, value.Int(6), reject), value.Int(-1), 1, ""},
		"int saturated":        {cell("int", add, value.Int(math.MaxInt64), saturate), value.Int(math.MaxInt64), 1, ""},
		"int max":              {cell("int", most, value.Int(6), reject), value.Int(6), 1, ""},
		"int max that stays":   {cell("int", most, value.Int(4), reject), value.Int(5), 0, ""},
		"int min":              {cell("int", least, value.Int(-4), reject), value.Int(-4), 1, ""},
		"i256":                 {cell("i256", sub, value.I256(uint256.NewInt(6)), reject), value.I256(new(uint256.Int).SetAllOne()), 1, ""},
		"timestamp":            {cell("at", add, value.Timestamp(6), reject), value.Timestamp(11), 1, ""},
		"Null":                 {cell("none", add, value.Int(1), reject), value.Value{}, 0, errs.CodeValidation},
		"amount of other kind": {cell("u64", add, value.Int(1), reject), value.Value{}, 0, errs.CodeTypeMismatch},
		"text":                 {cell("text", add, value.Text("x"), reject), value.Value{}, 0, errs.CodeTypeMismatch},
		"float":                {cell("float", add, value.Float(1), reject), value.Value{}, 0, errs.CodeTypeMismatch},
		"key":                  {cell("id", add, value.Int(1), reject), value.Value{}, 0, errs.CodeValidation},
		"unknown column":       {cell("no", add, value.Int(1), reject), value.Value{}, 0, errs.CodeUnknownColumn},
		"unknown operation":    {cell("int", 9, value.Int(1), reject), value.Value{}, 0, errs.CodeValidation},
		"saturated difference": {cell("int", sub, value.Int(1), saturate), value.Value{}, 0, errs.CodeValidation},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAccounts(t)
			if tc.code != "" {
				s.fails(tc.code, tc.m)
				return
			}
			reply := s.replies(tc.m)[0]
			require.Equal(t, tc.want, reply.Value)
			require.Equal(t, tc.n, reply.Affected)
			require.Equal(t, s.w.Seq()-1+uint64(tc.n), reply.Version)
		})
	}
	s := newAccounts(t)
	missing := cell("int", add, value.Int(1), reject).(msgs.CellArithmetic)
	missing.Key = key(2)
	s.fails(errs.CodeRowNotFound, missing)
	s.fails(errs.CodeOverflow, cell("u256", add, value.U256(new(uint256.Int).SetAllOne()), reject))
	require.Equal(t, wide(6), s.replies(cell("u256", add, wide(1), reject))[0].Value, "36: an increment in range works after that")
}

func TestFact10TheTotalIsWhatSucceeded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newAccounts(t)
		total := uint64(5)
		for _, n := range rapid.SliceOfN(rapid.Uint8Range(0, 10), 0, 20).Draw(rt, "amounts") {
			op := rapid.SampledFrom([]msgs.ArithmeticOp{msgs.ArithmeticAdd, msgs.ArithmeticSub}).Draw(rt, "op")
			err := s.do(cell("u8", op, value.U8(n), msgs.LimitReject))
			switch {
			case op == msgs.ArithmeticAdd:
				total += uint64(n)
				require.NoError(rt, err)
			case uint64(n) <= total:
				total -= uint64(n)
				require.NoError(rt, err)
			default:
				require.ErrorIs(rt, err, errs.ErrUnderflow)
			}
		}
		require.Equal(rt, value.U8(uint8(total)), s.replies(cell("u8", msgs.ArithmeticAdd, value.U8(0), msgs.LimitReject))[0].Value)
	})
}
