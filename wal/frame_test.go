package wal_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/wal"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// put returns the changeset of one commit that puts one entry.
func put(seq uint64, key, value string) msgs.Changeset {
	return msgs.Changeset{Seq: seq, Micros: 1_700_000_000_000_000 + int64(seq), Effects: []msgs.Effect{
		{Op: msgs.EffectPut, Space: 64, Key: []byte(key), Value: []byte(value)},
	}}
}

// sampleEpochs are epochs of every shape, starting at the seq of sampleHeader.
func sampleEpochs() [][]msgs.Changeset {
	busy := put(43, "c", "3")
	busy.Micros -= 5_000_000
	busy.Effects = append(busy.Effects,
		msgs.Effect{Op: msgs.EffectDelete, Space: 1, Key: []byte("gone")},
		msgs.Effect{Op: msgs.EffectPut, Space: 1 << 40, Key: []byte("flag")},
		msgs.Effect{Op: msgs.EffectDropSpace, Space: 70})
	return [][]msgs.Changeset{
		{put(41, "a", "1")},
		{put(42, "b", "2"), busy, {Seq: 44, Micros: -1}},
		{put(45, "a", "4")},
	}
}

// written is a segment and where its frames start and end.
type written struct {
	data   []byte
	starts []int
	writer *wal.Writer
}

// write encodes the epochs into a segment; lag is how many commits before each
// frame are not yet durable when it is written.
func write(t require.TestingT, h wal.Header, lag uint64, epochs [][]msgs.Changeset) written {
	w, data, err := wal.NewWriter(h)
	require.NoError(t, err)
	out := written{writer: w}
	for _, sets := range epochs {
		out.starts = append(out.starts, len(data))
		durable := w.NextSeq() - 1
		durable -= min(lag, durable)
		data, err = w.AppendFrame(data, 1, durable, sets)
		require.NoError(t, err)
		require.EqualValues(t, len(data), w.Size())
	}
	out.data = data
	return out
}

// scan collects what Scan visits.
func scan(data []byte) (sets [][]msgs.Changeset, end wal.End, err error) {
	_, end, err = wal.Scan(data, func(f wal.Frame) error {
		sets = append(sets, f.Sets)
		return nil
	})
	return sets, end, err
}

// requireSame compares changesets; absent and empty keys and values are the same.
func requireSame(t require.TestingT, want, got [][]msgs.Changeset) {
	require.Len(t, got, len(want))
	for i := range want {
		require.Len(t, got[i], len(want[i]))
		for j, w := range want[i] {
			g := got[i][j]
			require.Equal(t, w.Seq, g.Seq)
			require.Equal(t, w.Micros, g.Micros)
			require.Len(t, g.Effects, len(w.Effects))
			for k, e := range w.Effects {
				require.Equal(t, e.Op, g.Effects[k].Op)
				require.Equal(t, e.Space, g.Effects[k].Space)
				require.Equal(t, string(e.Key), string(g.Effects[k].Key))
				require.Equal(t, string(e.Value), string(g.Effects[k].Value))
			}
		}
	}
}

func TestFrameRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := sampleHeader()
		h.FirstSeq = rapid.Uint64Range(1, 1<<62).Draw(t, "first")
		blob := rapid.SliceOfN(rapid.Byte(), 0, 300)
		effect := rapid.Custom(func(t *rapid.T) msgs.Effect {
			e := msgs.Effect{
				Op:    msgs.EffectOp(rapid.IntRange(1, 3).Draw(t, "op")),
				Space: msgs.SpaceID(rapid.Uint64().Draw(t, "space")),
			}
			if e.Op != msgs.EffectDropSpace {
				e.Key = blob.Draw(t, "key")
			}
			if e.Op == msgs.EffectPut {
				e.Value = blob.Draw(t, "value")
			}
			return e
		})
		seq := h.FirstSeq
		var epochs [][]msgs.Changeset
		for range rapid.IntRange(0, 5).Draw(t, "epochs") {
			var sets []msgs.Changeset
			for range rapid.IntRange(1, 5).Draw(t, "commits") {
				sets = append(sets, msgs.Changeset{
					Seq:     seq,
					Micros:  rapid.SampledFrom([]int64{0, 7, -7, 1 << 60}).Draw(t, "micros"),
					Effects: rapid.SliceOfN(effect, 0, 5).Draw(t, "effects"),
				})
				seq++
			}
			epochs = append(epochs, sets)
		}
		w := write(t, h, rapid.Uint64Range(0, 3).Draw(t, "lag"), epochs)
		zeros := make([]byte, rapid.IntRange(0, 40).Draw(t, "zeros"))
		got, end, err := scan(append(w.data, zeros...))
		require.NoError(t, err)
		requireSame(t, epochs, got)
		require.Equal(t, []any{wal.Clean, len(w.data), seq, len(epochs)}, []any{end.Verdict, end.Offset, end.NextSeq, end.Frames})
	})
}

func TestFrameCarriesTermAndDurableSeq(t *testing.T) {
	w, data, err := wal.NewWriter(sampleHeader())
	require.NoError(t, err)
	data, err = w.AppendFrame(data, 9, 30, []msgs.Changeset{put(41, "a", "1")})
	require.NoError(t, err)
	h, _, err := wal.Scan(data, func(f wal.Frame) error {
		require.EqualValues(t, 9, f.Term)
		require.EqualValues(t, 30, f.Durable)
		require.Equal(t, wal.HeaderSize, f.Offset)
		require.Equal(t, len(data), f.Offset+f.Size)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, sampleHeader(), h)
}

func TestFrameOfOneSmallPutCostsLessThanFortyBytes(t *testing.T) {
	h := sampleHeader()
	h.FirstSeq = 1_000_000
	w := write(t, h, 0, [][]msgs.Changeset{{put(1_000_000, string(make([]byte, 16)), string(make([]byte, 100)))}})
	require.Less(t, len(w.data)-wal.HeaderSize-116, 40)
}

func TestFrameAliasesTheSegment(t *testing.T) {
	w := write(t, sampleHeader(), 0, sampleEpochs())
	got, _, err := scan(w.data)
	require.NoError(t, err)
	key := got[0][0].Effects[0].Key
	require.Equal(t, 1, cap(key), "an append must not reach into the segment")
	key[0] = 'z'
	require.Contains(t, string(w.data), "z\x1a\x011", "key, tag of the value, length, value")
}

func TestFrameWriterRefusesWhatAReaderWould(t *testing.T) {
	w, header, err := wal.NewWriter(sampleHeader())
	require.NoError(t, err)
	digest := w.Digest()
	huge := put(41, "k", "")
	huge.Effects[0].Value = make([]byte, wal.MaxFrameBytes-10)
	odd := put(41, "k", "v")
	odd.Effects[0].Op = 4
	cases := []struct {
		name    string
		durable uint64
		sets    []msgs.Changeset
		want    error
	}{
		{"no commit", 40, nil, errs.ErrEncode},
		{"gap before", 40, []msgs.Changeset{put(42, "k", "v")}, errs.ErrEncode},
		{"repeated", 40, []msgs.Changeset{put(40, "k", "v")}, errs.ErrEncode},
		{"gap within", 40, []msgs.Changeset{put(41, "k", "v"), put(43, "k", "v")}, errs.ErrEncode},
		{"durable before it is written", 41, []msgs.Changeset{put(41, "k", "v")}, errs.ErrEncode},
		{"unknown operation", 40, []msgs.Changeset{odd}, errs.ErrEncode},
		{"too large", 40, []msgs.Changeset{huge}, errs.ErrLimitExceeded},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, err := w.AppendFrame(header, 1, c.durable, c.sets)
			require.ErrorIs(t, err, c.want)
			require.Equal(t, header, out)
			require.EqualValues(t, 41, w.NextSeq())
			require.EqualValues(t, wal.HeaderSize, w.Size())
			require.Equal(t, digest, w.Digest())
		})
	}
	_, _, err = wal.NewWriter(wal.Header{})
	require.ErrorIs(t, err, errs.ErrEncode)
	_, _, err = wal.NewWriter(wal.Header{FirstSeq: 1, Features: 1})
	require.ErrorIs(t, err, errs.ErrEncode)
}

func TestFrameDigestIsThatOfAllBytesSoFarAndDoesNotEndTheSegment(t *testing.T) {
	w, data, err := wal.NewWriter(sampleHeader())
	require.NoError(t, err)
	require.Equal(t, wal.DigestOf(data), w.Digest())
	for seq := uint64(41); seq < 300; seq++ {
		data, err = w.AppendFrame(data, 1, seq-1, []msgs.Changeset{put(seq, "key", string(make([]byte, seq)))})
		require.NoError(t, err)
		require.Equal(t, wal.DigestOf(data), w.Digest())
		require.Equal(t, w.Digest(), w.Digest())
	}
}

func TestFrameFieldOfANewerVersionIsRefusedOrSkippedByItsNumber(t *testing.T) {
	// The changeset is the last field, so a field can be added behind it.
	for _, c := range []struct {
		name  string
		field []byte
		want  error
	}{
		{"informative", []byte{0x80 | 16<<3&0x7f, 1, 5}, nil},
		{"essential", []byte{15 << 3, 5}, errs.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := write(t, sampleHeader(), 0, sampleEpochs()[:1])
			data := resealFrame(append(w.data, c.field...), wal.HeaderSize)
			got, end, err := scan(data)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
				require.Equal(t, wal.HeaderSize, end.Offset)
				return
			}
			require.NoError(t, err)
			require.Equal(t, wal.Clean, end.Verdict)
			requireSame(t, sampleEpochs()[:1], got)
		})
	}
}

func TestFrameVisitorEndsTheScanWithItsError(t *testing.T) {
	w := write(t, sampleHeader(), 0, sampleEpochs())
	enough := errors.New("enough")
	_, end, err := wal.Scan(w.data, func(f wal.Frame) error {
		if f.Offset == w.starts[1] {
			return enough
		}
		return nil
	})
	require.ErrorIs(t, err, enough)
	require.Equal(t, 1, end.Frames)
}

func TestFrameGoldenSegment(t *testing.T) {
	const name = "testdata/segment.golden"
	data := write(t, sampleHeader(), 2, sampleEpochs()).data
	if *update {
		require.NoError(t, os.WriteFile(name, data, 0o644))
	}
	golden, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, golden, data, "the format has changed")
	got, end, err := scan(golden)
	require.NoError(t, err)
	require.Equal(t, wal.Clean, end.Verdict)
	requireSame(t, sampleEpochs(), got)
}

// resealFrame makes the last frame of data, which starts at offset, whole again
// after a change of its payload.
func resealFrame(data []byte, offset int) []byte {
	frame := data[offset:]
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)-wal.FrameOverhead))
	seed := binary.LittleEndian.Uint32(data[wal.HeaderSize-4:])
	binary.LittleEndian.PutUint32(frame, crcFrom(seed, frame[4:]))
	return data
}

func TestVolatileCommitKeepsItsSeqAndTimeButNoEffects(t *testing.T) {
	lost := put(42, "b", "2")
	lost.Volatile = true
	w := write(t, sampleHeader(), 0, [][]msgs.Changeset{{put(41, "a", "1"), lost, put(43, "c", "3")}})
	got, end, err := scan(w.data)
	require.NoError(t, err)
	require.Equal(t, wal.Clean, end.Verdict)
	lost.Effects = nil
	requireSame(t, [][]msgs.Changeset{{put(41, "a", "1"), lost, put(43, "c", "3")}}, got)
	require.True(t, got[0][1].Volatile)
	require.Empty(t, got[0][1].Effects)
}
