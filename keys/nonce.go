package keys

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/empyrealapp/aedb-go/errs"
)

// NonceBytes is the size of a nonce.
const NonceBytes = 12

// Nonces hands out nonces for a file that more than one process may write to in
// turn, each of which may write again what an earlier one left unfinished. A nonce
// is 8 random bytes of this instance and a count: two instances meet with a
// probability of one in 2^64. It is not safe for concurrent use.
type Nonces struct {
	next [NonceBytes]byte
	used uint32
}

// NewNonces returns an instance of its own.
func NewNonces() *Nonces {
	n := &Nonces{}
	_, _ = rand.Read(n.next[:8]) // never fails: the program would have been stopped
	return n
}

// Next returns a nonce that was not handed out before. After 2^32-1 of them it is
// errs.CodeLimitExceeded: the file has to be closed and another one begun.
func (n *Nonces) Next() ([NonceBytes]byte, error) {
	if n.used == 1<<32-1 {
		return [NonceBytes]byte{}, errs.New(errs.CodeLimitExceeded, "2^32-1 nonces of one file are used")
	}
	n.used++
	binary.LittleEndian.PutUint32(n.next[8:], n.used)
	return n.next, nil
}

// Numbered returns the nonce of the place with that number, for a file of which
// each place is written once.
func Numbered(place uint64) [NonceBytes]byte {
	var n [NonceBytes]byte
	binary.LittleEndian.PutUint64(n[:8], place)
	return n
}
