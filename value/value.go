// Package value holds the vocabulary of data: the kinds of value a column may
// hold, their one total order, their order-preserving key encoding, the
// encoding of rows by column id, the order of conditions, and the text and JSON
// forms.
//
// There are two orders. Compare is total, keeps kinds apart, and is the order
// of encoded keys. ComparePredicate compares numbers across kinds and may be
// unknown; Coerce carries its answers over to keys.
//
// Everything here is a pure function of its arguments. Nothing allocates on
// behalf of a length that was not first checked against the bytes at hand.
package value

import (
	"cmp"
	"math"
	"strings"

	"github.com/holiman/uint256"
)

// Kind is the type of a value and of a column. The numeric order of kinds is
// the first criterion of the total order (see Compare) and is part of the
// on-disk format: kinds are appended, never renumbered.
type Kind uint8

// Kinds of value, in rank order.
const (
	KindNull      Kind = 0  // absent; allowed in nullable columns, never a column type
	KindBoolean   Kind = 1  // bool
	KindU8        Kind = 2  // uint8
	KindU64       Kind = 3  // uint64
	KindInteger   Kind = 4  // int64
	KindU256      Kind = 5  // unsigned 256-bit
	KindI256      Kind = 6  // signed 256-bit, two's complement
	KindTimestamp Kind = 7  // int64 microseconds since the Unix epoch
	KindFloat     Kind = 8  // finite float64
	KindText      Kind = 9  // UTF-8 string
	KindJSON      Kind = 10 // JSON text, kept and compared verbatim
	KindBlob      Kind = 11 // bytes
)

// Value is one immutable cell. The zero Value is Null. Values are comparable
// with ==, which agrees with Compare(a, b) == 0.
type Value struct {
	kind Kind
	num  uint64 // Boolean, U8, U64, Integer, Timestamp, and the bits of Float
	str  string // Text, Json, Blob; 32 big-endian bytes of U256 and I256
}

// Row is one value per column, in the order of the table's columns or of the
// columns selected.
type Row []Value

// Null returns the null value.
func Null() Value { return Value{} }

// Bool returns a Boolean.
func Bool(b bool) Value {
	if b {
		return Value{kind: KindBoolean, num: 1}
	}
	return Value{kind: KindBoolean}
}

// U8 returns an 8-bit unsigned integer.
func U8(v uint8) Value { return Value{kind: KindU8, num: uint64(v)} }

// U64 returns a 64-bit unsigned integer.
func U64(v uint64) Value { return Value{kind: KindU64, num: v} }

// Int returns an Integer, a 64-bit signed number.
func Int(v int64) Value { return Value{kind: KindInteger, num: uint64(v)} }

// Timestamp returns a point in time in microseconds since the Unix epoch.
func Timestamp(micros int64) Value { return Value{kind: KindTimestamp, num: uint64(micros)} }

// Float returns a float64. Negative zero becomes zero, so that equal numbers
// have equal keys. NaN and infinities can be held, but tables refuse them.
func Float(v float64) Value {
	if v == 0 {
		v = 0
	}
	return Value{kind: KindFloat, num: math.Float64bits(v)}
}

// Text returns a UTF-8 string. Tables refuse invalid UTF-8.
func Text(s string) Value { return Value{kind: KindText, str: s} }

// JSON returns a JSON text. Tables refuse what does not parse.
func JSON(s string) Value { return Value{kind: KindJSON, str: s} }

// Blob returns a copy of the bytes.
func Blob(b []byte) Value { return Value{kind: KindBlob, str: string(b)} }

// U256 returns an unsigned 256-bit integer. The argument is copied.
func U256(v *uint256.Int) Value {
	b := v.Bytes32()
	return Value{kind: KindU256, str: string(b[:])}
}

// I256 returns a signed 256-bit integer given as two's complement. The argument
// is copied.
func I256(v *uint256.Int) Value {
	b := v.Bytes32()
	return Value{kind: KindI256, str: string(b[:])}
}

// Clone returns the value with memory of its own. A value that was read shares
// the memory of what it was read from; see Row.Clone.
func (v Value) Clone() Value {
	v.str = strings.Clone(v.str)
	return v
}

// Clone returns a copy of the row with memory of its own. The texts and bytes of
// a row that was read share the memory of the store, which never changes but
// stays allocated, a few KiB for each row, as long as they are held: clone rows
// that are to outlive the work at hand.
func (r Row) Clone() Row {
	c := make(Row, len(r))
	for i, v := range r {
		c[i] = v.Clone()
	}
	return c
}

// Kind returns the kind of the value.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether the value is Null.
func (v Value) IsNull() bool { return v.kind == KindNull }

// AsBool returns the content of a Boolean, and false for every other kind.
func (v Value) AsBool() bool { return v.kind == KindBoolean && v.num != 0 }

// AsU64 returns the content of a U8 or U64, and 0 for every other kind.
func (v Value) AsU64() uint64 {
	if v.kind == KindU8 || v.kind == KindU64 {
		return v.num
	}
	return 0
}

// AsInt returns the content of an Integer or Timestamp, and 0 for every other kind.
func (v Value) AsInt() int64 {
	if v.kind == KindInteger || v.kind == KindTimestamp {
		return int64(v.num)
	}
	return 0
}

// AsFloat returns the content of a Float, and 0 for every other kind.
func (v Value) AsFloat() float64 {
	if v.kind == KindFloat {
		return math.Float64frombits(v.num)
	}
	return 0
}

// AsText returns the content of a Text or Json, and "" for every other kind.
func (v Value) AsText() string {
	if v.kind == KindText || v.kind == KindJSON {
		return v.str
	}
	return ""
}

// AsBlob returns a copy of the content of a Blob, and nil for every other kind.
func (v Value) AsBlob() []byte {
	if v.kind == KindBlob {
		return []byte(v.str)
	}
	return nil
}

// AsUint256 returns the content of a U256 or I256 (two's complement) as a new
// integer, and nil for every other kind.
func (v Value) AsUint256() *uint256.Int {
	if v.kind == KindU256 || v.kind == KindI256 {
		return new(uint256.Int).SetBytes32([]byte(v.str))
	}
	return nil
}

// Size returns the number of content bytes of the value, as counted against
// size limits.
func (v Value) Size() int {
	switch v.kind {
	case KindNull:
		return 0
	case KindBoolean, KindU8:
		return 1
	case KindU64, KindInteger, KindTimestamp, KindFloat:
		return 8
	}
	return len(v.str)
}

// Compare is the total order used by sorting and cursors, and it is the order of
// encoded keys: by kind first, Null lowest, then by content. Integer 5 and U64 5
// are different values here.
func Compare(a, b Value) int {
	if a.kind != b.kind {
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case KindNull:
		return 0
	case KindBoolean, KindU8, KindU64:
		return cmp.Compare(a.num, b.num)
	case KindInteger, KindTimestamp:
		return cmp.Compare(int64(a.num), int64(b.num))
	case KindFloat:
		return cmp.Compare(orderedFloat(a.num), orderedFloat(b.num))
	case KindI256:
		if as, bs := a.str[0]>>7, b.str[0]>>7; as != bs {
			return cmp.Compare(bs, as)
		}
	}
	return strings.Compare(a.str, b.str)
}
