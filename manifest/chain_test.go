package manifest_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
)

// chained has two retained deltas on a full checkpoint and a delta that are no
// longer retained.
func chained() manifest.Manifest {
	m := sample(4)
	m.FeatureFlags = manifest.FeatureDeltas
	m.Bases = []manifest.Checkpoint{
		{File: "checkpoint-0000000000000050.ckpt", Seq: 50, Size: 9000, Digest: manifest.Digest{5}, CreatedMicros: 3, RawBytes: 20000},
		{File: "checkpoint-0000000000000060.ckpt", Seq: 60, Size: 300, Digest: manifest.Digest{6}, CreatedMicros: 4, Base: 50, RawBytes: 500},
	}
	m.Checkpoints[0].Base, m.Checkpoints[0].RawBytes = 60, 4100
	m.Checkpoints[1].Base = 50
	return m
}

func seqs(checkpoints []manifest.Checkpoint) (all []uint64) {
	for _, c := range checkpoints {
		all = append(all, c.Seq)
	}
	return all
}

func TestChainLeadsFromTheFullCheckpointToTheOneAskedFor(t *testing.T) {
	m := chained()
	require.Equal(t, []uint64{50, 60, 100}, seqs(m.Chain(m.Checkpoints[0])))
	require.Equal(t, []uint64{50, 200}, seqs(m.Chain(m.Checkpoints[1])))
	m = sample(1)
	require.Equal(t, []uint64{200}, seqs(m.Chain(m.Checkpoints[1])))
}

func TestRetainKeepsWhatIsBuiltOnAndNothingElse(t *testing.T) {
	m := chained()
	m.Retain(m.Checkpoints[1:])
	require.Equal(t, []uint64{50}, seqs(m.Bases), "60 and 100 are of no use to 200")
	require.Equal(t, []uint64{200}, seqs(m.Checkpoints))

	m.Retain(append(m.Checkpoints, manifest.Checkpoint{File: "c", Seq: 300, Base: 200}))
	require.Equal(t, []uint64{200, 300}, seqs(m.Checkpoints))
	m.Retain(m.Checkpoints[1:])
	require.Equal(t, []uint64{50, 200}, seqs(m.Bases))
	require.Equal(t, manifest.FeatureDeltas, m.FeatureFlags)
	encode(t, m)

	m.Retain([]manifest.Checkpoint{{File: "c", Seq: 400}})
	require.Empty(t, m.Bases)
	require.Zero(t, m.FeatureFlags, "older readers need not be kept away")
	m.Retain(nil)
	require.Empty(t, m.Checkpoints)
}

// Any order of full checkpoints and deltas, with any retention.
func TestRetainedCheckpointsHaveWholeChains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, files := manifest.Manifest{Generation: 1}, map[uint64]manifest.Checkpoint{}
		kept := rapid.IntRange(1, 4).Draw(t, "kept")
		for seq := uint64(1); seq <= 20; seq++ {
			c := manifest.Checkpoint{File: "c", Seq: seq}
			if n := len(m.Checkpoints); n > 0 && rapid.IntRange(0, 5).Draw(t, "full") > 0 {
				c.Base = m.Checkpoints[n-1].Seq
			}
			files[seq] = c
			all := append(m.Checkpoints, c)
			m.Retain(all[max(0, len(all)-kept):])
			encode(t, m)
			require.Len(t, m.Checkpoints, min(kept, int(seq)))
			used := map[uint64]bool{}
			for _, c := range m.Checkpoints {
				chain := m.Chain(c)
				require.Zero(t, chain[0].Base)
				for i, part := range chain {
					require.Equal(t, files[part.Seq], part)
					require.True(t, i == 0 || part.Base == chain[i-1].Seq)
					used[part.Seq] = true
				}
			}
			for _, b := range m.Bases {
				require.True(t, used[b.Seq], "%d is listed for nothing", b.Seq)
			}
		}
	})
}

func TestManifestWithABrokenChainIsNeitherWrittenNorRead(t *testing.T) {
	for name, spoil := range map[string]func(*manifest.Manifest){
		"a base that is not listed": func(m *manifest.Manifest) { m.Checkpoints[0].Base = 70 },
		"a base behind it":          func(m *manifest.Manifest) { m.Checkpoints[0].Base = 200 },
		"itself":                    func(m *manifest.Manifest) { m.Checkpoints[0].Base = 100 },
		"bases of nothing":          func(m *manifest.Manifest) { m.Checkpoints = nil },
		"a base above":              func(m *manifest.Manifest) { m.Bases[1].Seq = 100 },
		"path of a base":            func(m *manifest.Manifest) { m.Bases[0].File = "a/b" },
		"negative size":             func(m *manifest.Manifest) { m.Bases[0].RawBytes = -1 },
		"open to older readers":     func(m *manifest.Manifest) { m.FeatureFlags = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			m := chained()
			spoil(&m)
			_, err := manifest.Encode(m)
			require.ErrorIs(t, err, errs.ErrEncode)
		})
	}
}

func TestManifestWithDeltasGolden(t *testing.T) {
	const name = "testdata/deltas.golden.json"
	data := encode(t, chained())
	if *update {
		require.NoError(t, os.WriteFile(name, data, 0o644))
	}
	golden, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(golden), string(data), "the format has changed")
	got, err := manifest.Decode(golden)
	require.NoError(t, err)
	require.Equal(t, chained(), got)
}
