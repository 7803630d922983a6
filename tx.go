package aedb

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/pipeline"
	"github.com/empyrealapp/aedb-go/state"
)

// Tx is an interactive transaction: reads see its snapshot and its own writes.
// It belongs to the closure it was given to, and to one goroutine.
//
// A write that can fail is carried out at once on a private fork of the snapshot, so
// whatever is wrong with it shows at once; the same mutations are carried out again
// on the head of the store when the closure has returned. What was read must be
// unchanged by then, or the closure runs again. The seq of the commit is not known
// before: where a read tells that of something the transaction wrote itself, such as
// the version of an entry, it is the one after the snapshot.
type Tx struct {
	View
	session *Session
	base    *state.Image
	working *state.Working
	reads   tracker

	over overlay // of working

	mutations  []Mutation
	operations []msgs.Operation
	performed  int // operations that the fork has; the others are deferrable
	looked     int // operations that were performed when the transaction last read
	done       bool
}

// Update runs a closure as a serialisable transaction: its commit is as if the
// closure had run alone at that point. On a conflict it is run again, on a new
// snapshot and after a short random pause, so it must have no effect but on the
// Tx. If it returns an error, nothing is committed and that error is returned.
// A closure that writes nothing commits nothing.
func (s *Scope) Update(ctx context.Context, fn func(*Tx) error) error {
	_, err := s.Transact(ctx, fn)
	return err
}

// Transact is Update with the result of the commit. For a closure that wrote
// nothing, the result's seq is that of the snapshot.
func (s *Scope) Transact(ctx context.Context, fn func(*Tx) error) (Result, error) {
	if err := s.session.usable(); err != nil {
		return Result{}, err
	}
	b := newBackoff(s.session.db.updatePolicy())
	for {
		if ctx.Err() != nil {
			return Result{}, errs.FromContext(ctx, "before the transaction was committed; it has no effect")
		}
		tx := s.begin()
		err := fn(tx)
		tx.done = true
		if err != nil {
			return Result{}, err
		}
		result, err := tx.commit(ctx)
		switch {
		case err == nil || !again(err):
			return result, err
		case b.wait(ctx):
		case ctx.Err() != nil:
			return Result{}, errs.FromContext(ctx, "waiting to run the transaction again; it has no effect")
		default:
			return result, errs.Wrap(errs.CodeConflict, err, "the transaction was in conflict %d times", b.attempts)
		}
	}
}

// updatePolicy is how Update tries again: soon, for what it was in conflict with
// is visible by now.
func (db *DB) updatePolicy() RetryPolicy {
	return RetryPolicy{
		Attempts: db.reads.tuning.Load().UpdateRetries + 1, FirstPause: 50 * time.Microsecond, LongestPause: 20 * time.Millisecond,
	}
}

// again reports whether an error of the commit may go away with a new snapshot.
// The closure's mutations succeeded on the old one: if they fail on the head,
// even for good reason, the closure is to find out by itself.
func again(err error) bool {
	switch class := errs.ClassOf(err); class {
	case errs.Conflict:
		return true
	case errs.Validation:
		return errs.CodeOf(err) != errs.CodeLimitExceeded
	}
	return false
}

func (s *Scope) begin() *Tx {
	db := s.session.db
	tx := &Tx{session: s.session, base: db.pipeline.Heads().Visible()}
	tx.working = tx.base.Fork()
	tx.working.Begin(tx.base.Seq()+1, db.timeAfter(tx.base))
	tx.over = overlay{tx.working, tx.base.Seq()}
	tx.reads = tracker{base: tx.base}
	tx.View = View{
		store: &db.reads, caller: s.session.callerID(), project: s.project, scope: s.scope,
		source: tx.source, recorder: &tx.reads, names: &s.names,
	}
	return tx
}

func (tx *Tx) source() (snapshot, error) {
	if tx.done {
		return snapshot{}, errs.New(errs.CodeSnapshotExpired, "the transaction has ended")
	}
	tx.settle()
	// What it reads may show what its own writes were worked out from.
	for ; tx.looked < tx.performed; tx.looked++ {
		executor.ObserveBasis(tx.working.Catalog(), tx.operations[tx.looked], &tx.reads)
	}
	return snapshot{Source: &tx.over}, nil
}

// settle carries out on the fork what was put off.
func (tx *Tx) settle() {
	x := tx.session.db.pipeline.Executor()
	for ; tx.performed < len(tx.operations); tx.performed++ {
		_ = x.Perform(tx.working, tx.operations[tx.performed]) // see deferrable
	}
}

// deferrable reports whether an operation cannot fail once it is bound. It is
// carried out on the fork when the transaction looks: most write last of all, and
// do not.
func deferrable(op msgs.Operation) bool {
	switch op.(type) {
	case *msgs.PutKey, *msgs.PutKeys, *msgs.RemoveKey:
		return true
	}
	return false
}

// overlay is the fork of a transaction, which goes by the seq of the snapshot
// under it: its own is one that another commit will have.
type overlay struct {
	*state.Working
	seq uint64
}

func (o overlay) Seq() uint64 { return o.seq }

// observed records what the outcome of an operation tells about the store. That
// of one that stays part of the transaction need not be: it is carried out again.
func (tx *Tx) observed(op msgs.Operation) {
	executor.Observe(tx.working.Catalog(), op, &tx.reads)
}

// Scope returns the transaction's reads of another scope.
func (tx *Tx) Scope(project, scope string) *View {
	v := tx.View
	v.project, v.scope, v.names = project, scope, nil
	return &v
}

// SnapshotSeq returns the commit seq of the snapshot under the transaction.
func (tx *Tx) SnapshotSeq() uint64 { return tx.base.Seq() }

// Do carries out mutations, in order. If one fails, none of this call is part of
// the transaction; the closure may go on.
func (tx *Tx) Do(mutations ...Mutation) error {
	if tx.done {
		return errs.New(errs.CodeSnapshotExpired, "the transaction has ended")
	}
	point := tx.Savepoint()
	for _, m := range mutations {
		if err := tx.do(m); err != nil {
			tx.RollbackTo(point)
			return err
		}
	}
	return nil
}

func (tx *Tx) do(m Mutation) error {
	x := tx.session.db.pipeline.Executor()
	if n := len(tx.mutations) + 1; n > x.Limits.MaxMutations {
		return errs.Exceeded("envelope mutations", "max_mutations_per_envelope", int64(n), int64(x.Limits.MaxMutations))
	}
	op, err := x.Bind(tx.working.Catalog(), m)
	if err != nil {
		tx.reads.Range(catalog.SpaceCatalog, nil, nil)
		return err
	}
	if !deferrable(op) {
		tx.settle()
		if err := x.Perform(tx.working, op); err != nil {
			tx.observed(op)
			return err
		}
		tx.performed++
	}
	if tx.mutations == nil { // most transactions write a few times
		few := new(struct {
			mutations  [4]Mutation
			operations [4]msgs.Operation
		})
		tx.mutations, tx.operations = few.mutations[:0], few.operations[:0]
	}
	tx.mutations = append(tx.mutations, m)
	tx.operations = append(tx.operations, op)
	return nil
}

// Set sets a key of the transaction's scope.
func (tx *Tx) Set(key, val []byte) error {
	return tx.Do(msgs.KvSet{Scope: msgs.ScopeName{Project: tx.project, Scope: tx.scope}, Key: key, Value: val})
}

// Unset removes a key of the transaction's scope, if it is there.
func (tx *Tx) Unset(key []byte) error {
	return tx.Do(msgs.KvDel{Scope: msgs.ScopeName{Project: tx.project, Scope: tx.scope}, Key: key})
}

// Get returns the value under a key of the transaction's scope, and false if
// there is none.
func (tx *Tx) Get(ctx context.Context, key []byte) ([]byte, bool, error) {
	e, ok, err := tx.KV().Get(ctx, key)
	return e.Value, ok, err
}

// Insert adds a row to a table of the transaction's scope.
func (tx *Tx) Insert(table string, row Row) error {
	return tx.Do(tx.handle().Insert(table, row))
}

// Upsert adds or replaces a row of a table of the transaction's scope.
func (tx *Tx) Upsert(table string, row Row) error {
	return tx.Do(tx.handle().Upsert(table, row))
}

// UpdateFields overwrites columns of a row that exists.
func (tx *Tx) UpdateFields(table string, key []Value, fields ...Field) error {
	return tx.Do(tx.handle().UpdateFields(table, key, fields...))
}

// Delete removes a row of a table of the transaction's scope, if it is there.
func (tx *Tx) Delete(table string, key ...Value) error {
	return tx.Do(tx.handle().Delete(table, key...))
}

func (tx *Tx) handle() *Scope { return tx.session.Scope(tx.project, tx.scope) }

// Savepoint is a point of a transaction that it can be taken back to.
type Savepoint struct {
	tx         *Tx
	mark       state.Mark
	operations int
	performed  int
	// last is the last of those operations; nil if there are none. It tells whether
	// they are the same ones still.
	last msgs.Operation
}

// Savepoint returns the present point of the transaction.
func (tx *Tx) Savepoint() Savepoint {
	p := Savepoint{tx: tx, mark: tx.working.Mark(), operations: len(tx.operations), performed: tx.performed}
	if p.operations > 0 {
		p.last = tx.operations[p.operations-1]
	}
	return p
}

// reached reports whether the transaction still has all that it had at a savepoint.
func (tx *Tx) reached(p *Savepoint) bool {
	return p.operations <= len(tx.operations) && (p.operations == 0 || tx.operations[p.operations-1] == p.last)
}

// RollbackTo takes back everything the transaction wrote since the savepoint.
// What it read since then still counts. The savepoint stays usable; one that comes
// after a write that was taken back does nothing any more, nor does one of another
// transaction.
func (tx *Tx) RollbackTo(p Savepoint) {
	if p.tx != tx || tx.done || !tx.reached(&p) {
		return
	}
	for _, op := range tx.operations[p.operations:] {
		tx.observed(op)
	}
	if tx.performed >= p.performed { // else the fork has not come to the savepoint again
		tx.working.Rollback(p.mark)
		tx.performed = p.performed
	}
	tx.looked = min(tx.looked, p.operations)
	tx.mutations = tx.mutations[:p.operations]
	tx.operations = tx.operations[:p.operations]
}

// commit submits what the transaction did and waits until it is visible.
func (tx *Tx) commit(ctx context.Context) (Result, error) {
	if len(tx.mutations) == 0 {
		return Result{CommitSeq: tx.base.Seq(), DurableSeq: min(tx.session.db.Heads().DurableSeq, tx.base.Seq())}, nil
	}
	x := tx.session.db.pipeline.Executor()
	r, err := x.Assemble(tx.base.Catalog(), tx.mutations, tx.operations, tx.reads.deps)
	if err != nil {
		return Result{}, err
	}
	t, err := tx.session.hand(ctx, r, (*pipeline.Pipeline).Carry)
	if err != nil {
		return Result{}, err
	}
	return t.Visible(ctx)
}

// tracker collects what a transaction has read, as the versions of its base: its
// own writes are not what it depends on.
type tracker struct {
	base *state.Image
	deps msgs.Dependencies
	// seen has the points of deps once they are too many to look through.
	seen map[pointKey]struct{}
}

type pointKey struct {
	space catalog.SpaceID
	key   string
}

// fewPoints is how many points are looked through faster than hashed.
const fewPoints = 16

// Point implements reader.Recorder.
func (t *tracker) Point(space catalog.SpaceID, key []byte) {
	if t.has(space, key) {
		return
	}
	_, version, _ := t.base.Get(space, key)
	if t.deps.Points == nil {
		t.deps.Points = make([]msgs.PointRead, 0, 4)
	}
	t.deps.Points = append(t.deps.Points, msgs.PointRead{Space: space, Key: bytes.Clone(key), Version: version})
	if t.seen != nil {
		t.seen[pointKey{space, string(key)}] = struct{}{}
	}
}

func (t *tracker) has(space catalog.SpaceID, key []byte) bool {
	points := t.deps.Points
	if len(points) <= fewPoints {
		return slices.ContainsFunc(points, func(p msgs.PointRead) bool {
			return p.Space == space && bytes.Equal(p.Key, key)
		})
	}
	if t.seen == nil {
		t.seen = make(map[pointKey]struct{}, 2*len(points))
		for _, p := range points {
			t.seen[pointKey{p.Space, string(p.Key)}] = struct{}{}
		}
	}
	_, ok := t.seen[pointKey{space, string(key)}]
	return ok
}

// Range implements reader.Recorder.
func (t *tracker) Range(space catalog.SpaceID, start, end []byte) {
	if n := len(t.deps.Ranges); n > 0 && same(&t.deps.Ranges[n-1], space, start, end) {
		return // as when many writes are taken back
	}
	t.deps.Ranges = append(t.deps.Ranges, msgs.RangeRead{
		Space: space, Start: bytes.Clone(start), End: bytes.Clone(end), Version: t.base.Seq(),
	})
}

func same(r *msgs.RangeRead, space catalog.SpaceID, start, end []byte) bool {
	return r.Space == space && bytes.Equal(r.Start, start) && bytes.Equal(r.End, end) && (r.End == nil) == (end == nil)
}
