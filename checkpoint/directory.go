package checkpoint

import (
	"bytes"
	"encoding/binary"

	"github.com/zeebo/blake3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Tags of the directory. A number is never used for another purpose; retired
// numbers are listed in docs/format.md (none so far). Unknown fields below
// firstInformativeField refuse the file, those from there on may be skipped.
const (
	directoryChunk protowire.Number = 1 // bytes, one for each chunk in order
	directoryDelta protowire.Number = 2 // bytes, once, in a delta; see delta.go

	entrySpace    protowire.Number = 1 // varint
	entryEntries  protowire.Number = 2 // varint
	entryRaw      protowire.Number = 3 // varint
	entryPacked   protowire.Number = 4 // varint
	entryFirstKey protowire.Number = 5 // bytes
	entryDigest   protowire.Number = 6 // bytes, 32

	firstInformativeField protowire.Number = 16
)

// Layout of the trailer, the last trailerSize bytes of the file.
const (
	trailerOffset = 0 // u64, where the directory's prefix starts
	trailerDigest = 8 // BLAKE3 of the header and of the directory with its prefix
	trailerMagic  = 40
	trailerSize   = 48

	trailerMark = "\x00AEDBEND"
)

// appendDirectory appends the directory as a chunk of space 0, not compressed.
func appendDirectory(dst []byte, chunks []Chunk, d delta, seal *seal) ([]byte, error) {
	start := len(dst)
	dst = append(dst, make([]byte, prefixSize)...)
	var entry []byte
	for i := range chunks {
		c := &chunks[i]
		entry = protowire.AppendTag(entry[:0], entrySpace, protowire.VarintType)
		entry = protowire.AppendVarint(entry, uint64(c.Space))
		entry = protowire.AppendTag(entry, entryEntries, protowire.VarintType)
		entry = protowire.AppendVarint(entry, uint64(c.Entries))
		entry = protowire.AppendTag(entry, entryRaw, protowire.VarintType)
		entry = protowire.AppendVarint(entry, uint64(c.RawBytes))
		entry = protowire.AppendTag(entry, entryPacked, protowire.VarintType)
		entry = protowire.AppendVarint(entry, uint64(c.packed))
		entry = protowire.AppendTag(entry, entryFirstKey, protowire.BytesType)
		entry = protowire.AppendBytes(entry, c.FirstKey)
		entry = protowire.AppendTag(entry, entryDigest, protowire.BytesType)
		entry = protowire.AppendBytes(entry, c.digest[:])
		dst = protowire.AppendTag(dst, directoryChunk, protowire.BytesType)
		dst = protowire.AppendBytes(dst, entry)
	}
	if d.base.Seq != 0 {
		dst = protowire.AppendTag(dst, directoryDelta, protowire.BytesType)
		dst = protowire.AppendBytes(dst, appendDelta(nil, d))
	}
	body := len(dst) - start - prefixSize
	if int64(body) > maxDirectoryBytes-keys.TagBytes {
		return nil, errs.Exceeded("checkpoint directory", "max_directory_bytes", int64(body), maxDirectoryBytes-keys.TagBytes)
	}
	block := seal.close(dst[start:], len(chunks))
	sealPrefix(block, 0, len(chunks), body)
	return append(dst[:start], block...), nil
}

// maxDirectoryBytes is what the length field of its prefix can hold.
const maxDirectoryBytes = 1<<32 - 1

// appendTrailer appends the trailer of a file with the given header and
// directory, which starts at offset.
func appendTrailer(dst []byte, offset int64, digest Digest) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(offset))
	dst = append(dst, digest[:]...)
	return append(dst, trailerMark...)
}

// sumFile returns the digest of a checkpoint.
func sumFile(header, directory []byte) Digest {
	h := blake3.New()
	h.Write(header) // a Hasher never fails
	h.Write(directory)
	var d Digest
	h.Sum(d[:0])
	return d
}

// parseDirectory decodes a directory with its prefix, which starts at offset in
// the file. It checks that the chunks fill the space between the header, which ends
// at start, and the directory, ascend, and declare no impossible sizes. The keys
// alias data.
func parseDirectory(data []byte, start, offset int64) (chunks []Chunk, d delta, err error) {
	body := data[prefixSize:]
	if binary.LittleEndian.Uint64(data[chunkSpace:]) != 0 ||
		uint64(binary.LittleEndian.Uint32(data[chunkPacked:])) != uint64(len(body)) {
		return nil, d, errs.New(errs.CodeDecode, "the directory has a malformed prefix")
	}
	next := start
	for len(body) > 0 {
		number, kind, value, n, err := consumeField(body)
		if err != nil {
			return nil, d, err
		}
		body = body[n:]
		if number == directoryDelta && kind == protowire.BytesType {
			if d, err = parseDelta(value.bytes); err != nil {
				return nil, d, err
			}
			continue
		}
		if number != directoryChunk || kind != protowire.BytesType {
			if err := skip(number, "directory"); err != nil {
				return nil, d, err
			}
			continue
		}
		c, err := parseChunk(value.bytes)
		if err != nil {
			return nil, d, err
		}
		if len(chunks) > 0 {
			if last := &chunks[len(chunks)-1]; c.Space < last.Space ||
				c.Space == last.Space && bytes.Compare(c.FirstKey, last.FirstKey) <= 0 {
				return nil, d, errs.New(errs.CodeDecode, "chunk %d does not ascend", len(chunks))
			}
		}
		c.offset = next
		if next = c.end(); next > offset {
			return nil, d, errs.New(errs.CodeDecode, "chunk %d runs into the directory", len(chunks))
		}
		chunks = append(chunks, c)
	}
	if next != offset || uint64(binary.LittleEndian.Uint32(data[chunkEntries:])) != uint64(len(chunks)) {
		return nil, d, errs.New(errs.CodeDecode, "%d chunks up to %d leave a gap before the directory at %d", len(chunks), next, offset)
	}
	return chunks, d, nil
}

// parseChunk decodes what the directory says of one chunk.
func parseChunk(data []byte) (Chunk, error) {
	var c Chunk
	var entries, raw, packed uint64
	var digest []byte
	for len(data) > 0 {
		number, kind, value, n, err := consumeField(data)
		if err != nil {
			return c, err
		}
		data = data[n:]
		switch {
		case number == entrySpace && kind == protowire.VarintType:
			c.Space = msgs.SpaceID(value.scalar)
		case number == entryEntries && kind == protowire.VarintType:
			entries = value.scalar
		case number == entryRaw && kind == protowire.VarintType:
			raw = value.scalar
		case number == entryPacked && kind == protowire.VarintType:
			packed = value.scalar
		case number == entryFirstKey && kind == protowire.BytesType:
			c.FirstKey = value.bytes
		case number == entryDigest && kind == protowire.BytesType:
			digest = value.bytes
		default:
			if err := skip(number, "directory entry"); err != nil {
				return c, err
			}
		}
	}
	if c.Space == 0 || len(digest) != len(c.digest) || raw > maxChunkBytes || packed > 2*maxChunkBytes ||
		raw > packed*maxExpansion || entries == 0 || entries > raw/minEntryBytes {
		return c, errs.New(errs.CodeDecode, "impossible chunk of space %d: %d entries, %d bytes, %d packed", c.Space, entries, raw, packed)
	}
	c.Entries, c.RawBytes, c.packed, c.digest = int(entries), int(raw), int(packed), Digest(digest)
	return c, nil
}

// fieldValue is the value of a field: a scalar for varint, bytes for bytes.
type fieldValue struct {
	scalar uint64
	bytes  []byte
}

// consumeField takes one field of any kind from the start of data and returns
// its size. Bytes alias data, with their capacity cut.
func consumeField(data []byte) (number protowire.Number, kind protowire.Type, value fieldValue, size int, err error) {
	number, kind, n := protowire.ConsumeTag(data)
	if n < 0 {
		return 0, 0, value, 0, errs.Wrap(errs.CodeDecode, protowire.ParseError(n), "malformed tag")
	}
	var m int
	switch kind {
	case protowire.VarintType:
		value.scalar, m = protowire.ConsumeVarint(data[n:])
	case protowire.BytesType:
		value.bytes, m = protowire.ConsumeBytes(data[n:])
		value.bytes = value.bytes[:len(value.bytes):len(value.bytes)]
	default:
		m = protowire.ConsumeFieldValue(number, kind, data[n:])
	}
	if m < 0 {
		return 0, 0, value, 0, errs.Wrap(errs.CodeDecode, protowire.ParseError(m), "malformed field %d", number)
	}
	return number, kind, value, n + m, nil
}

// skip passes over a field that is only informative, and refuses any other that
// its message does not know.
func skip(number protowire.Number, message string) error {
	if number < firstInformativeField {
		return errs.New(errs.CodeUnavailable, "the %s has the unknown field %d: written by a newer version", message, number)
	}
	return nil
}
