package query

import (
	"math"

	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// Computable reports whether there is arithmetic on values of the kind.
func Computable(k value.Kind) bool {
	_, _, ok := Extremes(k)
	return ok
}

// Extremes returns the least and the greatest value of an integral kind, and
// false for every other kind.
func Extremes(k value.Kind) (least, greatest value.Value, ok bool) {
	var all, sign uint256.Int
	switch k {
	case value.KindU8:
		return value.U8(0), value.U8(math.MaxUint8), true
	case value.KindU64:
		return value.U64(0), value.U64(math.MaxUint64), true
	case value.KindInteger:
		return value.Int(math.MinInt64), value.Int(math.MaxInt64), true
	case value.KindTimestamp:
		return value.Timestamp(math.MinInt64), value.Timestamp(math.MaxInt64), true
	case value.KindU256:
		return value.U256(&sign), value.U256(all.SetAllOne()), true
	case value.KindI256:
		sign.Lsh(sign.SetOne(), 255)
		return value.I256(&sign), value.I256(all.Rsh(all.SetAllOne(), 1)), true
	}
	return value.Value{}, value.Value{}, false
}

// Sum returns a + b, two values of one integral kind. It fails with overflow or
// underflow, never otherwise.
func Sum(a, b value.Value) (value.Value, error) { return combine(a, b, false) }

// Difference returns a - b, under the rules of Sum.
func Difference(a, b value.Value) (value.Value, error) { return combine(a, b, true) }

func combine(a, b value.Value, minus bool) (value.Value, error) {
	kind := a.Kind()
	switch kind {
	case value.KindInteger, value.KindTimestamp, value.KindI256:
		return combineSigned(a, b, minus)
	}
	x, y := unsigned(a), unsigned(b)
	var z uint256.Int
	if minus {
		if _, under := z.SubOverflow(&x, &y); under {
			return value.Value{}, beyond(kind, true)
		}
	} else if _, over := z.AddOverflow(&x, &y); over {
		return value.Value{}, beyond(kind, false)
	}
	switch kind {
	case value.KindU8:
		if z.IsUint64() && z.Uint64() <= math.MaxUint8 {
			return value.U8(uint8(z.Uint64())), nil
		}
	case value.KindU64:
		if z.IsUint64() {
			return value.U64(z.Uint64()), nil
		}
	default:
		return value.U256(&z), nil
	}
	return value.Value{}, beyond(kind, false)
}

// combineSigned calculates in two's complement of 256 bits, which holds every
// result of 64-bit operands.
func combineSigned(a, b value.Value, minus bool) (value.Value, error) {
	kind := a.Kind()
	x, y := twosComplement(a), twosComplement(b)
	var z uint256.Int
	if minus {
		z.Sub(&x, &y)
	} else {
		z.Add(&x, &y)
	}
	// The result has left the range if it lies on the wrong side of a.
	down := (y.Sign() < 0) != minus && !y.IsZero()
	if down && !z.Slt(&x) || !down && z.Slt(&x) {
		return value.Value{}, beyond(kind, down)
	}
	if kind == value.KindI256 {
		return value.I256(&z), nil
	}
	n := int64(z.Uint64())
	if back := signed(n); !back.Eq(&z) {
		return value.Value{}, beyond(kind, down)
	}
	if kind == value.KindTimestamp {
		return value.Timestamp(n), nil
	}
	return value.Int(n), nil
}

// unsigned returns the number in a value of an unsigned kind.
func unsigned(v value.Value) uint256.Int {
	if v.Kind() == value.KindU256 {
		return *v.AsUint256()
	}
	return *uint256.NewInt(v.AsU64())
}

// twosComplement returns the number in a value of a signed kind.
func twosComplement(v value.Value) uint256.Int {
	if v.Kind() == value.KindI256 {
		return *v.AsUint256()
	}
	return signed(v.AsInt())
}

func signed(n int64) (z uint256.Int) {
	z.SetUint64(uint64(n))
	if n < 0 {
		z[1], z[2], z[3] = math.MaxUint64, math.MaxUint64, math.MaxUint64
	}
	return z
}

func beyond(kind value.Kind, down bool) error {
	if down {
		return errs.New(errs.CodeUnderflow, "the result is below the least %s", kind)
	}
	return errs.New(errs.CodeOverflow, "the result is above the greatest %s", kind)
}
