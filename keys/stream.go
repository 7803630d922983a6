package keys

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"

	"github.com/empyrealapp/aedb-go/errs"
)

// streamMagic opens a sealed stream.
const streamMagic = "AEDBSEA\x00"

const (
	// streamBlock is the size of all blocks of a stream but the last before they
	// are sealed. It bounds what is held in memory, and what is released to a
	// reader at a time: nothing that was not verified.
	streamBlock = 64 << 10
	// lastBlock marks the nonce of the last block, so that a stream that was cut
	// short is told from a whole one.
	lastBlock = 1

	streamVersion    = 1
	streamHeaderSize = 8 + 2 + 2 + MaxIDBytes + SaltBytes
)

// StreamWriter seals what is written to it. It is not safe for concurrent use.
type StreamWriter struct {
	out    io.Writer
	aead   cipher.AEAD
	block  uint64
	plain  []byte // what is not sealed yet, up to streamBlock bytes
	sealed []byte
	err    error
}

// NewStreamWriter writes the header of a sealed stream and returns a writer for
// its content, encrypted and authenticated under the current key of the ring.
// Close writes the end, without which the stream does not open; it does not close
// the writer beneath.
func NewStreamWriter(out io.Writer, ring *Ring) (*StreamWriter, error) {
	id, salt := ring.Current(), NewSalt()
	header := make([]byte, 0, streamHeaderSize)
	header = append(header, streamMagic...)
	header = binary.LittleEndian.AppendUint16(header, streamVersion)
	header = append(header, 0, 0)
	header = AppendID(header, id)
	aead, err := ring.Cipher(id, Stream, salt, header)
	if err != nil {
		return nil, err
	}
	if _, err := out.Write(append(header, salt[:]...)); err != nil {
		return nil, err
	}
	return &StreamWriter{out: out, aead: aead, plain: make([]byte, 0, streamBlock)}, nil
}

// Write implements io.Writer. An error of the writer beneath is returned as it is,
// now and by every later call.
func (w *StreamWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 && w.err == nil {
		if len(w.plain) == streamBlock {
			w.flush(0)
			continue
		}
		n := min(len(p), streamBlock-len(w.plain))
		w.plain = append(w.plain, p[:n]...)
		p, written = p[n:], written+n
	}
	return written, w.err
}

// Close writes the last block. Later calls do nothing.
func (w *StreamWriter) Close() error {
	if w.err == nil {
		if w.flush(lastBlock); w.err == nil {
			w.err = errs.New(errs.CodeUnavailable, "the sealed stream is closed")
			return nil
		}
		return w.err
	}
	if errs.CodeOf(w.err) == errs.CodeUnavailable {
		return nil
	}
	return w.err
}

// flush seals the plain bytes as one block.
func (w *StreamWriter) flush(mark byte) {
	nonce := blockNonce(w.block, mark)
	w.sealed = w.aead.Seal(w.sealed[:0], nonce[:], w.plain, nil)
	w.block++
	w.plain = w.plain[:0]
	_, w.err = w.out.Write(w.sealed)
}

// StreamReader opens a sealed stream. It is not safe for concurrent use.
type StreamReader struct {
	in     io.Reader
	aead   cipher.AEAD
	block  uint64
	sealed []byte // one block and one byte, which tells whether it is the last
	held   int    // bytes of sealed that were read ahead
	plain  []byte // verified and not yet handed out
	err    error
}

// NewStreamReader reads the header of a sealed stream and returns a reader of its
// content, which hands out verified bytes only. A key that is not in the ring is
// errs.CodeUnavailable; anything wrong with the stream is errs.CodeIntegrity.
func NewStreamReader(in io.Reader, ring *Ring) (*StreamReader, error) {
	header := make([]byte, streamHeaderSize)
	if _, err := io.ReadFull(in, header); err != nil {
		return nil, streamError(err, "the header of a sealed stream is cut short")
	}
	if string(header[:8]) != streamMagic {
		return nil, errs.New(errs.CodeIntegrity, "not a sealed stream")
	}
	if v := binary.LittleEndian.Uint16(header[8:]); v != streamVersion || header[10] != 0 || header[11] != 0 {
		return nil, errs.New(errs.CodeUnavailable, "the sealed stream has format version %d, newer than %d", v, streamVersion)
	}
	head := header[:streamHeaderSize-SaltBytes]
	id, err := ParseID(head[12:])
	if err != nil {
		return nil, errs.Wrap(errs.CodeIntegrity, err, "the header of a sealed stream")
	}
	aead, err := ring.Cipher(id, Stream, Salt(header[len(head):]), head)
	if err != nil {
		return nil, err
	}
	return &StreamReader{in: in, aead: aead, sealed: make([]byte, streamBlock+TagBytes+1)}, nil
}

// IsStream reports whether content that begins so is a sealed stream. It needs 8
// bytes to say yes.
func IsStream(start []byte) bool {
	return len(start) >= len(streamMagic) && string(start[:len(streamMagic)]) == streamMagic
}

// Read implements io.Reader.
func (r *StreamReader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// fill opens the next block.
func (r *StreamReader) fill() {
	n, err := io.ReadFull(r.in, r.sealed[r.held:])
	n += r.held
	mark := byte(0)
	switch {
	case err == nil:
		n-- // the byte ahead says that there is another block
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		mark, r.err = lastBlock, io.EOF
	default:
		r.err = err
		return
	}
	nonce := blockNonce(r.block, mark)
	ahead := r.sealed[len(r.sealed)-1]
	plain, err := r.aead.Open(r.sealed[:0], nonce[:], r.sealed[:n], nil)
	if err != nil {
		r.err = errs.New(errs.CodeIntegrity, "block %d of a sealed stream does not verify: it was changed, or the stream cut short", r.block)
		return
	}
	r.block++
	r.plain = plain
	if mark == 0 {
		// The plain text lies in front of its tag, in the same array.
		r.plain = append([]byte(nil), plain...)
		r.sealed[0], r.held = ahead, 1
	}
}

// blockNonce numbers the blocks of a stream.
func blockNonce(block uint64, mark byte) [NonceBytes]byte {
	n := Numbered(block)
	n[NonceBytes-1] = mark
	return n
}

func streamError(err error, format string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errs.New(errs.CodeIntegrity, "%s", format)
	}
	return err
}
