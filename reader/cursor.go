package reader

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
)

// position is where a page ended, and all that the next one has to know.
type position struct {
	// seq is the snapshot of the first page.
	seq uint64
	// size is that of the page, and of the next one if it does not say.
	size int
	// space is that of the path: of the table, the index or the scope.
	space       catalog.SpaceID
	fingerprint fingerprint
	// key is that of the last entry returned: its key in the space or, if the
	// rows were sorted, its sort key.
	key []byte
}

// fingerprint stands for everything a cursor is bound to.
type fingerprint [16]byte

// Fingerprints of different kinds of listing begin with different bytes.
const (
	fingerprintOfRows = 1
	fingerprintOfKeys = 2
)

func newFingerprint(identity []byte) (f fingerprint) {
	sum := blake3.Sum256(identity)
	copy(f[:], sum[:])
	return f
}

func (req *Request) fingerprint() fingerprint {
	b := append(make([]byte, 0, 256), fingerprintOfRows)
	b = appendBytes(b, []byte(req.Project))
	b = appendBytes(b, []byte(req.Scope))
	b = appendBytes(b, []byte(req.Caller))
	return newFingerprint(req.Query.AppendCanonical(b))
}

func (r *Range) fingerprint(scope *catalog.Scope, caller string) fingerprint {
	keys, _ := r.keys()
	b := append(make([]byte, 0, 256), fingerprintOfKeys)
	b = binary.AppendUvarint(b, uint64(scope.ID))
	b = appendBytes(b, []byte(caller))
	b = appendBytes(b, keys.Start)
	b = append(b, flag(keys.End != nil), flag(r.Reverse))
	return newFingerprint(appendBytes(b, keys.End))
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// Sealer turns positions into cursors and back. Cursors are encrypted, because
// they hold keys of rows, and authenticated: whoever has no key can neither
// read nor make nor change one. A Sealer may be used concurrently.
type Sealer struct {
	aead cipher.AEAD
}

// NewSealer returns a sealer with the given key.
func NewSealer(key [32]byte) (*Sealer, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, errs.Wrap(errs.CodeInternal, err, "cursor key")
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, errs.Wrap(errs.CodeInternal, err, "cursor key")
	}
	return &Sealer{aead: aead}, nil
}

// Peek returns the seq of the snapshot that a cursor continues. Whether the
// cursor fits the query and the caller is found out when it is used. Any other
// text than an unchanged cursor of this key is invalid_cursor.
func (s *Sealer) Peek(cursor string) (seq uint64, err error) {
	p, err := s.open(cursor)
	return p.seq, err
}

// errInvalidCursor says no more than that, whatever is wrong: a detail would
// help only whoever tries to forge a cursor.
func errInvalidCursor() error { return errs.New(errs.CodeInvalidCursor, "cursor is not valid here") }

// cursorVersion is the first byte of an encoded position.
const cursorVersion = 1

func (s *Sealer) seal(p position) string {
	b := append(make([]byte, 0, 64+len(p.key)), cursorVersion)
	b = binary.AppendUvarint(b, p.seq)
	b = binary.AppendUvarint(b, uint64(p.size))
	b = binary.AppendUvarint(b, uint64(p.space))
	b = append(b, p.fingerprint[:]...)
	b = append(b, p.key...)
	return hex.EncodeToString(s.aead.Seal(nil, nil, b, nil))
}

// open may be called on a nil Sealer, to which no cursor is valid.
func (s *Sealer) open(cursor string) (position, error) {
	sealed, err := hex.DecodeString(cursor)
	if err != nil || s == nil {
		return position{}, errInvalidCursor()
	}
	b, err := s.aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return position{}, errInvalidCursor()
	}
	p, ok := decodePosition(b)
	if !ok {
		return position{}, errInvalidCursor()
	}
	return p, nil
}

func decodePosition(b []byte) (p position, ok bool) {
	if len(b) == 0 || b[0] != cursorVersion {
		return p, false
	}
	b = b[1:]
	var numbers [3]uint64
	for i := range numbers {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return p, false
		}
		numbers[i], b = v, b[n:]
	}
	if len(b) < len(p.fingerprint) || numbers[1] < 1 || numbers[1] > 1<<31 {
		return p, false
	}
	p.seq, p.size, p.space = numbers[0], int(numbers[1]), catalog.SpaceID(numbers[2])
	p.key = bytes.Clone(b[copy(p.fingerprint[:], b):])
	if p.key == nil {
		p.key = []byte{}
	}
	return p, true
}
