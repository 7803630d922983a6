package manifest_test

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/vfs"
)

// ring returns a ring of keys whose secrets are made from their names.
func ring(t require.TestingT, ids ...string) *keys.Ring {
	var all []keys.Key
	for _, id := range ids {
		all = append(all, keys.Key{ID: id, Secret: bytes.Repeat([]byte(id+"#"), keys.MinSecretBytes)})
	}
	r, err := keys.NewRing(all...)
	require.NoError(t, err)
	return r
}

func signed(t require.TestingT, m manifest.Manifest, r *keys.Ring) []byte {
	data, err := manifest.EncodeSigned(m, r)
	require.NoError(t, err)
	return data
}

func TestSignedManifestVerifiesUnderAnyKeyOfTheRing(t *testing.T) {
	for _, id := range []string{"k1", `"<\>"`, strings.Repeat("k", keys.MaxIDBytes)} {
		data := signed(t, sample(3), ring(t, id))
		got, key, err := manifest.DecodeSigned(data, ring(t, "new", id))
		require.NoError(t, err)
		require.Equal(t, sample(3), got)
		require.Equal(t, id, key)
		for _, r := range []*keys.Ring{nil, ring(t, "other")} {
			_, key, err = manifest.DecodeSigned(data, r)
			require.ErrorIs(t, err, errs.ErrUnavailable)
			require.Equal(t, id, key)
		}
	}
}

func TestUnsignedManifestIsNoneWhereOnlyASignatureCounts(t *testing.T) {
	_, _, err := manifest.DecodeSigned(encode(t, sample(3)), ring(t, "k1"))
	require.ErrorIs(t, err, errs.ErrIntegrity)
}

func TestSignedManifestOfAnyFlippedBitOrLengthIsRefused(t *testing.T) {
	r := ring(t, "k1")
	data := signed(t, sample(3), r)
	for n := range data {
		_, _, err := manifest.DecodeSigned(data[:n], r)
		require.ErrorIs(t, err, errs.ErrDecode, "cut at %d", n)
		for bit := range 8 {
			bad := bytes.Clone(data)
			bad[n] ^= 1 << bit
			_, _, err := manifest.DecodeSigned(bad, r)
			require.Error(t, err, "byte %d bit %d", n, bit)
		}
	}
}

// Whoever has no key can make the digest fit, and take the signature away.
func TestForgedManifestIsRefused(t *testing.T) {
	r := ring(t, "k1")
	data := signed(t, sample(3), r)
	forged := reseal(bytes.Replace(bytes.Clone(data), []byte(`"durable_seq": 250`), []byte(`"durable_seq": 249`), 1))
	require.False(t, bytes.Equal(data, forged))
	_, _, err := manifest.DecodeSigned(forged, r)
	require.ErrorIs(t, err, errs.ErrIntegrity)

	stripped := encode(t, sample(3))
	stripped = reseal(bytes.Replace(stripped, []byte(`"format_version": 1`), []byte(`"format_version": 2`), 1))
	_, _, err = manifest.DecodeSigned(stripped, r)
	require.ErrorIs(t, err, errs.ErrDecode)
}

func TestLoadOfASignedStore(t *testing.T) {
	k1 := ring(t, "k1")
	plain := func(g uint64) []byte { return encode(t, sample(g)) }
	sealed := func(g uint64) []byte { return signed(t, sample(g), k1) }
	forged := func(g uint64) []byte {
		return signed(t, sample(g), mustRing(keys.Key{ID: "k1", Secret: make([]byte, 32)}))
	}
	damaged := func(uint64) []byte { return []byte("garbage") }
	unnamed := func(g uint64) []byte { return bytes.Replace(sealed(g), []byte(`"k1"`), []byte("\"\xeb1\""), 1) }
	type content = func(uint64) []byte
	for name, c := range map[string]struct {
		older, newer content
		ring         *keys.Ring
		adopt        bool
		generation   uint64 // 0 for a refusal
		code         errs.Code
	}{
		"both good":                            {older: sealed, newer: sealed, ring: k1, generation: 2},
		"newer forged":                         {older: sealed, newer: forged, ring: k1, generation: 1},
		"newer damaged":                        {older: sealed, newer: damaged, ring: k1, generation: 1},
		"newer damaged in the ID of its key":   {older: sealed, newer: unnamed, ring: k1, generation: 1},
		"newer not signed":                     {older: sealed, newer: plain, ring: k1, generation: 1},
		"newer not signed, adopting":           {older: sealed, newer: plain, ring: k1, adopt: true, generation: 1},
		"older not signed":                     {older: plain, newer: sealed, ring: k1, generation: 2},
		"both forged":                          {older: forged, newer: forged, ring: k1, code: errs.CodeRecoveryIntegrity},
		"forged and not signed":                {older: forged, newer: plain, ring: k1, code: errs.CodeRecoveryIntegrity},
		"forged and not signed, adopting":      {older: plain, newer: forged, ring: k1, adopt: true, code: errs.CodeRecoveryIntegrity},
		"both damaged, adopting":               {older: damaged, newer: damaged, ring: k1, adopt: true, code: errs.CodeRecoveryIntegrity},
		"none signed":                          {older: plain, newer: plain, ring: k1, code: errs.CodeUnavailable},
		"none signed, adopting":                {older: plain, newer: plain, ring: k1, adopt: true, generation: 2},
		"none signed, newer damaged, adopting": {older: plain, newer: damaged, ring: k1, adopt: true, generation: 1},
		"no keys":                              {older: sealed, newer: sealed, code: errs.CodeUnavailable},
		"another key":                          {older: sealed, newer: sealed, ring: ring(t, "k2"), code: errs.CodeUnavailable},
		"another key, adopting":                {older: plain, newer: sealed, ring: ring(t, "k2"), adopt: true, code: errs.CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			mem := newDir(t)
			require.NoError(t, mem.WriteFile("db/"+manifest.FileName(1), c.older(1)))
			require.NoError(t, mem.WriteFile("db/"+manifest.FileName(2), c.newer(2)))
			m, report, err := manifest.LoadSigned(mem, "db", c.ring, c.adopt)
			if c.generation == 0 {
				require.Equal(t, c.code, errs.CodeOf(err), "%v", err)
				require.ErrorContains(t, err, manifest.FileName(2))
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.generation, m.Generation)
			require.Len(t, report.Rejected, int(2-c.generation))
			if report.Key != "" {
				require.Equal(t, "k1", report.Key)
			}
		})
	}
}

func mustRing(k keys.Key) *keys.Ring {
	r, err := keys.NewRing(k)
	if err != nil {
		panic(err)
	}
	return r
}

// A disk that fails for a moment is not damage: an older generation must not be
// taken for the newest.
func TestManifestThatCannotBeReadIsNotPassedOver(t *testing.T) {
	mem := newDir(t)
	store(t, mem, 1, 2)
	mem.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpRead && strings.HasSuffix(op.Name, manifest.FileName(2)) {
			return vfs.Fault{Err: syscall.EIO}
		}
		return vfs.Fault{}
	})
	_, _, err := manifest.Load(mem, "db")
	require.Equal(t, errs.CodeIO, errs.CodeOf(err))
	require.True(t, errors.Is(err, syscall.EIO))
}

func FuzzSignedManifest(f *testing.F) {
	r := ring(f, "k1")
	f.Add(signed(f, sample(3), r))
	f.Add(encode(f, sample(3)))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, _, err := manifest.DecodeSigned(data, r)
		if err == nil {
			require.NotZero(t, m.Generation)
		}
	})
}
