package state

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// effectGen draws keys that collide, nest, share long beginnings and hold zeros,
// so that heads tie and differ in every way there is.
func effectGen() *rapid.Generator[msgs.Effect] {
	beginnings := []string{"", "a", "shared/", "shared/beginning-that-is-long/"}
	return rapid.Custom(func(t *rapid.T) msgs.Effect {
		e := msgs.Effect{Space: catalog.SpaceID(rapid.IntRange(70, 72).Draw(t, "space"))}
		switch rapid.IntRange(0, 40).Draw(t, "op") {
		case 0:
			e.Op = msgs.EffectDropSpace
			return e
		case 1, 2, 3, 4, 5, 6, 7, 8:
			e.Op = msgs.EffectDelete
		default:
			e.Op = msgs.EffectPut
			e.Value = make([]byte, rapid.SampledFrom([]int{0, 1, 30, 30, 30, 9000, 70_000}).Draw(t, "size"))
		}
		e.Key = append([]byte(rapid.SampledFrom(beginnings).Draw(t, "beginning")),
			rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'k', 0xFF}), 0, 11).Draw(t, "key")...)
		return e
	})
}

func TestBulkComesToWhatReplayComesTo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, got := NewWorking(), NewWorking()
		bulk := NewBulk(got)
		for seq := uint64(1); seq <= rapid.Uint64Range(0, 60).Draw(t, "commits"); seq++ {
			set := msgs.Changeset{Seq: seq, Micros: int64(seq) * 10, Effects: rapid.SliceOfN(effectGen(), 0, 12).Draw(t, "effects")}
			require.NoError(t, want.Replay(&set))
			require.NoError(t, bulk.Add(&set, nil))
			if rapid.IntRange(0, 9).Draw(t, "flush") == 0 {
				bulk.Flush()
				require.Equal(t, want.Freeze().Digest(), got.Freeze().Digest())
			}
		}
		bulk.Flush()
		require.Equal(t, want.Seq(), got.Seq())
		require.Equal(t, want.Micros(), got.Micros())
		require.Equal(t, want.Freeze().Digest(), got.Freeze().Digest())
		bulk.Flush()
		require.Equal(t, want.Freeze().Digest(), got.Freeze().Digest(), "a second time there is nothing to write")
	})
}

// Few writes to a large tree are put in place, many rebuild it; either way an
// image taken before keeps what it had.
func TestBulkLeavesEarlierImagesAlone(t *testing.T) {
	for _, commits := range []uint64{3, 3000} {
		w := NewWorking()
		replayOn(t, w, 0, 1000, 1)
		before := w.Freeze()
		digest := before.Digest()
		got, want := before.Fork(), before.Fork()
		bulk := NewBulk(got)
		rng := rand.New(rand.NewPCG(2, commits))
		for seq := uint64(1001); seq <= 1000+commits; seq++ {
			set := randomSet(rng, seq)
			require.NoError(t, bulk.Add(&set, nil))
			require.NoError(t, want.Replay(&set))
		}
		bulk.Flush()
		require.Equal(t, want.Freeze().Digest(), got.Freeze().Digest())
		require.Equal(t, digest, before.Digest())
	}
}

func TestBulkTakesOnlyTheSpacesThatAreItsOwn(t *testing.T) {
	w := NewWorking()
	bulk := NewBulk(w)
	set := msgs.Changeset{Seq: 4, Micros: 9, Effects: []msgs.Effect{
		{Op: msgs.EffectPut, Space: 70, Key: []byte("a")}, {Op: msgs.EffectPut, Space: 71, Key: []byte("b")},
	}}
	require.NoError(t, bulk.Add(&set, func(id catalog.SpaceID) bool { return id == 71 }))
	bulk.Flush()
	require.Zero(t, w.Len(70))
	_, version, found := w.Get(71, []byte("b"))
	require.True(t, found)
	require.EqualValues(t, 4, version)
}

func TestBulkRefusesWhatNoCommitWrites(t *testing.T) {
	bulk := NewBulk(NewWorking())
	err := bulk.Add(&msgs.Changeset{Seq: 1, Effects: []msgs.Effect{{Op: 9, Space: 70}}}, nil)
	require.ErrorIs(t, err, errs.ErrDecode)
	long := bytes.Repeat([]byte{1}, blocktree.MaxKeySize+1)
	err = bulk.Add(&msgs.Changeset{Seq: 1, Effects: []msgs.Effect{{Op: msgs.EffectPut, Space: 70, Key: long}}}, nil)
	require.ErrorIs(t, err, errs.ErrDecode)
}

func randomSet(rng *rand.Rand, seq uint64) msgs.Changeset {
	key := fmt.Appendf(nil, "key-%012d", rng.Uint64N(1<<40))
	return msgs.Changeset{Seq: seq, Effects: []msgs.Effect{
		{Op: msgs.EffectPut, Space: 70, Key: key, Value: make([]byte, 100)},
	}}
}

func replayOn(t testing.TB, w *Working, after, commits, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, seed))
	for seq := after + 1; seq <= after+commits; seq++ {
		set := randomSet(rng, seq)
		require.NoError(t, w.Replay(&set))
	}
}

func BenchmarkReplay(b *testing.B) {
	const commits = 300_000
	rng := rand.New(rand.NewPCG(1, 1))
	sets := make([]msgs.Changeset, commits)
	for i := range sets {
		sets[i] = randomSet(rng, uint64(i+1))
	}
	b.Run("each", func(b *testing.B) {
		for b.Loop() {
			w := NewWorking()
			for i := range sets {
				_ = w.Replay(&sets[i])
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/commits, "ns/entry")
	})
	b.Run("bulk", func(b *testing.B) {
		for b.Loop() {
			bulk := NewBulk(NewWorking())
			for i := range sets {
				_ = bulk.Add(&sets[i], nil)
			}
			bulk.Flush()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/commits, "ns/entry")
	})
}
