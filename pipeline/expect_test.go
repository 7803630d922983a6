package pipeline

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestALoneCallerIsNeverMadeToYield(t *testing.T) {
	a := newAdmission(1<<20, false)
	for range 10 {
		require.NoError(t, a.enter(t.Context(), 1))
		require.False(t, a.expectsMore())
		require.True(t, a.alone())
		a.settle()
		a.Leave(1)
		require.False(t, a.expectsMore())
	}
}

func TestCallersWhoWereAnsweredAreExpectedBackUntilTheyAreForgotten(t *testing.T) {
	a := newAdmission(1<<20, false)
	for range 64 {
		require.NoError(t, a.enter(t.Context(), 1))
	}
	require.False(t, a.expectsMore(), "all are here")
	a.settle()
	require.EqualValues(t, 64, a.usual.Load(), "nothing fades while all are here")
	for range 63 {
		a.Leave(1)
	}
	require.True(t, a.expectsMore())
	batches := 0
	for ; a.expectsMore(); batches++ {
		a.settle()
	}
	require.InDelta(t, 20, batches, 10)
	require.True(t, a.alone())
}
