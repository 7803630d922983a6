package value

import (
	"cmp"
	"math"

	"github.com/holiman/uint256"
)

// integer is a whole number of up to 256 bits and a sign: what every integral
// kind, and the whole part of every float that is not larger, fits into. Zero
// is never negative.
type integer struct {
	neg bool
	abs uint256.Int
}

// isIntegral reports whether values of the kind are whole numbers.
func isIntegral(k Kind) bool {
	return k >= KindU8 && k <= KindTimestamp
}

// integerOf returns the number in a value of an integral kind.
func integerOf(v Value) (n integer) {
	switch v.kind {
	case KindU8, KindU64:
		n.abs.SetUint64(v.num)
	case KindInteger, KindTimestamp:
		n.neg = int64(v.num) < 0
		if n.neg {
			n.abs.SetUint64(-v.num)
		} else {
			n.abs.SetUint64(v.num)
		}
	case KindU256:
		n.abs.SetBytes32([]byte(v.str))
	case KindI256:
		n.abs.SetBytes32([]byte(v.str))
		n.neg = n.abs.Sign() < 0
		if n.neg {
			n.abs.Neg(&n.abs)
		}
	}
	return n
}

// value returns n as a value of an integral kind. It is false if n is out of
// the kind's range.
func (n *integer) value(kind Kind) (Value, bool) {
	low := n.abs.Uint64()
	small := n.abs.IsUint64()
	switch kind {
	case KindU8:
		return U8(uint8(low)), small && !n.neg && low <= math.MaxUint8
	case KindU64:
		return U64(low), small && !n.neg
	case KindInteger, KindTimestamp:
		v := Value{kind: kind, num: low}
		if n.neg {
			v.num = -low
			return v, small && low <= signBit
		}
		return v, small && low < signBit
	case KindU256:
		return U256(&n.abs), !n.neg
	case KindI256:
		if n.neg {
			bits := new(uint256.Int).Neg(&n.abs)
			return I256(bits), bits.Sign() < 0
		}
		return I256(&n.abs), n.abs.Sign() >= 0
	}
	return Value{}, false
}

// cmp compares two numbers.
func (n *integer) cmp(m *integer) int {
	switch {
	case n.neg && m.neg:
		return m.abs.Cmp(&n.abs)
	case n.neg:
		return -1
	case m.neg:
		return 1
	}
	return n.abs.Cmp(&m.abs)
}

// splitFloat returns the greatest integer that is not above f, and whether f is
// above it. It is false if that integer takes more than 256 bits, and for NaN
// and infinities.
func splitFloat(f float64) (floor integer, above, ok bool) {
	whole := math.Floor(f)
	if !(math.Abs(whole) < 0x1p256) {
		return integer{}, false, false
	}
	frac, exp := math.Frexp(math.Abs(whole))
	mantissa := uint64(frac * 0x1p53)
	if exp <= 53 {
		floor.abs.SetUint64(mantissa >> (53 - exp))
	} else {
		floor.abs.SetUint64(mantissa)
		floor.abs.Lsh(&floor.abs, uint(exp-53))
	}
	floor.neg = whole < 0
	return floor, whole != f, true
}

// float returns the greatest float that is not above n, and whether n is above
// it.
func (n *integer) float() (floor float64, above bool) {
	shift := max(n.abs.BitLen()-53, 0)
	var top, back uint256.Int
	top.Rsh(&n.abs, uint(shift))
	back.Lsh(&top, uint(shift))
	above = !back.Eq(&n.abs)
	mantissa := top.Uint64()
	if n.neg && above {
		mantissa++ // away from zero is down
	}
	floor = math.Ldexp(float64(mantissa), shift)
	if n.neg {
		floor = -floor
	}
	return floor, above
}

// compareFloat compares n with f, which is not NaN.
func (n *integer) compareFloat(f float64) int {
	floor, above, ok := splitFloat(f)
	if !ok {
		return cmp.Compare(0, f) // beyond all integers, on the side of its sign
	}
	if c := n.cmp(&floor); c != 0 || !above {
		return c
	}
	return -1
}
