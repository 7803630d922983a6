package pipeline

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// BenchmarkCommit is one KvSet of 100 bytes from Prepare to the answer, as one
// of several callers sees it: ns/op is the time per commit of all of them.
func BenchmarkCommit(b *testing.B) {
	disks := []struct {
		name string
		open func(b *testing.B) (vfs.FS, string)
	}{
		{"mem", func(*testing.B) (vfs.FS, string) { return vfs.NewMem(), "store" }},
		{"os", func(b *testing.B) (vfs.FS, string) { return vfs.OS(), b.TempDir() }},
	}
	for _, disk := range disks {
		for _, d := range []Durability{Full, OsBuffered} {
			for _, callers := range []int{1, 2, 8, 32, 64} {
				b.Run(fmt.Sprintf("%s/%v/%d", disk.name, d, callers), func(b *testing.B) {
					fsys, dir := disk.open(b)
					benchmarkCommit(b, open(b, fsys, dir, config(d)), callers)
				})
			}
		}
	}
}

func benchmarkCommit(b *testing.B, s *store, callers int) {
	value := make([]byte, 100)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			prefix := "key-" + strconv.Itoa(c) + "-"
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				key := strconv.AppendInt([]byte(prefix), n%100_000, 10)
				_, err := s.commit(&msgs.Envelope{Mutations: []msgs.Mutation{msgs.KvSet{Scope: demo, Key: key, Value: value}}})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	latency := s.Counters().Commit
	b.ReportMetric(float64(latency.P50.Microseconds()), "p50-µs")
	b.ReportMetric(float64(latency.P99.Microseconds()), "p99-µs")
}
