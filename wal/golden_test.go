package wal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/wal"
)

// goldenSecret is the secret of key "k1" in the golden files; it protects nothing.
var goldenSecret = bytes.Repeat([]byte("k1#"), 32)

// plainPayloads returns the payloads of the frames of an unsealed segment.
func plainPayloads(data []byte) (payloads [][]byte) {
	for at := wal.HeaderSize; at < len(data); {
		end := at + 12 + int(binary.LittleEndian.Uint32(data[at+4:]))
		payloads = append(payloads, data[at+12:end])
		at = end
	}
	return payloads
}

// documentedPayloads reads a sealed segment as docs/format.md says, with nothing of
// this package nor of keys, and accounts for every byte.
func documentedPayloads(t *testing.T, data, secret []byte) (payloads [][]byte) {
	t.Helper()
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	features := u64(data[12:])
	require.Contains(t, []uint64{1, 2}, features, "authenticated or encrypted")
	require.Equal(t, append([]byte("k1"), make([]byte, 30)...), data[104:136])

	key, err := hkdf.Key(sha256.New, secret, data[136:168], "aedb log segment\x00"+string(data[:136]), 32)
	require.NoError(t, err)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	_, err = aead.Open(nil, make([]byte, 12), data[168:184], data[:168])
	require.NoError(t, err, "the tag of header and block")
	require.Equal(t, crcFrom(u32(data[100:]), data[104:184]), u32(data[184:]))

	seed := u32(data[184:])
	previous := seed
	for at, count := 188, uint32(1); at < len(data); count++ {
		require.LessOrEqual(t, 12, len(data)-at)
		frame := data[at:][:12+u32(data[at+4:])]
		require.Equal(t, crcFrom(seed, frame[4:]), u32(frame))
		require.Equal(t, previous, u32(frame[8:]))
		require.EqualValues(t, at, u64(frame[12:]))
		require.Equal(t, data[208:216], frame[20:28], "the random half of the nonce is that of the writer")
		require.Equal(t, count, u32(frame[28:]))
		tag := len(frame) - 16
		payload := frame[32:tag]
		if features == 2 {
			payload, err = aead.Open(nil, frame[20:32], frame[32:], frame[4:32])
		} else {
			_, err = aead.Open(nil, frame[20:32], frame[tag:], frame[4:tag])
		}
		require.NoError(t, err, "the frame at offset %d", at)
		payloads = append(payloads, payload)
		previous = u32(frame)
		at += len(frame)
	}
	return payloads
}

// Salts and nonces are random, so the bytes that are written are not compared with
// those of the golden files: both must be as documented, and hold what an unsealed
// segment holds. -update writes a golden file only where there is none.
func TestSealedGoldenSegments(t *testing.T) {
	plain := plainPayloads(write(t, sampleHeader(), 2, sampleEpochs()).data)
	for name, s := range sealings(t) {
		t.Run(name, func(t *testing.T) {
			file := "testdata/" + name + ".golden"
			fresh := writeSealed(t, s, 2, sampleEpochs()).data
			if _, err := os.Stat(file); *update && err != nil {
				require.NoError(t, os.WriteFile(file, fresh, 0o644))
			}
			golden, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Len(t, fresh, len(golden))
			for _, data := range [][]byte{golden, fresh} {
				require.Equal(t, plain, documentedPayloads(t, data, goldenSecret))
				got, end, err := scanSealed(data, s.Ring)
				require.NoError(t, err)
				require.Equal(t, wal.Clean, end.Verdict)
				require.Equal(t, len(data), end.Offset)
				requireSame(t, sampleEpochs(), got)
			}
		})
	}
}
