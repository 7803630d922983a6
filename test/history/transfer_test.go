package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// accounts is what the bank of these tests has, and balances its whole state.
const accounts = 4

type balances [accounts]uint64

const opening = 100 // of each account

func account(i int) []byte { return key("account/%d", i) }

// order asks for a transfer, or for all balances if the amount is 0.
type order struct {
	from, to int
	amount   uint64
	// blind transfers are one envelope of arithmetic; the others are
	// transactions, which read both accounts first.
	blind bool
}

// receipt is the answer: what was seen, and whether money has moved.
type receipt struct {
	seen  balances
	moved bool
	// open is set if nobody knows.
	open bool
	// seq is that of the commit, or of the snapshot that was read.
	seq uint64
}

var errPoor = errors.New("not enough money")

// bank is the model of all accounts together.
var bank = (&porcupine.NondeterministicModel{
	Init: func() []any {
		var b balances
		for i := range b {
			b[i] = opening
		}
		return []any{b}
	},
	Step: func(state, input, output any) []any {
		s, o, r := state.(balances), input.(order), output.(receipt)
		after := s
		after[o.from] -= o.amount
		after[o.to] += o.amount
		enough := s[o.from] >= o.amount
		switch {
		case o.amount == 0:
			if s == r.seen {
				return []any{s}
			}
		case r.open && enough:
			return []any{s, after}
		case r.open:
			return []any{s}
		case !o.blind && (s[o.from] != r.seen[o.from] || s[o.to] != r.seen[o.to]):
		case r.moved && enough:
			return []any{after}
		case !r.moved && !enough:
			return []any{s}
		}
		return nil
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}).ToModel()

// carryOut does an order on the store.
func carryOut(ctx context.Context, app *aedb.Scope, o order) (receipt, error) {
	switch {
	case o.amount == 0:
		var r receipt
		err := app.View(ctx, func(v *aedb.View) error {
			r.seq = v.SnapshotSeq()
			return r.seen.read(ctx, v.KV())
		})
		return r, err
	case o.blind:
		result, err := app.Commit(ctx,
			app.KvSubU64(account(o.from), o.amount, aedb.RejectMissing, aedb.RejectLimit),
			add(app, account(o.to), o.amount))
		if errors.Is(err, aedb.ErrUnderflow) {
			return receipt{}, nil
		}
		return receipt{moved: err == nil, seq: result.CommitSeq}, err
	}
	var r receipt
	result, err := app.Transact(ctx, func(tx *aedb.Tx) error {
		r.seq = tx.SnapshotSeq()
		for _, i := range []int{o.from, o.to} {
			n, err := readNumber(ctx, tx.KV(), account(i))
			if err != nil {
				return err
			}
			r.seen[i] = n
		}
		if r.seen[o.from] < o.amount {
			return errPoor
		}
		if err := tx.Set(account(o.from), number(r.seen[o.from]-o.amount)); err != nil {
			return err
		}
		return tx.Set(account(o.to), number(r.seen[o.to]+o.amount))
	})
	if errors.Is(err, errPoor) {
		return r, nil
	}
	if err == nil {
		r.moved, r.seq = true, result.CommitSeq
	}
	return r, err
}

func (b *balances) read(ctx context.Context, kv aedb.KV) error {
	for i := range b {
		n, err := readNumber(ctx, kv, account(i))
		if err != nil {
			return err
		}
		b[i] = n
	}
	return nil
}

func (b *balances) total() (n uint64) {
	for _, x := range b {
		n += x
	}
	return n
}

func openBank(t *testing.T, app *aedb.Scope) {
	t.Helper()
	var all []aedb.Mutation
	for i := range accounts {
		all = append(all, app.KvSet(account(i), number(opening)))
	}
	_, err := app.Commit(t.Context(), all...)
	require.NoError(t, err)
}

func randomOrder(rng *rand.Rand) order {
	if rng.IntN(4) == 0 {
		return order{}
	}
	from := rng.IntN(accounts)
	return order{
		from: from, to: (from + 1 + rng.IntN(accounts-1)) % accounts,
		amount: uint64(1 + rng.IntN(opening)), blind: rng.IntN(3) == 0,
	}
}

// run has some callers carry out random orders, and returns what they saw.
func runBank(t *testing.T, app *aedb.Scope, seed uint64, callers, orders int) *recorder {
	t.Helper()
	history := newRecorder()
	var wg sync.WaitGroup
	for id := range callers {
		rng := rand.New(rand.NewPCG(seed, uint64(id)))
		wg.Go(func() {
			for range orders {
				o := randomOrder(rng)
				called := history.now()
				r, err := carryOut(t.Context(), app, o)
				returned := history.now()
				switch fateOf(err) {
				case happened:
				case unknown:
					r.open, returned = true, math.MaxInt64
				case neverHappens:
					continue
				default:
					t.Error(err)
					return
				}
				history.add(id, o, r, called, returned)
			}
		})
	}
	wg.Wait()
	return history
}

// TestTransfersAreLinearizable looks at all accounts as one object.
func TestTransfersAreLinearizable(t *testing.T) {
	forEachMode(t, func(t *testing.T, mode aedb.Durability) {
		forEachSeed(t, func(t *testing.T, seed uint64) {
			_, app := openApp(t, vfs.NewMem(), durability(mode))
			openBank(t, app)
			runBank(t, app, seed, 16, scale(12)).check(t, bank)
		})
	})
}

// TestCommitSeqsAreTheOrderThatExplainsTheHistory needs no search: the seqs tell
// the order, so a much longer history can be checked. Every transfer is done
// again on a plain array, in the order of seqs, and every snapshot compared; and
// what had ended before another began must come before it.
func TestCommitSeqsAreTheOrderThatExplainsTheHistory(t *testing.T) {
	forEachMode(t, func(t *testing.T, mode aedb.Durability) {
		_, app := openApp(t, vfs.NewMem(), durability(mode), func(c *aedb.Config) { c.BatchInterval = time.Millisecond })
		openBank(t, app)
		ops := runBank(t, app, 1, 16, scale(400)).ops

		// What only read comes after the commit whose state it saw.
		wrote := func(op porcupine.Operation) bool { return op.Output.(receipt).moved }
		seq := func(op porcupine.Operation) uint64 { return op.Output.(receipt).seq }
		ops = slices.DeleteFunc(ops, func(op porcupine.Operation) bool {
			return seq(op) == 0 // a blind transfer that was refused tells no seq
		})
		rank := func(op porcupine.Operation) int {
			if wrote(op) {
				return 0
			}
			return 1
		}
		slices.SortStableFunc(ops, func(a, b porcupine.Operation) int {
			return cmp.Or(cmp.Compare(seq(a), seq(b)), cmp.Compare(rank(a), rank(b)))
		})
		state := bank.Init()
		for _, op := range ops {
			ok, after := bank.Step(state, op.Input, op.Output)
			require.True(t, ok, "at commit %d: %+v -> %+v", seq(op), op.Input, op.Output)
			state = after
		}
		slices.SortFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		ended := slices.Clone(ops)
		slices.SortFunc(ended, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
		var newest uint64 // of what had ended
		n := 0
		for _, op := range ops {
			for ; n < len(ended) && ended[n].Return < op.Call; n++ {
				newest = max(newest, seq(ended[n]))
			}
			if wrote(op) {
				require.Greater(t, seq(op), newest, "a commit comes after what had ended before it began")
			} else {
				require.GreaterOrEqual(t, seq(op), newest, "a read sees what had ended before it began")
			}
		}
	})
}

// TestSnapshotsAlwaysShowAllTheMoney has readers look at the bank in every way
// there is while 32 callers move money about.
func TestSnapshotsAlwaysShowAllTheMoney(t *testing.T) {
	forEachMode(t, func(t *testing.T, mode aedb.Durability) {
		db, app := openApp(t, vfs.NewMem(), durability(mode), func(c *aedb.Config) {
			c.BatchInterval = time.Millisecond
			c.Reads.HistoryCommits = 1 << 16
		})
		openBank(t, app)
		_, err := db.Flush(t.Context())
		require.NoError(t, err)
		first := db.Heads().VisibleSeq
		ctx := t.Context()
		views := map[string]func(look func(aedb.KV) error) error{
			"view": func(look func(aedb.KV) error) error {
				return app.View(ctx, func(v *aedb.View) error { return look(v.KV()) })
			},
			"durable view": func(look func(aedb.KV) error) error {
				return app.View(ctx, func(v *aedb.View) error { return look(v.KV()) }, aedb.At(aedb.AtDurable))
			},
			"past view": func(look func(aedb.KV) error) error {
				at := first + rand.Uint64N(db.Heads().VisibleSeq-first+1)
				return app.View(ctx, func(v *aedb.View) error { return look(v.KV()) }, aedb.At(aedb.AtSeq(at)))
			},
			"read transaction": func(look func(aedb.KV) error) error {
				tx, err := db.NoAuth().BeginRead(ctx, aedb.AtLatest)
				if err != nil {
					return err
				}
				defer tx.Close()
				return look(tx.Scope("p", "app").KV())
			},
		}
		done := make(chan struct{})
		var readers sync.WaitGroup
		for name, view := range views {
			readers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-done:
						if n > 0 {
							return
						}
					default:
					}
					err := view(func(kv aedb.KV) error {
						var b balances
						if err := b.read(ctx, kv); err != nil {
							return err
						}
						if b.total() != accounts*opening {
							return fmt.Errorf("balances %v", b)
						}
						return nil
					})
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
				}
			})
		}
		runBank(t, app, 2, 32, scale(100))
		close(done)
		readers.Wait()
	})
}
