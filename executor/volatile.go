package executor

import (
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// checkVolatile refuses what a volatile commit must not do. Later commits are
// logged by their effects, which were worked out from a state that holds the
// volatile ones; when a crash takes these back, the rest has to be sound without
// them. It is where each entry stands by itself, as the keys of a scope do. It would
// not be for rows, whose index entries depend on what was there before, for
// counters, which are several entries, for definitions, or for requests that are
// remembered.
func checkVolatile(env *msgs.Envelope) error {
	if env.IdempotencyKey != nil {
		return errs.New(errs.CodeValidation, "a volatile commit cannot have an idempotency key: a crash would forget it with the commit")
	}
	for i, m := range env.Mutations {
		if g, ok := m.(msgs.Guarded); ok {
			m = g.Do
		}
		switch m.(type) {
		case msgs.KvSet, msgs.KvSetMany, msgs.KvDel, msgs.KvArithmetic, msgs.KvAddSigned, msgs.PostflightCheck:
		default:
			return &msgs.MutationError{Index: i, Err: errs.New(errs.CodeValidation,
				"a volatile commit can write keys only: what later commits find in tables, counters and definitions must not be lost")}
		}
	}
	return nil
}
