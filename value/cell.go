package value

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unsafe"
)

// cellLen returns the number of bytes that appendCell appends for v.
func cellLen(v *Value) int {
	switch v.kind {
	case KindText, KindJSON, KindBlob:
		return len(v.str)
	case KindU256:
		return len(trimUnsigned(v.str))
	case KindI256:
		return len(trimSigned(v.str))
	}
	return (bits.Len64(cellNumber(v.kind, v.num)) + 7) / 8
}

// appendCell appends the stored form of v, as described at AppendRow.
func appendCell(dst []byte, v *Value) []byte {
	switch v.kind {
	case KindText, KindJSON, KindBlob:
		return append(dst, v.str...)
	case KindU256:
		return append(dst, trimUnsigned(v.str)...)
	case KindI256:
		return append(dst, trimSigned(v.str)...)
	}
	for n := cellNumber(v.kind, v.num); n != 0; n >>= 8 {
		dst = append(dst, byte(n))
	}
	return dst
}

// validCell reports whether raw is the stored form of a value of the kind.
func validCell(kind Kind, raw []byte) bool {
	switch kind {
	case KindText, KindJSON, KindBlob:
		return true
	case KindNull:
		return len(raw) == 0
	case KindU256:
		return len(raw) == 0 || len(raw) <= 32 && raw[0] != 0
	case KindI256:
		if len(raw) < 2 {
			return len(raw) == 0 || raw[0] != 0
		}
		repeats := raw[0] == 0 && raw[1] < 0x80 || raw[0] == 0xFF && raw[1] >= 0x80
		return len(raw) <= 32 && !repeats
	}
	if len(raw) > 0 && raw[len(raw)-1] == 0 {
		return false
	}
	switch kind {
	case KindBoolean:
		return len(raw) == 0 || len(raw) == 1 && raw[0] == 1
	case KindU8:
		return len(raw) <= 1
	case KindU64, KindInteger, KindTimestamp:
		return len(raw) <= 8
	case KindFloat:
		// Negative zero is the one byte 80.
		return len(raw) <= 8 && !(len(raw) == 1 && raw[0] == 0x80)
	}
	return false
}

// loadCell is the inverse of appendCell for bytes that are a validCell.
func loadCell(kind Kind, raw []byte) Value {
	v := Value{kind: kind}
	switch kind {
	case KindText, KindJSON, KindBlob:
		v.str = string(raw)
		return v
	case KindU256, KindI256:
		var buf [32]byte
		if kind == KindI256 && len(raw) > 0 && raw[0] >= 0x80 {
			for i := range buf {
				buf[i] = 0xFF
			}
		}
		copy(buf[32-len(raw):], raw)
		v.str = string(buf[:])
		return v
	}
	n := uint64(0)
	for i := len(raw) - 1; i >= 0; i-- {
		n = n<<8 | uint64(raw[i])
	}
	switch kind {
	case KindInteger, KindTimestamp:
		n = n>>1 ^ -(n & 1)
	case KindFloat:
		n = bits.ReverseBytes64(n)
	}
	v.num = n
	return v
}

// borrowCell returns the value of the kind whose stored form are the first n bytes
// of content, and false if there is none. Text, Json and Blob share the memory of
// content, which must never change.
func borrowCell(kind Kind, content []byte, n int) (Value, bool) {
	switch kind {
	case KindText, KindJSON, KindBlob:
		return Value{kind: kind, str: unsafe.String(unsafe.SliceData(content), n)}, true
	case KindU64, KindInteger, KindTimestamp:
		if n == 0 || n > 8 || len(content) < 8 {
			break
		}
		// In one go, whatever follows in the row.
		num := binary.LittleEndian.Uint64(content) << (64 - 8*n) >> (64 - 8*n)
		if num>>(8*n-8) == 0 {
			return Value{}, false
		}
		if kind != KindU64 {
			num = num>>1 ^ -(num & 1)
		}
		return Value{kind: kind, num: num}, true
	}
	raw := content[:n]
	if !validCell(kind, raw) {
		return Value{}, false
	}
	return loadCell(kind, raw), true
}

// cellNumber maps the number of a value to one that is small, in the sense of
// having high zero bytes, for common values.
func cellNumber(kind Kind, n uint64) uint64 {
	switch kind {
	case KindInteger, KindTimestamp:
		return n<<1 ^ uint64(int64(n)>>63)
	case KindFloat:
		return bits.ReverseBytes64(n)
	}
	return n
}

// trimUnsigned removes leading zero bytes.
func trimUnsigned(s string) string { return strings.TrimLeft(s, "\x00") }

// trimSigned removes the leading bytes that only repeat the sign of a
// big-endian two's complement number. Zero becomes empty.
func trimSigned(s string) string {
	fill := byte(0)
	if s[0] >= 0x80 {
		fill = 0xFF
	}
	i := 0
	for i < len(s) && s[i] == fill {
		i++
	}
	if i == len(s) && fill == 0 {
		return ""
	}
	if i == len(s) || (s[i]^fill) >= 0x80 {
		i-- // one byte of fill carries the sign
	}
	return s[i:]
}
