package aedb

import (
	"context"

	"github.com/empyrealapp/aedb-go/applier"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
)

// MutationError tells which mutation of an envelope a refusal is about; reach it
// with errors.As.
type MutationError = msgs.MutationError

// Preview is what an envelope would do, had it been committed right after a
// snapshot.
type Preview struct {
	// SnapshotSeq is the commit seq of that snapshot.
	SnapshotSeq uint64
	// Affected is how many rows and keys would be written or removed, each as often
	// as it is.
	Affected int
	// Replies are what the mutations would have to tell; see Result.
	Replies []Reply
}

// Preflight carries an envelope out on a private copy of the newest snapshot, with
// the code and the limits of a commit, and keeps nothing of it. The error is the
// one that the commit would have failed with; a MutationError in it tells which
// mutation is at fault. The preview then has SnapshotSeq only.
//
// It runs on the caller's goroutine and waits for nobody. It is advice: nothing is
// reserved, and another commit may change what it saw; Plan guards against that.
// The envelope is taken to be sent for the first time under its idempotency key, and
// what has been removed since its read set was taken is not seen.
func (s *Session) Preflight(ctx context.Context, env Envelope) (Preview, error) {
	preview, _, err := s.rehearse(ctx, &env)
	return preview, err
}

// Preflight tells what an envelope would do; see Session.Preflight.
func (s *Scope) Preflight(ctx context.Context, env Envelope) (Preview, error) {
	return s.session.Preflight(ctx, env)
}

// Plan is a preview together with the envelope that holds it to what it saw.
type Plan struct {
	Preview
	// Envelope is the one that was planned, with Preview.SnapshotSeq as its base, and
	// with what it relies on added to its read set. It may be committed as it is,
	// any time; if something that it relies on has changed since the plan, that
	// fails with conflict.
	Envelope Envelope
}

// Plan is Preflight with an envelope to commit. The envelope relies on the rows
// and keys that its mutations replace, change in part, remove, or subtract from
// down to a limit, and on the rows that they select from: those with the leading
// primary-key values that the condition fixes, or all of the table. It does not
// rely on what commutes or is decided at the commit point: other arithmetic,
// counters, InsertOr, events, definitions, guards, checks and assertions.
//
// Rows with one key and no condition make the smallest read sets; a plan over
// thousands of rows carries as many reads.
func (s *Session) Plan(ctx context.Context, env Envelope) (Plan, error) {
	preview, r, err := s.rehearse(ctx, &env)
	if err != nil {
		return Plan{Preview: preview}, err
	}
	reliance := executor.Reliance(r, preview.SnapshotSeq)
	env.BaseSeq = preview.SnapshotSeq
	env.ReadSet.Keys = join(env.ReadSet.Keys, reliance.Keys)
	env.ReadSet.Rows = join(env.ReadSet.Rows, reliance.Rows)
	env.ReadSet.RowRanges = join(env.ReadSet.RowRanges, reliance.RowRanges)
	return Plan{Preview: preview, Envelope: env}, nil
}

// Plan returns an envelope to commit with what it would do; see Session.Plan.
func (s *Scope) Plan(ctx context.Context, env Envelope) (Plan, error) {
	return s.session.Plan(ctx, env)
}

// CommitWithPreflight plans an envelope and commits the plan. What the plan finds
// wrong is returned without anything having been submitted; a change between the
// two fails with conflict. A retry is a Duplicate, as it is for CommitEnvelope.
func (s *Session) CommitWithPreflight(ctx context.Context, env Envelope, finality Finality) (Result, error) {
	plan, err := s.Plan(ctx, env)
	if err == nil {
		return s.CommitEnvelope(ctx, plan.Envelope, finality)
	}
	if refused := s.usable(); refused != nil {
		return Result{}, refused
	}
	// What a retry finds wrong may be what the request itself has made. An image that
	// shows this shows that it was applied.
	_, known, mismatch := s.recognise(&env)
	switch {
	case known != nil:
		t := Ticket{ticket: known, db: s.db}
		return t.reach(ctx, finality)
	case mismatch != nil:
		err = mismatch
	}
	return Result{}, err
}

// CommitWithPreflight plans an envelope and commits the plan; see
// Session.CommitWithPreflight.
func (s *Scope) CommitWithPreflight(ctx context.Context, env Envelope, finality Finality) (Result, error) {
	return s.session.CommitWithPreflight(ctx, env, finality)
}

// rehearse carries an envelope out on the newest snapshot. It returns the request
// that was made of it.
func (s *Session) rehearse(ctx context.Context, env *Envelope) (Preview, *msgs.Request, error) {
	if err := s.usable(); err != nil {
		return Preview{}, nil, err
	}
	if ctx.Err() != nil {
		return Preview{}, nil, errs.FromContext(ctx, "before the preflight")
	}
	image := s.db.pipeline.Heads().Visible()
	preview := Preview{SnapshotSeq: image.Seq()}
	r, err := s.prepare(image.Moment(), env)
	if err != nil {
		return preview, nil, err
	}
	affected, err := applier.Rehearse(s.db.pipeline.Executor(), image, r, s.db.clock.Now().UnixMicro())
	if err != nil {
		return preview, nil, err
	}
	preview.Affected, preview.Replies = affected, r.Replies
	return preview, r, nil
}

// join returns the elements of both lists without touching the room behind the
// first, which is the caller's.
func join[T any](a, b []T) []T {
	return append(a[:len(a):len(a)], b...)
}
