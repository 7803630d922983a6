package wal

import (
	"encoding/binary"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Writer encodes one segment. It holds what the next frame depends on - the
// chain, the expected seq, the running digest - and no bytes: each call hands
// out what has to be written next, at the offset that Size had before the call.
// It is not safe for concurrent use.
type Writer struct {
	header   Header
	seed     uint32 // the header's checksum: where the checksum of every frame begins
	previous uint32 // checksum of the last frame
	nextSeq  uint64
	size     int64
	digest   *blake3.Hasher
}

// NewWriter begins a segment. It returns the writer and the bytes of the header,
// which the caller owns.
func NewWriter(h Header) (*Writer, []byte, error) {
	if h.FirstSeq == 0 {
		return nil, nil, errs.New(errs.CodeEncode, "segment %d has no first seq", h.Number)
	}
	if unknown := h.Features &^ knownFeatures; unknown != 0 {
		return nil, nil, errs.New(errs.CodeEncode, "segment %d has unknown features %#x", h.Number, unknown)
	}
	data := AppendHeader(make([]byte, 0, HeaderSize), h)
	w := &Writer{
		header:  h,
		seed:    binary.LittleEndian.Uint32(data[headerChecksum:]),
		nextSeq: h.FirstSeq,
		size:    HeaderSize,
		digest:  blake3.New(),
	}
	w.previous = w.seed
	w.digest.Write(data) // a Hasher never fails
	return w, data, nil
}

// ContinueWriter returns a writer that goes on where the good frames of a segment
// end: at end.Offset, whatever lies behind it. data is the segment and end what
// Scan found in it; a segment that is Corrupt cannot be continued
// (errs.CodeEncode). The data is hashed up to end.Offset and not retained, so that
// Digest of the result is also the digest of what was found.
func ContinueWriter(data []byte, end End) (*Writer, error) {
	h, err := ParseHeader(data)
	if err != nil {
		return nil, err
	}
	if end.Verdict == Corrupt || end.Offset < HeaderSize || end.Offset > len(data) {
		return nil, errs.New(errs.CodeEncode, "segment %d cannot be continued at offset %d of %d: it is %s", h.Number, end.Offset, len(data), end.Verdict)
	}
	w := &Writer{
		header:   h,
		seed:     binary.LittleEndian.Uint32(data[headerChecksum:]),
		previous: end.last,
		nextSeq:  end.NextSeq,
		size:     int64(end.Offset),
		digest:   blake3.New(),
	}
	w.digest.Write(data[:end.Offset]) // a Hasher never fails
	return w, nil
}

// AppendFrame appends the frame of one epoch to dst and counts it as written:
// the frames must reach the segment in the order of the calls. The sets must
// continue at NextSeq without a gap. Durable is the highest seq known to be
// synced at this moment; it decides what recovery makes of damage (see Scan), so
// it must never be above what really is, and should not lag without need.
//
// On an error (errs.CodeEncode, errs.CodeLimitExceeded) dst is returned
// unchanged and the writer is as before. The sets are not retained.
func (w *Writer) AppendFrame(dst []byte, term, durable uint64, sets []msgs.Changeset) ([]byte, error) {
	if len(sets) == 0 {
		return dst, errs.New(errs.CodeEncode, "a frame needs at least one commit")
	}
	for i := range sets {
		if want := w.nextSeq + uint64(i); sets[i].Seq != want {
			return dst, errs.New(errs.CodeEncode, "commit %d follows where %d is expected", sets[i].Seq, want)
		}
	}
	if durable >= w.nextSeq {
		return dst, errs.New(errs.CodeEncode, "durable seq %d is not below %d, the first of the frame", durable, w.nextSeq)
	}
	out, err := appendFrame(dst, w.seed, w.previous, term, durable, sets)
	if err != nil {
		return dst, err
	}
	frame := out[len(dst):]
	w.previous = binary.LittleEndian.Uint32(frame[frameChecksum:])
	w.nextSeq += uint64(len(sets))
	w.size += int64(len(frame))
	w.digest.Write(frame)
	return out, nil
}

// Header returns the header of the segment.
func (w *Writer) Header() Header { return w.header }

// NextSeq returns the seq that the next commit must have.
func (w *Writer) NextSeq() uint64 { return w.nextSeq }

// Size returns the number of bytes handed out, the header included.
func (w *Writer) Size() int64 { return w.size }

// Digest returns the digest of all bytes handed out so far: what the header of
// the next segment holds, and with Size what a manifest may state of a segment
// that still grows. The segment can be continued.
func (w *Writer) Digest() Digest {
	var d Digest
	w.digest.Sum(d[:0])
	return d
}
