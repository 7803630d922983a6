package record

import (
	"encoding/binary"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/errs"
)

// Idempotency is what is remembered of a request that carried a key.
type Idempotency struct {
	// Seq is the commit that applied the request.
	Seq uint64
	// Micros is the time of that commit.
	Micros int64
	// Fingerprint identifies the request: a retry has the same.
	Fingerprint [32]byte
	// Replies are what it told, encoded by who remembers it; empty for nothing.
	// Parsed ones share the memory of the record.
	Replies []byte
}

const idempotencySize = 8 + 8 + 32 // without the replies

// AppendIdempotency appends the stored form of the record.
func AppendIdempotency(dst []byte, r Idempotency) []byte {
	dst = binary.BigEndian.AppendUint64(dst, r.Seq)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Micros))
	dst = append(dst, r.Fingerprint[:]...)
	return append(dst, r.Replies...)
}

// ParseIdempotency reads a stored record.
func ParseIdempotency(raw []byte) (r Idempotency, err error) {
	if len(raw) < idempotencySize {
		return r, errs.New(errs.CodeIntegrity, "idempotency record has %d bytes, want %d or more", len(raw), idempotencySize)
	}
	r.Seq = binary.BigEndian.Uint64(raw)
	r.Micros = int64(binary.BigEndian.Uint64(raw[8:]))
	copy(r.Fingerprint[:], raw[16:])
	if len(raw) > idempotencySize {
		r.Replies = raw[idempotencySize:]
	}
	return r, nil
}

// IdempotencyKey returns the key under which a request is remembered. The same
// user key under two callers gives two keys; anonymous callers share one
// namespace that no named caller can enter.
func IdempotencyKey(caller string, named bool, key [16]byte) []byte {
	buf := []byte("aedb idempotency 1\x00\x00")
	if named {
		buf[len(buf)-1] = 1
	}
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(caller)))
	buf = append(buf, caller...)
	buf = append(buf, key[:]...)
	sum := blake3.Sum256(buf)
	return sum[:]
}

// AppendIdempotencyAge appends the key that orders a record by age.
func AppendIdempotencyAge(dst []byte, seq uint64, key []byte) []byte {
	return append(binary.BigEndian.AppendUint64(dst, seq), key...)
}

// SplitIdempotencyAge takes such a key apart. The key aliases raw.
func SplitIdempotencyAge(raw []byte) (seq uint64, key []byte, err error) {
	if len(raw) < 8 {
		return 0, nil, errs.New(errs.CodeIntegrity, "idempotency age entry has %d bytes", len(raw))
	}
	return binary.BigEndian.Uint64(raw), raw[8:], nil
}
