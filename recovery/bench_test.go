package recovery_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/vfs"
)

// BenchmarkRecovery opens a store of a million small puts, in random order over
// five spaces, from the log alone and from a checkpoint.
func BenchmarkRecovery(b *testing.B) {
	const entries = 1_000_000
	for _, checkpointed := range []bool{false, true} {
		fsys := large(b, 100, entries/100, checkpointed)
		for _, parallelism := range []int{1, 2} {
			name := "log"
			if checkpointed {
				name = "checkpoint"
			}
			b.Run(fmt.Sprintf("%s/parallelism=%d", name, parallelism), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					left := fsys.Clone(vfs.AllKept())
					b.StartTimer()
					r, err := recoverytest.Recover(left, recoverytest.Options{Parallelism: parallelism})
					require.NoError(b, err)
					require.EqualValues(b, 100, r.Working.Seq())
				}
				b.ReportMetric(entries*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			})
		}
	}
}
