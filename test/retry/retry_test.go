// Package retry sends requests again and again under their idempotency keys, while
// the disk loses power at random operations. Each key has one effect in the end, and
// every answer given after a durable one names the same commit.
//
// AEDB_LONG=1 sends more, AEDB_SEED changes the random choices.
package retry

import (
	"context"
	"encoding/binary"
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

const callers = 8

// promise is what the callers of one request were told.
type promise struct {
	mu sync.Mutex
	// durable is the commit of the first answer that was durable; 0 if none was.
	durable uint64
}

func TestARequestRepeatedAcrossCrashesHasOneEffect(t *testing.T) {
	seed, requests, lives := uint64(1), 1000, 25
	switch {
	case os.Getenv("AEDB_LONG") != "":
		requests, lives = 20_000, 500
	case testing.Short():
		requests, lives = 200, 5
	}
	if s := os.Getenv("AEDB_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		seed = n
	}
	t.Logf("AEDB_SEED=%d", seed)
	for _, mode := range []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered} {
		t.Run(mode.String(), func(t *testing.T) { repeat(t, seed, mode, requests, lives) })
	}
}

func repeat(t *testing.T, seed uint64, mode aedb.Durability, requests, lives int) {
	rnd := rand.New(rand.NewPCG(seed, uint64(mode)))
	disk := vfs.NewMem()
	promises := make([]promise, requests)
	var sent, duplicates, unanswered, deaths atomic.Int64
	fresh := requests / lives // that each life begins with
	for life := range lives {
		last := life == lives-1
		db := open(t, disk, mode)
		if life == 0 {
			_, err := db.NoAuth().CreateProject(t.Context(), "shop")
			require.NoError(t, err)
			_, err = db.Flush(t.Context())
			require.NoError(t, err)
		}
		// The power goes at a random operation, in the middle of what is going on.
		var fuse atomic.Int64
		var dead atomic.Bool
		fuse.Store(2 + rnd.Int64N(int64(fresh)))
		if !last {
			disk.SetInjector(func(vfs.Op) vfs.Fault {
				if fuse.Add(-1) >= 0 {
					return vfs.Fault{}
				}
				dead.Store(true)
				return vfs.Fault{CrashNow: true}
			})
		}
		var wg sync.WaitGroup
		for caller := range callers {
			own := rand.New(rand.NewPCG(rnd.Uint64(), uint64(caller)))
			wg.Go(func() {
				for n := range 2 * requests {
					i := fresh*life + own.IntN(fresh)
					switch {
					case last:
						i = (n + caller) % requests // everything, in the end
					case n > 8*fresh:
						return // what is left only repeats
					case own.IntN(3) == 0:
						i = own.IntN(fresh * (life + 1))
					}
					finality := aedb.Finality(own.IntN(2))
					if last {
						finality = aedb.Durable
					}
					sent.Add(1)
					result, err := send(t.Context(), db, i, finality)
					if err != nil {
						unanswered.Add(1)
						if dead.Load() {
							return
						}
						t.Errorf("request %d on a disk that works: %v", i, err)
						return
					}
					if result.Outcome == aedb.Duplicate {
						duplicates.Add(1)
					}
					promises[i].note(t, i, result)
				}
			})
		}
		wg.Wait()
		if last {
			audit(t, db, requests)
			require.NoError(t, db.Close(t.Context()))
			continue
		}
		if dead.Load() {
			deaths.Add(1)
		}
		old := disk
		disk = old.Crash(vfs.RandomBlocks(rnd.Uint64(), 50))
		_ = db.Close(context.Background())
		require.False(t, t.Failed())
	}
	t.Logf("%d sent for %d requests: %d duplicates, %d without an answer; %d of %d lives ended in the middle",
		sent.Load(), requests, duplicates.Load(), unanswered.Load(), deaths.Load(), lives-1)
	require.Positive(t, duplicates.Load())
	require.Greater(t, deaths.Load(), int64(lives/3), "power has to be lost while requests are on their way")
}

func open(t *testing.T, disk *vfs.Mem, mode aedb.Durability) *aedb.DB {
	cfg := aedb.DefaultConfig()
	cfg.FS, cfg.Logger, cfg.Durability = disk, aedb.Zerolog(zerolog.Nop()), mode
	cfg.SegmentBytes, cfg.BatchInterval = 16<<10, time.Millisecond
	db, err := aedb.OpenNoAuth("store", cfg)
	require.NoError(t, err)
	return db
}

func effect(i int) []byte { return fmt.Appendf(nil, "order/%05d", i) }

// send sends request i, which adds one to a key of its own.
func send(ctx context.Context, db *aedb.DB, i int, finality aedb.Finality) (aedb.Result, error) {
	app := db.NoAuth().Scope("shop", "app")
	key := aedb.IdempotencyKey{1}
	binary.BigEndian.PutUint64(key[8:], uint64(i))
	return app.CommitOnce(ctx, key, aedb.Envelope{Mutations: []aedb.Mutation{
		app.KvAddU64(effect(i), 1, aedb.TreatAsZero, aedb.RejectLimit),
	}}, finality)
}

// note holds an answer to what was promised.
func (p *promise) note(t *testing.T, i int, r aedb.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.durable != 0 && r.CommitSeq != p.durable {
		t.Errorf("request %d is commit %d, and was durable as commit %d", i, r.CommitSeq, p.durable)
	}
	if p.durable == 0 && r.DurableSeq >= r.CommitSeq {
		p.durable = r.CommitSeq
	}
}

func audit(t *testing.T, db *aedb.DB, requests int) {
	n := 0
	for e, err := range db.NoAuth().Scope("shop", "app").KV().Prefix(t.Context(), []byte("order/")) {
		require.NoError(t, err)
		require.EqualValues(t, 1, binary.BigEndian.Uint64(e.Value), "%s", e.Key)
		n++
	}
	require.Equal(t, requests, n)
}
