package value

import "math"

// Coercion says where a literal lies among the values of a kind, in the order
// of ComparePredicate.
type Coercion uint8

// Coercions. All bounds that a planner derives follow from these: for a column
// c and a literal between v and its successor, c < literal is c <= v, and
// c = literal is false for every value but unknown for Null.
const (
	// Incomparable: no value of the kind compares with the literal.
	Incomparable Coercion = iota
	// Exact: the literal equals the returned value.
	Exact
	// Between: the literal lies between the returned value and the next greater
	// one of the kind; it equals none.
	Between
	// BelowAll: the literal is less than every value of the kind.
	BelowAll
	// AboveAll: the literal is greater than every value of the kind.
	AboveAll
)

// Coerce converts the literal v to the kind of the column it is compared with,
// so that it can be encoded as a key of that column. The returned value is Null
// unless the coercion is Exact or Between. Floats are taken to be finite, as in
// every column.
func Coerce(kind Kind, v Value) (Value, Coercion) {
	switch {
	case v.kind == KindNull:
		return Value{}, Incomparable
	case isIntegral(kind) && isIntegral(v.kind):
		n := integerOf(v)
		return n.coerce(kind, false)
	case isIntegral(kind) && v.kind == KindFloat:
		f := v.AsFloat()
		if floor, above, ok := splitFloat(f); ok {
			return floor.coerce(kind, above)
		}
		return beyondAll(f)
	case kind == KindFloat && v.kind == KindFloat:
		if f := v.AsFloat(); math.IsNaN(f) || math.IsInf(f, 0) {
			return beyondAll(f)
		}
		return v, Exact
	case kind == KindFloat && isIntegral(v.kind):
		n := integerOf(v)
		f, above := n.float()
		if above {
			return Float(f), Between
		}
		return Float(f), Exact
	case isCharacters(kind) && isCharacters(v.kind):
		return Value{kind: kind, str: v.str}, Exact
	case kind == v.kind:
		return v, Exact
	}
	return Value{}, Incomparable
}

// coerce returns n, or if above is set the literal between n and n+1, as a
// value of an integral kind.
func (n *integer) coerce(kind Kind, above bool) (Value, Coercion) {
	v, ok := n.value(kind)
	switch {
	case !ok && n.neg:
		return Value{}, BelowAll
	case !ok:
		return Value{}, AboveAll
	case !above:
		return v, Exact
	case v == U8(math.MaxUint8):
		// No other kind has its greatest value among the floats with a
		// fraction, which end at 2^53.
		return Value{}, AboveAll
	}
	return v, Between
}

// beyondAll places a float that is beyond the range of a kind.
func beyondAll(f float64) (Value, Coercion) {
	switch {
	case f > 0:
		return Value{}, AboveAll
	case f < 0:
		return Value{}, BelowAll
	}
	return Value{}, Incomparable
}
