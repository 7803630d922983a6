package checkpoint_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"github.com/zeebo/blake3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// goldenSealing is how the encrypted golden file was written; its secret protects
// nothing.
func goldenSealing(t testing.TB) (keys.Sealing, []byte) {
	secret := bytes.Repeat([]byte("k1#"), keys.MinSecretBytes)
	r, err := keys.NewRing(keys.Key{ID: "k1", Secret: secret})
	require.NoError(t, err)
	return keys.Sealing{Ring: r, Encrypt: true}, secret
}

// documentedChunk is what a chunk and its line of the directory say.
type documentedChunk struct {
	space, entries, raw, packed uint64
	firstKey                    string
	digest                      string
}

// documentedEntries reads an encrypted checkpoint as docs/format.md says, with nothing
// of this package nor of keys, and accounts for every byte.
func documentedEntries(t *testing.T, data, secret []byte) (entries []entry) {
	t.Helper()
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	require.EqualValues(t, 1, u64(data[16:]), "the feature flags of an encrypted checkpoint")
	require.Equal(t, append([]byte("k1"), make([]byte, 30)...), data[60:92])
	key, err := hkdf.Key(sha256.New, secret, data[92:124], "aedb checkpoint\x00"+string(data[:92]), 32)
	require.NoError(t, err)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	unpacker, err := zstd.NewReader(nil)
	require.NoError(t, err)
	defer unpacker.Close()

	trailer := data[len(data)-48:]
	directory := int(u64(trailer))
	require.Equal(t, "\x00AEDBEND", string(trailer[40:]))
	number := uint64(0)
	open := func(at int) (c documentedChunk, plain []byte) {
		c = documentedChunk{space: u64(data[at:]), entries: uint64(u32(data[at+8:])), raw: uint64(u32(data[at+12:])), packed: uint64(u32(data[at+16:]))}
		sealed := data[at+52:][:c.packed]
		c.digest = string(data[at+20 : at+52])
		sum := blake3.Sum256(append(bytes.Clone(data[at:at+20]), sealed...))
		require.Equal(t, string(sum[:]), c.digest)
		nonce := binary.LittleEndian.AppendUint64(nil, number)
		number++
		plain, err := aead.Open(nil, append(nonce, 0, 0, 0, 0), sealed, nil)
		require.NoError(t, err, "the block at offset %d", at)
		return c, plain
	}

	var chunks []documentedChunk
	at := 124
	for at < directory {
		c, plain := open(at)
		raw, err := unpacker.DecodeAll(plain, nil)
		require.NoError(t, err)
		require.Len(t, raw, int(c.raw))
		for first := len(entries); len(raw) > 0; {
			var sizes [3]uint64
			for i := range sizes {
				n, width := binary.Uvarint(raw)
				require.Positive(t, width)
				sizes[i], raw = n, raw[width:]
			}
			key, rest := raw[:sizes[0]], raw[sizes[0]:]
			entries = append(entries, entry{msgs.SpaceID(c.space), string(key), string(rest[:sizes[1]]), sizes[2]})
			raw = rest[sizes[1]:]
			if len(raw) == 0 {
				require.EqualValues(t, c.entries, len(entries)-first)
				c.firstKey = entries[first].Key
			}
		}
		chunks = append(chunks, c)
		at += 52 + int(c.packed)
	}

	require.Equal(t, directory, at)
	c, plain := open(at)
	require.Zero(t, c.space)
	require.EqualValues(t, len(chunks), c.entries)
	require.EqualValues(t, len(plain), c.raw, "the directory is not compressed")
	var listed []documentedChunk
	for len(plain) > 0 {
		line := field(t, &plain, 1, protowire.BytesType).bytes
		l := documentedChunk{}
		for i, number := range []*uint64{&l.space, &l.entries, &l.raw, &l.packed} {
			*number = field(t, &line, i+1, protowire.VarintType).number
		}
		l.firstKey = string(field(t, &line, 5, protowire.BytesType).bytes)
		l.digest = string(field(t, &line, 6, protowire.BytesType).bytes)
		require.Empty(t, line)
		listed = append(listed, l)
	}
	require.Equal(t, chunks, listed)
	end := at + 52 + int(c.packed)
	require.Equal(t, len(data)-48, end)
	sum := blake3.Sum256(append(bytes.Clone(data[:124]), data[at:end]...))
	require.Equal(t, sum[:], trailer[8:40])
	return entries
}

// field takes a field of a message.
func field(t *testing.T, message *[]byte, number int, kind protowire.Type) (v struct {
	number uint64
	bytes  []byte
}) {
	got, wire, n := protowire.ConsumeTag(*message)
	require.Positive(t, n)
	require.EqualValues(t, number, got)
	require.Equal(t, kind, wire)
	rest := (*message)[n:]
	if kind == protowire.BytesType {
		v.bytes, n = protowire.ConsumeBytes(rest)
	} else {
		v.number, n = protowire.ConsumeVarint(rest)
	}
	require.Positive(t, n)
	*message = rest[n:]
	return v
}

// A salt is random, so the bytes that are written are not compared with those of the
// golden file: both must be as documented. -update writes it only where there is none.
func TestEncryptedCheckpointGolden(t *testing.T) {
	const golden = "testdata/encrypted.golden"
	s, secret := goldenSealing(t)
	mem := newDir(t)
	info, err := checkpoint.WriteSealed(context.Background(), mem, "db", sampleHeader(), s, 1, fill(sampleEntries()))
	require.NoError(t, err)
	fresh, err := mem.ReadFile("db/" + info.File)
	require.NoError(t, err)
	if _, err := os.Stat(golden); *update && err != nil {
		require.NoError(t, os.WriteFile(golden, fresh, 0o644))
	}
	data, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.NoError(t, mem.WriteFile("db/golden", data))
	for name, data := range map[string][]byte{"db/golden": data, "db/" + info.File: fresh} {
		require.Equal(t, sampleEntries(), documentedEntries(t, data, secret))
		h, got := readSealed(t, mem, name, s.Ring)
		want := sampleHeader()
		want.Features = 1
		require.Equal(t, want, h)
		require.Equal(t, sampleEntries(), got)
	}
}

func readSealed(t *testing.T, fsys vfs.FS, name string, ring *keys.Ring) (h checkpoint.Header, entries []entry) {
	r, err := checkpoint.OpenSealed(fsys, name, ring)
	require.NoError(t, err)
	defer r.Close()
	for i, c := range r.Chunks() {
		require.NoError(t, r.DecodeChunk(i, func(key, value []byte, version uint64) error {
			entries = append(entries, entry{c.Space, string(key), string(value), version})
			return nil
		}))
	}
	return r.Header(), entries
}
