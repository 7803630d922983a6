package value

import (
	"encoding/hex"
	"strconv"
)

// String returns the text form of the value, which Parse reads back for every
// kind that a column may have: numbers in decimal, Timestamp in microseconds,
// Float in the fewest digits that tell it apart, U256 as 0x and 64 hexadecimal
// digits, Blob as 0x and its hexadecimal digits, Text and Json verbatim, and
// Null as null.
func (v Value) String() string {
	switch v.kind {
	case KindNull:
		return "null"
	case KindBoolean:
		return strconv.FormatBool(v.num != 0)
	case KindU8, KindU64:
		return strconv.FormatUint(v.num, 10)
	case KindInteger, KindTimestamp:
		return strconv.FormatInt(int64(v.num), 10)
	case KindI256:
		return v.decimal256()
	case KindFloat:
		return strconv.FormatFloat(v.AsFloat(), 'g', -1, 64)
	case KindU256, KindBlob:
		return "0x" + hex.EncodeToString([]byte(v.str))
	}
	return v.str
}

// decimal256 returns a U256 or I256 in decimal.
func (v Value) decimal256() string {
	n := integerOf(v)
	if n.neg {
		return "-" + n.abs.Dec()
	}
	return n.abs.Dec()
}
