package aedb

import (
	"context"

	"github.com/empyrealapp/aedb-go/applier"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
)

// identity is what a request is known by when it comes again. The zero identity
// is that of a request without an idempotency key.
type identity struct {
	key         []byte // as it is stored: of the caller and the caller's key
	fingerprint [32]byte
}

// recognise returns what an envelope is known by, and its answer if the published image
// shows it to have been applied, else nil.
func (s *Session) recognise(env *Envelope) (id identity, known *msgs.Ticket, err error) {
	if env.IdempotencyKey == nil {
		return id, nil, nil
	}
	id.key = s.storedKey(*env.IdempotencyKey)
	if id.fingerprint, err = executor.Fingerprint(env); err != nil {
		return id, nil, err
	}
	image := s.db.pipeline.Heads().Visible()
	m, found, err := s.db.pipeline.Window().FindRetry(image, id.key, id.fingerprint, s.db.timeAfter(image))
	if found {
		known = s.db.pipeline.Duplicate(m)
	}
	return id, known, err
}

func (s *Session) storedKey(key IdempotencyKey) []byte {
	return record.IdempotencyKey(s.callerID(), s.caller != nil, key)
}

// timeAfter is the time of a commit made now on top of an image.
func (db *DB) timeAfter(image *state.Image) int64 {
	return max(image.Micros(), db.clock.Now().UnixMicro())
}

// Outcome tells what became of the session's request with an idempotency key: the
// answer that a retry would be given, a Duplicate, or false if no such request is
// remembered. It is for callers who cannot send the request again.
//
// It waits until what was admitted before it is on stable storage. So a request
// whose answer the caller did not wait for is known to have had no effect if this
// is false, and the window has not passed it by. A store that remembers nothing is
// a validation error. If the pipeline has broken down, what is not known to be
// applied is unavailable, and reopening the store tells.
func (s *Session) Outcome(ctx context.Context, key IdempotencyKey) (Result, bool, error) {
	if err := s.usable(); err != nil {
		return Result{}, false, err
	}
	if s.db.pipeline.Window() == (applier.Window{}) {
		return Result{}, false, errs.New(errs.CodeValidation, "the store does not remember idempotency keys: both bounds are 0").On("IdempotencyCommits")
	}
	r, found, err := s.outcome(key)
	if found || err != nil {
		return r, found, err
	}
	// It may be on its way. A flush is behind everything that was admitted.
	if _, err := s.db.Flush(ctx); err != nil {
		return Result{}, false, errs.Wrap(errs.CodeOf(err), err, "what became of the request is not known")
	}
	return s.outcome(key)
}

// Outcome tells what became of a request; see Session.Outcome.
func (s *Scope) Outcome(ctx context.Context, key IdempotencyKey) (Result, bool, error) {
	return s.session.Outcome(ctx, key)
}

// outcome is Outcome as the published image has it.
func (s *Session) outcome(key IdempotencyKey) (Result, bool, error) {
	image := s.db.pipeline.Heads().Visible()
	m, found, err := s.db.pipeline.Window().Find(image, s.storedKey(key), s.db.timeAfter(image))
	if !found || err != nil {
		return Result{}, false, err
	}
	return Result{
		CommitSeq: m.Seq, DurableSeq: s.db.pipeline.Heads().Durable(), Outcome: Duplicate,
		Replies: m.Replies, RepliesLost: m.Lost,
	}, true, nil
}
