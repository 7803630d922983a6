package aedb

import (
	"context"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/pipeline"
)

// Session is the store as one caller uses it: it reads as a ReadSession does, and
// writes. It is a small value, cheap to make, and safe for concurrent use.
type Session struct {
	ReadSession
	db *DB
}

// NoAuth returns the session of the anonymous caller.
func (db *DB) NoAuth() *Session { return &Session{ReadSession: ReadSession{store: &db.reads}, db: db} }

// As returns the session of a named caller. Requests with idempotency keys are
// remembered per caller. An id that is blank, or reserved ("system"), makes a
// session whose every call is permission_denied.
func (db *DB) As(callerID string) *Session {
	return &Session{ReadSession: db.reads.as(callerID), db: db}
}

// Scope returns a handle on a scope, which need not exist yet.
func (s *Session) Scope(project, scope string) *Scope {
	return &Scope{ReadScope: ReadScope{session: &s.ReadSession, project: project, scope: scope}, session: s}
}

func (s *Session) usable() error {
	if s.err != nil {
		return s.err
	}
	return s.db.alive()
}

// Submit hands an envelope to the pipeline and returns a ticket as soon as it is
// admitted. An error means that the envelope has no effect. The context bounds
// the admission; if it ends before the envelope is sequenced, the envelope is
// withdrawn, and the ticket says so.
func (s *Session) Submit(ctx context.Context, env Envelope) (*Ticket, error) {
	t, err := s.submit(ctx, &env, (*pipeline.Pipeline).Submit)
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// submit prepares an envelope and hands it over.
func (s *Session) submit(ctx context.Context, env *Envelope, hand handover) (Ticket, error) {
	if err := s.usable(); err != nil {
		return Ticket{}, err
	}
	id, known, err := s.recognise(env)
	if known != nil {
		return Ticket{ticket: known, db: s.db}, nil
	}
	var r *msgs.Request
	if err == nil {
		r, err = s.prepare(s.db.pipeline.Heads().Moment(), env)
	}
	if err != nil {
		s.db.pipeline.Refused(err)
		return Ticket{}, err
	}
	r.Idempotency, r.Fingerprint = id.key, id.fingerprint
	return s.hand(ctx, r, hand)
}

// handover is how a request is given to the pipeline: by Submit, or by Carry if
// its ticket is waited for at once.
type handover func(*pipeline.Pipeline, context.Context, *msgs.Request) (*msgs.Ticket, error)

func (s *Session) hand(ctx context.Context, r *msgs.Request, hand handover) (Ticket, error) {
	r.Caller = s.callerID()
	promise := Ticket{db: s.db, volatile: r.WriteClass == Volatile}
	var err error
	promise.ticket, err = hand(s.db.pipeline, ctx, r)
	return promise, err
}

// prepare binds an envelope to the catalog of a published moment.
func (s *Session) prepare(at msgs.Moment, env *Envelope) (*msgs.Request, error) {
	if env.BaseSeq > at.Seq {
		return nil, errs.New(errs.CodeValidation, "base seq %d is above the visible head, %d", env.BaseSeq, at.Seq)
	}
	return s.db.pipeline.Executor().Prepare(at.Catalog, env)
}

// CommitEnvelope submits an envelope and waits for the given finality.
func (s *Session) CommitEnvelope(ctx context.Context, env Envelope, finality Finality) (Result, error) {
	t, err := s.submit(ctx, &env, (*pipeline.Pipeline).Carry)
	if err != nil {
		return Result{}, err
	}
	return t.reach(ctx, finality)
}

// Commit makes one atomic commit of the mutations and waits until it is visible;
// in Full mode that is when it is durable.
func (s *Session) Commit(ctx context.Context, mutations ...Mutation) (Result, error) {
	return s.CommitEnvelope(ctx, Envelope{Mutations: mutations}, Visible)
}

// Define applies definition statements in one atomic commit.
func (s *Session) Define(ctx context.Context, statements ...catalog.Statement) (Result, error) {
	mutations := make([]Mutation, len(statements))
	for i, st := range statements {
		mutations[i] = msgs.Define{Statement: st}
	}
	return s.Commit(ctx, mutations...)
}

// CreateProject makes a project with its scope "app". A project that exists is
// left as it is.
func (s *Session) CreateProject(ctx context.Context, project string) (Result, error) {
	return s.Define(ctx, catalog.CreateProject{Project: project})
}

// DropProject removes a project with everything in it, if it exists.
func (s *Session) DropProject(ctx context.Context, project string) (Result, error) {
	return s.Define(ctx, catalog.DropProject{Project: project})
}

// CreateScope makes a scope. A scope that exists is left as it is.
func (s *Session) CreateScope(ctx context.Context, project, scope string) (Result, error) {
	return s.Define(ctx, catalog.CreateScope{Project: project, Scope: scope})
}

// DropScope removes a scope with its tables and its key-value data, if it
// exists.
func (s *Session) DropScope(ctx context.Context, project, scope string) (Result, error) {
	return s.Define(ctx, catalog.DropScope{Project: project, Scope: scope})
}

// Scope is the session's view of one scope: it makes mutations and assertions
// that carry the scope's name, commits them, and reads as a ReadScope does. It is
// safe for concurrent use, and worth keeping: it remembers what names mean.
type Scope struct {
	ReadScope
	session *Session
}

// Session returns the session that the handle belongs to.
func (s *Scope) Session() *Session { return s.session }

// Submit hands an envelope to the pipeline; see Session.Submit.
func (s *Scope) Submit(ctx context.Context, env Envelope) (*Ticket, error) {
	return s.session.Submit(ctx, env)
}

// CommitEnvelope submits an envelope and waits for the given finality.
func (s *Scope) CommitEnvelope(ctx context.Context, env Envelope, finality Finality) (Result, error) {
	return s.session.CommitEnvelope(ctx, env, finality)
}

// Commit makes one atomic commit of the mutations; see Session.Commit.
func (s *Scope) Commit(ctx context.Context, mutations ...Mutation) (Result, error) {
	return s.session.Commit(ctx, mutations...)
}
