package checkpoint

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// sealedBy returns how a store with one key seals.
func sealedBy(t testing.TB, id string) keys.Sealing {
	r, err := keys.NewRing(keys.Key{ID: id, Secret: bytes.Repeat([]byte(id+"#"), keys.MinSecretBytes)})
	require.NoError(t, err)
	return keys.Sealing{Ring: r, Encrypt: true}
}

// writeSealed writes entries of two spaces, more than one chunk of each, and
// returns the name of the file.
func writeSealed(t testing.TB, fsys *vfs.Mem, s keys.Sealing, concurrency, entries int) (Info, string) {
	info, err := WriteSealed(context.Background(), fsys, "db", Header{Seq: 10}, s, concurrency, func(w *Writer) error {
		for i := range entries {
			key := fmt.Appendf(nil, "secret key %08d", i)
			if err := w.Add(msgs.SpaceID(64+2*i/entries), key, bytes.Repeat([]byte("secret value "), 20), 5); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	return info, "db/" + info.File
}

func readSealed(fsys vfs.FS, name string, r *keys.Ring) (keysRead []string, err error) {
	c, err := OpenSealed(fsys, name, r)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for i := range c.Chunks() {
		if err := c.DecodeChunk(i, func(key, _ []byte, _ uint64) error {
			keysRead = append(keysRead, string(key))
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return keysRead, nil
}

func TestEncryptedCheckpointComesBackAndHidesItsContent(t *testing.T) {
	s := sealedBy(t, "k1")
	for _, concurrency := range []int{1, 4} {
		mem := vfs.NewMem()
		require.NoError(t, mem.MkdirAll("db"))
		info, name := writeSealed(t, mem, s, concurrency, 5000)
		got, err := readSealed(mem, name, s.Ring)
		require.NoError(t, err)
		require.Len(t, got, 5000)
		require.True(t, slices.IsSorted(got))
		data, err := mem.ReadFile(name)
		require.NoError(t, err)
		require.NotContains(t, string(data), "secret key", "the directory holds first keys")
		r, err := OpenSealed(mem, name, s.Ring)
		require.NoError(t, err)
		defer r.Close()
		require.Greater(t, len(r.Chunks()), 4)
		require.Equal(t, info.Digest, r.Digest())
		id, err := SealedUnder(mem, name)
		require.NoError(t, err)
		require.Equal(t, "k1", id)
	}
}

func TestKeysWithoutEncryptionLeaveACheckpointAsItIs(t *testing.T) {
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("db"))
	_, name := writeSealed(t, mem, keys.Sealing{}, 1, 10)
	plain, err := mem.ReadFile(name)
	require.NoError(t, err)
	_, name = writeSealed(t, mem, keys.Sealing{Ring: sealedBy(t, "k1").Ring}, 1, 10)
	got, err := mem.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, plain, got)
}

func TestEncryptedCheckpointNeedsItsKey(t *testing.T) {
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("db"))
	_, name := writeSealed(t, mem, sealedBy(t, "k1"), 1, 10)
	for _, r := range []*keys.Ring{nil, sealedBy(t, "k2").Ring} {
		_, err := readSealed(mem, name, r)
		require.ErrorIs(t, err, errs.ErrUnavailable)
		require.ErrorContains(t, err, `"k1"`)
		require.ErrorContains(t, err, name)
	}
	other, err := keys.NewRing(keys.Key{ID: "k1", Secret: make([]byte, 32)})
	require.NoError(t, err)
	_, err = readSealed(mem, name, other)
	require.ErrorIs(t, err, errs.ErrIntegrity, "the right name, the wrong secret")
}

func TestDamageToAnEncryptedCheckpointIsDamage(t *testing.T) {
	s := sealedBy(t, "k1")
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("db"))
	_, name := writeSealed(t, mem, s, 1, 3)
	data, err := mem.ReadFile(name)
	require.NoError(t, err)
	for n := range data {
		bad := bytes.Clone(data)
		bad[n] ^= 1 << (n % 8)
		require.NoError(t, mem.WriteFile("db/bad", bad))
		_, err := readSealed(mem, "db/bad", s.Ring)
		require.ErrorIs(t, err, errs.ErrDecode, "byte %d", n)
		require.NoError(t, mem.WriteFile("db/bad", data[:n]))
		_, err = readSealed(mem, "db/bad", s.Ring)
		require.ErrorIs(t, err, errs.ErrDecode, "cut at %d", n)
	}
}

// Whoever has no key can make every digest fit.
func TestForgedBlockOfAnEncryptedCheckpointIsAnIntegrityError(t *testing.T) {
	s := sealedBy(t, "k1")
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("db"))
	_, name := writeSealed(t, mem, s, 1, 3)
	data, err := mem.ReadFile(name)
	require.NoError(t, err)
	const start = headerSize + sealSize
	at := len(data) - trailerSize
	for what, forge := range map[string]func(d []byte){
		"directory": func(d []byte) { d[at-1] ^= 1 },
		"salt":      func(d []byte) { d[start-1] ^= 1 },
		"header":    func(d []byte) { copy(d, appendHeader(nil, Header{Seq: 11, Features: featureEncrypted})) },
	} {
		bad := bytes.Clone(data)
		forge(bad)
		offset := int(data[at]) | int(data[at+1])<<8 | int(data[at+2])<<16
		digest := sumFile(bad[:start], bad[offset:at])
		copy(bad[at+trailerDigest:], digest[:])
		require.NoError(t, mem.WriteFile("db/bad", bad))
		_, err := readSealed(mem, "db/bad", s.Ring)
		require.ErrorIs(t, err, errs.ErrIntegrity, what)
	}
}
