package query

import (
	"math"
	bigint "math/big"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// numbers is a layout with a column of each kind that a term may be of.
type numbers struct{}

var numberKinds = []value.Kind{
	value.KindInteger, value.KindU8, value.KindU64, value.KindU256, value.KindI256, value.KindTimestamp,
	value.KindText, value.KindFloat, value.KindBoolean, value.KindBlob,
}

func (numbers) String() string { return "numbers" }

func (numbers) Lookup(column string) (int, value.Kind, bool) {
	for i, k := range numberKinds {
		if k.String() == column {
			return i, k, true
		}
	}
	return 0, 0, false
}

// exact returns the number in a value of an integral kind.
func exact(v value.Value) *bigint.Int {
	switch v.Kind() {
	case value.KindInteger, value.KindTimestamp:
		return bigint.NewInt(v.AsInt())
	case value.KindU8, value.KindU64:
		return new(bigint.Int).SetUint64(v.AsU64())
	case value.KindU256:
		return v.AsUint256().ToBig()
	}
	n := v.AsUint256().ToBig()
	if n.Bit(255) == 1 {
		n.Sub(n, new(bigint.Int).Lsh(bigint.NewInt(1), 256))
	}
	return n
}

// drawNumber draws a value of an integral kind, often near the ends of its range.
func drawNumber(t *rapid.T, kind value.Kind, label string) value.Value {
	least, greatest, _ := Extremes(kind)
	end := rapid.SampledFrom([]value.Value{least, greatest, {}}).Draw(t, label)
	n := rapid.Uint64().Draw(t, label)
	if !end.IsNull() {
		n %= 3
	}
	var v value.Value
	switch kind {
	case value.KindU8:
		v = value.U8(uint8(n))
	case value.KindU64:
		v = value.U64(n)
	case value.KindInteger:
		v = value.Int(int64(n))
	case value.KindTimestamp:
		v = value.Timestamp(int64(n))
	case value.KindU256:
		v = value.U256(uint256.NewInt(n))
	default:
		v = value.I256(uint256.NewInt(n))
	}
	switch end {
	case least:
		v, _ = Sum(least, v)
	case greatest:
		v, _ = Difference(greatest, v)
	}
	return v
}

func TestArithmeticIsExactOrTellsTheSideItLeaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(numberKinds[:6]).Draw(t, "kind")
		a, b := drawNumber(t, kind, "a"), drawNumber(t, kind, "b")
		least, greatest, ok := Extremes(kind)
		require.True(t, ok)
		for _, minus := range []bool{false, true} {
			want, calculate := new(bigint.Int).Add(exact(a), exact(b)), Sum
			if minus {
				want, calculate = new(bigint.Int).Sub(exact(a), exact(b)), Difference
			}
			got, err := calculate(a, b)
			switch {
			case want.Cmp(exact(least)) < 0:
				require.ErrorIs(t, err, errs.ErrUnderflow)
			case want.Cmp(exact(greatest)) > 0:
				require.ErrorIs(t, err, errs.ErrOverflow)
			default:
				require.NoError(t, err)
				require.Equal(t, kind, got.Kind())
				require.Zero(t, want.Cmp(exact(got)), "%v, not %v", got, want)
			}
		}
	})
}

func TestThereIsNoArithmeticBeyondTheIntegralKinds(t *testing.T) {
	for _, kind := range numberKinds {
		integral := kind >= value.KindU8 && kind <= value.KindTimestamp
		require.Equal(t, integral, Computable(kind), "%s", kind)
	}
}

func TestTermsAreEvaluated(t *testing.T) {
	old := func(p int) value.Value { return value.Row{value.Int(5), value.Null()}[p] }
	proposed := func(p int) value.Value { return value.Row{value.Int(2), value.U8(9)}[p] }
	integer, u8 := Col("Integer"), Col("U8")
	for name, tc := range map[string]struct {
		term Term
		kind value.Kind
		want value.Value
		code errs.Code
	}{
		"literal":             {Lit(3), value.KindInteger, value.Int(3), ""},
		"Null":                {Term{}, value.KindInteger, value.Null(), ""},
		"column":              {integer, value.KindInteger, value.Int(5), ""},
		"proposed":            {Proposed("Integer"), value.KindInteger, value.Int(2), ""},
		"sum":                 {Add(integer, Proposed("Integer")), value.KindInteger, value.Int(7), ""},
		"difference":          {Sub(integer, Lit(6)), value.KindInteger, value.Int(-1), ""},
		"Null in a sum":       {Add(u8, Lit(uint8(1))), value.KindU8, value.Null(), ""},
		"coalesce":            {Coalesce(u8, Proposed("U8")), value.KindU8, value.U8(9), ""},
		"coalesce, not Null":  {Coalesce(integer, Lit(1)), value.KindInteger, value.Int(5), ""},
		"nested":              {Coalesce(Add(u8, Lit(uint8(1))), Sub(Lit(uint8(9)), Lit(uint8(4)))), value.KindU8, value.U8(5), ""},
		"overflow":            {Add(integer, Lit(math.MaxInt64)), value.KindInteger, value.Null(), errs.CodeOverflow},
		"not evaluated":       {Coalesce(integer, Add(integer, Lit(math.MaxInt64))), value.KindInteger, value.Int(5), ""},
		"kind of a literal":   {Lit("x"), value.KindInteger, value.Null(), errs.CodeTypeMismatch},
		"kind of a column":    {u8, value.KindInteger, value.Null(), errs.CodeTypeMismatch},
		"kind of an operand":  {Add(integer, u8), value.KindInteger, value.Null(), errs.CodeTypeMismatch},
		"kind of a sum":       {Add(Lit("a"), Lit("b")), value.KindText, value.Null(), errs.CodeTypeMismatch},
		"unknown column":      {Col("no"), value.KindInteger, value.Null(), errs.CodeUnknownColumn},
		"unknown in proposed": {Proposed("no"), value.KindInteger, value.Null(), errs.CodeUnknownColumn},
	} {
		f, err := BindTerm(tc.term, numbers{}, tc.kind, true)
		var got value.Value
		if err == nil {
			got, err = f.Eval(old, proposed)
		}
		require.Equal(t, tc.code, errs.CodeOf(err), "%s: %v", name, err)
		require.Equal(t, tc.want, got, name)
	}
	_, err := BindTerm(Coalesce(integer, Proposed("Integer")), numbers{}, value.KindInteger, false)
	require.ErrorIs(t, err, errs.ErrValidation)
}

func TestTermsAreBoundedInSize(t *testing.T) {
	term := Lit(0)
	for range (MaxTermNodes - 1) / 2 {
		term = Add(term, Lit(1))
	}
	_, err := BindTerm(term, numbers{}, value.KindInteger, false)
	require.NoError(t, err)
	_, err = BindTerm(Add(term, Lit(1)), numbers{}, value.KindInteger, false)
	require.ErrorIs(t, err, errs.ErrLimitExceeded)
	for range 64 { // 2^64 nodes in 64 cells of memory
		term = Add(term, term)
	}
	_, err = BindTerm(term, numbers{}, value.KindInteger, false)
	require.ErrorIs(t, err, errs.ErrLimitExceeded)
}

func TestLiteralTermsCanBeLookedInto(t *testing.T) {
	v, ok := Lit(3).Literal()
	require.True(t, ok)
	require.Equal(t, value.Int(3), v)
	_, ok = Col("a").Literal()
	require.False(t, ok)
}

// termOf reads a term in prefix form.
func termOf(in []byte) (Term, []byte) {
	if len(in) < 2 {
		return Term{}, nil
	}
	op, arg, in := in[0], in[1], in[2:]
	switch column := numberKinds[int(arg)%len(numberKinds)].String(); op % 8 {
	case 0:
		return Col(column), in
	case 1:
		return Proposed(column), in
	case 2:
		return Lit(int(arg) - 128), in
	case 3:
		return Lit(arg), in
	case 4:
		return Lit(uint64(arg)), in
	}
	a, in := termOf(in)
	b, in := termOf(in)
	return []func(a, b Term) Term{Add, Sub, Coalesce}[op%8-5](a, b), in
}

// Whatever the term, binding it refuses it or makes a formula that gives a value
// of the kind wanted, Null, or an error of arithmetic.
func FuzzTerm(f *testing.F) {
	f.Add([]byte{5, 0, 0, 0, 2, 200}, uint8(0))
	f.Add([]byte{7, 0, 0, 1, 6, 0, 1, 1, 3, 7}, uint8(1))
	f.Add([]byte{5, 0, 5, 0, 4, 1, 4, 2, 0, 2}, uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, k uint8) {
		if len(in) > 4<<10 {
			return
		}
		kind := numberKinds[int(k)%len(numberKinds)]
		term, _ := termOf(in)
		formula, err := BindTerm(term, numbers{}, kind, true)
		if err != nil {
			require.NotEmpty(t, errs.CodeOf(err))
			return
		}
		_, greatest, _ := Extremes(kind)
		for _, column := range []func(int) value.Value{
			func(int) value.Value { return value.Null() }, func(int) value.Value { return greatest },
		} {
			v, err := formula.Eval(column, column)
			if err != nil {
				require.Contains(t, []errs.Code{errs.CodeOverflow, errs.CodeUnderflow}, errs.CodeOf(err))
			} else if !v.IsNull() {
				require.Equal(t, kind, v.Kind())
			}
		}
		require.NotEmpty(t, term.AppendCanonical(nil))
	})
}
