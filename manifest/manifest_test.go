package manifest_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func sample(generation uint64) manifest.Manifest {
	return manifest.Manifest{
		Incarnation:   manifest.Incarnation{1, 2, 3, 0xfe},
		Generation:    generation,
		KeyEncoding:   1,
		CreatedMicros: 1_700_000_000_000_000,
		DurableSeq:    250,
		ActiveSegment: 9,
		Checkpoints: []manifest.Checkpoint{
			{File: "checkpoint-0000000000000100.ckpt", Seq: 100, Size: 4096, Digest: manifest.Digest{1}, CreatedMicros: 1},
			{File: "checkpoint-0000000000000200.ckpt", Seq: 200, Size: 8192, Digest: manifest.Digest{2}, CreatedMicros: 2},
		},
		Segments: []manifest.Segment{
			{Number: 7, FirstSeq: 90, LastSeq: 210, Size: 1000, Digest: manifest.Digest{3}},
			{Number: 8, FirstSeq: 211, LastSeq: 210, Size: 104, Digest: manifest.Digest{4}},
		},
	}
}

func encode(t require.TestingT, m manifest.Manifest) []byte {
	data, err := manifest.Encode(m)
	require.NoError(t, err)
	return data
}

// reseal makes the digest of a manifest fit its bytes.
func reseal(data []byte) []byte {
	at := bytes.LastIndex(data, []byte(",\n  \"integrity\""))
	if at < 0 {
		return data
	}
	sum := blake3.Sum256(data[:at])
	digest, _ := manifest.Digest(sum).MarshalText()
	out := append([]byte(nil), data...)
	copy(out[min(len(out), at+len(",\n  \"integrity\": {\n    \"blake3\": \"")):], digest)
	return out
}

func TestManifestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := sample(rapid.Uint64Min(1).Draw(t, "generation"))
		m.DurableSeq = rapid.Uint64().Draw(t, "durable")
		m.CreatedMicros = rapid.Int64().Draw(t, "created")
		m.EverPermissive = rapid.Bool().Draw(t, "permissive")
		m.Checkpoints = m.Checkpoints[:rapid.IntRange(0, 2).Draw(t, "checkpoints")]
		m.Segments = m.Segments[:rapid.IntRange(0, 2).Draw(t, "segments")]
		got, err := manifest.Decode(encode(t, m))
		require.NoError(t, err)
		require.Equal(t, m, got)
	})
}

func TestManifestIsOneJSONDocumentThatEndsWithItsDigest(t *testing.T) {
	data := encode(t, manifest.Manifest{Generation: 1})
	var doc struct {
		Magic       string
		Checkpoints []any
		Integrity   struct{ BLAKE3 string }
	}
	require.NoError(t, json.Unmarshal(data, &doc))
	require.Equal(t, "aedb-manifest", doc.Magic)
	require.NotNil(t, doc.Checkpoints, "an empty list is not null")
	require.Len(t, doc.Integrity.BLAKE3, 64)
}

func TestManifestOfAnyFlippedBitOrLengthIsRefusedAsDamaged(t *testing.T) {
	data := encode(t, sample(3))
	for n := range data {
		_, err := manifest.Decode(data[:n])
		require.ErrorIs(t, err, errs.ErrDecode, "cut at %d", n)
		for bit := range 8 {
			bad := append([]byte(nil), data...)
			bad[n] ^= 1 << bit
			_, err := manifest.Decode(bad)
			require.ErrorIs(t, err, errs.ErrDecode, "byte %d bit %d", n, bit)
		}
	}
	_, err := manifest.Decode(append(data, '\n'))
	require.ErrorIs(t, err, errs.ErrDecode)
}

func TestManifestThatIsWholeButForeignIsUnavailable(t *testing.T) {
	for name, swap := range map[string][2]string{
		"newer format":    {`"format_version": 1`, `"format_version": 3`},
		"wrong magic":     {`"magic": "aedb-manifest"`, `"magic": "other"`},
		"unknown feature": {`"feature_flags": 0`, `"feature_flags": 8`},
		"newer and reshaped": {`1,
  "feature_flags": 0`, `3,
  "feature_flags": "none"`},
		"newer and signed": {`"format_version": 1`, `"format_version": 3`},
	} {
		t.Run(name, func(t *testing.T) {
			data := strings.Replace(string(encode(t, sample(3))), swap[0], swap[1], 1)
			if name == "newer and signed" {
				data = strings.Replace(data, "\"\n  }\n}\n", "\",\n    \"hmac\": \"00\"\n  }\n}\n", 1)
			}
			_, err := manifest.Decode(reseal([]byte(data)))
			require.ErrorIs(t, err, errs.ErrUnavailable)
		})
	}
}

func TestManifestThatIsNotInOrderIsNeitherWrittenNorRead(t *testing.T) {
	cases := map[string]func(*manifest.Manifest){
		"generation zero":          func(m *manifest.Manifest) { m.Generation = 0 },
		"path in a file name":      func(m *manifest.Manifest) { m.Checkpoints[0].File = "../x" },
		"no file name":             func(m *manifest.Manifest) { m.Checkpoints[0].File = "" },
		"checkpoints descending":   func(m *manifest.Manifest) { m.Checkpoints[0].Seq = 300 },
		"checkpoint twice":         func(m *manifest.Manifest) { m.Checkpoints[0].Seq = 200 },
		"negative size":            func(m *manifest.Manifest) { m.Segments[0].Size = -1 },
		"negative checkpoint":      func(m *manifest.Manifest) { m.Checkpoints[0].Size = -1 },
		"segments descending":      func(m *manifest.Manifest) { m.Segments[0].Number = 8 },
		"gap between segments":     func(m *manifest.Manifest) { m.Segments[1].FirstSeq, m.Segments[1].LastSeq = 212, 212 },
		"segment ends too early":   func(m *manifest.Manifest) { m.Segments[0].LastSeq = 80 },
		"segment from seq zero":    func(m *manifest.Manifest) { m.Segments[0].FirstSeq = 0 },
		"sealed segment is active": func(m *manifest.Manifest) { m.ActiveSegment = 8 },
		"unknown feature":          func(m *manifest.Manifest) { m.FeatureFlags = 1 },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			m := sample(3)
			spoil(&m)
			_, err := manifest.Encode(m)
			require.ErrorIs(t, err, errs.ErrEncode)
		})
	}
	data := bytes.Replace(encode(t, sample(3)), []byte(`"first_seq": 211`), []byte(`"first_seq": 212`), 1)
	_, err := manifest.Decode(reseal(data))
	require.ErrorIs(t, err, errs.ErrDecode)
}

func TestManifestGolden(t *testing.T) {
	const name = "testdata/manifest.golden.json"
	data := encode(t, sample(3))
	if *update {
		require.NoError(t, os.WriteFile(name, data, 0o644))
	}
	golden, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(golden), string(data), "the format has changed")
	got, err := manifest.Decode(golden)
	require.NoError(t, err)
	require.Equal(t, sample(3), got)
}

func FuzzManifest(f *testing.F) {
	f.Add(encode(f, sample(3)), false)
	f.Add(encode(f, manifest.Manifest{Generation: 1}), true)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		if sealed {
			data = reseal(data)
		}
		m, err := manifest.Decode(data)
		if err != nil {
			return
		}
		again, err := manifest.Decode(encode(t, m))
		require.NoError(t, err)
		require.Equal(t, encode(t, m), encode(t, again))
	})
}
