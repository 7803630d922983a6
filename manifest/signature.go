package manifest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
)

// What stands between the digest and the ID of the key, and between that and the
// signature.
const (
	keyField       = "\",\n    \"key\": "
	signatureField = ",\n    \"hmac_sha256\": \""
)

// sign completes a document that ends with its digest. The signature is of every
// byte before it.
func sign(data []byte, ring *keys.Ring) ([]byte, error) {
	id, err := json.Marshal(ring.Current())
	if err != nil {
		return nil, errs.Wrap(errs.CodeEncode, err, "the ID of the key")
	}
	data = fmt.Appendf(data, "%s%s%s", keyField, id, signatureField)
	tag, err := ring.Tag(ring.Current(), keys.Manifest, keys.Salt{}, data)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(data, "%s%s", Digest(tag), integrityEnd), nil
}

// checkSignature verifies a document whose digest ends at an offset, and returns
// the ID of the key.
func checkSignature(data []byte, digestEnd int, ring *keys.Ring) (key string, err error) {
	malformed := errs.New(errs.CodeDecode, "the signature is malformed")
	rest, ok := strings.CutPrefix(string(data[digestEnd:]), keyField)
	if !ok {
		return "", malformed
	}
	id, rest, ok := strings.Cut(rest, signatureField)
	if !ok || json.Unmarshal([]byte(id), &key) != nil || len(key) > keys.MaxIDBytes {
		return "", malformed
	}
	// No digest covers the ID: where it cannot be one it is damaged, and no key to ask for.
	if _, err := keys.ParseID(keys.AppendID(nil, key)); err != nil {
		return "", malformed
	}
	digits, ok := strings.CutSuffix(rest, integrityEnd)
	var tag Digest
	if !ok || tag.UnmarshalText([]byte(digits)) != nil || tag.String() != digits {
		return "", malformed
	}
	return key, ring.Verify(key, keys.Manifest, keys.Salt{}, data[:len(data)-len(rest)], tag)
}
