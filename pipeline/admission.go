package pipeline

import (
	"context"
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

	used         atomic.Int64
	blocked      atomic.Uint64
	blockedNanos atomic.Int64
}

func newAdmission(limit int64, failFast bool) *admission {
	return &admission{bytes: semaphore.NewWeighted(limit), limit: limit, failFast: failFast}
}

// enter takes a share, waiting for it or failing at once as configured.
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
	return nil
}

// errQueueFull answers a request that is not waiting for room.
var errQueueFull = errs.New(errs.CodeQueueFull, "the commit queue is full; the request has no effect")

// leave gives a share back.
func (a *admission) leave(size int64) {
	a.used.Add(-size)
	a.bytes.Release(size)
}
