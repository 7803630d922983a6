package value

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unsafe"

	"github.com/empyrealapp/aedb-go/errs"
)

// The key encoding turns a tuple of values into bytes such that
//
//   - bytes.Compare of two keys is element-wise Compare of their tuples;
//   - no encoded value is a prefix of another one, so distinct tuples never
//     share a key and the entries that begin with given values are exactly the
//     range from their key to its PrefixEnd;
//   - every key has one encoding: what decodes, encodes to the same bytes.
//
// An element is a tag followed by content. The tag is the number of the kind
// plus one, which keeps the order of kinds, puts Null first and leaves 00 and
// FF free. Numbers have fixed width and are big-endian, with the sign bit
// flipped where there is one; the bits of negative floats are inverted whole.
// Text, Json and Blob write the byte 00 as 00 FF and end in 00 01.
//
// The descending form of an element is the complement of all its bytes. Its
// tag has the top bit set, so a key tells the direction of each element.
const (
	keyTagOffset  = 1
	keyTerminator = 0x01 // after 00: the content ends
	keyEscape     = 0xFF // after 00: the content goes on, with a byte 00
	signBit       = 1 << 63
)

// AppendKey appends the ascending key encoding of v to dst.
func AppendKey(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.kind)+keyTagOffset)
	switch v.kind {
	case KindNull:
		return dst
	case KindBoolean, KindU8:
		return append(dst, byte(v.num))
	case KindU64:
		return binary.BigEndian.AppendUint64(dst, v.num)
	case KindInteger, KindTimestamp:
		return binary.BigEndian.AppendUint64(dst, v.num^signBit)
	case KindFloat:
		return binary.BigEndian.AppendUint64(dst, orderedFloat(v.num))
	case KindU256:
		return append(dst, v.str...)
	case KindI256:
		dst = append(dst, v.str...)
		dst[len(dst)-len(v.str)] ^= 0x80
		return dst
	}
	s := v.str
	for {
		zero := strings.IndexByte(s, 0)
		if zero < 0 {
			dst = append(dst, s...)
			return append(dst, 0, keyTerminator)
		}
		dst = append(dst, s[:zero+1]...)
		dst = append(dst, keyEscape)
		s = s[zero+1:]
	}
}

// AppendKeyRow appends the ascending key encoding of the values, in order.
func AppendKeyRow(dst []byte, vals ...Value) []byte {
	for _, v := range vals {
		dst = AppendKey(dst, v)
	}
	return dst
}

// AppendKeyDesc appends the descending key encoding of v to dst. Among
// descending elements the order of keys is the reverse of Compare, so Null
// comes last.
func AppendKeyDesc(dst []byte, v Value) []byte {
	start := len(dst)
	dst = AppendKey(dst, v)
	for i := start; i < len(dst); i++ {
		dst[i] = ^dst[i]
	}
	return dst
}

// KeyLen returns the number of bytes that AppendKey and AppendKeyDesc append
// for v.
func KeyLen(v Value) int {
	if width := keyWidth(v.kind); width >= 0 {
		return 1 + width
	}
	return 1 + len(v.str) + strings.Count(v.str, "\x00") + 2
}

// keyWidth returns the number of content bytes in the key of a kind, or -1 if
// the content is escaped and terminated.
func keyWidth(k Kind) int {
	switch k {
	case KindNull:
		return 0
	case KindBoolean, KindU8:
		return 1
	case KindU64, KindInteger, KindTimestamp, KindFloat:
		return 8
	case KindU256, KindI256:
		return 32
	}
	return -1
}

// PrefixEnd returns the lowest key above every key that begins with p, as a
// new slice: p without its trailing FF bytes and with the byte before them
// incremented. It returns nil, meaning unbounded, if p is empty or all FF.
func PrefixEnd(p []byte) []byte {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] != 0xFF {
			end := bytes.Clone(p[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// DecodeKey decodes the first element of b, ascending or descending, and
// returns the bytes after it. Bytes that no value encodes to are an error of
// code decode. The value does not share memory with b.
func DecodeKey(b []byte) (v Value, rest []byte, err error) {
	e, err := scanKey(b)
	if err != nil {
		return Value{}, nil, err
	}
	return e.value(), b[e.size:], nil
}

// BorrowKey is DecodeKey, except that Text, Json and Blob share the memory of b
// where its bytes are those of the value. It is for keys whose bytes never
// change, and keeps them alive.
func BorrowKey(b []byte) (v Value, rest []byte, err error) {
	// What most keys are made of comes first.
	if len(b) > 8 {
		switch kind := Kind(b[0] - keyTagOffset); kind {
		case KindInteger, KindTimestamp:
			return Value{kind: kind, num: binary.BigEndian.Uint64(b[1:]) ^ signBit}, b[9:], nil
		case KindU64:
			return Value{kind: kind, num: binary.BigEndian.Uint64(b[1:])}, b[9:], nil
		}
	}
	e, err := scanKey(b)
	if err != nil {
		return Value{}, nil, err
	}
	if e.kind >= KindText && e.mask == 0 && e.zeros == 0 {
		return Value{kind: e.kind, str: unsafe.String(unsafe.SliceData(e.content), len(e.content))}, b[e.size:], nil
	}
	return e.value(), b[e.size:], nil
}

// DecodeKeyRow decodes the first n elements of b and returns the bytes after
// them. Errors are those of DecodeKey.
func DecodeKeyRow(b []byte, n int) (row Row, rest []byte, err error) {
	// An element takes at least its tag, so b bounds what is allocated.
	if n < 0 || n > len(b) {
		return nil, nil, errs.New(errs.CodeDecode, "key of %d bytes cannot hold %d elements", len(b), n)
	}
	row = make(Row, n)
	for i := range row {
		if row[i], b, err = DecodeKey(b); err != nil {
			return nil, nil, err
		}
	}
	return row, b, nil
}

// SkipKey returns the bytes after the first element of b. It accepts what
// DecodeKey accepts and does not allocate, except for an error.
func SkipKey(b []byte) (rest []byte, err error) {
	if len(b) > 8 { // what most keys are made of comes first
		switch Kind(b[0] - keyTagOffset) {
		case KindU64, KindInteger, KindTimestamp:
			return b[9:], nil
		}
	}
	e, err := scanKey(b)
	if err != nil {
		return nil, err
	}
	return b[e.size:], nil
}

// keyElement is one element of a key, checked but not yet decoded.
type keyElement struct {
	kind    Kind
	mask    byte   // FF in descending elements: XOR gives the ascending byte
	content []byte // between tag and terminator
	zeros   int    // escaped bytes in content
	size    int    // of the whole element
}

// scanKey finds and checks the first element of b.
func scanKey(b []byte) (keyElement, error) {
	if len(b) == 0 {
		return keyElement{}, errs.New(errs.CodeDecode, "key ends where a value is expected")
	}
	e := keyElement{}
	if b[0]&0x80 != 0 {
		e.mask = 0xFF
	}
	tag := b[0] ^ e.mask
	e.kind = Kind(tag - keyTagOffset)
	if tag < keyTagOffset || e.kind > KindBlob {
		return e, errs.New(errs.CodeDecode, "unknown tag %#x in key", b[0])
	}
	if width := keyWidth(e.kind); width >= 0 {
		e.size = 1 + width
		if len(b) < e.size {
			return e, errs.New(errs.CodeDecode, "%s in key is cut short", e.kind)
		}
		e.content = b[1:e.size]
		if e.kind == KindBoolean && e.content[0]^e.mask > 1 ||
			e.kind == KindFloat && floatBits(e.uint64()) == signBit {
			return e, errs.New(errs.CodeDecode, "%s in key is not canonical", e.kind)
		}
		return e, nil
	}
	for next := 1; ; {
		zero := bytes.IndexByte(b[next:], e.mask)
		if zero < 0 || next+zero+1 == len(b) {
			return e, errs.New(errs.CodeDecode, "%s in key has no end", e.kind)
		}
		next += zero + 2
		switch b[next-1] ^ e.mask {
		case keyTerminator:
			e.content, e.size = b[1:next-2], next
			return e, nil
		case keyEscape:
			e.zeros++
		default:
			return e, errs.New(errs.CodeDecode, "%s in key holds a bad escape", e.kind)
		}
	}
}

// value decodes the element.
func (e *keyElement) value() Value {
	v := Value{kind: e.kind}
	switch e.kind {
	case KindNull:
	case KindBoolean, KindU8:
		v.num = uint64(e.content[0] ^ e.mask)
	case KindU64:
		v.num = e.uint64()
	case KindInteger, KindTimestamp:
		v.num = e.uint64() ^ signBit
	case KindFloat:
		v.num = floatBits(e.uint64())
	case KindU256, KindI256:
		var buf [32]byte
		for i, c := range e.content {
			buf[i] = c ^ e.mask
		}
		if e.kind == KindI256 {
			buf[0] ^= 0x80
		}
		v.str = string(buf[:])
	default:
		v.str = e.text()
	}
	return v
}

// uint64 returns the content of an eight-byte element in ascending form.
func (e *keyElement) uint64() uint64 {
	n := binary.BigEndian.Uint64(e.content)
	if e.mask != 0 {
		return ^n
	}
	return n
}

// text returns the content of an escaped element in one allocation.
func (e *keyElement) text() string {
	if e.mask == 0 && e.zeros == 0 {
		return string(e.content)
	}
	var s strings.Builder
	s.Grow(len(e.content) - e.zeros)
	for i := 0; i < len(e.content); i++ {
		c := e.content[i] ^ e.mask
		s.WriteByte(c)
		if c == 0 {
			i++ // the escape
		}
	}
	return s.String()
}

// orderedFloat maps float bits to an unsigned number with the same order:
// negative numbers inverted whole, others with the sign bit set.
func orderedFloat(bits uint64) uint64 {
	if bits&signBit != 0 {
		return ^bits
	}
	return bits | signBit
}

// floatBits is the inverse of orderedFloat.
func floatBits(ordered uint64) uint64 {
	if ordered&signBit != 0 {
		return ordered ^ signBit
	}
	return ^ordered
}
