package aedb

import (
	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go/value"
)

// Value is one immutable cell; the zero Value is Null.
type Value = value.Value

// Row is one value per column.
type Row = value.Row

// Type is the type of a column.
type Type = value.Kind

// Column types.
const (
	TypeBoolean   = value.KindBoolean
	TypeU8        = value.KindU8
	TypeU64       = value.KindU64
	TypeInteger   = value.KindInteger
	TypeU256      = value.KindU256
	TypeI256      = value.KindI256
	TypeTimestamp = value.KindTimestamp
	TypeFloat     = value.KindFloat
	TypeText      = value.KindText
	TypeJSON      = value.KindJSON
	TypeBlob      = value.KindBlob
)

// Null returns the null value.
func Null() Value { return value.Null() }

// Bool returns a Boolean.
func Bool(b bool) Value { return value.Bool(b) }

// U8 returns an 8-bit unsigned integer.
func U8(v uint8) Value { return value.U8(v) }

// U64 returns a 64-bit unsigned integer.
func U64(v uint64) Value { return value.U64(v) }

// Int returns an Integer, a 64-bit signed number.
func Int(v int64) Value { return value.Int(v) }

// U256 returns an unsigned 256-bit integer.
func U256(v *uint256.Int) Value { return value.U256(v) }

// I256 returns a signed 256-bit integer given as two's complement.
func I256(v *uint256.Int) Value { return value.I256(v) }

// Timestamp returns a time in microseconds since the Unix epoch.
func Timestamp(micros int64) Value { return value.Timestamp(micros) }

// Float returns a float64; tables refuse NaN and infinities.
func Float(v float64) Value { return value.Float(v) }

// Text returns a UTF-8 string.
func Text(s string) Value { return value.Text(s) }

// JSON returns a JSON text, kept verbatim.
func JSON(s string) Value { return value.JSON(s) }

// Blob returns a copy of the bytes.
func Blob(b []byte) Value { return value.Blob(b) }
