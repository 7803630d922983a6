package value

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// maxExactJSON is the greatest whole number that every reader of JSON is able
// to hold, because many read numbers as float64.
const maxExactJSON = 1<<53 - 1

// AppendJSON appends the JSON form of v to dst. Null and Boolean are native,
// Text is a string, and Float a number. Integer, U8, U64 and Timestamp are
// numbers up to 2^53-1 in magnitude and decimal strings above, 256-bit numbers
// are decimal strings, Blob is a base64 string, and Json is embedded as it is.
// NaN and infinities, which JSON lacks and tables refuse, become strings.
func AppendJSON(dst []byte, v Value) []byte {
	switch v.kind {
	case KindU8, KindU64:
		if v.num > maxExactJSON {
			return appendQuoted(dst, v.String())
		}
		return strconv.AppendUint(dst, v.num, 10)
	case KindInteger, KindTimestamp:
		if n := int64(v.num); n > maxExactJSON || n < -maxExactJSON {
			return appendQuoted(dst, v.String())
		}
		return strconv.AppendInt(dst, int64(v.num), 10)
	case KindU256, KindI256:
		return appendQuoted(dst, v.decimal256())
	case KindFloat:
		text := v.String()
		if !json.Valid([]byte(text)) {
			return appendQuoted(dst, text)
		}
		return append(dst, text...)
	case KindText:
		text, _ := json.Marshal(v.str) // every string has a JSON form
		return append(dst, text...)
	case KindBlob:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, []byte(v.str))
		return append(dst, '"')
	}
	return append(dst, v.String()...)
}

// appendQuoted appends a string of characters that need no escape.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// ParseJSON reads a value of the kind from its JSON form. The JSON value null
// is Null for every kind, Json included. Whole numbers may stand in a string
// in any form that Parse accepts for the kind, whatever their size; otherwise
// the form is that of AppendJSON. Errors have code validation and do not repeat
// the text.
func ParseJSON(kind Kind, raw []byte) (Value, error) {
	raw = bytes.Trim(raw, " \t\r\n")
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return Value{}, parseError(kind, "not JSON")
	}
	if string(raw) == "null" {
		return Value{}, nil
	}
	if kind == KindJSON {
		return JSON(string(raw)), nil
	}
	if raw[0] != '"' {
		if kind == KindText || kind == KindBlob {
			return Value{}, parseError(kind, "not a JSON string")
		}
		return Parse(kind, string(raw))
	}
	if kind == KindNull || kind == KindBoolean || kind == KindFloat {
		return Value{}, parseError(kind, "a JSON string")
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return Value{}, parseError(kind, "not a JSON string")
	}
	if kind == KindBlob {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return Value{}, parseError(kind, "not base64")
		}
		return Blob(b), nil
	}
	return Parse(kind, text)
}
