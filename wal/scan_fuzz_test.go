package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/wal"
)

func FuzzSegment(f *testing.F) {
	w := write(f, sampleHeader(), 1, sampleEpochs())
	f.Add(w.data, false)
	f.Add(append(w.data, make([]byte, 20)...), true)
	f.Add(w.data[:len(w.data)-3], true)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		// With the checksums made to fit, the fuzzer gets past them.
		if sealed && len(data) >= wal.HeaderSize {
			data = reseal(append([]byte(nil), data...))
			if len(data) > wal.HeaderSize+wal.FrameOverhead {
				data = resealFrame(data, wal.HeaderSize)
			}
		}
		next := uint64(0)
		h, end, err := wal.Scan(data, func(f wal.Frame) error {
			for _, set := range f.Sets {
				if next != 0 {
					require.Equal(t, next, set.Seq)
				}
				next = set.Seq + 1
			}
			return nil
		})
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, end.NextSeq, h.FirstSeq)
		require.LessOrEqual(t, end.Offset, len(data))
		require.Equal(t, end.Verdict == wal.Clean, end.Reason == nil)
	})
}
