package errs_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
)

func TestErrorsAreMatchedByCodeAlone(t *testing.T) {
	err := fmt.Errorf("outer: %w", errs.New(errs.CodeConflict, "read at %d, changed at %d", 3, 5))
	require.ErrorIs(t, err, errs.ErrConflict)
	require.NotErrorIs(t, err, errs.ErrAssertionFailed)
	require.NotErrorIs(t, errs.ErrConflict, err.(interface{ Unwrap() error }).Unwrap(), "an error with detail is no sentinel")
	require.Equal(t, errs.CodeConflict, errs.CodeOf(err))
	require.Equal(t, errs.Conflict, errs.ClassOf(err))
	require.Equal(t, "outer: conflict: read at 3, changed at 5", err.Error())
}

func TestACauseStaysReachable(t *testing.T) {
	err := errs.Wrap(errs.CodeIO, fs.ErrNotExist, "open %s", "wal-1").On("wal-1")
	require.ErrorIs(t, err, errs.ErrIO)
	require.ErrorIs(t, err, fs.ErrNotExist)
	var e *errs.Error
	require.ErrorAs(t, fmt.Errorf("outer: %w", err), &e)
	require.Equal(t, "wal-1", e.Object)
	require.Equal(t, errs.Integrity, e.Class())
	require.False(t, e.IsRetryable())
}

func TestALimitIsNamedWithBothFigures(t *testing.T) {
	err := errs.Exceeded("key-value key", "max_kv_key_bytes", 1025, 1024)
	require.Equal(t, errs.CodeLimitExceeded, err.Code)
	require.Equal(t, "max_kv_key_bytes", err.Limit)
	require.EqualValues(t, 1025, err.Value)
	require.EqualValues(t, 1024, err.Max)
	require.Contains(t, err.Error(), "max_kv_key_bytes is 1024")
}

func TestTheEndOfAContextIsTimeoutOrCanceled(t *testing.T) {
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	err := errs.FromContext(late, "waiting")
	require.ErrorIs(t, err, errs.ErrTimeout)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	err = errs.FromContext(gone, "waiting")
	require.ErrorIs(t, err, errs.ErrCanceled)
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, err.IsRetryable())
}

func TestAForeignErrorCountsAsIntegrity(t *testing.T) {
	require.Equal(t, errs.Integrity, errs.ClassOf(errors.New("unforeseen")))
	require.Empty(t, errs.CodeOf(errors.New("unforeseen")))
	require.Empty(t, errs.CodeOf(nil))
}

func TestEveryClassHasAName(t *testing.T) {
	seen := map[string]bool{}
	for c := errs.Validation; c <= errs.Unavailable; c++ {
		require.NotEqual(t, "unknown", c.String())
		require.False(t, seen[c.String()])
		seen[c.String()] = true
	}
}
