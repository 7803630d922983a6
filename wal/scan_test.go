package wal_test

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/wal"
)

func crcFrom(seed uint32, data []byte) uint32 {
	return crc32.Update(seed, crc32.MakeTable(crc32.Castagnoli), data)
}

// good returns how many of the frames end at or before size.
func (w written) good(size int) int {
	n := 0
	for i := range w.starts {
		end := len(w.data)
		if i+1 < len(w.starts) {
			end = w.starts[i+1]
		}
		if end <= size {
			n++
		}
	}
	return n
}

func TestScanCutAtAnyLengthKeepsTheWholeFramesAndCallsTheRestTorn(t *testing.T) {
	for _, filled := range []bool{false, true} {
		w := write(t, sampleHeader(), 0, sampleEpochs())
		for n := wal.HeaderSize; n <= len(w.data); n++ {
			data := append([]byte(nil), w.data[:n]...)
			if filled {
				data = append(data, make([]byte, len(w.data)-n+64)...)
			}
			got, end, err := scan(data)
			require.NoError(t, err)
			frames := w.good(n)
			requireSame(t, sampleEpochs()[:frames], got)
			boundary := append(w.starts, len(w.data))[frames]
			require.Equal(t, boundary, end.Offset)
			require.Zero(t, end.Stranded)
			if n == boundary {
				require.Equal(t, wal.Clean, end.Verdict, "cut at %d", n)
				require.NoError(t, end.Reason)
			} else {
				require.Equal(t, wal.Torn, end.Verdict, "cut at %d", n)
				require.ErrorIs(t, end.Reason, errs.ErrDecode)
			}
		}
	}
}

func TestScanOfAFlippedByteYieldsOnlyTheFramesBeforeIt(t *testing.T) {
	w := write(t, sampleHeader(), 0, sampleEpochs())
	for n := range w.data {
		for bit := range 8 {
			data := append([]byte(nil), w.data...)
			data[n] ^= 1 << bit
			got, end, err := scan(data)
			if n < wal.HeaderSize {
				require.ErrorIs(t, err, errs.ErrDecode)
				continue
			}
			require.NoError(t, err)
			frames := w.good(n)
			requireSame(t, sampleEpochs()[:frames], got)
			require.Equal(t, w.starts[frames], end.Offset)
			last := frames == len(w.starts)-1
			if last {
				require.Equal(t, wal.Torn, end.Verdict, "byte %d bit %d", n, bit)
			} else {
				require.Equal(t, wal.Corrupt, end.Verdict, "byte %d bit %d", n, bit)
				require.Positive(t, end.Stranded)
			}
		}
	}
}

func TestScanCallsDamageCorruptOnlyIfALaterFrameProvesItWasDurable(t *testing.T) {
	sets := func(seq uint64) []msgs.Changeset { return []msgs.Changeset{put(seq, "key", "value")} }
	w, data, err := wal.NewWriter(sampleHeader())
	require.NoError(t, err)
	second := 0
	// The fsync of 41 is still under way when 42 and 43 are written; 44 is
	// written after it.
	for _, f := range []struct{ seq, durable uint64 }{{41, 40}, {42, 40}, {43, 40}, {44, 41}} {
		if f.seq == 42 {
			second = len(data)
		}
		data, err = w.AppendFrame(data, 1, f.durable, sets(f.seq))
		require.NoError(t, err)
	}

	lost := append([]byte(nil), data...)
	clear(lost[second : second+20])
	_, end, err := scan(lost)
	require.NoError(t, err)
	require.Equal(t, wal.Torn, end.Verdict, "nobody was promised seq 42")
	require.Equal(t, 2, end.Stranded)
	require.Equal(t, second, end.Offset)
	require.EqualValues(t, 42, end.NextSeq)

	rotten := append([]byte(nil), data...)
	clear(rotten[wal.HeaderSize : wal.HeaderSize+20])
	_, end, err = scan(rotten)
	require.NoError(t, err)
	require.Equal(t, wal.Corrupt, end.Verdict, "seq 41 was synced before 44 was written")
	require.Equal(t, 3, end.Stranded)
	require.Equal(t, wal.HeaderSize, end.Offset)
}

func TestScanCallsGarbageTailsTorn(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	w := write(t, sampleHeader(), 0, sampleEpochs())
	for n := range 200 {
		tail := make([]byte, n+1)
		for i := range tail {
			tail[i] = byte(rng.Uint32())
		}
		tail[rng.IntN(len(tail))] |= 1
		got, end, err := scan(append(w.data[:len(w.data):len(w.data)], tail...))
		require.NoError(t, err)
		requireSame(t, sampleEpochs(), got)
		require.Equal(t, wal.Torn, end.Verdict)
		require.Equal(t, len(w.data), end.Offset)
	}
}

func TestScanNeverTakesFramesOfAnEarlierLifeOfTheFile(t *testing.T) {
	// The old segment held the same commits at the same offsets, which is the
	// worst case: only the headers differ, by the number of the segment.
	old := write(t, sampleHeader(), 0, sampleEpochs())
	h := sampleHeader()
	h.Number++
	for frames := range sampleEpochs() {
		fresh := write(t, h, 0, sampleEpochs()[:frames])
		data := append(fresh.data, old.data[len(fresh.data):]...)
		got, end, err := scan(data)
		require.NoError(t, err)
		requireSame(t, sampleEpochs()[:frames], got)
		require.Equal(t, wal.Torn, end.Verdict)
		require.Zero(t, end.Stranded)
	}
}

func TestScanRefusesFramesThatWereRemovedRepeatedOrMoved(t *testing.T) {
	w := write(t, sampleHeader(), 0, [][]msgs.Changeset{
		{put(41, "a", "1")}, {put(42, "b", "2")}, {put(43, "c", "3")}})
	head, a, b, c := w.data[:w.starts[0]], w.data[w.starts[0]:w.starts[1]], w.data[w.starts[1]:w.starts[2]], w.data[w.starts[2]:]
	for name, parts := range map[string][][]byte{
		"removed":  {head, a, c},
		"repeated": {head, a, a, b, c},
		"swapped":  {head, b, a, c},
	} {
		t.Run(name, func(t *testing.T) {
			var data []byte
			for _, p := range parts {
				data = append(data, p...)
			}
			_, end, err := scan(data)
			require.NoError(t, err)
			require.Equal(t, wal.Corrupt, end.Verdict)
			require.LessOrEqual(t, end.Frames, 1)
		})
	}
}

func TestScanRefusesAWholeFrameThatCannotBeTrue(t *testing.T) {
	base := write(t, sampleHeader(), 0, sampleEpochs()[:1])
	payload := base.data[wal.HeaderSize+wal.FrameOverhead:]
	cases := map[string][]byte{
		"wrong seq":       append([]byte{0x08, 1, 0x10, 42}, payload[4:]...),
		"seq zero":        append([]byte{0x08, 1, 0x10, 0}, payload[4:]...),
		"no commit":       payload[:4+9],
		"no head":         {0x0a, 0},
		"cut changeset":   payload[:len(payload)-1],
		"unsynced beyond": append([]byte{0x08, 1, 0x10, 41, 0x18, 41}, payload[4:]...),
	}
	for name, p := range cases {
		t.Run(name, func(t *testing.T) {
			data := append([]byte(nil), base.data[:wal.HeaderSize+wal.FrameOverhead]...)
			data = resealFrame(append(data, p...), wal.HeaderSize)
			_, end, err := scan(data)
			require.NoError(t, err)
			require.Equal(t, wal.Corrupt, end.Verdict)
			require.ErrorIs(t, end.Reason, errs.ErrDecode)
			require.Zero(t, end.Frames)
		})
	}
}

func TestScanSearchesATailMadeToLookLikeFramesInBoundedTime(t *testing.T) {
	w := write(t, sampleHeader(), 0, sampleEpochs())
	const size = 4 << 20
	bait := make([]byte, wal.FrameOverhead, 64)
	bait = append(bait, 0x08, 1, 0x10, 50, 0x21, 0, 0, 0, 0, 0, 0, 0, 0)
	tail := make([]byte, 0, size)
	for len(tail)+len(bait) < size {
		at := len(tail)
		tail = append(tail, bait...)
		binary.LittleEndian.PutUint32(tail[at+4:], uint32(size-at-2*wal.FrameOverhead-64))
	}
	began := time.Now()
	_, end, err := scan(append(w.data, append(tail, make([]byte, 4096)...)...))
	require.NoError(t, err)
	require.Equal(t, wal.Corrupt, end.Verdict, "what cannot be decided fails closed")
	require.Less(t, time.Since(began), 5*time.Second)
}

func TestScanOfOverwrittenStretchesYieldsAPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		epochs := sampleEpochs()
		w := write(t, sampleHeader(), rapid.Uint64Range(0, 5).Draw(t, "lag"), epochs)
		data := append([]byte(nil), w.data...)
		at := rapid.IntRange(wal.HeaderSize, len(data)-1).Draw(t, "at")
		junk := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "junk")
		n := copy(data[at:], junk)
		got, end, err := scan(data)
		require.NoError(t, err)
		if string(data) == string(w.data) {
			return
		}
		require.LessOrEqual(t, len(got), len(epochs))
		require.GreaterOrEqual(t, len(got), w.good(at))
		requireSame(t, epochs[:len(got)], got)
		if w.good(at+n) > w.good(at) {
			require.NotEqual(t, wal.Clean, end.Verdict)
		}
	})
}
