// Package money moves money between accounts from many callers at once, in each of
// three ways, while the power is lost now and then. The total stays what it was, no
// account goes below zero, and each transfer that was acknowledged happened once.
//
// AEDB_LONG=1 makes more transfers, AEDB_SEED changes the random choices.
package money

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	callers  = 64
	accounts = 1000
	opening  = 100 // of each account
	most     = 300 // that an account may hold, where that is checked
)

// transfer is one order. Its receipt is a key that counts how often it happened.
type transfer struct {
	from, to, receipt []byte
	amount            uint64
}

var errPoor = errors.New("not enough money")

func account(i int) []byte { return fmt.Appendf(nil, "account/%04d", i) }

func encode(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// way carries a transfer out, again if it has lost a race.
type way func(ctx context.Context, app *aedb.Scope, t transfer) error

var ways = []struct {
	name string
	way  way
}{
	{"Update", byUpdate}, {"compare and set", byCompare}, {"arithmetic and Check", byArithmetic},
}

func receipt(app *aedb.Scope, t transfer) aedb.Mutation {
	return app.KvAddU64(t.receipt, 1, aedb.TreatAsZero, aedb.RejectLimit)
}

// runs counts the attempts of all transfers.
var runs atomic.Int64

func byUpdate(ctx context.Context, app *aedb.Scope, t transfer) error {
	return app.Update(ctx, func(tx *aedb.Tx) error {
		runs.Add(1)
		var held [2]uint64
		for i, key := range [][]byte{t.from, t.to} {
			v, _, err := tx.Get(ctx, key)
			if err != nil {
				return err
			}
			held[i] = binary.BigEndian.Uint64(v)
		}
		if held[0] < t.amount {
			return errPoor
		}
		return tx.Do(app.KvSet(t.from, encode(held[0]-t.amount)), app.KvSet(t.to, encode(held[1]+t.amount)), receipt(app, t))
	})
}

func byCompare(ctx context.Context, app *aedb.Scope, t transfer) error {
	return aedb.Retry(ctx, aedb.RetryPolicy{Attempts: 1000, FirstPause: 50 * time.Microsecond, LongestPause: time.Millisecond}, func(ctx context.Context) error {
		runs.Add(1)
		held, err := app.KV().GetMany(ctx, [][]byte{t.from, t.to})
		if err != nil {
			return err
		}
		from, to := binary.BigEndian.Uint64(held[0].Value), binary.BigEndian.Uint64(held[1].Value)
		if from < t.amount {
			return errPoor
		}
		_, err = app.Commit(ctx,
			app.KvCompareAndSwap(t.from, encode(from-t.amount), held[0].Version),
			app.KvCompareAndSwap(t.to, encode(to+t.amount), held[1].Version), receipt(app, t))
		return err
	})
}

func byArithmetic(ctx context.Context, app *aedb.Scope, t transfer) error {
	runs.Add(1)
	_, err := app.Commit(ctx,
		app.KvSubU64(t.from, t.amount, aedb.RejectMissing, aedb.RejectLimit),
		app.KvAddU64(t.to, t.amount, aedb.RejectMissing, aedb.RejectLimit),
		receipt(app, t), aedb.Check(app.KeyCompare(t.to, aedb.FormUnsigned, aedb.Lte, encode(most))))
	if errors.Is(err, aedb.ErrUnderflow) || errors.Is(err, aedb.ErrAssertionFailed) {
		return errPoor
	}
	return err
}

func TestMoneyIsNeitherMadeNorLost(t *testing.T) {
	lives, each := 3, 40
	switch {
	case os.Getenv("AEDB_LONG") != "":
		lives, each = 30, 300
	case testing.Short():
		lives, each = 2, 10
	}
	seed := uint64(1)
	if s := os.Getenv("AEDB_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("AEDB_SEED=%d", seed)
	t.Log("| durability | way | transfers/s | runs per request | refused |")
	t.Log("| --- | --- | ---: | ---: | ---: |")
	for _, mode := range []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered} {
		for _, w := range ways {
			t.Run(mode.String()+", "+w.name, func(t *testing.T) {
				bank := &bank{T: t, disk: vfs.NewMem(), way: w.way, mode: mode, seed: seed}
				bank.found()
				runs.Store(0)
				for life := range lives {
					bank.live(life, each, life < lives-1)
					bank.audit()
				}
				require.NoError(t, bank.db.Close(t.Context()))
				t.Logf("| %s | %s | %.0f | %.2f | %.0f %% |", mode, w.name, float64(bank.done.Load())/bank.took.Seconds(),
					float64(runs.Load())/float64(len(bank.asked)), 100*float64(bank.poor.Load())/float64(len(bank.asked)))
			})
		}
	}
}

// bank is a store through several lives.
type bank struct {
	*testing.T
	way  way
	mode aedb.Durability
	seed uint64
	disk *vfs.Mem
	db   *aedb.DB
	app  *aedb.Scope
	took time.Duration

	done, poor atomic.Int64
	mu         sync.Mutex
	sure       [][]byte // the receipts of what was acknowledged
	refused    [][]byte
	asked      [][]byte // and of everything
}

func (b *bank) open() {
	cfg := aedb.DefaultConfig()
	cfg.FS, cfg.Logger, cfg.Durability = b.disk, aedb.Zerolog(zerolog.Nop()), b.mode
	var err error
	b.db, err = aedb.OpenNoAuth("store", cfg)
	require.NoError(b, err)
	b.app = b.db.NoAuth().Scope("bank", "app")
}

func (b *bank) found() {
	b.open()
	_, err := b.db.NoAuth().CreateProject(b.Context(), "bank")
	require.NoError(b, err)
	var list []aedb.Mutation
	for i := range accounts {
		list = append(list, b.app.KvSetU64(account(i), opening))
	}
	_, err = b.app.CommitEnvelope(b.Context(), aedb.Envelope{Mutations: list}, aedb.Durable)
	require.NoError(b, err)
}

// live lets all callers work. If the power is to be lost, that is in the middle.
func (b *bank) live(life, each int, powerLoss bool) {
	began := time.Now()
	fuse := atomic.Int64{}
	fuse.Store(int64(callers * each / 2))
	var disk *vfs.Mem
	var cut sync.Once
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(b.seed, uint64(life*callers+caller)))
			for n := range each {
				switch left := fuse.Add(-1); {
				case powerLoss && left < 0:
					cut.Do(func() { disk = b.disk.Crash(vfs.RandomBlocks(b.seed+uint64(life), 50)) })
				case left%500 == 0: // in the midst of it all, at present and a little ago
					b.total(aedb.AtLatest)
					if seq := b.db.Heads().VisibleSeq; seq > 100 {
						b.total(aedb.AtSeq(seq - 20))
					}
				}
				// A few accounts are busy: that is where callers meet.
				from, to := rnd.IntN(accounts), rnd.IntN(10)
				if from == to {
					continue
				}
				t := transfer{account(from), account(to), fmt.Appendf(nil, "receipt/%d/%d/%d", life, caller, n), 1 + rnd.Uint64N(80)}
				if rnd.IntN(2) == 0 {
					t.from, t.to = t.to, t.from
				}
				err := b.way(b.Context(), b.app, t)
				if !b.note(t, err) {
					if !powerLoss {
						b.Errorf("a transfer on a disk that works: %v", err)
					}
					return
				}
			}
		})
	}
	wg.Wait()
	b.took += time.Since(began)
	if powerLoss {
		require.NotNil(b, disk)
		_ = b.db.Close(b.Context())
		b.disk = disk
		b.open()
	}
}

// note keeps account of an answer, and reports whether it was one.
func (b *bank) note(t transfer, err error) (answered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, t.receipt)
	switch {
	case err == nil:
		b.done.Add(1)
		b.sure = append(b.sure, t.receipt)
	case errors.Is(err, errPoor):
		b.poor.Add(1)
		b.refused = append(b.refused, t.receipt)
	default:
		return false
	}
	return true
}

// audit counts the money and the receipts.
func (b *bank) audit() {
	b.total(aedb.AtLatest)
	happened := map[string]bool{}
	for e, err := range b.app.KV().Prefix(b.Context(), []byte("receipt/")) {
		require.NoError(b, err)
		require.Equal(b, encode(1), e.Value, "%s happened once", e.Key)
		happened[string(e.Key)] = true
	}
	for _, key := range b.sure {
		// Outside Full mode what was acknowledged was visible, and may be lost.
		require.True(b, happened[string(key)] || b.mode != aedb.Full, "%s was acknowledged", key)
	}
	for _, key := range b.refused {
		require.False(b, happened[string(key)], "%s was refused", key)
	}
	require.LessOrEqual(b, len(happened), len(b.asked))
}

// total counts the money at one snapshot. It may fail the test from any goroutine.
func (b *bank) total(c aedb.Consistency) {
	total, n := uint64(0), 0
	for e, err := range b.app.KV().Prefix(b.Context(), []byte("account/"), aedb.At(c)) {
		if err != nil {
			if code := aedb.CodeOf(err); code != "seq_garbage_collected" && code != "unavailable" {
				b.Errorf("counting the money: %v", err)
			}
			return
		}
		held := binary.BigEndian.Uint64(e.Value)
		if held > accounts*opening {
			b.Errorf("%s has %d: an account below zero would be huge", e.Key, held)
		}
		total += held
		n++
	}
	if n != accounts || total != accounts*opening {
		b.Errorf("%d accounts have %d, not %d", n, total, accounts*opening)
	}
}
