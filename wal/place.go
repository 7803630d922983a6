package wal

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/vfs"
)

// Place is a place in a segment behind its header or behind a good frame. It knows
// what the next frame depends on, so that a segment can be read on from there
// without what is in front of it. It is a plain value: a copy is a bookmark.
type Place struct {
	// Offset is that of the next frame.
	Offset int
	// NextSeq is the seq that its first commit must have.
	NextSeq uint64

	header Header
	seal   *Seal  // nil if the segment is not sealed
	seed   uint32 // the last checksum before the frames: where that of every frame begins
	last   uint32 // the checksum of the frame before, or that one
}

// Begin returns the first place of a segment that is not sealed; see BeginSealed.
func Begin(data []byte) (Place, error) { return BeginSealed(data, nil) }

// BeginSealed returns the place behind the header, and the seal block, at the start
// of data. Its errors are those of Open.
func BeginSealed(data []byte, ring *keys.Ring) (Place, error) {
	h, seal, err := Open(data, ring)
	if err != nil {
		return Place{}, err
	}
	start := h.size()
	seed := binary.LittleEndian.Uint32(data[start-4:])
	return Place{Offset: start, NextSeq: h.FirstSeq, header: h, seal: seal, seed: seed, last: seed}, nil
}

// Header returns the header of the segment.
func (p *Place) Header() Header { return p.header }

// Sealed reports whether the segment is.
func (p *Place) Sealed() bool { return p.seal != nil }

// SameSegment reports whether two places are in one segment, and not in two that
// have only the number in common.
func (p *Place) SameSegment(q *Place) bool { return p.header == q.header }

// Advance calls visit for the good frames that data, the bytes at the place, begins
// with, and moves the place behind each that visit has taken. It returns their size.
// What follows may be cut off, zeros or damage: it is not looked at.
//
// The error is that of visit, errs.CodeUnavailable for a frame that a newer version
// wrote, errs.CodeIntegrity for one that is forged, or errs.CodeDecode for one that is
// whole and cannot be true. Keys and values handed to visit alias data, unless they
// were encrypted.
func (p *Place) Advance(data []byte, visit func(Frame) error) (size int, err error) {
	for size < len(data) {
		f, sum, err := p.next(data[size:])
		if err != nil || f.Size == 0 {
			return size, err
		}
		if err := visit(f); err != nil {
			return size, err
		}
		size += f.Size
		p.Offset += f.Size
		p.NextSeq += uint64(len(f.Sets))
		p.last = sum
	}
	return size, nil
}

// next returns the frame that data begins with and its checksum. Its size is 0 if
// there is no whole one.
func (p *Place) next(data []byte) (Frame, uint32, error) {
	size, ok := frameAt(data, 0, p.seed)
	if !ok {
		return Frame{}, 0, nil
	}
	raw := data[:size]
	plain, err := p.seal.open(raw, p.Offset)
	if err != nil {
		return Frame{}, 0, inSegment(p.header, err)
	}
	body, err := parsePayload(plain)
	switch {
	case binary.LittleEndian.Uint32(raw[framePrevious:]) != p.last:
		err = errs.New(errs.CodeDecode, "frame does not follow the one before it")
	case errs.CodeOf(err) == errs.CodeUnavailable:
		return Frame{}, 0, err
	case err == nil && body.first != p.NextSeq:
		err = errs.New(errs.CodeDecode, "frame starts at seq %d where %d is expected", body.first, p.NextSeq)
	}
	if err != nil {
		return Frame{}, 0, errs.Wrap(errs.CodeDecode, err, "segment %d at offset %d", p.header.Number, p.Offset)
	}
	f := Frame{Offset: p.Offset, Size: size, Term: body.term, Durable: body.durable, Sets: body.sets}
	return f, binary.LittleEndian.Uint32(raw[frameChecksum:]), nil
}

// Scan is Scan of the rest of a segment: data are the bytes from the place to its
// end. The place moves behind the good frames. End.Frames counts those in data.
func (p *Place) Scan(data []byte, visit func(Frame) error) (End, error) {
	var end End
	var stop error
	size, err := p.Advance(data, func(f Frame) error {
		if stop = visit(f); stop == nil {
			end.Frames++
		}
		return stop
	})
	end.Offset, end.NextSeq, end.last = p.Offset, p.NextSeq, p.last
	switch {
	case err == nil:
		if forged := judgeTail(data[size:], p.seal, p.seed, &end); forged != nil {
			err = inSegment(p.header, forged)
		}
	case stop == nil && errs.CodeOf(err) == errs.CodeDecode:
		end.Verdict, end.Reason = Corrupt, err
		err = nil
	}
	return end, err
}

// window is how much of a file Read takes into memory at a time, in bytes. A frame
// that is larger is read whole.
const window = 1 << 20

// Read is Advance over a file of the segment, which may be growing: it goes on up
// to where the file holds no whole frame for now, and tells whether there is
// anything but zeros. To find nothing new costs one read of a few bytes, also in
// front of zeros.
//
// Keys and values handed to visit alias memory that is used for nothing else, up to
// a MiB of it. An error of the file is errs.CodeIO; the others are those of Advance.
func (p *Place) Read(f vfs.File, visit func(Frame) error) (more bool, err error) {
	for {
		data, more, err := p.ahead(f)
		if err != nil {
			return more, errs.Wrap(errs.CodeIO, err, "read segment %d at offset %d", p.header.Number, p.Offset)
		}
		if n, err := p.Advance(data, visit); n == 0 || err != nil {
			return more, err
		}
	}
}

// ahead returns bytes of a file from the place on, with the whole next frame, or
// nothing if there is no room for one; and whether there is anything at the place.
func (p *Place) ahead(f vfs.File) (data []byte, more bool, err error) {
	end, err := f.Size()
	if err != nil {
		return nil, false, err
	}
	rest := end - int64(p.Offset)
	head, err := readAt(f, make([]byte, max(0, min(rest, FrameOverhead))), int64(p.Offset))
	if err != nil || allZero(head) {
		return nil, false, err
	}
	if len(head) < FrameOverhead {
		return nil, true, nil
	}
	length := int64(binary.LittleEndian.Uint32(head[frameLength:]))
	if length == 0 || length > MaxFrameBytes || FrameOverhead+length > rest {
		return nil, true, nil
	}
	data, err = readAt(f, make([]byte, min(max(FrameOverhead+length, window), rest)), int64(p.Offset))
	return data, true, err
}

// Judge reads the rest of the segment and tells how it ends; see Scan. The place
// moves behind good frames that it finds, which are given to visit.
func (p *Place) Judge(f vfs.File, visit func(Frame) error) (End, error) {
	size, err := f.Size()
	var data []byte
	if err == nil {
		data, err = readAt(f, make([]byte, max(0, size-int64(p.Offset))), int64(p.Offset))
	}
	if err != nil {
		return End{}, errs.Wrap(errs.CodeIO, err, "read segment %d at offset %d", p.header.Number, p.Offset)
	}
	return p.Scan(data, visit)
}

// readAt fills data from a file. The end of a file that was cut off meanwhile
// shortens it.
func readAt(f vfs.File, data []byte, offset int64) ([]byte, error) {
	n, err := f.ReadAt(data, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], err
}
