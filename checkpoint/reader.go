package checkpoint

import (
	"context"
	"encoding/binary"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// Reader is an open checkpoint. All methods but Close are safe for concurrent
// use.
type Reader struct {
	name    string
	file    vfs.File
	header  Header
	size    int64
	digest  Digest
	seal    *seal // nil if it is not encrypted
	chunks  []Chunk
	spaces  []Space
	dropped []msgs.SpaceID
	decoder *zstd.Decoder
	buffers sync.Pool // of *buffers
}

// Space sums up one space of a checkpoint.
type Space struct {
	// ID is the space.
	ID msgs.SpaceID
	// Entries is the number of its entries, at least 1.
	Entries uint64
	// FirstChunk and Chunks are its chunks, in Reader.Chunks.
	FirstChunk, Chunks int
}

type buffers struct{ packed, raw []byte }

// Open opens a checkpoint that is not encrypted; see OpenSealed.
func Open(fsys vfs.FS, name string) (*Reader, error) { return OpenSealed(fsys, name, nil) }

// OpenSealed opens a checkpoint, encrypted under a key of the ring or not encrypted,
// and checks its header, its directory and its length; the chunks are checked when
// they are decoded. A file that is damaged or cut short is errs.CodeDecode, one of a
// newer format, or encrypted under a key that is not in the ring,
// errs.CodeUnavailable, one that verifies and does not decrypt errs.CodeIntegrity.
//
// Whether it is the checkpoint that a manifest means is for the caller to
// compare: see Header and Digest.
func OpenSealed(fsys vfs.FS, name string, ring *keys.Ring) (*Reader, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, errs.Wrap(errs.CodeIO, err, "open checkpoint %s", name)
	}
	r := &Reader{name: name, file: f}
	if err := r.load(ring); err != nil {
		f.Close()
		return nil, errs.Wrap(errs.CodeOf(err), err, "checkpoint %s", name)
	}
	return r, nil
}

func (r *Reader) load(ring *keys.Ring) error {
	var err error
	if r.size, err = r.file.Size(); err != nil {
		return errs.Wrap(errs.CodeIO, err, "get the size")
	}
	const least = headerSize + prefixSize + trailerSize
	if r.size < least {
		return errs.New(errs.CodeDecode, "cut short: %d of at least %d bytes", r.size, least)
	}
	header := make([]byte, headerSize)
	if err := readFull(r.file, header, 0); err != nil {
		return err
	}
	if r.header, err = parseHeader(header); err != nil {
		return err
	}
	if r.header.Features&featureEncrypted != 0 {
		header = append(header, make([]byte, sealSize)...)
		if err := readFull(r.file, header[headerSize:], headerSize); err != nil {
			return err
		}
	}
	start := int64(len(header))
	trailer := make([]byte, trailerSize)
	if err := readFull(r.file, trailer, r.size-trailerSize); err != nil {
		return err
	}
	offset := int64(binary.LittleEndian.Uint64(trailer[trailerOffset:]))
	if string(trailer[trailerMagic:]) != trailerMark || offset < start || offset > r.size-trailerSize-prefixSize {
		return errs.New(errs.CodeDecode, "cut short or damaged: no trailer at the end")
	}
	directory := make([]byte, r.size-trailerSize-offset)
	if err := readFull(r.file, directory, offset); err != nil {
		return err
	}
	r.digest = sumFile(header, directory)
	if r.digest != Digest(trailer[trailerDigest:]) {
		return errs.New(errs.CodeDecode, "digest mismatch in the header or the directory")
	}
	if start > headerSize {
		if r.seal, err = openSeal(header, ring); err != nil {
			return err
		}
	}
	number := int(binary.LittleEndian.Uint32(directory[chunkEntries:]))
	if directory, err = r.seal.open(directory, number); err != nil {
		return errs.Wrap(errs.CodeOf(err), err, "the directory at offset %d", offset)
	}
	chunks, delta, err := parseDirectory(directory, start, offset)
	if err != nil {
		return err
	}
	r.chunks, r.header.Base, r.dropped = chunks, delta.base, delta.dropped
	if err := r.header.checkBase(); err != nil {
		return err
	}
	r.sumSpaces()
	r.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithDecoderMaxMemory(maxChunkBytes), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return errs.Wrap(errs.CodeInternal, err, "make a zstd decoder")
	}
	return nil
}

func (r *Reader) sumSpaces() {
	for i := range r.chunks {
		c := &r.chunks[i]
		if n := len(r.spaces); n == 0 || r.spaces[n-1].ID != c.Space {
			r.spaces = append(r.spaces, Space{ID: c.Space, FirstChunk: i})
		}
		s := &r.spaces[len(r.spaces)-1]
		s.Entries += uint64(c.Entries)
		s.Chunks++
	}
}

// Header returns the header.
func (r *Reader) Header() Header { return r.header }

// Size returns the size of the file in bytes.
func (r *Reader) Size() int64 { return r.size }

// Digest returns the digest that covers every byte of the file. That of the
// chunks is known to be true only once they are decoded.
func (r *Reader) Digest() Digest { return r.digest }

// Chunks returns the chunks, ascending. The slice is shared and read-only.
func (r *Reader) Chunks() []Chunk { return r.chunks }

// Spaces returns the spaces that have entries, ascending. The slice is shared
// and read-only.
func (r *Reader) Spaces() []Space { return r.spaces }

// DecodeChunk reads chunk i of Chunks, checks it, and calls visit for each entry
// in order; in a delta, version 0 stands for the deletion of a key. The slices are
// valid during the call of visit only. An error of visit is returned as it is;
// damage is errs.CodeDecode, and may be noticed after visit was called for the
// entries before it. The other errors are those of OpenSealed.
func (r *Reader) DecodeChunk(i int, visit func(key, value []byte, version uint64) error) error {
	c := &r.chunks[i]
	b, _ := r.buffers.Get().(*buffers)
	if b == nil {
		b = new(buffers)
	}
	defer func() {
		if cap(b.packed)+cap(b.raw) <= keptBufferBytes {
			r.buffers.Put(b)
		}
	}()
	b.packed = sized(b.packed, prefixSize+c.packed)
	if err := readFull(r.file, b.packed, c.offset); err != nil {
		return r.damaged(i, err)
	}
	if err := c.checkBlock(b.packed); err != nil {
		return r.damaged(i, err)
	}
	block, err := r.seal.open(b.packed, i)
	if err != nil {
		return r.damaged(i, err)
	}
	b.raw = sized(b.raw, c.RawBytes)
	raw, err := r.decoder.DecodeAll(block[prefixSize:], b.raw[:0:c.RawBytes])
	if err != nil {
		return r.damaged(i, errs.Wrap(errs.CodeDecode, err, "decompress"))
	}
	if len(raw) != c.RawBytes {
		return r.damaged(i, errs.New(errs.CodeDecode, "%d bytes where %d were declared", len(raw), c.RawBytes))
	}
	var limit []byte
	if next := i + 1; next < len(r.chunks) && r.chunks[next].Space == c.Space {
		limit = r.chunks[next].FirstKey
	}
	var visitErr error
	err = c.visitEntries(raw, &r.header, limit, func(key, value []byte, version uint64) error {
		visitErr = visit(key, value, version)
		return visitErr
	})
	if visitErr != nil {
		return visitErr
	}
	if err != nil {
		return r.damaged(i, err)
	}
	return nil
}

func (r *Reader) damaged(i int, err error) error {
	return errs.Wrap(errs.CodeOf(err), err, "checkpoint %s: chunk %d at offset %d", r.name, i, r.chunks[i].offset)
}

// Verify decodes every chunk. With Open, that reads and checks every byte of the
// file.
func (r *Reader) Verify(ctx context.Context) error {
	for i := range r.chunks {
		if ctx.Err() != nil {
			return errs.FromContext(ctx, "verify checkpoint "+r.name)
		}
		if err := r.DecodeChunk(i, func(_, _ []byte, _ uint64) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// Close releases the file. No method may be running or be called later.
func (r *Reader) Close() error {
	r.decoder.Close()
	if err := r.file.Close(); err != nil {
		return errs.Wrap(errs.CodeIO, err, "close checkpoint %s", r.name)
	}
	return nil
}

// sized returns a slice of n bytes, of b if that is large enough.
func sized(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
