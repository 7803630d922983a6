package wal_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// file makes a file of some bytes.
func file(t testing.TB, data []byte) vfs.File {
	fsys := vfs.NewMem()
	require.NoError(t, fsys.WriteFile("segment", data))
	f, err := fsys.OpenReadWrite("segment")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

// collector returns a visit that keeps the commits of each frame.
func collector() (*[][]msgs.Changeset, func(wal.Frame) error) {
	got := new([][]msgs.Changeset)
	return got, func(f wal.Frame) error { *got = append(*got, f.Sets); return nil }
}

func TestPlaceReadsOnBehindAnyFrame(t *testing.T) {
	w := write(t, sampleHeader(), 0, sampleEpochs())
	at, err := wal.Begin(w.data)
	require.NoError(t, err)
	require.Equal(t, sampleHeader(), at.Header())
	for i := range sampleEpochs() {
		require.Equal(t, w.starts[i], at.Offset)
		from := at // a copy is a bookmark
		got, visit := collector()
		size, err := from.Advance(w.data[from.Offset:], visit)
		require.NoError(t, err)
		require.Equal(t, len(w.data)-at.Offset, size)
		requireSame(t, sampleEpochs()[i:], *got)
		require.True(t, at.SameSegment(&from))

		stop := errors.New("enough")
		seen := 0
		_, err = at.Advance(w.data[at.Offset:], func(wal.Frame) error {
			if seen++; seen == 2 {
				return stop
			}
			return nil
		})
		require.True(t, err == nil || errors.Is(err, stop), "%v", err)
	}
	require.Equal(t, len(w.data), at.Offset)
}

func TestPlaceFollowsASegmentThatGrows(t *testing.T) {
	for name, ahead := range map[string]int{"appended": 0, "into zeros": 500} {
		t.Run(name, func(t *testing.T) {
			w := write(t, sampleHeader(), 0, sampleEpochs())
			f := file(t, append(append([]byte(nil), w.data[:wal.HeaderSize]...), make([]byte, ahead)...))
			at, err := wal.Begin(w.data)
			require.NoError(t, err)
			got, visit := collector()
			for n := wal.HeaderSize; n < len(w.data); n++ {
				_, err := f.WriteAt(w.data[n:n+1], int64(n))
				require.NoError(t, err)
				more, err := at.Read(f, visit)
				require.NoError(t, err)
				require.Len(t, *got, w.good(n+1))
				if n+1 == at.Offset {
					require.False(t, more)
				}
			}
			requireSame(t, sampleEpochs(), *got)
		})
	}
}

func TestPlaceReadsFramesLargerThanItsWindow(t *testing.T) {
	big := [][]msgs.Changeset{
		{{Seq: 7, Effects: []msgs.Effect{{Op: msgs.EffectPut, Space: 9, Key: []byte("a"), Value: make([]byte, 3<<20)}}}},
		{{Seq: 8, Effects: []msgs.Effect{{Op: msgs.EffectPut, Space: 9, Key: []byte("b"), Value: []byte("v")}}}},
	}
	h := sampleHeader()
	h.FirstSeq = 7
	w := write(t, h, 0, big)
	at, err := wal.Begin(w.data)
	require.NoError(t, err)
	got, visit := collector()
	_, err = at.Read(file(t, w.data), visit)
	require.NoError(t, err)
	requireSame(t, big, *got)
}

func TestPlaceRefusesAWholeFrameThatDoesNotFollow(t *testing.T) {
	w := write(t, sampleHeader(), 0, sampleEpochs())
	at, err := wal.Begin(w.data)
	require.NoError(t, err)
	_, visit := collector()
	_, err = at.Advance(w.data[w.starts[1]:], visit)
	require.ErrorIs(t, err, errs.ErrDecode)
	require.Equal(t, wal.HeaderSize, at.Offset)
	end, err := at.Scan(w.data[w.starts[1]:], visit)
	require.NoError(t, err)
	require.Equal(t, wal.Corrupt, end.Verdict)
}

// FuzzPlace compares reading on from any place with reading the whole segment.
func FuzzPlace(f *testing.F) {
	w := write(f, sampleHeader(), 1, sampleEpochs())
	f.Add(w.data, 1)
	f.Add(w.data[:len(w.data)-3], 2)
	f.Add(append(w.data, make([]byte, 20)...), 0)
	f.Fuzz(func(t *testing.T, data []byte, frames int) {
		var places []wal.Place
		at, err := wal.Begin(data)
		if err != nil {
			return
		}
		places = append(places, at)
		_, _ = at.Advance(data[at.Offset:], func(wal.Frame) error { return nil })
		whole := at
		at = places[0]
		left := max(0, frames%8)
		_, _ = at.Advance(data[at.Offset:], func(wal.Frame) error {
			if left--; left < 0 {
				return errors.New("enough")
			}
			return nil
		})
		_, err = at.Read(file(t, data), func(wal.Frame) error { return nil })
		require.Equal(t, whole, at, "%v", err)
	})
}
