package keys

import "github.com/empyrealapp/aedb-go/errs"

// Sealing is how a store protects what it writes. The zero Sealing writes files as
// they are without keys.
type Sealing struct {
	// Ring holds the keys; nil for none. What is written is authenticated under the
	// current key.
	Ring *Ring
	// Encrypt encrypts the log and the checkpoints too. It needs a ring.
	Encrypt bool
}

// On reports whether what is written is sealed.
func (s Sealing) On() bool { return s.Ring != nil }

// AppendID appends an ID, padded with zeros to MaxIDBytes, as files hold it.
func AppendID(dst []byte, id string) []byte {
	var padded [MaxIDBytes]byte
	copy(padded[:], id)
	return append(dst, padded[:]...)
}

// ParseID returns the ID in the MaxIDBytes that AppendID has written. Anything else
// is errs.CodeDecode.
func ParseID(padded []byte) (string, error) {
	end := len(padded)
	for end > 0 && padded[end-1] == 0 {
		end--
	}
	if id := string(padded[:end]); len(padded) == MaxIDBytes && validID(id) {
		return id, nil
	}
	return "", errs.New(errs.CodeDecode, "the ID of the key is malformed")
}
