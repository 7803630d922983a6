package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/errs"
)

const (
	// FormatVersion is the version of the manifest format that this package
	// writes, and the newest that it reads.
	FormatVersion = 1

	magic         = "aedb-manifest"
	knownFeatures = FeatureDeltas

	// The integrity field is the last of the document; the digest is of every
	// byte before it. A signature would follow the digest as a second member,
	// under a newer format version.
	integrityField = ",\n  \"integrity\": {\n    \"blake3\": \""
	integrityEnd   = "\"\n  }\n}\n"
)

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

// Encode returns the bytes of a generation. A manifest that is not in order is
// errs.CodeEncode.
func Encode(m Manifest) ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, errs.Wrap(errs.CodeEncode, err, "manifest %d", m.Generation)
	}
	if unknown := m.FeatureFlags &^ knownFeatures; unknown != 0 {
		return nil, errs.New(errs.CodeEncode, "manifest %d has unknown features %#x", m.Generation, unknown)
	}
	// An empty list is written as one, not as null.
	m.Checkpoints = append([]Checkpoint{}, m.Checkpoints...)
	m.Segments = append([]Segment{}, m.Segments...)
	body, err := json.MarshalIndent(document{kind{magic, FormatVersion}, m}, "", "  ")
	if err != nil {
		return nil, errs.Wrap(errs.CodeEncode, err, "manifest %d", m.Generation)
	}
	body = bytes.TrimSuffix(body, []byte("\n}"))
	return fmt.Appendf(body, "%s%s%s", integrityField, Digest(blake3.Sum256(body)), integrityEnd), nil
}

// Decode reads a generation. Bytes that fail the digest, or that pass it but are
// not in order, are errs.CodeDecode; a whole document of another kind, a newer
// format or with unknown features is errs.CodeUnavailable.
func Decode(data []byte) (Manifest, error) {
	at := bytes.LastIndex(data, []byte(integrityField))
	if at < 0 {
		return Manifest{}, errs.New(errs.CodeDecode, "no integrity field")
	}
	body, seal := data[:at], data[at+len(integrityField):]
	digest := Digest(blake3.Sum256(body)).String()
	if !bytes.HasPrefix(seal, []byte(digest)) {
		return Manifest{}, errs.New(errs.CodeDecode, "digest mismatch: the content has %s", digest)
	}
	body = append(body[:len(body):len(body)], '}')
	// The kind is read by itself, for a newer format may differ in all the rest.
	var doc document
	if err := json.Unmarshal(body, &doc.kind); err != nil {
		return Manifest{}, errs.Wrap(errs.CodeDecode, err, "not a manifest")
	}
	if doc.Magic != magic {
		return Manifest{}, errs.New(errs.CodeUnavailable, "magic is %q, not %q", doc.Magic, magic)
	}
	if doc.FormatVersion > FormatVersion {
		return Manifest{}, errs.New(errs.CodeUnavailable, "format %d is newer than %d, the newest supported", doc.FormatVersion, FormatVersion)
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return Manifest{}, errs.Wrap(errs.CodeDecode, err, "not a manifest")
	}
	if unknown := doc.FeatureFlags &^ knownFeatures; unknown != 0 {
		return Manifest{}, errs.New(errs.CodeUnavailable, "unknown features %#x", unknown)
	}
	if string(seal[len(digest):]) != integrityEnd {
		return Manifest{}, errs.New(errs.CodeDecode, "the integrity field is malformed")
	}
	if doc.FormatVersion == 0 {
		return Manifest{}, errs.New(errs.CodeDecode, "format 0")
	}
	if err := doc.Manifest.validate(); err != nil {
		return Manifest{}, errs.Wrap(errs.CodeDecode, err, "not in order")
	}
	return doc.Manifest, nil
}
