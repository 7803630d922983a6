package wal

import (
	"crypto/cipher"
	"encoding/binary"
	"hash/crc32"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
)

// SealSize is the size of the block that follows the header of a sealed segment.
const SealSize = 84

// Offsets in the seal block, which follows the header.
const (
	sealKey      = 0  // the padded ID of the key
	sealSalt     = 32 // what the key of the segment is derived with
	sealTag      = 64 // proves that a holder of the key wrote header and block
	sealChecksum = 80 // u32: CRC32C of all before, begun at the header's
)

// What a sealed frame has beside its payload.
const (
	frameOffset    = FrameOverhead                                 // u64: where the frame lies in the segment
	frameNonce     = frameOffset + 8                               // of the frame alone
	sealedPayload  = frameNonce + keys.NonceBytes                  // the payload, plain or encrypted
	sealedOverhead = sealedPayload - FrameOverhead + keys.TagBytes // counted by the frame's length
)

// Seal is what the frames of one segment are sealed with. A nil Seal is that of a
// segment without one. It is safe for concurrent use, but for the Writer's.
type Seal struct {
	key       string
	encrypted bool
	aead      cipher.AEAD
	nonces    *keys.Nonces // of who writes
}

// Key returns the ID of the key that the segment is sealed under, "" if it is not.
func (s *Seal) Key() string {
	if s == nil {
		return ""
	}
	return s.key
}

// Fits reports whether the segment is sealed as what is written now would be, so
// that it can be gone on with.
func (s *Seal) Fits(sealing keys.Sealing) bool {
	if s == nil {
		return !sealing.On()
	}
	return s.key == sealing.Ring.Current() && s.encrypted == sealing.Encrypt
}

// newSeal completes the header of a new segment and returns its bytes, with the
// seal block if there is one.
func newSeal(h *Header, sealing keys.Sealing) (*Seal, []byte, error) {
	if !sealing.On() {
		return nil, AppendHeader(make([]byte, 0, HeaderSize), *h), nil
	}
	h.Features = Authenticated
	if sealing.Encrypt {
		h.Features = Encrypted
	}
	data := AppendHeader(make([]byte, 0, HeaderSize+SealSize), *h)
	salt, id := keys.NewSalt(), sealing.Ring.Current()
	data = keys.AppendID(data, id)
	seal, err := deriveSeal(data, *h, sealing.Ring, id, salt)
	if err != nil {
		return nil, nil, err
	}
	data = append(data, salt[:]...)
	nonce := keys.Numbered(0) // no frame has it: nonces count from 1
	data = seal.aead.Seal(data, nonce[:], nil, data)
	sum := crc32.Update(binary.LittleEndian.Uint32(data[headerChecksum:]), castagnoli, data[HeaderSize:])
	return seal, binary.LittleEndian.AppendUint32(data, sum), nil
}

// deriveSeal returns the seal for a segment that begins with the bytes of the
// header and of the padded ID.
func deriveSeal(context []byte, h Header, ring *keys.Ring, id string, salt keys.Salt) (*Seal, error) {
	aead, err := ring.Cipher(id, keys.Segment, salt, context)
	if err != nil {
		return nil, err
	}
	return &Seal{key: id, encrypted: h.Features == Encrypted, aead: aead, nonces: keys.NewNonces()}, nil
}

// Open reads the header of a segment and, if it is sealed, the block behind it.
// The errors are those of ParseHeader; beyond them a block that is cut short or
// damaged is errs.CodeDecode, a key that is not in the ring errs.CodeUnavailable,
// and a block that is whole but was not written by a holder of the key
// errs.CodeIntegrity.
func Open(data []byte, ring *keys.Ring) (Header, *Seal, error) {
	h, err := ParseHeader(data)
	if err != nil || h.Features == 0 {
		return h, nil, err
	}
	id, err := sealedUnder(data, h)
	if err != nil {
		return h, nil, err
	}
	block := data[HeaderSize : HeaderSize+SealSize]
	seal, err := deriveSeal(data[:HeaderSize+sealSalt], h, ring, id, keys.Salt(block[sealSalt:sealTag]))
	if err != nil {
		return h, nil, errs.Wrap(errs.CodeOf(err), err, "segment %d", h.Number).On(id)
	}
	nonce := keys.Numbered(0)
	if _, err := seal.aead.Open(nil, nonce[:], block[sealTag:sealChecksum], data[:HeaderSize+sealTag]); err != nil {
		return h, nil, errs.New(errs.CodeIntegrity, "segment %d was not written under key %q: it is forged, or the secret is another", h.Number, id)
	}
	return h, seal, nil
}

// SealedUnder returns the ID of the key that a segment is sealed under, "" if it is
// not. It needs the first HeaderSize+SealSize bytes and proves nothing.
func SealedUnder(data []byte) (string, error) {
	h, err := ParseHeader(data)
	if err != nil || h.Features == 0 {
		return "", err
	}
	return sealedUnder(data, h)
}

func sealedUnder(data []byte, h Header) (string, error) {
	if len(data) < HeaderSize+SealSize {
		return "", errs.New(errs.CodeDecode, "the seal of segment %d is cut short", h.Number)
	}
	block := data[HeaderSize : HeaderSize+SealSize]
	sum := crc32.Update(binary.LittleEndian.Uint32(data[headerChecksum:]), castagnoli, block[:sealChecksum])
	if sum != binary.LittleEndian.Uint32(block[sealChecksum:]) {
		return "", errs.New(errs.CodeDecode, "the seal of segment %d fails its checksum", h.Number)
	}
	id, err := keys.ParseID(block[:sealSalt])
	if err != nil {
		return "", errs.Wrap(errs.CodeDecode, err, "the seal of segment %d", h.Number)
	}
	return id, nil
}

// seal completes the last frame of dst, which starts at start there and at offset
// in the segment, and has all but its nonce, its tag and its crc.
func (s *Seal) seal(dst []byte, start int, offset int64) ([]byte, error) {
	next, err := s.nonces.Next()
	if err != nil {
		return nil, err
	}
	frame := dst[start:]
	nonce := frame[frameNonce:sealedPayload]
	copy(nonce, next[:])
	binary.LittleEndian.PutUint64(frame[frameOffset:], uint64(offset))
	if s.encrypted {
		body := start + sealedPayload
		return s.aead.Seal(dst[:body], nonce, dst[body:], frame[frameLength:sealedPayload]), nil
	}
	return s.aead.Seal(dst, nonce, nil, frame[frameLength:]), nil
}

// open returns the payload of a frame whose crc fits: a part of it, or decrypted.
// A frame that no holder of the key wrote for this place is errs.CodeIntegrity.
func (s *Seal) open(frame []byte, offset int) ([]byte, error) {
	if s == nil {
		return frame[FrameOverhead:], nil
	}
	if !s.plausible(frame, offset) {
		return nil, errs.New(errs.CodeIntegrity, "the frame at offset %d is forged: it is not sealed for its place", offset)
	}
	nonce, tag := frame[frameNonce:sealedPayload], len(frame)-keys.TagBytes
	payload, err := frame[sealedPayload:tag], error(nil)
	if s.encrypted {
		payload, err = s.aead.Open(nil, nonce, frame[sealedPayload:], frame[frameLength:sealedPayload])
	} else {
		_, err = s.aead.Open(nil, nonce, frame[tag:], frame[frameLength:tag])
	}
	if err != nil {
		return nil, errs.New(errs.CodeIntegrity, "the frame at offset %d is forged: its checksum fits, and its tag under key %q does not", offset, s.key)
	}
	return payload, nil
}

// plausible tells at the price of a comparison that bytes are no frame for a place.
func (s *Seal) plausible(frame []byte, offset int) bool {
	if s == nil {
		return plausibleHead(frame[FrameOverhead:])
	}
	return len(frame) > FrameOverhead+sealedOverhead && binary.LittleEndian.Uint64(frame[frameOffset:]) == uint64(offset)
}

// overhead returns what a frame has in front of its payload, and how much of its
// length is not payload.
func (s *Seal) overhead() (before, extra int) {
	if s == nil {
		return FrameOverhead, 0
	}
	return sealedPayload, sealedOverhead
}
