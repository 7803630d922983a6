package aedb

import (
	"errors"
	"fmt"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/recovery"
)

// Key is a secret with a name; see KeyConfig.
type Key = keys.Key

// MissingKeyError is the cause of an unavailable error for want of a key; reach it
// with errors.As.
type MissingKeyError = keys.MissingError

// KeyUse is a key and the files that are made under it, in RecoveryReport.KeysInUse.
type KeyUse = recovery.KeyUse

// KeyConfig protects a store from whoever can change its files, and, with Encrypt,
// from whoever can read them. Without keys, checksums and digests find damage, and
// nobody who means to deceive. What is proven against whom, and what is not, is in
// docs/security.md.
type KeyConfig struct {
	// Ring has the keys, the first of which is the current one: everything new is
	// made under it. The others still verify and decrypt what was made under them. To
	// change the key, put a new one in front; an old one can go when
	// RecoveryReport.KeysInUse does not name it any more.
	//
	// The DB copies the secrets, and wipes its copy when it is closed or fails to
	// open. These here stay the caller's.
	Ring []Key
	// Encrypt encrypts the log and the checkpoints; without it they are
	// authenticated.
	Encrypt bool
	// Adopt takes a store that was made without keys as it is, and signs it from then
	// on. Set it for one opening: a store that is signed once is never opened without
	// its keys again.
	Adopt bool
	// ExpectSeq refuses a store that ends below this commit. It is for a caller who
	// keeps, elsewhere, a commit that is known to be durable: an older copy of the
	// whole directory has good signatures too. 0 expects nothing.
	ExpectSeq uint64
}

// broken returns the rules that the keys break.
func (c *KeyConfig) broken() (broken []error) {
	ring, err := keys.NewRing(c.Ring...)
	if err != nil {
		broken = append(broken, fmt.Errorf("Keys.Ring cannot be used: %w", err))
	}
	ring.Wipe()
	if ring == nil && c.Encrypt {
		broken = append(broken, errors.New("Keys.Encrypt must be false without a key"))
	}
	if ring == nil && c.Adopt {
		broken = append(broken, errors.New("Keys.Adopt must be false without a key"))
	}
	return broken
}

// sealing copies the keys, for as long as a store is open.
func (c *KeyConfig) sealing() (keys.Sealing, error) {
	ring, err := keys.NewRing(c.Ring...)
	if err != nil {
		return keys.Sealing{}, errs.Wrap(errs.CodeInvalidConfig, err, "the configuration cannot be used")
	}
	return keys.Sealing{Ring: ring, Encrypt: c.Encrypt}, nil
}
