package wal

import (
	"encoding/binary"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Writer encodes one segment. It holds what the next frame depends on - the
// chain, the expected seq, the running digest - and no bytes: each call hands
// out what has to be written next, at the offset that Size had before the call.
// It is not safe for concurrent use.
type Writer struct {
	header   Header
	sealing  keys.Sealing
	seal     *Seal  // nil if the segment is not sealed
	seed     uint32 // the last checksum before the frames: where that of every frame begins
	previous uint32 // checksum of the last frame
	nextSeq  uint64
	size     int64
	digest   *blake3.Hasher
}

// NewWriter begins a segment that is not sealed. It returns the writer and the
// bytes of the header, which the caller owns.
func NewWriter(h Header) (*Writer, []byte, error) { return NewSealedWriter(h, keys.Sealing{}) }

// NewSealedWriter begins a segment that is sealed as sealing says. It returns the
// writer and the bytes of the header and the seal block, which the caller owns. The
// feature flags are the writer's to set: h has none.
func NewSealedWriter(h Header, sealing keys.Sealing) (*Writer, []byte, error) {
	if h.FirstSeq == 0 {
		return nil, nil, errs.New(errs.CodeEncode, "segment %d has no first seq", h.Number)
	}
	if h.Features != 0 {
		return nil, nil, errs.New(errs.CodeEncode, "segment %d is to have the features %#x", h.Number, h.Features)
	}
	seal, data, err := newSeal(&h, sealing)
	if err != nil {
		return nil, nil, err
	}
	w := &Writer{
		header: h, sealing: sealing, seal: seal,
		seed:    binary.LittleEndian.Uint32(data[len(data)-4:]),
		nextSeq: h.FirstSeq,
		size:    int64(len(data)),
		digest:  blake3.New(),
	}
	w.previous = w.seed
	w.digest.Write(data) // a Hasher never fails
	return w, data, nil
}

// ContinueWriter goes on with a segment that is not sealed; see
// ContinueSealedWriter.
func ContinueWriter(data []byte, end End) (*Writer, error) {
	return ContinueSealedWriter(data, end, keys.Sealing{})
}

// ContinueSealedWriter returns a writer that goes on where the good frames of a
// segment end: at end.Offset, whatever lies behind it. data is the segment and end
// what Scan found in it; a segment that is Corrupt, or that is sealed in another way
// than sealing says, cannot be continued (errs.CodeEncode). The data is hashed up to
// end.Offset and not retained, so that Digest of the result is also the digest of
// what was found.
func ContinueSealedWriter(data []byte, end End, sealing keys.Sealing) (*Writer, error) {
	h, seal, err := Open(data, sealing.Ring)
	if err != nil {
		return nil, err
	}
	if end.Verdict == Corrupt || end.Offset < h.size() || end.Offset > len(data) {
		return nil, errs.New(errs.CodeEncode, "segment %d cannot be continued at offset %d of %d: it is %s", h.Number, end.Offset, len(data), end.Verdict)
	}
	if !seal.Fits(sealing) {
		return nil, errs.New(errs.CodeEncode, "segment %d cannot be continued: it is sealed in another way", h.Number)
	}
	w := &Writer{
		header: h, sealing: sealing, seal: seal,
		seed:     binary.LittleEndian.Uint32(data[h.size()-4:]),
		previous: end.last,
		nextSeq:  end.NextSeq,
		size:     int64(end.Offset),
		digest:   blake3.New(),
	}
	w.digest.Write(data[:end.Offset]) // a Hasher never fails
	return w, nil
}

// Successor begins the segment that follows this one, sealed in the same way, at
// the time given in microseconds since the Unix epoch. It returns what
// NewSealedWriter does.
func (w *Writer) Successor(createdMicros int64) (*Writer, []byte, error) {
	return NewSealedWriter(Header{
		Incarnation: w.header.Incarnation, Number: w.header.Number + 1, Term: w.header.Term,
		FirstSeq: w.nextSeq, CreatedMicros: createdMicros, Previous: w.Digest(),
	}, w.sealing)
}

// Segment describes the segment as it is now.
func (w *Writer) Segment() msgs.Segment {
	return msgs.Segment{
		Number: w.header.Number, FirstSeq: w.header.FirstSeq, LastSeq: w.nextSeq - 1,
		Size: w.size, Digest: w.Digest(),
	}
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
	out, err := w.appendFrame(dst, term, durable, sets)
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
