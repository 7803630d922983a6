package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/empyrealapp/aedb-go/errs"
)

const (
	// MinSecretBytes is the least length of a secret. It should be random: it is
	// not stretched as a password would be.
	MinSecretBytes = 32
	// MaxIDBytes is the greatest length of a key's ID.
	MaxIDBytes = 32
	// TagBytes is what encryption or authentication adds to a sealed text, beside
	// its nonce.
	TagBytes = 16
	// SaltBytes is the size of a Salt.
	SaltBytes = 32
)

// Purpose is what a derived key is for. The strings are part of the file formats.
type Purpose string

// Purposes.
const (
	// Manifest authenticates manifests.
	Manifest Purpose = "aedb manifest"
	// Segment seals the frames of one log segment.
	Segment Purpose = "aedb log segment"
	// Checkpoint encrypts the chunks of one checkpoint.
	Checkpoint Purpose = "aedb checkpoint"
	// Backup authenticates the manifest of a backup.
	Backup Purpose = "aedb backup"
	// Stream seals a stream of bytes, such as an archive or an exported file.
	Stream Purpose = "aedb stream"
)

// Key is a secret with a name.
type Key struct {
	// ID names the key in the files made under it and in errors: 1 to 32 printable
	// ASCII characters without spaces.
	ID string
	// Secret is at least 32 random bytes.
	Secret []byte `json:"-"`
}

// String returns the ID: a key that gets into a log does not tell its secret.
func (k Key) String() string { return k.ID }

// GoString implements fmt.GoStringer, like String.
func (k Key) GoString() string { return k.ID }

// Salt makes the keys of one file its own.
type Salt [SaltBytes]byte

// NewSalt returns a random salt.
func NewSalt() Salt {
	var s Salt
	_, _ = rand.Read(s[:]) // never fails: the program would have been stopped
	return s
}

// Ring is a set of keys of which one is current. A nil Ring has none. Its methods
// are safe for concurrent use.
type Ring struct {
	mu   sync.RWMutex
	keys []Key // owned copies; the first is current
}

// NewRing returns a ring of the keys, of which the first is the current one. It
// copies the secrets. Without keys it returns nil. A key that cannot be used, or
// an ID that occurs twice, is errs.CodeInvalidConfig.
func NewRing(keys ...Key) (*Ring, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	r := &Ring{keys: make([]Key, 0, len(keys))}
	seen := make(map[string]bool, len(keys))
	for _, k := range keys {
		if !validID(k.ID) {
			return nil, errs.New(errs.CodeInvalidConfig, "the ID of a key must be 1 to %d printable ASCII characters without spaces", MaxIDBytes)
		}
		if seen[k.ID] {
			return nil, errs.New(errs.CodeInvalidConfig, "key %q is in the ring twice", k.ID)
		}
		if len(k.Secret) < MinSecretBytes {
			return nil, errs.New(errs.CodeInvalidConfig, "key %q has %d bytes, fewer than %d", k.ID, len(k.Secret), MinSecretBytes)
		}
		seen[k.ID] = true
		r.keys = append(r.keys, Key{ID: k.ID, Secret: append([]byte(nil), k.Secret...)})
	}
	return r, nil
}

func validID(id string) bool {
	if len(id) == 0 || len(id) > MaxIDBytes {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

// Current returns the ID of the key that everything new is made under, "" for a
// ring without keys.
func (r *Ring) Current() string {
	if r == nil {
		return ""
	}
	return r.keys[0].ID
}

// IDs returns the IDs of all keys, the current one first.
func (r *Ring) IDs() []string {
	if r == nil {
		return nil
	}
	ids := make([]string, len(r.keys))
	for i := range r.keys {
		ids[i] = r.keys[i].ID
	}
	return ids
}

// Has reports whether the ring has a key of that ID.
func (r *Ring) Has(id string) bool {
	for _, k := range r.IDs() {
		if k == id {
			return true
		}
	}
	return false
}

// Wipe overwrites the secrets. What the ring is asked for afterwards is
// unavailable; ciphers and tags made before stay usable.
func (r *Ring) Wipe() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.keys {
		clear(r.keys[i].Secret)
		r.keys[i].Secret = nil
	}
}

// Tag returns the HMAC-SHA-256 of a message under the key of that ID. A key that
// is not in the ring is errs.CodeUnavailable.
func (r *Ring) Tag(id string, p Purpose, salt Salt, message []byte) ([32]byte, error) {
	var tag [32]byte
	key, err := r.derive(id, p, salt, nil)
	if err != nil {
		return tag, err
	}
	defer clear(key)
	mac := hmac.New(sha256.New, key)
	mac.Write(message)
	mac.Sum(tag[:0])
	return tag, nil
}

// Verify reports whether a tag is that of the message. A key that is not in the
// ring is errs.CodeUnavailable, a tag that does not fit errs.CodeIntegrity.
func (r *Ring) Verify(id string, p Purpose, salt Salt, message []byte, tag [32]byte) error {
	want, err := r.Tag(id, p, salt, message)
	if err != nil {
		return err
	}
	if !hmac.Equal(want[:], tag[:]) {
		return errs.New(errs.CodeIntegrity, "the signature does not fit under key %q", id)
	}
	return nil
}

// Cipher returns AES-256-GCM under the key of that ID for one file: the purpose,
// the salt and the context, such as the header of the file, are part of what the
// key is derived from. A key that is not in the ring is errs.CodeUnavailable.
func (r *Ring) Cipher(id string, p Purpose, salt Salt, context []byte) (cipher.AEAD, error) {
	key, err := r.derive(id, p, salt, context)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errs.Wrap(errs.CodeInternal, err, "make a cipher under key %q", id)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, errs.Wrap(errs.CodeInternal, err, "make a cipher under key %q", id)
	}
	return aead, nil
}

// derive returns 32 bytes that belong to the caller.
func (r *Ring) derive(id string, p Purpose, salt Salt, context []byte) ([]byte, error) {
	if r == nil {
		return nil, missing(id)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.keys {
		if k.ID != id || k.Secret == nil {
			continue
		}
		key, err := hkdf.Key(sha256.New, k.Secret, salt[:], string(p)+"\x00"+string(context), 32)
		if err != nil {
			return nil, errs.Wrap(errs.CodeInternal, err, "derive from key %q", id)
		}
		return key, nil
	}
	return nil, missing(id)
}

// MissingError is the cause of an errs.CodeUnavailable error for want of a key, for
// errors.As.
type MissingError struct {
	// ID names the key.
	ID string
}

// Error implements error.
func (e *MissingError) Error() string {
	return fmt.Sprintf("key %q is needed and is not in the ring", e.ID)
}

func missing(id string) error {
	return errs.Wrap(errs.CodeUnavailable, &MissingError{id}, "").On(id)
}
