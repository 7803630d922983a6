package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"path"
	"runtime"

	"github.com/klauspost/compress/zstd"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// Info is what a manifest has to know of a checkpoint.
type Info struct {
	// File is the base name of the file.
	File string
	// Size is its size in bytes.
	Size int64
	// Digest covers every byte of the file; Reader.Digest returns the same.
	Digest Digest
	// Entries is the number of entries.
	Entries uint64
	// RawBytes is the size of the entries before compression.
	RawBytes int64
}

// Write makes a checkpoint durable that is not encrypted; see WriteSealed.
func Write(ctx context.Context, fsys vfs.FS, dir string, h Header, concurrency int, fill func(*Writer) error) (Info, error) {
	return WriteSealed(ctx, fsys, dir, h, keys.Sealing{}, concurrency, fill)
}

// WriteSealed makes a checkpoint of commit h.Seq durable in dir, in place of one of
// the same seq: a delta if h names a base, or else a full one, and encrypted if
// sealing says so. It calls fill once, on its own goroutine, to add the entries.
//
// Chunks are compressed by up to concurrency goroutines, which end before Write
// does; 1 or less compresses between the calls of Add. Memory is bounded by a
// few chunks for each.
//
// After an error, also that of fill or of the context, no checkpoint of that
// name was added, unless the error came from making the name durable. What was
// written is left under its temporary name only if it cannot be removed.
func WriteSealed(ctx context.Context, fsys vfs.FS, dir string, h Header, sealing keys.Sealing, concurrency int, fill func(*Writer) error) (Info, error) {
	name := path.Join(dir, FileName(h.Seq))
	temp := name + tempSuffix
	if err := fsys.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Info{}, errs.Wrap(errs.CodeIO, err, "remove the left-over %s", temp)
	}
	f, err := fsys.Create(temp)
	if err != nil {
		return Info{}, errs.Wrap(errs.CodeIO, err, "create %s", temp)
	}
	info, err := write(ctx, io.NewOffsetWriter(f, 0), f.Sync, h, sealing, concurrency, fill)
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = errs.Wrap(errs.CodeIO, closeErr, "close %s", temp)
	}
	if err != nil {
		_ = fsys.Remove(temp)
		return Info{}, err
	}
	if err := fsys.Rename(temp, name); err != nil {
		return Info{}, errs.Wrap(errs.CodeIO, err, "rename %s", temp)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return Info{}, errs.Wrap(errs.CodeIO, err, "sync the directory of %s", name)
	}
	info.File = FileName(h.Seq)
	return info, nil
}

// Stream writes the content of a checkpoint of commit h.Seq to out, from the first
// byte to the last, for one that is to be kept elsewhere than in a store. The rest
// is as in Write; Info.File is empty.
func Stream(ctx context.Context, out io.Writer, h Header, concurrency int, fill func(*Writer) error) (Info, error) {
	return write(ctx, out, func() error { return nil }, h, keys.Sealing{}, concurrency, fill)
}

// write writes the content of a checkpoint, and syncs it now and then and at its
// end.
func write(ctx context.Context, out io.Writer, sync func() error, h Header, sealing keys.Sealing, concurrency int, fill func(*Writer) error) (Info, error) {
	if h.Base.Seq != 0 {
		h.Features |= featureDelta
	}
	if err := h.checkBase(); err != nil {
		return Info{}, errs.Wrap(errs.CodeEncode, err, "checkpoint %d", h.Seq)
	}
	if unknown := h.Features &^ knownFeatures; unknown != 0 {
		return Info{}, errs.New(errs.CodeEncode, "checkpoint %d has unknown features %#x", h.Seq, unknown)
	}
	concurrency = max(1, concurrency)
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(concurrency), zstd.WithEncoderCRC(false))
	if err != nil {
		return Info{}, errs.Wrap(errs.CodeInternal, err, "make a zstd encoder")
	}
	seal, header, err := newSeal(&h, sealing)
	if err != nil {
		return Info{}, err
	}
	w := &Writer{ctx: ctx, out: out, syncOut: sync, encoder: encoder, seal: seal, header: h, concurrency: concurrency}
	defer w.wait()
	if err := w.write(header); err != nil {
		return Info{}, err
	}
	w.current = w.newBlock()
	if err := fill(w); err != nil {
		return Info{}, err
	}
	if err := w.finish(); err != nil {
		return Info{}, err
	}
	at := w.offset
	directory, err := appendDirectory(nil, w.chunks, delta{h.Base, w.dropped}, seal)
	if err != nil {
		return Info{}, err
	}
	digest := sumFile(header, directory)
	if err := w.write(appendTrailer(directory, at, digest)); err != nil {
		return Info{}, err
	}
	if err := w.sync(); err != nil {
		return Info{}, err
	}
	info := Info{Size: w.offset, Digest: digest}
	for i := range w.chunks {
		info.Entries += uint64(w.chunks[i].Entries)
		info.RawBytes += int64(w.chunks[i].RawBytes)
	}
	return info, nil
}

// Writer takes the entries of a checkpoint. It is valid during the call of fill
// and not safe for concurrent use.
type Writer struct {
	ctx         context.Context
	out         io.Writer
	syncOut     func() error
	encoder     *zstd.Encoder
	seal        *seal // nil if it is not encrypted
	header      Header
	concurrency int

	offset  int64
	synced  int64   // bytes that were synced on the way
	chunks  []Chunk // written
	begun   int     // chunks handed on, written or not
	dropped []msgs.SpaceID
	lastKey []byte   // of the last entry added
	current *block   // being filled
	pending []*block // being compressed, in the order of the file
	free    []*block
	err     error // of the first failure; the writer is dead
}

// block is a chunk on its way into the file. Its goroutine owns it until done
// is closed, the writer before and after.
type block struct {
	chunk  Chunk
	number int // of the chunk in the file
	raw    []byte
	out    []byte // the prefix and the compressed bytes
	done   chan struct{}
}

// Add adds an entry. Space must not be 0 nor below that of the entry before;
// within a space the keys must ascend; version is the seq of the commit that
// wrote the entry, not above the checkpoint's. The slices are not retained.
//
// An entry out of order is errs.CodeEncode, one above MaxEntryBytes
// errs.CodeLimitExceeded. After any error the checkpoint fails.
func (w *Writer) Add(space msgs.SpaceID, key, value []byte, version uint64) error {
	if w.err != nil {
		return w.err
	}
	if version == 0 && w.header.Base.Seq != 0 {
		w.err = errs.New(errs.CodeEncode, "an entry of no commit in a delta")
		return w.err
	}
	w.err = w.add(space, key, value, version)
	return w.err
}

func (w *Writer) add(space msgs.SpaceID, key, value []byte, version uint64) error {
	if size := int64(len(key)) + int64(len(value)) + 3*binary.MaxVarintLen64; size > MaxEntryBytes {
		return errs.Exceeded("checkpoint entry", "max_entry_bytes", size, MaxEntryBytes)
	}
	last := w.lastSpace()
	if space == 0 || space < last || space == last && bytes.Compare(key, w.lastKey) <= 0 {
		return errs.New(errs.CodeEncode, "an entry of space %d does not follow the one before it, of space %d", space, last)
	}
	if err := w.header.checkEntry(value, version); err != nil {
		return errs.Wrap(errs.CodeEncode, err, "an entry does not belong in the checkpoint")
	}
	if c := &w.current.chunk; c.Entries > 0 && (space != c.Space || len(w.current.raw) >= chunkBytes) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	b := w.current
	if b.chunk.Entries == 0 {
		b.chunk.Space = space
		b.chunk.FirstKey = bytes.Clone(key)
	}
	b.raw = appendEntry(b.raw, key, value, version)
	b.chunk.Entries++
	w.lastKey = append(w.lastKey[:0], key...)
	return nil
}

// lastSpace returns the space of the last entry added, and 0 before the first.
// A block that was just begun is empty only then.
func (w *Writer) lastSpace() msgs.SpaceID { return w.current.chunk.Space }

// flush hands the current block on and begins the next one. It is where the end
// of the context is noticed.
func (w *Writer) flush() error {
	if w.ctx.Err() != nil {
		return errs.FromContext(w.ctx, "write a checkpoint")
	}
	b := w.current
	b.chunk.RawBytes = len(b.raw)
	b.number = w.begun
	w.begun++
	if w.concurrency == 1 {
		b.compress(w.encoder, w.seal)
		if err := w.writeBlock(b); err != nil {
			return err
		}
	} else {
		b.done = make(chan struct{})
		w.pending = append(w.pending, b)
		go func() {
			defer close(b.done)
			b.compress(w.encoder, w.seal)
		}()
		if len(w.pending) > w.concurrency {
			if err := w.writeOldest(); err != nil {
				return err
			}
		}
	}
	w.current = w.newBlock()
	return nil
}

func (b *block) compress(encoder *zstd.Encoder, seal *seal) {
	b.out = append(b.out[:0], make([]byte, prefixSize)...)
	b.out = seal.close(encoder.EncodeAll(b.raw, b.out), b.number)
	b.chunk.packed = len(b.out) - prefixSize
	b.chunk.digest = sealPrefix(b.out, b.chunk.Space, b.chunk.Entries, b.chunk.RawBytes)
}

// finish writes all that is still under way.
func (w *Writer) finish() error {
	if w.err != nil {
		return w.err
	}
	if w.current.chunk.Entries > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	for len(w.pending) > 0 {
		if err := w.writeOldest(); err != nil {
			return err
		}
	}
	if w.ctx.Err() != nil {
		return errs.FromContext(w.ctx, "write a checkpoint")
	}
	return nil
}

func (w *Writer) writeOldest() error {
	b := w.pending[0]
	<-b.done
	w.pending = append(w.pending[:0], w.pending[1:]...)
	return w.writeBlock(b)
}

func (w *Writer) writeBlock(b *block) error {
	b.chunk.offset = w.offset
	if err := w.write(b.out); err != nil {
		return err
	}
	w.chunks = append(w.chunks, b.chunk)
	if err := w.makeWay(); err != nil {
		return err
	}
	if cap(b.raw)+cap(b.out) <= keptBufferBytes {
		w.free = append(w.free, b)
	}
	return nil
}

// syncBytes is how much of a checkpoint the disk may owe.
const syncBytes = 1 << 20

// makeWay lets others go on between two chunks: goroutines that are ready to run,
// and syncs of the log, which would have to wait for all that was written here
// since it was last synced.
func (w *Writer) makeWay() error {
	runtime.Gosched()
	if w.offset-w.synced < syncBytes {
		return nil
	}
	w.synced = w.offset
	return w.sync()
}

func (w *Writer) sync() error {
	if err := w.syncOut(); err != nil {
		return errs.Wrap(errs.CodeIO, err, "sync the checkpoint of commit %d", w.header.Seq)
	}
	return nil
}

func (w *Writer) write(data []byte) error {
	if _, err := w.out.Write(data); err != nil {
		return errs.Wrap(errs.CodeIO, err, "write the checkpoint of commit %d", w.header.Seq)
	}
	w.offset += int64(len(data))
	return nil
}

func (w *Writer) newBlock() *block {
	n := len(w.free)
	if n == 0 {
		return &block{raw: make([]byte, 0, chunkBytes+chunkBytes/8)}
	}
	b := w.free[n-1]
	w.free = w.free[:n-1]
	b.raw, b.chunk = b.raw[:0], Chunk{}
	return b
}

// wait returns when no goroutine is left.
func (w *Writer) wait() {
	for _, b := range w.pending {
		<-b.done
	}
}
