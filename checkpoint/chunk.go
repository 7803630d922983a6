package checkpoint

import (
	"bytes"
	"encoding/binary"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

const (
	// MaxEntryBytes is the largest encoded entry: key, value and a few bytes. No
	// larger one gets through the log.
	MaxEntryBytes = 1 << 30

	// chunkBytes is the size at which a chunk is closed, before compression.
	chunkBytes = 256 << 10
	// maxChunkBytes bounds a chunk before compression: the last entry of a chunk
	// may be of any size.
	maxChunkBytes = chunkBytes + MaxEntryBytes
	// maxExpansion is how much zstd can expand at most: a block of 128 KiB takes
	// four bytes or more.
	maxExpansion = 32 << 10
	// keptBufferBytes is the size above which the buffers of a chunk are not
	// used again but left to the collector.
	keptBufferBytes = 4 << 20
	// minEntryBytes is the smallest encoded entry.
	minEntryBytes = 3
)

// Layout of the prefix of a chunk.
const (
	chunkSpace   = 0  // u64; 0 for the directory
	chunkEntries = 8  // u32
	chunkRaw     = 12 // u32, bytes before compression
	chunkPacked  = 16 // u32, bytes that follow the prefix
	chunkDigest  = 20 // BLAKE3 of all before and of the bytes that follow
	prefixSize   = 52
)

// Digest is a BLAKE3-256 digest.
type Digest = [32]byte

// Chunk is a run of entries of one space. The fields are for reading only.
type Chunk struct {
	// Space is the space that the entries belong to.
	Space msgs.SpaceID
	// Entries is the number of entries, at least 1.
	Entries int
	// RawBytes is the size before compression.
	RawBytes int
	// FirstKey is the lowest key. All keys are below the FirstKey of the next
	// chunk of the same space.
	FirstKey []byte

	offset int64 // of the prefix, in the file
	packed int   // bytes behind the prefix
	digest Digest
}

// end returns where the chunk ends in the file.
func (c *Chunk) end() int64 { return c.offset + prefixSize + int64(c.packed) }

// sealPrefix fills in the prefix of a chunk; block is the prefix and the bytes
// that belong to it.
func sealPrefix(block []byte, space msgs.SpaceID, entries, raw int) Digest {
	binary.LittleEndian.PutUint64(block[chunkSpace:], uint64(space))
	binary.LittleEndian.PutUint32(block[chunkEntries:], uint32(entries))
	binary.LittleEndian.PutUint32(block[chunkRaw:], uint32(raw))
	binary.LittleEndian.PutUint32(block[chunkPacked:], uint32(len(block)-prefixSize))
	digest := sumChunk(block)
	copy(block[chunkDigest:], digest[:])
	return digest
}

// sumChunk returns the digest of a chunk: of its prefix without the digest, and
// of the bytes behind it.
func sumChunk(block []byte) Digest {
	h := blake3.New()
	h.Write(block[:chunkDigest]) // a Hasher never fails
	h.Write(block[prefixSize:])
	var d Digest
	h.Sum(d[:0])
	return d
}

// checkBlock compares a chunk as read with what the directory says of it.
func (c *Chunk) checkBlock(block []byte) error {
	if binary.LittleEndian.Uint64(block[chunkSpace:]) != uint64(c.Space) ||
		binary.LittleEndian.Uint32(block[chunkEntries:]) != uint32(c.Entries) ||
		binary.LittleEndian.Uint32(block[chunkRaw:]) != uint32(c.RawBytes) ||
		binary.LittleEndian.Uint32(block[chunkPacked:]) != uint32(c.packed) {
		return errs.New(errs.CodeDecode, "its prefix is not what the directory says")
	}
	if Digest(block[chunkDigest:prefixSize]) != c.digest || sumChunk(block) != c.digest {
		return errs.New(errs.CodeDecode, "digest mismatch")
	}
	return nil
}

// appendEntry appends an encoded entry.
func appendEntry(dst, key, value []byte, version uint64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	dst = binary.AppendUvarint(dst, version)
	dst = append(dst, key...)
	return append(dst, value...)
}

// consumeEntry takes an entry from the start of data. The slices alias data,
// with their capacity cut.
func consumeEntry(data []byte) (key, value []byte, version uint64, rest []byte, err error) {
	var lengths [2]uint64
	for i := range lengths {
		n := 0
		if lengths[i], n = binary.Uvarint(data); n <= 0 {
			return nil, nil, 0, nil, errs.New(errs.CodeDecode, "an entry has a malformed length")
		}
		data = data[n:]
	}
	version, n := binary.Uvarint(data)
	if n <= 0 {
		return nil, nil, 0, nil, errs.New(errs.CodeDecode, "an entry has a malformed version")
	}
	data = data[n:]
	k, v, have := lengths[0], lengths[1], uint64(len(data))
	if k > have || v > have-k {
		return nil, nil, 0, nil, errs.New(errs.CodeDecode, "an entry of %d+%d bytes has %d left", k, v, have)
	}
	return data[:k:k], data[k : k+v : k+v], version, data[k+v:], nil
}

// visitEntries decodes the entries of a chunk and checks their order and number.
// All keys must be below limit, unless that is nil.
func (c *Chunk) visitEntries(raw []byte, h *Header, limit []byte, visit func(key, value []byte, version uint64) error) error {
	var last []byte
	for i := range c.Entries {
		key, value, version, rest, err := consumeEntry(raw)
		if err != nil {
			return err
		}
		raw = rest
		switch {
		case i == 0 && !bytes.Equal(key, c.FirstKey):
			return errs.New(errs.CodeDecode, "the first key is not what the directory says")
		case i > 0 && bytes.Compare(key, last) <= 0:
			return errs.New(errs.CodeDecode, "the keys do not ascend")
		}
		if err := h.checkEntry(value, version); err != nil {
			return err
		}
		if err := visit(key, value, version); err != nil {
			return err
		}
		last = key
	}
	if len(raw) != 0 {
		return errs.New(errs.CodeDecode, "%d bytes behind the last entry", len(raw))
	}
	if limit != nil && bytes.Compare(last, limit) >= 0 {
		return errs.New(errs.CodeDecode, "the keys run into the next chunk")
	}
	return nil
}
