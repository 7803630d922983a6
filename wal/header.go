package wal

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/errs"
)

const (
	// FormatVersion is the version of the segment format that this package
	// writes, and the newest that it reads.
	FormatVersion = 1
	// HeaderSize is the size of a segment header in bytes, in every version.
	HeaderSize = 104
	// knownFeatures are the feature flags that this package understands.
	knownFeatures = Authenticated | Encrypted

	headerMagic = "AEDBWAL\x00"
)

// Feature flags of a sealed segment, which has one of the two and a seal block
// behind the header.
const (
	// Authenticated frames carry a tag, and their payload as it is.
	Authenticated uint64 = 1 << iota
	// Encrypted frames carry a tag, and their payload encrypted.
	Encrypted
)

// Offsets of the fields of a segment header.
const (
	headerVersion     = 8
	headerReserved    = 10
	headerFeatures    = 12
	headerIncarnation = 20
	headerNumber      = 36
	headerTerm        = 44
	headerFirstSeq    = 52
	headerCreated     = 60
	headerPrevious    = 68
	headerChecksum    = 100
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Digest is a BLAKE3-256 digest.
type Digest = [32]byte

// DigestOf returns the digest of the content of a segment, as Writer.Digest
// would have returned it: of the header and the frames, without the unused
// space behind them.
func DigestOf(content []byte) Digest { return blake3.Sum256(content) }

// Header opens a segment and says whose it is and where it belongs.
type Header struct {
	// Features are the feature flags of the segment. Unknown ones refuse it.
	Features uint64
	// Incarnation identifies the store since its creation or its restore.
	Incarnation [16]byte
	// Number is the number of the segment, which is also in its name.
	Number uint64
	// Term is the epoch of the writer in the sense of a replicated log; 1 today.
	Term uint64
	// FirstSeq is the seq that the first commit of the segment must have: one
	// more than the last seq before it. It is at least 1.
	FirstSeq uint64
	// CreatedMicros is the time of creation in microseconds since the Unix epoch.
	CreatedMicros int64
	// Previous is the digest of the whole segment before this one, and zero for
	// the first segment of a store, or where no manifest vouched for the one before.
	Previous Digest
}

// size returns where the frames of the segment begin.
func (h *Header) size() int {
	if h.Features == 0 {
		return HeaderSize
	}
	return HeaderSize + SealSize
}

// AppendHeader appends the HeaderSize bytes of a header to dst.
func AppendHeader(dst []byte, h Header) []byte {
	start := len(dst)
	dst = append(dst, headerMagic...)
	dst = binary.LittleEndian.AppendUint16(dst, FormatVersion)
	dst = binary.LittleEndian.AppendUint16(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, h.Features)
	dst = append(dst, h.Incarnation[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, h.Number)
	dst = binary.LittleEndian.AppendUint64(dst, h.Term)
	dst = binary.LittleEndian.AppendUint64(dst, h.FirstSeq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.CreatedMicros))
	dst = append(dst, h.Previous[:]...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// ParseHeader reads the header at the start of a segment. A header that is cut
// short or damaged is errs.CodeDecode; one that is whole but of a newer format,
// or with unknown feature flags, is errs.CodeUnavailable.
//
// Damage is told from novelty by the checksum, which stays where it is in every
// version.
func ParseHeader(data []byte) (Header, error) {
	if len(data) < HeaderSize {
		return Header{}, errs.New(errs.CodeDecode, "segment header is cut short: %d of %d bytes", len(data), HeaderSize)
	}
	if string(data[:len(headerMagic)]) != headerMagic {
		return Header{}, errs.New(errs.CodeDecode, "segment header has the wrong magic number")
	}
	if binary.LittleEndian.Uint32(data[headerChecksum:]) != crc32.Checksum(data[:headerChecksum], castagnoli) {
		return Header{}, errs.New(errs.CodeDecode, "segment header fails its checksum")
	}
	if v := binary.LittleEndian.Uint16(data[headerVersion:]); v > FormatVersion {
		return Header{}, errs.New(errs.CodeUnavailable, "segment format %d is newer than %d, the newest supported", v, FormatVersion)
	} else if v == 0 {
		return Header{}, errs.New(errs.CodeDecode, "segment header has format 0")
	}
	h := Header{
		Features:      binary.LittleEndian.Uint64(data[headerFeatures:]),
		Incarnation:   [16]byte(data[headerIncarnation:headerNumber]),
		Number:        binary.LittleEndian.Uint64(data[headerNumber:]),
		Term:          binary.LittleEndian.Uint64(data[headerTerm:]),
		FirstSeq:      binary.LittleEndian.Uint64(data[headerFirstSeq:]),
		CreatedMicros: int64(binary.LittleEndian.Uint64(data[headerCreated:])),
		Previous:      Digest(data[headerPrevious:headerChecksum]),
	}
	if unknown := h.Features &^ knownFeatures; unknown != 0 {
		return Header{}, errs.New(errs.CodeUnavailable, "segment %d uses unknown features %#x", h.Number, unknown)
	}
	if binary.LittleEndian.Uint16(data[headerReserved:]) != 0 || h.FirstSeq == 0 || h.Features == knownFeatures {
		return Header{}, errs.New(errs.CodeDecode, "segment %d has an impossible header", h.Number)
	}
	return h, nil
}
