package wal

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/empyrealapp/aedb-go/msgs"
)

const (
	// MaxFrameBytes is the largest payload of a frame, with what a seal adds to it.
	// The writer refuses more, so that a reader can refuse a length above it as
	// damage.
	MaxFrameBytes = 1 << 30
	// FrameOverhead is the number of bytes that a frame has before its payload.
	FrameOverhead = 12
)

// Offsets of the fields before the payload of a frame.
const (
	frameChecksum = 0 // u32: CRC32C of all that follows, begun at the header's CRC
	frameLength   = 4 // u32: length of the payload; 0 means that the log ends here
	framePrevious = 8 // u32: checksum of the frame before, or of the header
)

// Frame is one epoch of commits.
type Frame struct {
	// Offset and Size locate the frame in its segment.
	Offset, Size int
	// Term is the term under which the frame was written.
	Term uint64
	// Durable is the highest seq that was durable when the frame was written; it
	// is below the seq of the first set.
	Durable uint64
	// Sets are the commits, contiguous and ascending. The keys and values of
	// their effects alias the segment, or memory that is theirs alone if that is
	// encrypted; an empty one is nil or empty.
	Sets []msgs.Changeset
}

// sumFrame returns the checksum of a frame in a segment with the given seed.
func sumFrame(seed uint32, frame []byte) uint32 {
	return crc32.Update(seed, castagnoli, frame[frameLength:])
}

// frameAt returns the size of the frame that starts at offset, and false if
// there is no whole frame of the segment with that seed. It does not look at the
// chain nor into the payload.
func frameAt(data []byte, offset int, seed uint32) (size int, ok bool) {
	size, ok = frameExtent(data, offset)
	if !ok {
		return 0, false
	}
	frame := data[offset : offset+size]
	return size, sumFrame(seed, frame) == binary.LittleEndian.Uint32(frame[frameChecksum:])
}

// frameExtent returns the size that a frame at offset claims to have, and false
// if there is no room for it.
func frameExtent(data []byte, offset int) (size int, ok bool) {
	rest := len(data) - offset
	if rest < FrameOverhead {
		return 0, false
	}
	length := binary.LittleEndian.Uint32(data[offset+frameLength:])
	if length == 0 || length > MaxFrameBytes || int(length) > rest-FrameOverhead {
		return 0, false
	}
	return FrameOverhead + int(length), true
}

// appendFrame appends a whole frame for a place in the segment to dst.
func (w *Writer) appendFrame(dst []byte, term, durable uint64, sets []msgs.Changeset) ([]byte, error) {
	start := len(dst)
	before, extra := w.seal.overhead()
	var head [sealedPayload]byte
	dst = append(dst, head[:before]...)
	dst, err := appendPayload(dst, term, durable, sets, MaxFrameBytes-extra)
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(dst[start+frameLength:], uint32(len(dst)-start-before+extra))
	binary.LittleEndian.PutUint32(dst[start+framePrevious:], w.previous)
	if w.seal != nil {
		if dst, err = w.seal.seal(dst, start, w.size); err != nil {
			return nil, err
		}
	}
	frame := dst[start:]
	binary.LittleEndian.PutUint32(frame[frameChecksum:], sumFrame(w.seed, frame))
	return dst, nil
}
