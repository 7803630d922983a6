package aedb

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// diskWatch looks at the room on the disk now and then, and has writes refused while
// it is below a reserve. A commit pays one atomic load for it.
type diskWatch struct {
	fsys    vfs.FS
	dir     string
	reserve int64
	logger  Logger
	// hold has writes refused with an error, or nil.
	hold func(*errs.Error)

	free atomic.Int64 // as last seen; -1: not known
	low  bool         // the watch's own
}

// How far apart looks at the disk are: no further than a fast disk takes to fill up
// what is above the reserve.
const (
	fastDisk      = 1 << 30 // bytes a second
	minWatchDelay = 100 * time.Millisecond
	maxWatchDelay = 5 * time.Second
)

// look compares the room on the disk with the reserve and returns when to look
// again. A disk that cannot be asked refuses nothing.
func (w *diskWatch) look() time.Duration {
	free, err := w.fsys.Free(w.dir)
	if err != nil {
		free = -1
	}
	w.free.Store(free)
	low := err == nil && free < w.reserve
	switch {
	case low:
		w.hold(&errs.Error{
			Code: errs.CodeResourceExhausted, Object: w.dir, Limit: "DiskReserve", Value: free, Max: w.reserve,
			Message: fmt.Sprintf("the disk has %d bytes left, below the reserve of %d; the request has no effect", free, w.reserve),
		})
	case w.low:
		w.hold(nil)
	}
	if low != w.low {
		w.low = low
		w.logger.Warn("disk space", "dir", w.dir, "free", free, "reserve", w.reserve, "writes_refused", low)
	}
	if err != nil {
		return maxWatchDelay
	}
	headroom := max(0, free-w.reserve)
	return min(max(time.Duration(headroom/fastDisk)*time.Second, minWatchDelay), maxWatchDelay)
}

// run is the life of the watch's goroutine.
func (w *diskWatch) run(ctx context.Context) error {
	timer := time.NewTimer(w.look())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			timer.Reset(w.look())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
