package keys_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write a golden file where there is none")

// documentedStream reads a sealed stream as docs/format.md says, with nothing of this
// package, and accounts for every byte.
func documentedStream(t *testing.T, data []byte) (content []byte) {
	t.Helper()
	require.Equal(t, append([]byte("AEDBSEA\x00\x01\x00\x00\x00k"), make([]byte, 31)...), data[:44])
	key, err := hkdf.Key(sha256.New, secret('k'), data[44:76], "aedb stream\x00"+string(data[:44]), 32)
	require.NoError(t, err)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	for number, rest, last := uint64(0), data[76:], false; !last; number++ {
		size := min(len(rest), 65536+16)
		last = size == len(rest)
		nonce := append(binary.LittleEndian.AppendUint64(nil, number), 0, 0, 0, 0)
		if last {
			nonce[11] = 1
		}
		content, err = aead.Open(content, nonce, rest[:size], nil)
		require.NoError(t, err, "block %d", number)
		rest = rest[size:]
	}
	return content
}

func TestStreamGolden(t *testing.T) {
	const name = "testdata/stream.golden"
	content := []byte("what a sealed stream holds")
	if _, err := os.Stat(name); *update && err != nil {
		require.NoError(t, os.WriteFile(name, seal(t, ring(t, "k"), content), 0o644))
	}
	golden, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, content, documentedStream(t, golden))
	got, err := open(bytes.NewReader(golden), ring(t, "k"))
	require.NoError(t, err)
	require.Equal(t, content, got)
}

func TestStreamIsWrittenAsDocumented(t *testing.T) {
	for _, size := range []int{0, 1, 65536, 65537, 131072} {
		content := bytes.Repeat([]byte("s"), size)
		require.True(t, bytes.Equal(content, documentedStream(t, seal(t, ring(t, "k"), content))), "%d bytes", size)
	}
}
