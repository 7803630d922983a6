// Package executor turns mutations and assertions into reads and writes of a
// state.Working.
//
// It works in two steps that may happen far apart. Binding, on the caller's
// goroutine, resolves names against a catalog, checks types and sizes and
// encodes keys and rows. Performing, on the goroutine that owns the Working,
// checks what depends on data (existence, uniqueness, numbers) and writes.
// What was bound to a catalog may be performed only while the Working still has
// that very catalog; otherwise it is bound again.
//
// The same code serves the applier, on the head of the store, and an interactive
// transaction, on a private fork: so a transaction sees its own writes exactly
// as the commit will make them.
//
// Performing stops at the first failure and leaves the Working as it is then:
// the caller rolls it back.
package executor

import (
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

// Limits bound what one request may carry and look at. All are in bytes or
// counts, and must be positive where 0 has no meaning of its own.
type Limits struct {
	MaxMutations       int // max_mutations_per_envelope
	MaxAssertions      int // max_read_assertions_per_envelope, nested ones included
	MaxTransactionSize int // max_transaction_bytes
	MaxBatchRows       int // max_batch_rows, or pairs, of a mutation
	MaxKVKey           int // max_kv_key_bytes
	MaxKVValue         int // max_kv_value_bytes
	MaxTableValue      int // max_table_value_bytes, per cell
	MaxPrimaryKey      int // max_primary_key_bytes, encoded
	MaxEventPayload    int // max_event_payload_bytes
	MaxScanRows        int // max_scan_rows, examined by a selection; 0 is 10,000
	MaxReadBytes       int // max_read_bytes_per_envelope, of selections and assertions; 0 is 16 MiB
}

func (l *Limits) scanRows() int {
	if l.MaxScanRows > 0 {
		return l.MaxScanRows
	}
	return 10_000
}

func (l *Limits) readBytes() int64 {
	if l.MaxReadBytes > 0 {
		return int64(l.MaxReadBytes)
	}
	return 16 << 20
}

// Executor binds and performs within limits. It has no state of its own and may
// be used by any number of goroutines.
type Executor struct {
	Limits Limits
}

// Run performs a prepared request: its assertions first, then its mutations in
// order. The Working is within a commit. It fills the request's replies. On an
// error the caller rolls back.
func (x *Executor) Run(w *state.Working, r *msgs.Request) error {
	e := execution{x: x, w: w, mutations: len(r.Mutations)}
	if err := x.assert(&e, r); err != nil {
		return err
	}
	if n := len(r.Operations); n > Abreast {
		w.Reserve(n)
	}
	for i, m := range r.Mutations {
		if i%Abreast == 0 && i+1 < len(r.Operations) {
			announce(w, r.Operations[i:])
		}
		e.mutation = i
		if err := x.step(&e, r, i, m); err != nil {
			return &msgs.MutationError{Index: i, Err: err}
		}
	}
	r.Replies = e.replies
	return nil
}

func (x *Executor) assert(e *execution, r *msgs.Request) error {
	conditions := r.Conditions
	if e.w.Catalog() != r.Catalog {
		var err error
		if conditions, err = x.bindConditions(e.w.Catalog(), assertionsOf(r.Conditions), new(room)); err != nil {
			return err
		}
	}
	return e.evaluate(conditions)
}

func (x *Executor) step(e *execution, r *msgs.Request, i int, m msgs.Mutation) error {
	if i < len(r.Operations) {
		op := r.Operations[i]
		if e.w.Catalog() == r.Catalog {
			return e.perform(op)
		}
		m = restate(m, op)
	}
	op, err := x.Bind(e.w.Catalog(), m)
	if err != nil {
		return err
	}
	return e.perform(op)
}

// Perform carries out one operation that is bound to the Working's catalog.
func (x *Executor) Perform(w *state.Working, op msgs.Operation) error {
	e := execution{x: x, w: w, mutations: 1}
	return e.perform(op)
}
