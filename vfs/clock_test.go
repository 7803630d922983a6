package vfs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSystemClockFollowsTheMachine(t *testing.T) {
	before := time.Now()
	now := SystemClock().Now()
	require.False(t, now.Before(before))
	require.False(t, time.Now().Before(now))
}

func TestManualClockMovesOnlyWhenTold(t *testing.T) {
	start := time.Unix(1000, 0)
	c := NewManualClock(start, 0)
	require.Equal(t, start, c.Now())
	require.Equal(t, start, c.Now())
	c.Advance(time.Hour)
	require.Equal(t, start.Add(time.Hour), c.Now())
	c.Advance(-2 * time.Hour)
	require.Equal(t, start.Add(-time.Hour), c.Now())
	c.Set(start)
	require.Equal(t, start, c.Now())

	c = NewManualClock(start, time.Second)
	require.Equal(t, start, c.Now())
	require.Equal(t, start.Add(time.Second), c.Now())
}
