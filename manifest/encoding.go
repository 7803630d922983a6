package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
)

const (
	// FormatVersion is the version of a manifest that is not signed, SignedVersion
	// that of one that is. They are all that this package reads and writes.
	FormatVersion = 1
	SignedVersion = 2

	magic         = "aedb-manifest"
	knownFeatures = FeatureDeltas

	// The integrity field is the last of the document; the digest is of every
	// byte before it.
	integrityField = ",\n  \"integrity\": {\n    \"blake3\": \""
	integrityEnd   = "\"\n  }\n}\n"
)

// errUnsigned is the refusal of a manifest that is whole, but not signed where only
// a signature counts.
var errUnsigned = errs.New(errs.CodeIntegrity, "it is not signed")

// kind opens every version of a manifest.
type kind struct {
	Magic         string `json:"magic"`
	FormatVersion uint32 `json:"format_version"`
}

// document is a manifest as it stands in a file, without its integrity field.
type document struct {
	kind
	Manifest
}

// Encode returns the bytes of a generation that is not signed; see EncodeSigned.
func Encode(m Manifest) ([]byte, error) { return EncodeSigned(m, nil) }

// EncodeSigned returns the bytes of a generation: signed under the current key of
// the ring, or not signed if the ring is nil. A manifest that is not in order is
// errs.CodeEncode.
func EncodeSigned(m Manifest, ring *keys.Ring) ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, errs.Wrap(errs.CodeEncode, err, "manifest %d", m.Generation)
	}
	if unknown := m.FeatureFlags &^ knownFeatures; unknown != 0 {
		return nil, errs.New(errs.CodeEncode, "manifest %d has unknown features %#x", m.Generation, unknown)
	}
	// An empty list is written as one, not as null.
	m.Checkpoints = append([]Checkpoint{}, m.Checkpoints...)
	m.Segments = append([]Segment{}, m.Segments...)
	version := uint32(FormatVersion)
	if ring != nil {
		version = SignedVersion
	}
	body, err := json.MarshalIndent(document{kind{magic, version}, m}, "", "  ")
	if err != nil {
		return nil, errs.Wrap(errs.CodeEncode, err, "manifest %d", m.Generation)
	}
	body = bytes.TrimSuffix(body, []byte("\n}"))
	data := fmt.Appendf(body, "%s%s", integrityField, Digest(blake3.Sum256(body)))
	if ring == nil {
		return append(data, integrityEnd...), nil
	}
	return sign(data, ring)
}

// Decode reads a generation that is not signed; see DecodeSigned.
func Decode(data []byte) (Manifest, error) {
	m, _, err := DecodeSigned(data, nil)
	return m, err
}

// DecodeSigned reads a generation. With a ring it has to be signed under a key of
// it, and DecodeSigned returns which; without one it has to be unsigned.
//
// Bytes that fail the digest, or that pass it but are not in order, are
// errs.CodeDecode; a whole document of another kind, a newer format or with unknown
// features is errs.CodeUnavailable, and so is one that is signed under a key that is
// not in the ring, or with no ring at all. A signature that does not fit, or none
// where there is a ring, is errs.CodeIntegrity.
func DecodeSigned(data []byte, ring *keys.Ring) (m Manifest, key string, err error) {
	at := bytes.LastIndex(data, []byte(integrityField))
	if at < 0 {
		return Manifest{}, "", errs.New(errs.CodeDecode, "no integrity field")
	}
	body, seal := data[:at], data[at+len(integrityField):]
	digest := Digest(blake3.Sum256(body)).String()
	if !bytes.HasPrefix(seal, []byte(digest)) {
		return Manifest{}, "", errs.New(errs.CodeDecode, "digest mismatch: the content has %s", digest)
	}
	body = append(body[:len(body):len(body)], '}')
	// The kind is read by itself, for a newer format may differ in all the rest.
	var doc document
	if err := json.Unmarshal(body, &doc.kind); err != nil {
		return Manifest{}, "", errs.Wrap(errs.CodeDecode, err, "not a manifest")
	}
	if doc.Magic != magic {
		return Manifest{}, "", errs.New(errs.CodeUnavailable, "magic is %q, not %q", doc.Magic, magic)
	}
	if doc.FormatVersion > SignedVersion {
		return Manifest{}, "", errs.New(errs.CodeUnavailable, "format %d is newer than %d, the newest supported", doc.FormatVersion, SignedVersion)
	}
	if doc.FormatVersion == SignedVersion {
		if key, err = checkSignature(data, len(data)-len(seal)+len(digest), ring); err != nil {
			return Manifest{}, key, err
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return Manifest{}, key, errs.Wrap(errs.CodeDecode, err, "not a manifest")
	}
	if unknown := doc.FeatureFlags &^ knownFeatures; unknown != 0 {
		return Manifest{}, key, errs.New(errs.CodeUnavailable, "unknown features %#x", unknown)
	}
	switch {
	case doc.FormatVersion == FormatVersion && string(seal[len(digest):]) != integrityEnd:
		return Manifest{}, key, errs.New(errs.CodeDecode, "the integrity field is malformed")
	case doc.FormatVersion == 0:
		return Manifest{}, key, errs.New(errs.CodeDecode, "format 0")
	}
	if err := doc.Manifest.validate(); err != nil {
		return Manifest{}, key, errs.Wrap(errs.CodeDecode, err, "not in order")
	}
	if doc.FormatVersion == FormatVersion && ring != nil {
		return Manifest{}, "", errUnsigned
	}
	return doc.Manifest, key, nil
}
