package value

import (
	"math"
	"math/big"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// rational returns the exact number in a value of a numeric kind, by a route
// that shares nothing with the code under test.
func rational(v Value) *big.Rat {
	switch v.Kind() {
	case KindU8, KindU64:
		return new(big.Rat).SetInt(new(big.Int).SetUint64(v.AsU64()))
	case KindInteger, KindTimestamp:
		return new(big.Rat).SetInt64(v.AsInt())
	case KindFloat:
		return new(big.Rat).SetFloat64(v.AsFloat())
	}
	n := new(big.Int).SetBytes([]byte(v.str))
	if v.Kind() == KindI256 && n.Bit(255) == 1 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), 256))
	}
	return new(big.Rat).SetInt(n)
}

func drawNumber(t *rapid.T) Value {
	return drawValue(t, rapid.SampledFrom(numericKinds).Draw(t, "numeric"))
}

func TestPredicateComparesNumbersExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawNumber(t), drawNumber(t)
		c, known := ComparePredicate(a, b)
		require.True(t, known)
		require.Equal(t, rational(a).Cmp(rational(b)), c, "%s %s, %s %s", a.Kind(), a, b.Kind(), b)
	})
}

func TestPredicateIsTheValueOrderWithinAKind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(columnKinds).Draw(t, "kind")
		a, b := drawValue(t, kind), drawValue(t, kind)
		c, known := ComparePredicate(a, b)
		require.True(t, known)
		require.Equal(t, Compare(a, b), c)
	})
}

func TestPredicateComparisons(t *testing.T) {
	minusOne := mustParse(t, KindI256, "-1")
	wide := mustParse(t, KindU256, max256)
	inf := Float(math.Inf(1))
	for _, c := range []struct {
		a, b Value
		want int
	}{
		{Int(-1), U64(0), -1},
		{U64(1 << 63), Int(math.MaxInt64), 1},
		{U64(9007199254740993), Float(9007199254740992), 1},
		{minusOne, mustParse(t, KindI256, "1"), -1},
		{wide, Int(1), 1},
		{Timestamp(5), Int(5), 0},
		{U256(uint256.NewInt(5)), mustParse(t, KindI256, "5"), 0},
		{U256(uint256.NewInt(0)), Int(-1), 1},
		{mustParse(t, KindI256, "-10"), Int(-5), -1},
		{Float(5), U8(5), 0},
		{Float(-0.5), U64(0), -1},
		{Float(0.5), U64(0), 1},
		{Float(math.Copysign(0, -1)), Int(0), 0},
		{wide, inf, -1},
		{Int(math.MinInt64), Float(math.Inf(-1)), 1},
		{wide, Float(0x1p256), -1},
		{inf, inf, 0},
		{Text("{}"), JSON("{}"), 0},
		{JSON("a"), Text("b"), -1},
	} {
		got, known := ComparePredicate(c.a, c.b)
		require.True(t, known)
		require.Equal(t, c.want, got, "%s %s, %s %s", c.a.Kind(), c.a, c.b.Kind(), c.b)
		got, _ = ComparePredicate(c.b, c.a)
		require.Equal(t, -c.want, got)
	}
}

func TestPredicateIsUnknown(t *testing.T) {
	nan := Float(math.NaN())
	for _, c := range [][2]Value{
		{Null(), Null()}, {Null(), Int(1)}, {nan, nan}, {nan, Int(1)}, {nan, Float(1)},
		{Int(1), Text("1")}, {Float(1), Text("1")}, {Bool(true), U8(1)}, {Blob(nil), Text("")}, {Bool(true), Float(1)},
	} {
		for _, pair := range [][2]Value{c, {c[1], c[0]}} {
			_, known := ComparePredicate(pair[0], pair[1])
			require.False(t, known, "%s, %s", pair[0].Kind(), pair[1].Kind())
		}
	}
}

// The meaning of each coercion, checked against the predicate order for a
// column value drawn independently of the literal.
func TestCoerceAgreesWithPredicate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(columnKinds).Draw(t, "kind")
		literal, cell := drawAny(t), drawValue(t, kind)
		image, how := Coerce(kind, literal)
		if rapid.Bool().Draw(t, "near") && how != Incomparable && !image.IsNull() {
			cell = image
		}
		c, known := ComparePredicate(cell, literal)
		require.Equal(t, how != Incomparable, known)
		switch how {
		case Exact:
			require.Equal(t, kind, image.Kind())
			require.Equal(t, Compare(cell, image), c)
		case Between:
			require.Equal(t, kind, image.Kind())
			require.NotZero(t, c)
			require.Equal(t, Compare(cell, image) <= 0, c < 0)
		case BelowAll:
			require.Equal(t, 1, c)
		case AboveAll:
			require.Equal(t, -1, c)
		}
	})
}

func TestCoerceFindsTheGreatestValueBelow(t *testing.T) {
	for _, c := range []struct {
		kind    Kind
		literal Value
		want    Value
		how     Coercion
	}{
		{KindU64, Int(5), U64(5), Exact},
		{KindU64, Float(5.5), U64(5), Between},
		{KindU64, Int(-1), Null(), BelowAll},
		{KindU64, Float(-0.5), Null(), BelowAll},
		{KindU8, Float(255), U8(255), Exact},
		{KindU8, Float(255.5), Null(), AboveAll},
		{KindU8, U64(256), Null(), AboveAll},
		{KindInteger, Float(-5.5), Int(-6), Between},
		{KindInteger, Int(math.MinInt64), Int(math.MinInt64), Exact},
		{KindInteger, Float(-0x1p63), Int(math.MinInt64), Exact},
		{KindInteger, Float(0x1p63), Null(), AboveAll},
		{KindTimestamp, Int(7), Timestamp(7), Exact},
		{KindI256, Int(-7), mustParse(t, KindI256, "-7"), Exact},
		{KindI256, mustParse(t, KindU256, max256), Null(), AboveAll},
		{KindI256, Float(-0x1p255), mustParse(t, KindI256, "-"+half256), Exact},
		{KindI256, Float(0x1p255), Null(), AboveAll},
		{KindU256, Float(math.Inf(1)), Null(), AboveAll},
		{KindU256, Float(math.Inf(-1)), Null(), BelowAll},
		{KindU256, Float(math.NaN()), Null(), Incomparable},
		{KindFloat, U64(1<<53 + 1), Float(1 << 53), Between},
		{KindFloat, Int(-(1<<53 + 1)), Float(-(1<<53 + 2)), Between},
		{KindFloat, mustParse(t, KindU256, max256), Float(math.Nextafter(0x1p256, 0)), Between},
		{KindFloat, Float(math.Inf(1)), Null(), AboveAll},
		{KindFloat, Float(math.NaN()), Null(), Incomparable},
		{KindJSON, Text("{}"), JSON("{}"), Exact},
		{KindBlob, Text("a"), Null(), Incomparable},
		{KindBoolean, U8(1), Null(), Incomparable},
		{KindText, Null(), Null(), Incomparable},
	} {
		got, how := Coerce(c.kind, c.literal)
		require.Equal(t, c.how, how, "%s %s", c.kind, c.literal)
		require.Equal(t, c.want, got, "%s %s", c.kind, c.literal)
	}
}

// Between names the greatest value below: the next greater one is above.
func TestCoerceBetweenIsTight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		literal := drawNumber(t)
		for _, kind := range numericKinds {
			image, how := Coerce(kind, literal)
			if how != Between {
				continue
			}
			next := Float(math.Nextafter(image.AsFloat(), math.Inf(1)))
			if kind != KindFloat {
				n := integerOf(image)
				one := integer{}
				one.abs.SetOne()
				if n.neg {
					n.abs.Sub(&n.abs, &one.abs)
					n.neg = !n.abs.IsZero()
				} else {
					n.abs.Add(&n.abs, &one.abs)
				}
				var ok bool
				next, ok = n.value(kind)
				require.True(t, ok)
			}
			c, _ := ComparePredicate(next, literal)
			require.Equal(t, 1, c, "%s %s", kind, literal)
		}
	})
}
