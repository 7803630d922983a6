package measure_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/test/peers/measure"
)

func TestQuantilesAreRightWithinTheWidthOfABucket(t *testing.T) {
	var h measure.Histogram
	for i := range 10_000 {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	for _, q := range []float64{0.01, 0.5, 0.99} {
		exact := q * 10_000
		require.InEpsilon(t, exact, float64(h.Quantile(q).Microseconds()), 1.0/32, "quantile %g", q)
	}
	require.Zero(t, (&measure.Histogram{}).Quantile(0.5))
}

func TestAWindowCountsWorkAndItsCost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var sink []byte
	f, err := measure.Window{Ops: 1000}.Run([]measure.Work{func(int) error {
		sink = make([]byte, 4096)
		return os.WriteFile(path, sink, 0o600)
	}})
	require.NoError(t, err)
	require.Equal(t, []int{1000}, f.PerWorker)
	require.GreaterOrEqual(t, f.Cost.Passed, int64(4096*1000))
	require.GreaterOrEqual(t, f.Cost.Allocs, uint64(900)) // threads report their allocations in lots
	require.Positive(t, f.Quantile(0.5))
	require.NotEmpty(t, sink)
}

func TestAFailureEndsAWindowForAllWorkers(t *testing.T) {
	broken := errors.New("broken")
	_, err := measure.Window{Duration: time.Hour}.Run([]measure.Work{
		func(int) error { return nil },
		func(i int) error {
			if i == 3 {
				return broken
			}
			return nil
		},
	})
	require.ErrorIs(t, err, broken)
}
