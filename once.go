package aedb

import (
	"context"
	"crypto/rand"

	"github.com/empyrealapp/aedb-go/errs"
)

// NewIdempotencyKey returns a random key. One that outlives the process, such as
// the id of an order, also covers a retry after a restart.
func NewIdempotencyKey() IdempotencyKey {
	var key IdempotencyKey
	_, _ = rand.Read(key[:]) // never fails
	return key
}

// CommitOnce commits an envelope under a key so that it is applied exactly once,
// however often it is sent, by whichever process, for as long as keys are
// remembered (Config.IdempotencyCommits and IdempotencyAge). The first success is
// Applied, every later one a Duplicate with the seq of the first; a refusal is not
// remembered. With RetryPolicy.Keyed, Retry may repeat it after an unknown outcome.
//
// It is CommitEnvelope for requests that make a promise of it, and refuses with
// validation what would break that: a key of zeros, another key in the envelope, a
// read set, by which a request that is in conflict once is so for ever (use
// assertions), and a store that does not remember keys.
func (s *Session) CommitOnce(ctx context.Context, key IdempotencyKey, env Envelope, finality Finality) (Result, error) {
	reads, tuning := &env.ReadSet, s.db.reads.tuning.Load()
	switch {
	case key == IdempotencyKey{}:
		return Result{}, errs.New(errs.CodeValidation, "the idempotency key is all zeros")
	case env.IdempotencyKey != nil && *env.IdempotencyKey != key:
		return Result{}, errs.New(errs.CodeValidation, "the envelope has another idempotency key")
	case len(reads.Keys)+len(reads.Rows)+len(reads.KeyRanges)+len(reads.RowRanges) > 0:
		return Result{}, errs.New(errs.CodeValidation, "an envelope that is to be applied once has a read set; use assertions")
	case tuning.IdempotencyCommits == 0 && tuning.IdempotencyAge == 0:
		return Result{}, errs.New(errs.CodeValidation, "the store does not remember idempotency keys: both bounds are 0").On("IdempotencyCommits")
	}
	env.IdempotencyKey = &key
	return s.CommitEnvelope(ctx, env, finality)
}

// CommitOnce commits an envelope exactly once; see Session.CommitOnce.
func (s *Scope) CommitOnce(ctx context.Context, key IdempotencyKey, env Envelope, finality Finality) (Result, error) {
	return s.session.CommitOnce(ctx, key, env, finality)
}
