package recovery_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/vfs"
)

// BenchmarkRecovery opens a store of a million entries of 100 bytes that were put in
// random order, from the log alone and from a checkpoint.
func BenchmarkRecovery(b *testing.B) {
	if testing.Short() {
		b.Skip("it takes half a minute to fill the stores")
	}
	const entries, commits = 1_000_000, 20
	for _, of := range []struct {
		name         string
		spaces       int
		checkpointed bool
	}{
		{"log of one space", 1, false}, {"log of five spaces", 5, false},
		{"checkpoint of one space", 1, true}, {"checkpoint of five spaces", 5, true},
	} {
		fsys := large(b, commits, entries/commits, of.spaces, of.checkpointed)
		for _, parallelism := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/parallelism=%d", of.name, parallelism), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					left := fsys.Clone(vfs.AllKept())
					b.StartTimer()
					r, err := recoverytest.Recover(left, recoverytest.Options{Parallelism: parallelism, Continue: true})
					require.NoError(b, err)
					require.EqualValues(b, commits, r.Working.Seq())
				}
				b.ReportMetric(entries*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			})
		}
	}
}
