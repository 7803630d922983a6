package history

import (
	"context"
	"errors"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// heap returns the bytes of live and not yet swept objects.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// TestTenThousandCallersAtANarrowDoor floods a pipeline that has room for 64
// requests, some hundred of them by bytes. Every caller is answered or refused
// with queue_full, the counter counts exactly the successes, and memory follows
// the limits and not the flood.
func TestTenThousandCallersAtANarrowDoor(t *testing.T) {
	const room, roomBytes, payload = 64, 256 << 10, 2 << 10
	callers := scale(10_000)
	for name, policy := range map[string]aedb.OnFull{"wait": aedb.Wait, "fail fast": aedb.FailFast} {
		t.Run(name, func(t *testing.T) {
			db, app := openApp(t, vfs.NewMem(), func(c *aedb.Config) {
				c.Pipeline.SequencerQueue = room
				c.Pipeline.QueueBytes = roomBytes
				c.Limits.TransactionBytes = roomBytes
				c.Pipeline.OnFull = policy
				c.Reads.HistoryCommits, c.Reads.HistoryBytes = 64, 1<<20
			})
			ctx := t.Context()
			value := make([]byte, payload)
			runtime.GC()
			before := heap()
			var peak, succeeded, full atomic.Uint64
			start := make(chan struct{})
			var wg sync.WaitGroup
			for id := range callers {
				wg.Go(func() {
					<-start
					// Nothing that a caller brings outlives its request: all write the
					// same key.
					_, err := app.Commit(ctx, add(app, key("n"), 1), app.KvSet(key("last"), value))
					switch {
					case err == nil:
						succeeded.Add(1)
					case policy == aedb.FailFast && errors.Is(err, aedb.ErrQueueFull):
						full.Add(1)
					default:
						t.Error(err)
					}
					if id%64 == 0 {
						for now, high := heap(), peak.Load(); now > high && !peak.CompareAndSwap(high, now); {
							high = peak.Load()
						}
					}
				})
			}
			close(start)
			wg.Wait()
			require.EqualValues(t, callers, succeeded.Load()+full.Load())
			require.NotZero(t, succeeded.Load())
			require.Equal(t, succeeded.Load(), mustNumber(t, app.KV(), key("n")))

			m := db.OperationalMetrics()
			require.LessOrEqual(t, m.Stages[0].HighWater, room)
			require.Zero(t, m.QueuedBytes)
			require.Zero(t, m.QueueDepth)
			require.Equal(t, full.Load(), m.QueueFullRejections)
			if policy == aedb.Wait {
				require.NotZero(t, uint64(m.AdmissionBlockedOps)+m.Stages[0].BlockedSends)
			}
			runtime.GC()
			after := heap()
			t.Logf("%d succeeded, %d refused; heap %d KiB before, %d KiB at most, %d KiB after",
				succeeded.Load(), full.Load(), before>>10, peak.Load()>>10, after>>10)
			// The disk is in memory too. Besides it there is what each waiting caller
			// brought, and what the collector has not swept yet.
			disk := int64(m.WALAppendBytes)
			require.Less(t, int64(peak.Load())-int64(before), disk+128<<20)
			require.Less(t, int64(after)-int64(before), disk+16<<20)
		})
	}
}

// TestCallersWhoGiveUpAtTheDoorHaveNoEffect: while the log stands still, the
// door fills up; those who wait there may leave.
func TestCallersWhoGiveUpAtTheDoorHaveNoEffect(t *testing.T) {
	fsys := vfs.NewMem()
	db, app := openApp(t, fsys, func(c *aedb.Config) {
		c.Pipeline.SequencerQueue, c.Pipeline.ApplierQueue, c.Pipeline.WriterQueue = 1, 1, 1
		c.Pipeline.FsyncerQueue, c.Pipeline.PublisherQueue, c.Pipeline.EpochCommits = 1, 1, 1
	})
	const callers = 300
	held, letGo := holdSyncs(fsys)
	defer letGo()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	errs := make(chan error, callers)
	for range callers {
		go func() {
			_, err := app.Commit(ctx, add(app, key("n"), 1))
			errs <- err
		}()
	}
	<-held // one is beyond withdrawal, whoever ran first
	for stage(db, "sequencer").BlockedSends < callers/2 {
		runtime.Gosched()
	}
	leave()
	var open int
	for range callers {
		err := <-errs
		require.ErrorIs(t, err, context.Canceled)
		switch fateOf(err) {
		case unknown:
			open++
		case neverHappens:
			require.ErrorIs(t, err, aedb.ErrCanceled)
		default:
			t.Fatal(err)
		}
	}
	letGo()
	_, err := db.Flush(t.Context())
	require.NoError(t, err)
	n := mustNumber(t, app.KV(), key("n"))
	require.LessOrEqual(t, n, uint64(open), "those who were told that nothing happens must be right")
	require.NotZero(t, n, "some were beyond withdrawal")
}

// holdSyncs keeps every sync from ending until the function that it returns is
// called. Other calls on the file system wait with it. held is closed when the
// first sync has come.
func holdSyncs(fsys *vfs.Mem) (held <-chan struct{}, letGo func()) {
	var hold atomic.Bool
	hold.Store(true)
	release, arrived := make(chan struct{}), make(chan struct{})
	arrive := sync.OnceFunc(func() { close(arrived) })
	fsys.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpSync && hold.Load() {
			arrive()
			<-release
		}
		return vfs.Fault{}
	})
	return arrived, sync.OnceFunc(func() {
		hold.Store(false)
		close(release)
	})
}
