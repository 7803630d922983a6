package checkpoint

import (
	"path"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// featureDelta marks a delta in the header.
const featureDelta uint64 = 1 << 1

// Base names the checkpoint that a delta builds on. The zero value names none.
type Base struct {
	// Seq is its commit seq, below that of the delta.
	Seq uint64
	// Digest is what its reader reports.
	Digest Digest
}

// Tags of what the directory of a delta says of it, under the rules of the others.
const (
	deltaBaseSeq    protowire.Number = 1 // varint
	deltaBaseDigest protowire.Number = 2 // bytes, 32
	deltaDropped    protowire.Number = 3 // varint, one for each space, ascending
)

// delta is what makes a checkpoint a delta; the zero value is that of a full one.
type delta struct {
	base    Base
	dropped []msgs.SpaceID
}

func appendDelta(dst []byte, d delta) []byte {
	dst = protowire.AppendTag(dst, deltaBaseSeq, protowire.VarintType)
	dst = protowire.AppendVarint(dst, d.base.Seq)
	dst = protowire.AppendTag(dst, deltaBaseDigest, protowire.BytesType)
	dst = protowire.AppendBytes(dst, d.base.Digest[:])
	for _, space := range d.dropped {
		dst = protowire.AppendTag(dst, deltaDropped, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(space))
	}
	return dst
}

func parseDelta(data []byte) (d delta, err error) {
	for len(data) > 0 {
		number, kind, value, n, err := consumeField(data)
		if err != nil {
			return d, err
		}
		data = data[n:]
		switch {
		case number == deltaBaseSeq && kind == protowire.VarintType:
			d.base.Seq = value.scalar
		case number == deltaBaseDigest && kind == protowire.BytesType && len(value.bytes) == len(d.base.Digest):
			d.base.Digest = Digest(value.bytes)
		case number == deltaDropped && kind == protowire.VarintType:
			space := msgs.SpaceID(value.scalar)
			if n := len(d.dropped); space == 0 || n > 0 && space <= d.dropped[n-1] {
				return d, errs.New(errs.CodeDecode, "the dropped spaces do not ascend at %d", space)
			}
			d.dropped = append(d.dropped, space)
		default:
			if err := skip(number, "delta"); err != nil {
				return d, err
			}
		}
	}
	if d.base.Seq == 0 {
		return d, errs.New(errs.CodeDecode, "a delta on nothing")
	}
	return d, nil
}

// checkBase checks that a delta has a base below it, and only a delta.
func (h *Header) checkBase() error {
	switch {
	case h.Base.Seq != 0 && h.Base.Seq >= h.Seq:
		return errs.New(errs.CodeDecode, "the checkpoint of commit %d builds on that of commit %d", h.Seq, h.Base.Seq)
	case (h.Base.Seq != 0) != (h.Features&featureDelta != 0):
		return errs.New(errs.CodeDecode, "the header and the directory do not agree on whether it is a delta")
	}
	return nil
}

// checkEntry checks that an entry can be in a checkpoint with this header. In a
// delta, version 0 is that of a deletion, and all others are above the base.
func (h *Header) checkEntry(value []byte, version uint64) error {
	switch {
	case version > h.Seq:
		return errs.New(errs.CodeDecode, "an entry of commit %d in the checkpoint of commit %d", version, h.Seq)
	case h.Base.Seq == 0:
		return nil
	case version == 0 && len(value) > 0:
		return errs.New(errs.CodeDecode, "a deletion that has a value")
	case version != 0 && version <= h.Base.Seq:
		return errs.New(errs.CodeDecode, "an entry of commit %d in a delta on the checkpoint of commit %d", version, h.Base.Seq)
	}
	return nil
}

// Delete adds the deletion of a key to a delta, under the rules of Add.
func (w *Writer) Delete(space msgs.SpaceID, key []byte) error {
	if w.err == nil && w.header.Base.Seq == 0 {
		w.err = errs.New(errs.CodeEncode, "a deletion in the full checkpoint of commit %d", w.header.Seq)
	}
	if w.err == nil {
		w.err = w.add(space, key, nil, 0)
	}
	return w.err
}

// Drop notes in a delta that a space is emptied before the entries that the delta
// has of it. Spaces are dropped in ascending order, each before entries of it or of
// later ones are added.
func (w *Writer) Drop(space msgs.SpaceID) error {
	if w.err != nil {
		return w.err
	}
	n := len(w.dropped)
	if w.header.Base.Seq == 0 || space <= w.lastSpace() || n > 0 && space <= w.dropped[n-1] {
		w.err = errs.New(errs.CodeEncode, "space %d cannot be dropped here in the checkpoint of commit %d", space, w.header.Seq)
		return w.err
	}
	w.dropped = append(w.dropped, space)
	return nil
}

// Drops reports whether a space is emptied before the entries of this delta.
func (r *Reader) Drops(space msgs.SpaceID) bool {
	_, found := slices.BinarySearch(r.dropped, space)
	return found
}

// RawBytes returns the size of all entries before compression.
func (r *Reader) RawBytes() (n int64) {
	for i := range r.chunks {
		n += int64(r.chunks[i].RawBytes)
	}
	return n
}

// Chain is an open checkpoint with all that it builds on: a full one, and then each
// delta behind the one that it builds on.
type Chain []*Reader

// OpenChain opens the checkpoint in a file of a directory with all that it builds
// on, as Open does, and checks that these are the files that are meant. The errors
// are those of Open.
func OpenChain(fsys vfs.FS, dir, file string) (Chain, error) {
	return OpenSealedChain(fsys, dir, file, nil)
}

// OpenSealedChain is OpenChain for checkpoints that may be encrypted under keys of
// the ring; see OpenSealed.
func OpenSealedChain(fsys vfs.FS, dir, file string, ring *keys.Ring) (Chain, error) {
	var chain Chain
	for {
		r, err := OpenSealed(fsys, path.Join(dir, file), ring)
		if err != nil {
			chain.Close()
			return nil, err
		}
		chain = append(chain, r)
		if len(chain) > 1 {
			if want := chain[len(chain)-2].header.Base; r.header.Seq != want.Seq || r.digest != want.Digest {
				chain.Close()
				return nil, errs.New(errs.CodeDecode, "checkpoint %s is not the one that was built on", file).On(file)
			}
		}
		if r.header.Base.Seq == 0 {
			slices.Reverse(chain)
			return chain, nil
		}
		file = FileName(r.header.Base.Seq)
	}
}

// Newest returns the checkpoint that was asked for.
func (c Chain) Newest() *Reader { return c[len(c)-1] }

// Close closes all files, which were only read.
func (c Chain) Close() {
	for _, r := range c {
		_ = r.Close()
	}
}
