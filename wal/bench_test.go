package wal_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/wal"
)

func smallPuts(n int) []msgs.Changeset {
	sets := make([]msgs.Changeset, n)
	for i := range sets {
		sets[i] = put(0, fmt.Sprintf("user/%011d", i), string(make([]byte, 100)))
		sets[i].Micros = 1_700_000_000_000_000
	}
	return sets
}

func BenchmarkAppendFrame(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("puts=%d", n), func(b *testing.B) {
			w, buf, err := wal.NewWriter(wal.Header{FirstSeq: 1, Number: 1, Term: 1})
			require.NoError(b, err)
			sets := smallPuts(n)
			b.ReportAllocs()
			for b.Loop() {
				for i := range sets {
					sets[i].Seq = w.NextSeq() + uint64(i)
				}
				buf, err = w.AppendFrame(buf[:0], 1, w.NextSeq()-1, sets)
				if err != nil {
					b.Fatal(err)
				}
			}
			commits := float64(b.N) * float64(n)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/commits, "ns/commit")
			b.ReportMetric(float64(w.Size())/commits, "bytes/commit")
		})
	}
}

func BenchmarkScan(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("puts=%d", n), func(b *testing.B) {
			w, data, err := wal.NewWriter(wal.Header{FirstSeq: 1, Number: 1, Term: 1})
			require.NoError(b, err)
			sets := smallPuts(n)
			for len(data) < 8<<20 {
				for i := range sets {
					sets[i].Seq = w.NextSeq() + uint64(i)
				}
				data, err = w.AppendFrame(data, 1, w.NextSeq()-1, sets)
				require.NoError(b, err)
			}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := wal.Scan(data, func(wal.Frame) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
