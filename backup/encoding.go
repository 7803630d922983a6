package backup

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
)

const (
	// FormatVersion is the version of the format of backups that this package
	// writes, and the newest that it reads.
	FormatVersion = 1

	magic                = "aedb-backup"
	knownFeatures uint64 = 0

	// maxManifestBytes bounds what is read of a manifest: about 200,000 objects.
	maxManifestBytes = 64 << 20

	// The integrity field is the last of the document, and covers every byte before
	// it. It has one of two forms, each with every byte in its place.
	integrityField = ",\n  \"integrity\": {\n"
	digestForm     = "    \"blake3\": \"%x\"\n  }\n}\n"
	signatureForm  = "    \"key\": %q,\n    \"salt\": \"%x\",\n    \"hmac_sha256\": \"%x\"\n  }\n}\n"
)

// kind opens every version of a manifest.
type kind struct {
	Magic         string `json:"magic"`
	FormatVersion uint32 `json:"format_version"`
}

// document is a manifest as it stands in a store, without its integrity field.
type document struct {
	kind
	Manifest
}

// integrity is the content of the integrity field.
type integrity struct {
	Blake3    string `json:"blake3"`
	Key       string `json:"key"`
	Salt      string `json:"salt"`
	Signature string `json:"hmac_sha256"`
}

// Encode returns the bytes of a manifest, signed under the current key of the ring
// if that has one, and sets its Digest. A manifest that is not in order is
// errs.CodeEncode.
func Encode(m *Manifest, ring *keys.Ring) ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, errs.Wrap(errs.CodeEncode, err, "backup %s", m.ID)
	}
	if unknown := m.FeatureFlags &^ knownFeatures; unknown != 0 {
		return nil, errs.New(errs.CodeEncode, "backup %s has unknown features %#x", m.ID, unknown)
	}
	written := *m
	written.Objects = append([]Object{}, m.Objects...) // an empty list is written as one, not as null
	body, err := json.MarshalIndent(document{kind{magic, FormatVersion}, written}, "", "  ")
	if err != nil {
		return nil, errs.Wrap(errs.CodeEncode, err, "backup %s", m.ID)
	}
	body = bytes.TrimSuffix(body, []byte("\n}"))
	m.digest = blake3.Sum256(body)
	out := append(body[:len(body):len(body)], integrityField...)
	id := ring.Current()
	if id == "" {
		return fmt.Appendf(out, digestForm, m.digest[:]), nil
	}
	salt := keys.NewSalt()
	tag, err := ring.Tag(id, keys.Backup, salt, body)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(out, signatureForm, id, salt[:], tag[:]), nil
}

// Decode reads a manifest. With a ring only one that is signed under a key of it
// passes: without that, whoever can write to the store could take the signature
// off. Without a ring only an unsigned one does.
//
// Bytes that fail the digest or the signature, or that pass it but are not in order,
// are errs.CodeIntegrity; a key that is missing, a newer format or unknown features
// are errs.CodeUnavailable.
func Decode(data []byte, ring *keys.Ring) (Manifest, error) {
	at := bytes.LastIndex(data, []byte(integrityField))
	if at < 0 {
		return Manifest{}, errs.New(errs.CodeIntegrity, "it has no integrity field")
	}
	body, field := data[:at], data[at+len(integrityField):]
	if err := verify(body, field, ring); err != nil {
		return Manifest{}, err
	}
	// The kind is read by itself, for a newer format may differ in all the rest.
	content := append(body[:len(body):len(body)], '}')
	var doc document
	if err := json.Unmarshal(content, &doc.kind); err != nil {
		return Manifest{}, errs.Wrap(errs.CodeIntegrity, err, "it is no manifest")
	}
	switch {
	case doc.Magic != magic:
		return Manifest{}, errs.New(errs.CodeIntegrity, "its magic is %.40q, not %q", doc.Magic, magic)
	case doc.FormatVersion > FormatVersion:
		return Manifest{}, errs.New(errs.CodeUnavailable, "format %d is newer than %d, the newest supported", doc.FormatVersion, FormatVersion)
	case doc.FormatVersion == 0:
		return Manifest{}, errs.New(errs.CodeIntegrity, "it has format 0")
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		return Manifest{}, errs.Wrap(errs.CodeIntegrity, err, "it is no manifest")
	}
	if unknown := doc.FeatureFlags &^ knownFeatures; unknown != 0 {
		return Manifest{}, errs.New(errs.CodeUnavailable, "unknown features %#x", unknown)
	}
	if err := doc.validate(); err != nil {
		return Manifest{}, errs.Wrap(errs.CodeIntegrity, err, "it is not in order")
	}
	doc.digest = blake3.Sum256(body)
	return doc.Manifest, nil
}

// verify checks the integrity field of a document.
func verify(body, field []byte, ring *keys.Ring) error {
	var seal integrity
	end := bytes.Index(field, []byte("\n  }\n}\n"))
	if end < 0 || json.Unmarshal(append(append([]byte("{"), field[:end]...), '}'), &seal) != nil {
		return errs.New(errs.CodeIntegrity, "the integrity field is malformed")
	}
	if seal.Key == "" {
		if ring != nil {
			return errs.New(errs.CodeIntegrity, "it is not signed, and keys were given to verify it with")
		}
		if sum := blake3.Sum256(body); string(field) != fmt.Sprintf(digestForm, sum[:]) {
			return errs.New(errs.CodeIntegrity, "its content has another digest than it says")
		}
		return nil
	}
	var salt keys.Salt
	var tag [32]byte
	if !fromHex(salt[:], seal.Salt) || !fromHex(tag[:], seal.Signature) ||
		string(field) != fmt.Sprintf(signatureForm, seal.Key, salt[:], tag[:]) {
		return errs.New(errs.CodeIntegrity, "the integrity field is malformed")
	}
	return ring.Verify(seal.Key, keys.Backup, salt, body, tag)
}

func fromHex(dst []byte, text string) bool {
	data, err := hex.DecodeString(text)
	return err == nil && copy(dst, data) == len(dst) && len(data) == len(dst)
}
