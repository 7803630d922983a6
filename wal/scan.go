package wal

import (
	"encoding/binary"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
)

// Verdict says how the content of a segment ends.
type Verdict uint8

const (
	// Clean: the last frame ends where the data ends, or only zeros follow.
	Clean Verdict = iota
	// Torn: what follows the last good frame was never known to be durable. It
	// is what a power cut leaves, and may be cut off the last segment.
	Torn
	// Corrupt: something is damaged, missing or out of order that had been
	// durable, or that is whole but cannot be true.
	Corrupt
)

// String returns the verdict in lower case.
func (v Verdict) String() string {
	switch v {
	case Clean:
		return "clean"
	case Torn:
		return "torn"
	case Corrupt:
		return "corrupt"
	}
	return "unknown"
}

// End is what a scan found out about a segment as a whole.
type End struct {
	// Verdict judges the bytes behind the good frames.
	Verdict Verdict
	// Offset is where the good frames end: the size of the segment without
	// unused space or damage.
	Offset int
	// NextSeq is the seq that the next commit must have.
	NextSeq uint64
	// Frames is the number of good frames.
	Frames int
	// Stranded is the number of whole frames behind a torn or corrupt place.
	// They cannot be used, because what they build on is gone.
	Stranded int
	// Reason says what is wrong at Offset; it is nil after a clean end and
	// errs.CodeDecode otherwise.
	Reason error

	// last is the last checksum of the good frames or in front of them: what the
	// next frame has to name as its predecessor.
	last uint32
}

// Scan reads a segment that is not sealed; see ScanSealed.
func Scan(data []byte, visit func(Frame) error) (Header, End, error) {
	return ScanSealed(data, nil, visit)
}

// ScanSealed reads a segment held in memory, sealed under a key of the ring or not
// sealed, and calls visit for each good frame, in order. Keys and values handed to visit alias data, so data must stay unchanged
// for as long as they are used.
//
// Damage is not an error but a verdict. Where a frame is missing or fails its
// checksum, the rest is searched for later frames of this segment, and what they
// say was durable decides: if one of them was written when the missing commit
// was already synced, synced bytes have changed and the segment is Corrupt. Else
// it is Torn: epochs are written while earlier ones are still being synced, so
// after a power cut a later write may be there and an earlier one not, and
// nobody was promised either. In a segment that is not the last of the log, or
// below a size or a seq that a manifest calls durable, Torn is damage too; only
// the caller knows that.
//
// The error is that of Open, that of visit, errs.CodeUnavailable for a frame that a
// newer version wrote, or errs.CodeIntegrity for a frame, wherever it is, whose
// checksum fits and whose tag does not: no crash leaves that. End then covers the
// frames before it.
func ScanSealed(data []byte, ring *keys.Ring, visit func(Frame) error) (Header, End, error) {
	p, err := BeginSealed(data, ring)
	if err != nil {
		return Header{}, End{}, err
	}
	end, err := p.Scan(data[p.Offset:], visit)
	return p.Header(), end, err
}

// NeverWritten reports whether a segment whose header does not parse ends with
// that header or has only zeros behind it. No frame is written before the header
// is synced, so this is what a crash during the creation of a segment leaves; any
// other bad header is damage.
func NeverWritten(data []byte) bool {
	return len(data) <= HeaderSize || allZero(data[HeaderSize:])
}

// NeverSealed is NeverWritten for a segment that was to be sealed, whose header or
// seal block does not parse. That it was cannot be told from the segment.
func NeverSealed(data []byte) bool {
	const end = HeaderSize + SealSize
	return len(data) <= end || allZero(data[end:])
}

func inSegment(h Header, err error) error {
	return errs.Wrap(errs.CodeOf(err), err, "segment %d", h.Number).On(SegmentName(h.Number))
}

// judgeTail sets the verdict on a segment whose tail, from end.Offset on, does not
// begin with a good frame. The error is that of a forged one.
func judgeTail(tail []byte, seal *Seal, seed uint32, end *End) error {
	if allZero(tail) {
		return nil
	}
	end.Verdict = Torn
	var durable uint64
	decided, err := strandedFrames(tail, seal, seed, *end, func(h payloadHead) {
		end.Stranded++
		durable = max(durable, h.durable)
	})
	switch {
	case err != nil:
		return err
	case durable >= end.NextSeq:
		end.Verdict = Corrupt
		end.Reason = errs.New(errs.CodeDecode, "no valid frame at offset %d, but a later one says that seq %d was durable", end.Offset, durable)
	case !decided:
		end.Verdict = Corrupt
		end.Reason = errs.New(errs.CodeDecode, "no valid frame at offset %d, and too much behind it looks like frames", end.Offset)
	default:
		end.Reason = errs.New(errs.CodeDecode, "no valid frame at offset %d; %d bytes and %d later frames were never promised", end.Offset, len(tail), end.Stranded)
	}
	return nil
}

// searchBudget is how often a search may read the tail again. Random bytes are
// turned down by their first bytes; only bytes made to look like frames use it up.
const searchBudget = 64

// strandedFrames calls visit for each whole frame in the tail, which is behind end,
// that is of this segment and starts at or above end.NextSeq. It returns false if it
// gave up.
func strandedFrames(tail []byte, seal *Seal, seed uint32, end End, visit func(payloadHead)) (decided bool, err error) {
	budget := searchBudget * len(tail)
	// A commit takes at least two bytes, so a seq of this segment cannot be
	// further away than there are bytes.
	follows := func(h payloadHead) bool { return h.first >= end.NextSeq && h.first-end.NextSeq <= uint64(len(tail)) }
	for offset := 0; offset+FrameOverhead < len(tail); {
		size, ok := frameExtent(tail, offset)
		if !ok || !seal.plausible(tail[offset:offset+size], end.Offset+offset) {
			offset++
			continue
		}
		frame := tail[offset : offset+size]
		if seal == nil { // its head can be read before its checksum is known to fit
			if head, err := parsePayloadHead(frame[FrameOverhead:]); err != nil || !follows(head) {
				offset++
				continue
			}
		}
		if budget -= size; budget < 0 {
			return false, nil
		}
		if _, ok := frameAt(tail, offset, seed); !ok {
			offset++
			continue
		}
		payload, err := seal.open(frame, end.Offset+offset)
		if err != nil {
			return false, err
		}
		if head, err := parsePayloadHead(payload); err == nil && follows(head) {
			visit(head)
		}
		offset += size
	}
	return true, nil
}

// plausibleHead tells at the price of one byte that data cannot be a payload.
func plausibleHead(data []byte) bool { return data[0] == byte(frameTerm<<3) }

func allZero(data []byte) bool {
	for len(data) >= 8 {
		if binary.LittleEndian.Uint64(data) != 0 {
			return false
		}
		data = data[8:]
	}
	for _, b := range data {
		if b != 0 {
			return false
		}
	}
	return true
}
