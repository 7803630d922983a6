package keys_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
)

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, keys.MinSecretBytes) }

func ring(t testing.TB, ids ...string) *keys.Ring {
	all := make([]keys.Key, len(ids))
	for i, id := range ids {
		all[i] = keys.Key{ID: id, Secret: secret(id[0])}
	}
	r, err := keys.NewRing(all...)
	require.NoError(t, err)
	return r
}

func TestRingRefusesKeysThatCannotBeUsed(t *testing.T) {
	for name, given := range map[string][]keys.Key{
		"no name":      {{Secret: secret(1)}},
		"long name":    {{ID: strings.Repeat("k", 33), Secret: secret(1)}},
		"space":        {{ID: "a b", Secret: secret(1)}},
		"not ASCII":    {{ID: "é", Secret: secret(1)}},
		"short secret": {{ID: "a", Secret: secret(1)[1:]}},
		"twice":        {{ID: "a", Secret: secret(1)}, {ID: "a", Secret: secret(2)}},
	} {
		_, err := keys.NewRing(given...)
		require.ErrorIs(t, err, errs.ErrInvalidConfig, name)
	}
	none, err := keys.NewRing()
	require.NoError(t, err)
	require.Nil(t, none)
	require.Empty(t, none.Current())
}

func TestRingErrorsNeverHoldASecret(t *testing.T) {
	_, err := keys.NewRing(keys.Key{ID: "a", Secret: []byte("hunter2")})
	require.NotContains(t, err.Error(), "hunter2")
}

func TestKeyThatIsPrintedTellsOnlyItsName(t *testing.T) {
	config := struct{ Ring []keys.Key }{[]keys.Key{{ID: "k1", Secret: []byte("hunter2")}}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(format, config)
		require.Contains(t, text, "k1")
		require.NotContains(t, text, "hunter2")
		require.NotContains(t, text, fmt.Sprint([]byte("hunter2")))
	}
	text, err := json.Marshal(config)
	require.NoError(t, err)
	require.JSONEq(t, `{"Ring":[{"ID":"k1"}]}`, string(text))
}

func TestIDComesBackFromItsPadding(t *testing.T) {
	for _, id := range []string{"k", strings.Repeat("k", keys.MaxIDBytes)} {
		padded := keys.AppendID(nil, id)
		require.Len(t, padded, keys.MaxIDBytes)
		got, err := keys.ParseID(padded)
		require.NoError(t, err)
		require.Equal(t, id, got)
	}
	for _, bad := range [][]byte{nil, make([]byte, 32), keys.AppendID(nil, "a b"), append([]byte{0}, keys.AppendID(nil, "k")[:31]...), []byte("k")} {
		_, err := keys.ParseID(bad)
		require.ErrorIs(t, err, errs.ErrDecode, "%q", bad)
	}
}

func TestTagBelongsToKeyPurposeSaltAndMessage(t *testing.T) {
	r := ring(t, "new", "old")
	salt := keys.NewSalt()
	tag, err := r.Tag("old", keys.Manifest, salt, []byte("text"))
	require.NoError(t, err)
	require.NoError(t, r.Verify("old", keys.Manifest, salt, []byte("text"), tag))

	require.ErrorIs(t, r.Verify("new", keys.Manifest, salt, []byte("text"), tag), errs.ErrIntegrity)
	require.ErrorIs(t, r.Verify("old", keys.Backup, salt, []byte("text"), tag), errs.ErrIntegrity)
	require.ErrorIs(t, r.Verify("old", keys.Manifest, keys.NewSalt(), []byte("text"), tag), errs.ErrIntegrity)
	require.ErrorIs(t, r.Verify("old", keys.Manifest, salt, []byte("texts"), tag), errs.ErrIntegrity)
	require.ErrorIs(t, r.Verify("lost", keys.Manifest, salt, []byte("text"), tag), errs.ErrUnavailable)
	require.ErrorIs(t, (*keys.Ring)(nil).Verify("old", keys.Manifest, salt, nil, tag), errs.ErrUnavailable)
}

func TestCipherBelongsToItsContext(t *testing.T) {
	r, salt := ring(t, "k"), keys.NewSalt()
	one, err := r.Cipher("k", keys.Segment, salt, []byte("header 1"))
	require.NoError(t, err)
	two, err := r.Cipher("k", keys.Segment, salt, []byte("header 2"))
	require.NoError(t, err)
	nonce := keys.Numbered(7)
	sealed := one.Seal(nil, nonce[:], []byte("text"), nil)
	_, err = two.Open(nil, nonce[:], sealed, nil)
	require.Error(t, err)
	plain, err := one.Open(nil, nonce[:], sealed, nil)
	require.NoError(t, err)
	require.Equal(t, "text", string(plain))
}

func TestWipedRingDerivesNothing(t *testing.T) {
	given := secret(9)
	r, err := keys.NewRing(keys.Key{ID: "k", Secret: given})
	require.NoError(t, err)
	r.Wipe()
	r.Wipe()
	_, err = r.Tag("k", keys.Manifest, keys.Salt{}, nil)
	require.ErrorIs(t, err, errs.ErrUnavailable)
	require.Equal(t, secret(9), given, "the caller's copy is the caller's")
}

func TestNoncesOfTwoInstancesNeverMeet(t *testing.T) {
	seen := map[[keys.NonceBytes]byte]bool{}
	for range 100 {
		n := keys.NewNonces()
		for range 100 {
			nonce, err := n.Next()
			require.NoError(t, err)
			require.False(t, seen[nonce])
			seen[nonce] = true
		}
	}
}

func seal(t testing.TB, r *keys.Ring, content []byte) []byte {
	var out bytes.Buffer
	w, err := keys.NewStreamWriter(&out, r)
	require.NoError(t, err)
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	_, err = w.Write([]byte("x"))
	require.ErrorIs(t, err, errs.ErrUnavailable)
	return out.Bytes()
}

func open(in io.Reader, r *keys.Ring) ([]byte, error) {
	s, err := keys.NewStreamReader(in, r)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(s)
}

func TestStreamComesBackAsItWas(t *testing.T) {
	r := ring(t, "k")
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.SampledFrom([]int{0, 1, 65535, 65536, 65537, 131072, 200000}).Draw(rt, "size")
		content := bytes.Repeat([]byte{rapid.Byte().Draw(rt, "fill")}, size)
		sealed := seal(t, r, content)
		require.True(t, keys.IsStream(sealed))
		got, err := open(iotest.HalfReader(bytes.NewReader(sealed)), r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got))
	})
}

func TestStreamOpensUnderAnOldKeyAndNotWithoutIt(t *testing.T) {
	sealed := seal(t, ring(t, "old"), []byte("text"))
	got, err := open(bytes.NewReader(sealed), ring(t, "new", "old"))
	require.NoError(t, err)
	require.Equal(t, "text", string(got))
	_, err = open(bytes.NewReader(sealed), ring(t, "new"))
	require.ErrorIs(t, err, errs.ErrUnavailable)
	require.ErrorContains(t, err, "old")
}

func TestStreamThatWasChangedOrCutDoesNotOpen(t *testing.T) {
	r := ring(t, "k")
	sealed := seal(t, r, bytes.Repeat([]byte("x"), 70_000))
	for _, at := range []int{0, 9, 13, 50, 76, 77, 1000, 65_700, len(sealed) - 1} {
		bad := bytes.Clone(sealed)
		bad[at] ^= 1
		_, err := open(bytes.NewReader(bad), r)
		require.Error(t, err, "byte %d", at)
		require.True(t, errors.Is(err, errs.ErrIntegrity) || errors.Is(err, errs.ErrUnavailable), "byte %d: %v", at, err)
	}
	for _, size := range []int{0, 7, 76, 77, 76 + 65_552, len(sealed) - 1} {
		_, err := open(bytes.NewReader(sealed[:size]), r)
		require.ErrorIs(t, err, errs.ErrIntegrity, "%d bytes", size)
	}
	_, err := open(bytes.NewReader(append(bytes.Clone(sealed), 0)), r)
	require.ErrorIs(t, err, errs.ErrIntegrity, "a byte more")
}

func TestStreamHandsOutNothingUnverified(t *testing.T) {
	r := ring(t, "k")
	sealed := seal(t, r, bytes.Repeat([]byte("x"), 70_000))
	sealed[len(sealed)-1] ^= 1
	got, err := open(bytes.NewReader(sealed), r)
	require.ErrorIs(t, err, errs.ErrIntegrity)
	require.Len(t, got, 64<<10, "the first block verified, the second did not")
}

func FuzzStream(f *testing.F) {
	r := ring(f, "k")
	f.Add(seal(f, r, []byte("text")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := open(bytes.NewReader(data), r)
		if err != nil {
			code := errs.CodeOf(err)
			require.True(t, code == errs.CodeIntegrity || code == errs.CodeUnavailable, err)
		}
	})
}
