package checkpoint

import (
	"crypto/cipher"
	"encoding/binary"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/vfs"
)

// featureEncrypted marks a checkpoint whose chunks and directory are encrypted. A
// seal block follows its header: the padded ID of the key, and the salt.
const featureEncrypted uint64 = 1 << 0

const sealSize = keys.MaxIDBytes + keys.SaltBytes

// seal encrypts and decrypts the blocks of one checkpoint. A nil seal is that of a
// checkpoint that is not encrypted. It is safe for concurrent use.
type seal struct{ aead cipher.AEAD }

// newSeal marks the header of a new checkpoint as sealing asks, and returns its
// bytes, with the seal block if there is one.
func newSeal(h *Header, sealing keys.Sealing) (*seal, []byte, error) {
	if !sealing.Encrypt {
		return nil, appendHeader(nil, *h), nil
	}
	h.Features |= featureEncrypted
	id, salt := sealing.Ring.Current(), keys.NewSalt()
	data := keys.AppendID(appendHeader(nil, *h), id)
	aead, err := sealing.Ring.Cipher(id, keys.Checkpoint, salt, data)
	if err != nil {
		return nil, nil, err
	}
	return &seal{aead}, append(data, salt[:]...), nil
}

// openSeal returns the seal of a checkpoint that begins with the given header and
// seal block.
func openSeal(data []byte, ring *keys.Ring) (*seal, error) {
	end := headerSize + keys.MaxIDBytes
	id, err := keys.ParseID(data[headerSize:end])
	if err != nil {
		return nil, err
	}
	aead, err := ring.Cipher(id, keys.Checkpoint, keys.Salt(data[end:]), data[:end])
	if err != nil {
		return nil, err
	}
	return &seal{aead}, nil
}

// close encrypts what follows the prefix of a block, the one with that number in the
// file. The directory has the number behind the last chunk.
func (s *seal) close(block []byte, number int) []byte {
	if s == nil {
		return block
	}
	nonce := keys.Numbered(uint64(number))
	return s.aead.Seal(block[:prefixSize], nonce[:], block[prefixSize:], nil)
}

// open makes a block, in place, what it was before it was encrypted. The digest of
// the block has been checked, so that one that does not decrypt was made by somebody
// else, or under another secret of the same name: errs.CodeIntegrity.
func (s *seal) open(block []byte, number int) ([]byte, error) {
	if s == nil {
		return block, nil
	}
	nonce := keys.Numbered(uint64(number))
	plain, err := s.aead.Open(block[prefixSize:prefixSize], nonce[:], block[prefixSize:], nil)
	if err != nil {
		return nil, errs.New(errs.CodeIntegrity, "it does not decrypt: it is forged, or the secret is another")
	}
	block = block[:prefixSize+len(plain)]
	binary.LittleEndian.PutUint32(block[chunkPacked:], uint32(len(plain)))
	return block, nil
}

// SealedUnder returns the ID of the key that a checkpoint is encrypted under, "" if
// it is not encrypted. It reads the start of the file and proves nothing.
func SealedUnder(fsys vfs.FS, name string) (string, error) {
	data, err := vfs.ReadFile(fsys, name, headerSize+sealSize)
	if err != nil {
		return "", errs.Wrap(errs.CodeIO, err, "read %s", name)
	}
	if len(data) < headerSize {
		return "", errs.New(errs.CodeDecode, "checkpoint %s is cut short", name)
	}
	h, err := parseHeader(data[:headerSize])
	if err != nil || h.Features&featureEncrypted == 0 {
		return "", err
	}
	if len(data) < headerSize+sealSize {
		return "", errs.New(errs.CodeDecode, "checkpoint %s is cut short", name)
	}
	return keys.ParseID(data[headerSize : headerSize+keys.MaxIDBytes])
}
