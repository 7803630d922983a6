package pipeline

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/empyrealapp/aedb-go/errs"
)

// admission bounds the bytes of requests on their way. A request's share is
// given back when its ticket is answered.
type admission struct {
	bytes    *semaphore.Weighted
	limit    int64
	failFast bool

	held         atomic.Pointer[errs.Error] // what requests are refused with; see Pipeline.Hold
	used         atomic.Int64
	underway     atomic.Int64 // requests admitted and not yet answered
	usual        atomic.Int64 // as many as there have been lately; see expectsMore
	blocked      atomic.Uint64
	blockedNanos atomic.Int64
}

func newAdmission(limit int64, failFast bool) *admission {
	return &admission{bytes: semaphore.NewWeighted(limit), limit: limit, failFast: failFast}
}

// enter takes a share for a request, waiting for it or failing at once as
// configured.
func (a *admission) enter(ctx context.Context, size int64) error {
	if size > a.limit { // would wait for ever
		full := errs.Exceeded("request bytes", "max_commit_queue_bytes", size, a.limit)
		full.Code = errs.CodeQueueFull
		return full
	}
	if !a.bytes.TryAcquire(size) {
		if a.failFast {
			return errQueueFull
		}
		a.blocked.Add(1)
		start := time.Now()
		err := a.bytes.Acquire(ctx, size)
		a.blockedNanos.Add(int64(time.Since(start)))
		if err != nil {
			return errs.FromContext(ctx, waitingForRoom)
		}
	}
	a.used.Add(size)
	if n := a.underway.Add(1); n > a.usual.Load() {
		a.usual.Store(n) // of several at once any will do
	}
	return nil
}

// errQueueFull answers a request that is not waiting for room.
var errQueueFull = errs.New(errs.CodeQueueFull, "the commit queue is full; the request has no effect")

// Leave gives the share of one request back; it implements msgs.Share.
func (a *admission) Leave(size int64) {
	a.underway.Add(-1)
	a.used.Add(-size)
	a.bytes.Release(size)
}

// expectsMore tells whether a good part of the callers that were here lately are
// not here now. They have had their answers, and the next requests of those who
// only wait for a processor can still join the batch that is about to be formed.
func (a *admission) expectsMore() bool {
	usual := a.usual.Load()
	return usual > 1 && a.underway.Load() <= usual*3/4
}

// settle lets the memory of busier times fade, a little with every batch.
func (a *admission) settle() {
	if usual := a.usual.Load(); usual > 1 && a.underway.Load() < usual {
		a.usual.Store(usual - (usual+7)/8)
	}
}

// alone tells a caller that was just admitted whether its request is the only one
// underway, and likely to stay so for the moment.
func (a *admission) alone() bool {
	if a.underway.Load() > 1 {
		return false
	}
	if a.expectsMore() {
		runtime.Gosched()
	}
	return a.underway.Load() == 1
}
