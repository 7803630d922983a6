package wal_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/wal"
)

// A segment that is left at any frame and continued is byte by byte the segment
// that was never left.
func TestContinuedSegmentIsTheOneThatWasNeverLeft(t *testing.T) {
	epochs := sampleEpochs()
	whole := write(t, sampleHeader(), 0, epochs)
	for n := range len(epochs) + 1 {
		for name, tail := range map[string][]byte{
			"nothing": nil, "zeros": make([]byte, 5000), "a torn tail": {0, 1, 2, 3},
		} {
			t.Run(fmt.Sprintf("%d frames and %s", n, name), func(t *testing.T) {
				left := write(t, sampleHeader(), 0, epochs[:n]).data
				_, end, err := scan(append(left[:len(left):len(left)], tail...))
				require.NoError(t, err)
				w, err := wal.ContinueWriter(left, end)
				require.NoError(t, err)
				require.EqualValues(t, len(left), w.Size())
				require.Equal(t, wal.DigestOf(left), w.Digest())
				require.Equal(t, sampleHeader(), w.Header())
				for _, sets := range epochs[n:] {
					left, err = w.AppendFrame(left, 1, w.NextSeq()-1, sets)
					require.NoError(t, err)
				}
				require.Equal(t, whole.data, left)
				require.Equal(t, wal.DigestOf(left), w.Digest())
				require.Equal(t, whole.writer.NextSeq(), w.NextSeq())
			})
		}
	}
}

func TestCorruptSegmentIsNotContinued(t *testing.T) {
	w := write(t, sampleHeader(), 0, sampleEpochs())
	w.data[w.starts[0]+wal.FrameOverhead+5] ^= 1 // later frames say that it was durable
	_, end, err := scan(w.data)
	require.NoError(t, err)
	require.Equal(t, wal.Corrupt, end.Verdict)
	_, err = wal.ContinueWriter(w.data, end)
	require.ErrorIs(t, err, errs.ErrEncode)
	_, err = wal.ContinueWriter(w.data[:10], wal.End{})
	require.ErrorIs(t, err, errs.ErrDecode)
	_, err = wal.ContinueWriter(w.data[:wal.HeaderSize], wal.End{Offset: len(w.data)})
	require.ErrorIs(t, err, errs.ErrEncode)
}

// Frames are written over durable zeros, and of those behind the last sync any
// sectors may be lost. Later frames then stand behind a hole, which is never taken
// for damage, for none of them says that what is missing was durable; and what was
// synced is all there.
func TestSectorsLostFromAZeroAreaAreATornTail(t *testing.T) {
	const sector = 512
	rapid.Check(t, func(t *rapid.T) {
		w, data, err := wal.NewWriter(sampleHeader())
		require.NoError(t, err)
		frames, durable := 0, w.NextSeq()-1
		synced, syncedFrames := len(data), 0
		for range rapid.IntRange(1, 12).Draw(t, "frames") {
			if rapid.IntRange(0, 3).Draw(t, "sync") == 0 {
				synced, syncedFrames, durable = len(data), frames, w.NextSeq()-1
			}
			var sets []msgs.Changeset
			for i := range rapid.IntRange(1, 3).Draw(t, "commits") {
				fill := rapid.IntRange(0, 2).Draw(t, "fill") // of zeros too, as what is not written reads
				value := bytes.Repeat([]byte{byte(fill)}, rapid.IntRange(0, 900).Draw(t, "value"))
				sets = append(sets, put(w.NextSeq()+uint64(i), "key", string(value)))
			}
			data, err = w.AppendFrame(data, 1, durable, sets)
			require.NoError(t, err)
			frames++
		}
		size := (len(data)/sector + 1 + rapid.IntRange(0, 9).Draw(t, "ahead")) * sector
		found := append(data[:len(data):len(data)], make([]byte, size-len(data))...)
		for at := synced / sector * sector; at < len(data); at += sector {
			if rapid.Bool().Draw(t, "lost") {
				clear(found[max(at, synced) : at+sector])
			}
		}
		_, end, err := wal.Scan(found, func(f wal.Frame) error {
			require.Equal(t, data[f.Offset:f.Offset+f.Size], found[f.Offset:f.Offset+f.Size])
			return nil
		})
		require.NoError(t, err)
		require.NotEqual(t, wal.Corrupt, end.Verdict, end.Reason)
		require.GreaterOrEqual(t, end.Frames, syncedFrames)
		if end.Verdict == wal.Clean {
			require.Equal(t, make([]byte, size-end.Offset), found[end.Offset:])
		}
	})
}

// The same loss below a later sync is damage: a frame that was written after that
// sync says so.
func TestZerosInPlaceOfASyncedFrameAreDamage(t *testing.T) {
	w := write(t, sampleHeader(), 0, sampleEpochs())
	data := append(w.data, make([]byte, 4096)...)
	clear(data[w.starts[1]:w.starts[2]])
	_, end, err := scan(data)
	require.NoError(t, err)
	require.Equal(t, wal.Corrupt, end.Verdict)
	require.Equal(t, w.starts[1], end.Offset)
	require.Zero(t, binary.LittleEndian.Uint32(data[end.Offset:]))
}
