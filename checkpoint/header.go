package checkpoint

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/empyrealapp/aedb-go/errs"
)

const (
	// FormatVersion is the version of the checkpoint format that this package
	// writes, and the newest that it reads.
	FormatVersion = 1

	headerMagic   = "AEDBCKP\x00"
	headerSize    = 60
	knownFeatures = featureEncrypted | featureDelta
)

// Offsets of the fields of the header.
const (
	headerVersion     = 8
	headerReserved    = 10
	headerKeyEncoding = 12
	headerFeatures    = 16
	headerIncarnation = 24
	headerSeq         = 40
	headerMicros      = 48
	headerChecksum    = 56
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header says what a checkpoint is of.
type Header struct {
	// KeyEncoding is the version of the encoding of keys.
	KeyEncoding uint32
	// Features are the feature flags of the file. Unknown ones refuse it.
	Features uint64
	// Incarnation identifies the store since its creation or its restore.
	Incarnation [16]byte
	// Seq is the commit seq whose state the checkpoint holds.
	Seq uint64
	// Micros is the time of commit Seq in microseconds since the Unix epoch: no
	// clock is read for a checkpoint, so equal states give equal files.
	Micros int64
	// Base is what a delta builds on; the zero Base makes the checkpoint a full one.
	// It stands in the directory, not in the header of the file.
	Base Base
}

func appendHeader(dst []byte, h Header) []byte {
	start := len(dst)
	dst = append(dst, headerMagic...)
	dst = binary.LittleEndian.AppendUint16(dst, FormatVersion)
	dst = binary.LittleEndian.AppendUint16(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, h.KeyEncoding)
	dst = binary.LittleEndian.AppendUint64(dst, h.Features)
	dst = append(dst, h.Incarnation[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, h.Seq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Micros))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// parseHeader reads the headerSize bytes of a header. Damage is told from
// novelty by the checksum, which stays where it is in every version.
func parseHeader(data []byte) (Header, error) {
	if string(data[:len(headerMagic)]) != headerMagic {
		return Header{}, errs.New(errs.CodeDecode, "the magic number is wrong")
	}
	if binary.LittleEndian.Uint32(data[headerChecksum:]) != crc32.Checksum(data[:headerChecksum], castagnoli) {
		return Header{}, errs.New(errs.CodeDecode, "the header fails its checksum")
	}
	if v := binary.LittleEndian.Uint16(data[headerVersion:]); v > FormatVersion {
		return Header{}, errs.New(errs.CodeUnavailable, "format %d is newer than %d, the newest supported", v, FormatVersion)
	} else if v == 0 {
		return Header{}, errs.New(errs.CodeDecode, "the header has format 0")
	}
	h := Header{
		KeyEncoding: binary.LittleEndian.Uint32(data[headerKeyEncoding:]),
		Features:    binary.LittleEndian.Uint64(data[headerFeatures:]),
		Incarnation: [16]byte(data[headerIncarnation:headerSeq]),
		Seq:         binary.LittleEndian.Uint64(data[headerSeq:]),
		Micros:      int64(binary.LittleEndian.Uint64(data[headerMicros:])),
	}
	if unknown := h.Features &^ knownFeatures; unknown != 0 {
		return Header{}, errs.New(errs.CodeUnavailable, "unknown features %#x", unknown)
	}
	if binary.LittleEndian.Uint16(data[headerReserved:]) != 0 {
		return Header{}, errs.New(errs.CodeDecode, "the reserved field of the header is in use")
	}
	return h, nil
}
