package aedb

import (
	"context"
	"time"
)

// segmentWatch has the active log segment sealed when it comes of age, though nobody
// writes. The writer decides; the watch sends it a flush to decide on.
type segmentWatch struct {
	age time.Duration
	log agingLog
}

// agingLog is a pipeline as the watch sees it.
type agingLog interface {
	// SegmentAging tells when the active segment comes of age, if it holds commits.
	SegmentAging() (at time.Time, ok bool)
	Flush(ctx context.Context) (durable uint64, err error)
	// Held returns why there are no writes at present.
	Held() error
}

// look has a segment of age sealed and returns when to look again: when the active one
// comes of age, or else after a time in which none can.
func (w *segmentWatch) look(ctx context.Context) time.Duration {
	at, ok := w.log.SegmentAging()
	wait := time.Until(at)
	switch {
	case ok && wait > 0:
		return min(wait, w.age) // a clock that was set back must not postpone it for good
	case ok && w.log.Held() == nil: // a full disk has no room for another segment
		_, _ = w.log.Flush(ctx) // whoever is closed or has broken down has told so
	}
	return w.age
}

// run is the life of the watch's goroutine.
func (w *segmentWatch) run(ctx context.Context) error {
	timer := time.NewTimer(w.look(ctx))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			timer.Reset(w.look(ctx))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
