package backup

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/blake3"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The golden files of a released version are never written again.
var update = flag.Bool("update", false, "write the golden files of formats that were never released")

func testRing(t testing.TB, id string) *keys.Ring {
	t.Helper()
	r, err := keys.NewRing(keys.Key{ID: id, Secret: bytes.Repeat([]byte{'s'}, keys.MinSecretBytes)})
	require.NoError(t, err)
	return r
}

func fullManifest() Manifest {
	tip, state := Digest{1}, Digest{2}
	id := formatID(Full, 41, "0badcafe")
	return Manifest{
		ID: id, Kind: Full, Incarnation: manifest.Incarnation{3}, KeyEncoding: 1, CreatedMicros: 1_900_000_000_000_000,
		Seq: 41, Micros: 1_899_999_999_000_000, Tip: &tip, State: &state,
		Objects: []Object{{Name: id + checkpointSuffix, FirstSeq: 41, LastSeq: 41, Size: 1234, Digest: Digest{4}}},
	}
}

func incrementalManifest() Manifest {
	tip := Digest{5}
	id := formatID(Incremental, 60, "deadbeef")
	return Manifest{
		ID: id, Kind: Incremental, Parent: &Parent{ID: formatID(Full, 41, "0badcafe"), Digest: Digest{6}},
		Incarnation: manifest.Incarnation{3}, KeyEncoding: 1, CreatedMicros: 1_900_000_000_000_001, EverPermissive: true,
		FromSeq: 42, Seq: 60, Micros: 1_899_999_999_500_000, Tip: &tip, Volatile: true, Sealed: true,
		Objects: []Object{
			{Name: logName(id, 1), FirstSeq: 42, LastSeq: 50, Size: 100, Digest: Digest{7}},
			{Name: logName(id, 2), FirstSeq: 51, LastSeq: 60, Size: 200, Digest: Digest{8}},
		},
	}
}

func TestManifestIsEncodedAsInTheGoldenFile(t *testing.T) {
	for name, m := range map[string]Manifest{"full": fullManifest(), "incremental": incrementalManifest()} {
		file := "testdata/" + name + ".golden.manifest"
		data, err := Encode(&m, nil)
		require.NoError(t, err)
		if *update {
			require.NoError(t, os.WriteFile(file, data, 0o600))
		}
		golden, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(golden), string(data))
		read, err := Decode(golden, nil)
		require.NoError(t, err)
		require.Equal(t, m, read)
	}
	golden, err := os.ReadFile("testdata/signed.golden.manifest")
	require.NoError(t, err)
	m, err := Decode(golden, testRing(t, "golden"))
	require.NoError(t, err)
	require.Equal(t, fullManifest().Objects, m.Objects)
}

// A salt is random, so the signed golden file is written only if it is not there.
func TestSignedManifestDecodesUnderItsKeyOnly(t *testing.T) {
	ring := testRing(t, "golden")
	m := incrementalManifest()
	data, err := Encode(&m, ring)
	require.NoError(t, err)
	if *update {
		full := fullManifest()
		signed, err := Encode(&full, ring)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile("testdata/signed.golden.manifest", signed, 0o600))
	}
	read, err := Decode(data, ring)
	require.NoError(t, err)
	require.Equal(t, m, read)
	plain := m
	_, err = Encode(&plain, nil)
	require.NoError(t, err)
	require.Equal(t, plain.Digest(), m.Digest(), "children name it whatever its signature")

	_, err = Decode(data, nil)
	require.ErrorIs(t, err, errs.ErrUnavailable)
	_, err = Decode(data, testRing(t, "another"))
	require.ErrorIs(t, err, errs.ErrUnavailable)
	for at := range data {
		changed := bytes.Clone(data)
		changed[at] ^= 1
		_, err := Decode(changed, ring)
		require.Error(t, err, "byte %d", at)
	}
}

func TestManifestOutOfOrderIsRefused(t *testing.T) {
	for name, change := range map[string]func(full, incremental *Manifest){
		"another id":            func(f, _ *Manifest) { f.ID = "full-1-00000000" },
		"another seq":           func(f, _ *Manifest) { f.Seq++ },
		"another kind":          func(f, _ *Manifest) { f.Kind = Incremental },
		"a path":                func(f, _ *Manifest) { f.Objects[0].Name = "../" + f.Objects[0].Name },
		"an absolute path":      func(f, _ *Manifest) { f.Objects[0].Name = "/" + f.Objects[0].Name },
		"no object":             func(f, _ *Manifest) { f.Objects = nil },
		"two objects":           func(f, _ *Manifest) { f.Objects = append(f.Objects, f.Objects[0]) },
		"a full one's parent":   func(f, i *Manifest) { f.Parent = i.Parent },
		"an empty object":       func(f, _ *Manifest) { f.Objects[0].Size = 0 },
		"a negative size":       func(_, i *Manifest) { i.Objects[0].Size = -1 },
		"no parent":             func(_, i *Manifest) { i.Parent = nil },
		"a gap to the parent":   func(_, i *Manifest) { i.FromSeq++; i.Objects[0].FirstSeq++ },
		"a gap between objects": func(_, i *Manifest) { i.Objects[1].FirstSeq++ },
		"an overlap":            func(_, i *Manifest) { i.Objects[0].LastSeq++ },
		"an early end":          func(_, i *Manifest) { i.Objects = i.Objects[:1] },
		"another order":         func(_, i *Manifest) { i.Objects[0], i.Objects[1] = i.Objects[1], i.Objects[0] },
		"no first commit":       func(_, i *Manifest) { i.FromSeq = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			f, i := fullManifest(), incrementalManifest()
			change(&f, &i)
			_, err := Encode(&f, nil)
			_, other := Encode(&i, nil)
			require.True(t, errs.CodeOf(err) == errs.CodeEncode || errs.CodeOf(other) == errs.CodeEncode)
		})
	}
}

// A manifest that a newer release wrote is told from one that is damaged.
func TestNewerManifestIsUnavailable(t *testing.T) {
	m := fullManifest()
	data, err := Encode(&m, nil)
	require.NoError(t, err)
	for old, newer := range map[string]string{
		`"format_version": 1`: `"format_version": 2, "id": 7`,
		`"feature_flags": 0`:  `"feature_flags": 4`,
	} {
		body, _, found := bytes.Cut(bytes.Replace(data, []byte(old), []byte(newer), 1), []byte(integrityField))
		require.True(t, found)
		sum := blake3.Sum256(body)
		_, err = Decode(fmt.Appendf(append(body[:len(body):len(body)], integrityField...), digestForm, sum[:]), nil)
		require.ErrorIs(t, err, errs.ErrUnavailable)
	}
	m.FeatureFlags = 4
	_, err = Encode(&m, nil)
	require.ErrorIs(t, err, errs.ErrEncode)
}

func TestNamesOfObjectsAreReadAsTheyAreMade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]Kind{Full, Incremental}).Draw(t, "kind")
		seq := rapid.Uint64().Draw(t, "seq")
		id := newID(kind, seq)
		gotKind, gotSeq, ok := parseID(id)
		require.True(t, ok)
		require.Equal(t, kind, gotKind)
		require.Equal(t, seq, gotSeq)
		for name, manifest := range map[string]bool{id + manifestSuffix: true, logName(id, 7): false, id + checkpointSuffix: false} {
			require.NoError(t, CheckName(name))
			owner, isManifest, ok := backupOf(name)
			require.Equal(t, id, owner)
			require.Equal(t, manifest, isManifest)
			wants := manifest || (kind == Full) == (name == id+checkpointSuffix)
			require.Equal(t, wants, ok, name)
			object, n, ok := parsePart(partName(name, 3))
			require.Equal(t, wants, ok)
			require.Equal(t, name, object)
			require.Equal(t, 3, n)
		}
	})
}

func TestUnsafeNamesAreRefused(t *testing.T) {
	for _, name := range []string{
		"", ".", "..", ".hidden", "-option", "a/b", `a\b`, "a b", "A", "a\x00", "é", "object.tmp", string(bytes.Repeat([]byte("a"), MaxNameBytes+1)),
	} {
		require.ErrorIs(t, CheckName(name), errs.ErrIntegrity, "%q", name)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range []Manifest{fullManifest(), incrementalManifest()} {
		data, err := Encode(&m, nil)
		require.NoError(f, err)
		f.Add(data)
		signed, err := Encode(&m, testRing(f, "golden"))
		require.NoError(f, err)
		f.Add(signed)
	}
	ring := testRing(f, "golden")
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, ring := range []*keys.Ring{nil, ring} {
			m, err := Decode(data, ring)
			if err != nil {
				require.Contains(t, []errs.Code{errs.CodeIntegrity, errs.CodeUnavailable}, errs.CodeOf(err))
				continue
			}
			again, err := Encode(&m, nil)
			require.NoError(t, err)
			_, err = Decode(again, nil)
			require.NoError(t, err)
		}
	})
}
