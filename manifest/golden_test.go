package manifest_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
)

// A signature has no salt: equal manifests have equal bytes.
func TestSignedManifestGolden(t *testing.T) {
	const name = "testdata/signed.golden.json"
	data := signed(t, sample(3), ring(t, "k1"))
	if *update {
		require.NoError(t, os.WriteFile(name, data, 0o644))
	}
	golden, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(golden), string(data), "the format has changed")
	got, key, err := manifest.DecodeSigned(golden, ring(t, "k1"))
	require.NoError(t, err)
	require.Equal(t, "k1", key)
	require.Equal(t, sample(3), got)
}

// It reads the signature as docs/format.md says, with nothing of this package nor of
// the derivation of keys.
func TestSignatureOfTheGoldenManifestIsAsDocumented(t *testing.T) {
	golden, err := os.ReadFile("testdata/signed.golden.json")
	require.NoError(t, err)
	const field, end = "\"hmac_sha256\": \"", "\"\n  }\n}\n"
	message, digits, ok := bytes.Cut(golden, []byte(field))
	require.True(t, ok)
	message = golden[:len(message)+len(field)]
	digits, ok = bytes.CutSuffix(digits, []byte(end))
	require.True(t, ok)

	secret := bytes.Repeat([]byte("k1#"), keys.MinSecretBytes)
	key, err := hkdf.Key(sha256.New, secret, make([]byte, 32), "aedb manifest\x00", 32)
	require.NoError(t, err)
	mac := hmac.New(sha256.New, key)
	mac.Write(message)
	require.Equal(t, hex.EncodeToString(mac.Sum(nil)), string(digits))
}
