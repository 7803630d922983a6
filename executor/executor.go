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

// Limits bound what one request may carry. All are in bytes or counts, and all
// must be positive.
type Limits struct {
	MaxMutations       int // max_mutations_per_envelope
	MaxAssertions      int // max_read_assertions_per_envelope, nested ones included
	MaxTransactionSize int // max_transaction_bytes
	MaxBatchRows       int // max_batch_rows
	MaxKVKey           int // max_kv_key_bytes
	MaxKVValue         int // max_kv_value_bytes
	MaxTableValue      int // max_table_value_bytes, per cell
	MaxPrimaryKey      int // max_primary_key_bytes, encoded
	MaxEventPayload    int // max_event_payload_bytes
}

// Executor binds and performs within limits. It has no state of its own and may
// be used by any number of goroutines.
type Executor struct {
	Limits Limits
}

// Run performs a prepared request: its assertions first, then its mutations in
// order. The Working is within a commit. On an error the caller rolls back.
func (x *Executor) Run(w *state.Working, r *msgs.Request) error {
	if err := x.assert(w, r); err != nil {
		return err
	}
	for i, m := range r.Mutations {
		if err := x.step(w, r, i, m); err != nil {
			return err
		}
	}
	return nil
}

func (x *Executor) assert(w *state.Working, r *msgs.Request) error {
	conditions := r.Conditions
	if w.Catalog() != r.Catalog {
		var err error
		if conditions, err = x.bindConditions(w.Catalog(), assertionsOf(r.Conditions)); err != nil {
			return err
		}
	}
	return evaluate(w, conditions)
}

func (x *Executor) step(w *state.Working, r *msgs.Request, i int, m msgs.Mutation) error {
	if i < len(r.Operations) {
		op := r.Operations[i]
		if w.Catalog() == r.Catalog {
			return x.Perform(w, op)
		}
		m = restate(m, op)
	}
	op, err := x.Bind(w.Catalog(), m)
	if err != nil {
		return err
	}
	return x.Perform(w, op)
}

// Perform carries out one operation that is bound to the Working's catalog.
func (x *Executor) Perform(w *state.Working, op msgs.Operation) error {
	switch op := op.(type) {
	case *msgs.PutKey:
		putKey(w, op)
		return nil
	case *msgs.PutRows:
		return putRows(w, op)
	case *msgs.SetFields:
		return setFields(w, op)
	case *msgs.RemoveRow:
		removeRow(w, op)
		return nil
	case *msgs.RemoveKey:
		w.Delete(op.Space, op.Key)
		return nil
	case *msgs.Compute:
		return compute(w, op)
	case *msgs.Emit:
		return x.emit(w, op)
	case *msgs.Check:
		return evaluate(w, op.Conditions)
	case *msgs.Alter:
		return alter(w, op.Statement)
	}
	return unknown(op)
}
