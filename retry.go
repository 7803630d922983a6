package aedb

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/empyrealapp/aedb-go/errs"
)

// RetryPolicy bounds how often and how long Retry tries. The zero policy tries ten
// times, with pauses of up to 1 ms after the first attempt, 2 ms after the second
// and so on, up to 1 s, and for as long as that takes.
type RetryPolicy struct {
	// Attempts is the greatest number of calls; 0 is 10.
	Attempts int
	// Budget is how long after the first call another one may begin; 0 is no bound.
	Budget time.Duration
	// AttemptTimeout bounds the context of each call; 0 leaves it as it is.
	AttemptTimeout time.Duration
	// FirstPause and LongestPause shape the pauses. The one after the n-th call has a
	// random length below FirstPause doubled n-1 times, and below LongestPause, so
	// that callers who met once do not meet again. 0 is 1 ms, and 1 s.
	FirstPause, LongestPause time.Duration
	// Keyed says that every call submits the same request under the same idempotency
	// key. Then an unknown outcome may be tried again: if the request was applied,
	// the next call finds that out. Without it, it is returned at once.
	Keyed bool
}

// Retry calls a function until it succeeds, and again while AdviceOf its error
// says that another call may succeed: for retry_same and reread, and for look_up
// if the policy is Keyed. The function is called as a whole, so it reads anew what
// it decides on. Every other error is returned as it is, and so is the last one
// when the policy or the context allows no more; but if the outcome of an earlier
// call is unknown, a failure is commit_outcome_unknown and wraps the last error,
// whatever that says of its own call.
func Retry(ctx context.Context, policy RetryPolicy, fn func(context.Context) error) error {
	b := newBackoff(policy)
	unknown := false
	for {
		err := attempt(ctx, policy.AttemptTimeout, fn)
		if err == nil {
			return nil
		}
		advice := AdviceOf(err)
		unknown = unknown || advice == AdviceLookUp
		again := advice == AdviceRetrySame || advice == AdviceReread || advice == AdviceLookUp && policy.Keyed
		if again && b.wait(ctx) {
			continue
		}
		if unknown && advice != AdviceLookUp {
			return errs.Wrap(errs.CodeOutcomeUnknown, err, "an earlier attempt may have been applied; the last one failed")
		}
		return err
	}
}

func attempt(ctx context.Context, timeout time.Duration, fn func(context.Context) error) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return fn(ctx)
}

// backoff counts the attempts under a policy and makes the pauses between them.
type backoff struct {
	policy   RetryPolicy
	attempts int
	began    time.Time // if there is a budget
}

func newBackoff(p RetryPolicy) backoff {
	b := backoff{policy: p}
	if p.Budget > 0 {
		b.began = time.Now()
	}
	return b
}

// wait is called after an attempt that failed. It pauses and returns true if there
// may be another.
func (b *backoff) wait(ctx context.Context) bool {
	p := &b.policy
	b.attempts++
	if b.attempts >= orElse(p.Attempts, 10) || ctx.Err() != nil {
		return false
	}
	pause := b.pause()
	if p.Budget > 0 && time.Since(b.began)+pause > p.Budget {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// pause returns a random time that may be longer after every attempt.
func (b *backoff) pause() time.Duration {
	limit, longest := orElse(b.policy.FirstPause, time.Millisecond), orElse(b.policy.LongestPause, time.Second)
	for range b.attempts - 1 {
		if limit > longest/2 {
			limit = longest
			break
		}
		limit *= 2
	}
	return rand.N(min(limit, longest))
}

// orElse returns a setting, or its default if it is not set.
func orElse[T int | time.Duration](set, otherwise T) T {
	if set > 0 {
		return set
	}
	return otherwise
}
