package value

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/empyrealapp/aedb-go/errs"
)

// Parse reads a value of the kind from text. It accepts what String writes and
// besides: 256-bit numbers in decimal as well as in hexadecimal after 0x, the
// signed one with a minus before either, and a Timestamp in RFC 3339 down to
// the microsecond. Anything else is a validation error that does not repeat
// the text.
func Parse(kind Kind, s string) (Value, error) {
	switch kind {
	case KindNull:
		if s != "null" {
			return Value{}, parseError(kind, "not null")
		}
		return Value{}, nil
	case KindBoolean:
		switch s {
		case "true":
			return Bool(true), nil
		case "false":
			return Bool(false), nil
		}
		return Value{}, parseError(kind, "neither true nor false")
	case KindU8:
		n, err := strconv.ParseUint(s, 10, 8)
		return parsed(kind, U8(uint8(n)), err)
	case KindU64:
		n, err := strconv.ParseUint(s, 10, 64)
		return parsed(kind, U64(n), err)
	case KindInteger:
		n, err := strconv.ParseInt(s, 10, 64)
		return parsed(kind, Int(n), err)
	case KindU256, KindI256:
		return parse256(kind, s)
	case KindTimestamp:
		return parseTimestamp(s)
	case KindFloat:
		f, err := strconv.ParseFloat(s, 64)
		if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return Value{}, parseError(kind, "not finite")
		}
		return parsed(kind, Float(f), err)
	case KindText:
		if !utf8.ValidString(s) {
			return Value{}, parseError(kind, "not UTF-8")
		}
		return Text(s), nil
	case KindJSON:
		if !utf8.ValidString(s) || !json.Valid([]byte(s)) {
			return Value{}, parseError(kind, "not JSON")
		}
		return JSON(s), nil
	case KindBlob:
		digits, ok := strings.CutPrefix(s, "0x")
		b, err := hex.DecodeString(digits)
		if !ok || err != nil {
			return Value{}, parseError(kind, "not 0x and pairs of hexadecimal digits")
		}
		return Blob(b), nil
	}
	return Value{}, parseError(kind, "not a kind of value")
}

// parsed returns the value, or the error that strconv found.
func parsed(kind Kind, v Value, err error) (Value, error) {
	switch {
	case err == nil:
		return v, nil
	case errors.Is(err, strconv.ErrRange):
		return Value{}, parseError(kind, "out of range")
	}
	return Value{}, parseError(kind, "not a number")
}

// parse256 reads a U256 or I256.
func parse256(kind Kind, s string) (Value, error) {
	var n integer
	digits := s
	if kind == KindI256 {
		digits, n.neg = strings.CutPrefix(s, "-")
	}
	if hexDigits, ok := strings.CutPrefix(digits, "0x"); ok {
		if !consistsOf(hexDigits, "0123456789abcdefABCDEF") {
			return Value{}, parseError(kind, "not a number")
		}
		hexDigits = strings.TrimLeft(hexDigits, "0")
		if len(hexDigits) > 64 {
			return Value{}, parseError(kind, "out of range")
		}
		if hexDigits == "" {
			hexDigits = "0"
		}
		if err := n.abs.SetFromHex("0x" + hexDigits); err != nil {
			return Value{}, parseError(kind, "not a number")
		}
	} else {
		if !consistsOf(digits, "0123456789") {
			return Value{}, parseError(kind, "not a number")
		}
		if err := n.abs.SetFromDecimal(digits); err != nil {
			return Value{}, parseError(kind, "out of range")
		}
	}
	n.neg = n.neg && !n.abs.IsZero()
	v, ok := n.value(kind)
	if !ok {
		return Value{}, parseError(kind, "out of range")
	}
	return v, nil
}

// consistsOf reports whether s is one or more of the characters.
func consistsOf(s, characters string) bool {
	return s != "" && strings.Trim(s, characters) == ""
}

// parseTimestamp reads microseconds since the Unix epoch, or RFC 3339.
func parseTimestamp(s string) (Value, error) {
	micros, err := strconv.ParseInt(s, 10, 64)
	if err == nil {
		return Timestamp(micros), nil
	}
	if errors.Is(err, strconv.ErrRange) {
		return Value{}, parseError(KindTimestamp, "out of range")
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return Value{}, parseError(KindTimestamp, "neither microseconds nor RFC 3339")
	}
	if t.Nanosecond()%1000 != 0 {
		return Value{}, parseError(KindTimestamp, "finer than a microsecond")
	}
	return Timestamp(t.UnixMicro()), nil
}

// parseError says why text is no value of a kind.
func parseError(kind Kind, reason string) error {
	return errs.New(errs.CodeValidation, "cannot read %s: %s", kind, reason)
}
