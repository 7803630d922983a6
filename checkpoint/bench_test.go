package checkpoint_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/vfs"
)

func benchmarkEntries() (entries []entry, bytes int64) {
	entries = manyEntries(200_000)
	for _, e := range entries {
		bytes += int64(len(e.Key) + len(e.Value))
	}
	return entries, bytes
}

func BenchmarkWrite(b *testing.B) {
	entries, bytes := benchmarkEntries()
	keys, values := make([][]byte, len(entries)), make([][]byte, len(entries))
	for i, e := range entries {
		keys[i], values[i] = []byte(e.Key), []byte(e.Value)
	}
	for _, concurrency := range []int{1, 2} {
		b.Run(fmt.Sprintf("concurrency=%d", concurrency), func(b *testing.B) {
			dir := filepath.ToSlash(b.TempDir())
			b.SetBytes(bytes)
			var info checkpoint.Info
			for b.Loop() {
				var err error
				info, err = checkpoint.Write(context.Background(), vfs.OS(), dir, sampleHeader(), concurrency, func(w *checkpoint.Writer) error {
					for i := range entries {
						if err := w.Add(entries[i].Space, keys[i], values[i], 1); err != nil {
							return err
						}
					}
					return nil
				})
				require.NoError(b, err)
			}
			b.ReportMetric(float64(info.Size)/float64(bytes), "ratio")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	entries, bytes := benchmarkEntries()
	dir := filepath.ToSlash(b.TempDir())
	info, err := checkpoint.Write(context.Background(), vfs.OS(), dir, sampleHeader(), 2, fill(entries))
	require.NoError(b, err)
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.SetBytes(bytes)
			for b.Loop() {
				r, err := checkpoint.Open(vfs.OS(), dir+"/"+info.File)
				require.NoError(b, err)
				var next, count atomic.Int64
				var wg sync.WaitGroup
				for range workers {
					wg.Go(func() {
						for i := int(next.Add(1)) - 1; i < len(r.Chunks()); i = int(next.Add(1)) - 1 {
							n := int64(0)
							if err := r.DecodeChunk(i, func(_, _ []byte, _ uint64) error { n++; return nil }); err != nil {
								b.Error(err)
							}
							count.Add(n)
						}
					})
				}
				wg.Wait()
				require.EqualValues(b, len(entries), count.Load())
				require.NoError(b, r.Close())
			}
		})
	}
}
