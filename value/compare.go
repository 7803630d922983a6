package value

import (
	"cmp"
	"math"
	"strings"
)

// ComparePredicate is the order of conditions. Numbers of all kinds, Timestamp
// among them, compare by their exact value, so Integer 5, U256 5 and Float 5.0
// are equal here; Text and Json compare with each other by their bytes; other
// kinds compare with their own kind only, as in Compare.
//
// It is not known, and the condition neither true nor false, if either is Null
// or NaN or their kinds do not compare.
func ComparePredicate(a, b Value) (c int, known bool) {
	switch {
	case a.kind == KindNull || b.kind == KindNull:
		return 0, false
	case a.kind == KindFloat || b.kind == KindFloat:
		return compareWithFloat(a, b)
	case a.kind == b.kind:
		return Compare(a, b), true
	case isIntegral(a.kind) && isIntegral(b.kind):
		x, y := integerOf(a), integerOf(b)
		return x.cmp(&y), true
	case isCharacters(a.kind) && isCharacters(b.kind):
		return strings.Compare(a.str, b.str), true
	}
	return 0, false
}

// compareWithFloat compares two values at least one of which is a Float.
func compareWithFloat(a, b Value) (c int, known bool) {
	if b.kind != KindFloat {
		c, known = compareWithFloat(b, a)
		return -c, known
	}
	f := b.AsFloat()
	if math.IsNaN(f) {
		return 0, false
	}
	switch {
	case a.kind == KindFloat:
		return cmp.Compare(a.AsFloat(), f), !math.IsNaN(a.AsFloat())
	case isIntegral(a.kind):
		n := integerOf(a)
		return n.compareFloat(f), true
	}
	return 0, false
}

// isCharacters reports whether the kind is a string of characters.
func isCharacters(k Kind) bool {
	return k == KindText || k == KindJSON
}
