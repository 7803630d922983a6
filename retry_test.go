package aedb_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// failing returns a function that fails with each of the codes, one after the
// other, and then succeeds, and the number of its calls.
func failing(codes ...errs.Code) (fn func(context.Context) error, calls *int) {
	calls = new(int)
	return func(context.Context) error {
		*calls++
		if *calls > len(codes) {
			return nil
		}
		return errs.New(codes[*calls-1], "attempt %d", *calls)
	}, calls
}

func TestRetryFollowsTheAdvice(t *testing.T) {
	for name, c := range map[string]struct {
		codes []errs.Code
		keyed bool
		calls int
		want  errs.Code
	}{
		"success":                      {nil, false, 1, ""},
		"what passes":                  {[]errs.Code{errs.CodeQueueFull, errs.CodeTimeout, errs.CodeResourceExhausted}, false, 4, ""},
		"what is read again":           {[]errs.Code{errs.CodeConflict, errs.CodeAssertionFailed, errs.CodeSnapshotExpired}, false, 4, ""},
		"a wrong request":              {[]errs.Code{errs.CodeUnderflow}, true, 1, errs.CodeUnderflow},
		"a store that is closed":       {[]errs.Code{errs.CodeQueueFull, errs.CodeUnavailable}, true, 2, errs.CodeUnavailable},
		"permission":                   {[]errs.Code{errs.CodePermissionDenied}, true, 1, errs.CodePermissionDenied},
		"unknown without a key":        {[]errs.Code{errs.CodeOutcomeUnknown}, false, 1, errs.CodeOutcomeUnknown},
		"unknown with a key":           {[]errs.Code{errs.CodeOutcomeUnknown, errs.CodeQueueFull}, true, 3, ""},
		"unknown, and then closed":     {[]errs.Code{errs.CodeIndeterminate, errs.CodeUnavailable}, true, 2, errs.CodeOutcomeUnknown},
		"unknown to the last":          {[]errs.Code{errs.CodeOutcomeUnknown, errs.CodeOutcomeUnknown, errs.CodeOutcomeUnknown, errs.CodeOutcomeUnknown, errs.CodeOutcomeUnknown}, true, 5, errs.CodeOutcomeUnknown},
		"unknown, and then never room": {[]errs.Code{errs.CodeOutcomeUnknown, errs.CodeQueueFull, errs.CodeQueueFull, errs.CodeQueueFull, errs.CodeQueueFull}, true, 5, errs.CodeOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fn, calls := failing(c.codes...)
				err := aedb.Retry(t.Context(), aedb.RetryPolicy{Attempts: 5, Keyed: c.keyed}, fn)
				require.Equal(t, c.want, aedb.CodeOf(err), "%v", err)
				require.Equal(t, c.calls, *calls)
				if err != nil {
					require.ErrorIs(t, err, &errs.Error{Code: c.codes[*calls-1]}, "the last error is in it")
				}
			})
		})
	}
	foreign := errors.New("the application's own")
	err := aedb.Retry(t.Context(), aedb.RetryPolicy{}, func(context.Context) error { return foreign })
	require.Equal(t, foreign, err)
}

func TestRetryPausesGrowAtRandomUpToTheLongest(t *testing.T) {
	const rounds = 200
	var longest [8]time.Duration
	for range rounds {
		synctest.Test(t, func(t *testing.T) {
			var last time.Time
			n := 0
			_ = aedb.Retry(t.Context(), aedb.RetryPolicy{Attempts: 9, FirstPause: time.Second, LongestPause: 16 * time.Second}, func(context.Context) error {
				if now := time.Now(); n > 0 {
					longest[n-1] = max(longest[n-1], now.Sub(last))
				}
				last = time.Now()
				n++
				return errs.ErrQueueFull
			})
			require.Equal(t, 9, n)
		})
	}
	for i, pause := range longest {
		limit := min(time.Second<<i, 16*time.Second)
		require.Less(t, pause, limit, "pause %d", i)
		require.Greater(t, pause, limit/2, "of %d pauses one is long", rounds)
	}
}

func TestRetryEndsWithItsBudgetAndItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := aedb.Retry(t.Context(), aedb.RetryPolicy{Attempts: 1 << 30, Budget: time.Minute}, func(context.Context) error {
			return errs.ErrQueueFull
		})
		require.ErrorIs(t, err, aedb.ErrQueueFull)
		require.LessOrEqual(t, time.Since(began), time.Minute)
		require.Greater(t, time.Since(began), 58*time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		err = aedb.Retry(ctx, aedb.RetryPolicy{Attempts: 1 << 30}, func(context.Context) error { return errs.ErrQueueFull })
		require.ErrorIs(t, err, aedb.ErrQueueFull)
		require.Equal(t, time.Minute, time.Since(began))

		calls := 0
		err = aedb.Retry(t.Context(), aedb.RetryPolicy{Attempts: 3, AttemptTimeout: time.Second}, func(ctx context.Context) error {
			calls++
			<-ctx.Done()
			return errs.FromContext(ctx, "the attempt")
		})
		require.ErrorIs(t, err, aedb.ErrTimeout)
		require.Equal(t, 3, calls)
	})
}

// slowDisk is a disk whose syncs take a while, during which it is not blocked.
type slowDisk struct {
	vfs.FS
	sync time.Duration
}

type slowFile struct {
	vfs.File
	sync time.Duration
}

func (d slowDisk) Create(name string) (vfs.File, error) {
	f, err := d.FS.Create(name)
	return slowFile{f, d.sync}, err
}

func (f slowFile) Sync() error {
	time.Sleep(f.sync)
	return f.File.Sync()
}

func TestFact52KeyedRetriesOfAnImpatientCallerApplyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := aedb.DefaultConfig()
		cfg.FS = slowDisk{vfs.NewMem(), 100 * time.Millisecond}
		db, app := openWith(t, cfg)
		key := aedb.IdempotencyKey{1}
		charge := aedb.Envelope{
			IdempotencyKey: &key,
			Mutations:      []aedb.Mutation{app.KvAddU64([]byte("charged"), 25, aedb.TreatAsZero, aedb.RejectLimit)},
		}
		var last aedb.Result
		unknown := 0
		submit := func(ctx context.Context) (err error) {
			last, err = app.CommitEnvelope(ctx, charge, aedb.Visible)
			if errors.Is(err, aedb.ErrOutcomeUnknown) {
				unknown++
			}
			return err
		}
		policy := aedb.RetryPolicy{Attempts: 1000, AttemptTimeout: time.Millisecond, FirstPause: 5 * time.Millisecond, LongestPause: 5 * time.Millisecond, Keyed: true}
		require.NoError(t, aedb.Retry(t.Context(), policy, submit))
		require.Positive(t, unknown)
		require.Equal(t, aedb.Duplicate, last.Outcome)
		require.EqualValues(t, 25, u64At(t, app, "charged"))
		require.NoError(t, db.Close(t.Context()))
	})
}

func TestUpdateGivesUpAfterItsRetries(t *testing.T) {
	cfg := followed()
	cfg.FS, cfg.UpdateRetries = vfs.NewMem(), 3
	db, app := openWith(t, cfg)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	runs := 0
	err := app.Update(t.Context(), func(tx *aedb.Tx) error {
		runs++
		if _, _, err := tx.Get(t.Context(), []byte("k")); err != nil {
			return err
		}
		commit(t, app, app.KvSet([]byte("k"), []byte{byte(runs)}))
		return tx.Set([]byte("seen"), nil)
	})
	require.ErrorIs(t, err, aedb.ErrConflict)
	require.Equal(t, 4, runs)
	require.ErrorContains(t, err, "4 times")
}
