package walwriter

import (
	"sync/atomic"
	"time"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Policy says when the fsyncer syncs.
type Policy struct {
	// Always syncs whenever something was written.
	Always bool
	// Interval is the longest time that written bytes stay unsynced; 0 for no
	// limit.
	Interval time.Duration
	// Bytes is the amount of unsynced bytes that calls for a sync; 0 for no limit.
	Bytes int64
}

// Fsyncer decides when to sync. It belongs to one goroutine, but for Synced.
type Fsyncer struct {
	policy Policy

	written  uint64 // last commit handed to the file
	pending  int64  // bytes written since the last sync
	deadline time.Time
	file     msgs.File

	synced atomic.Uint64
}

// NewFsyncer returns a fsyncer for a log whose commits up to synced are on
// stable storage.
func NewFsyncer(policy Policy, synced uint64, file msgs.File) *Fsyncer {
	f := &Fsyncer{policy: policy, written: synced, file: file}
	f.synced.Store(synced)
	return f
}

// Synced returns the last commit on stable storage. Any goroutine may call it.
func (f *Fsyncer) Synced() uint64 { return f.synced.Load() }

// Order is what a step decides.
type Order struct {
	// Sync, if not nil, is synced first.
	Sync msgs.File
	// Retired files are closed, also if the sync fails.
	Retired []msgs.File
	// Publication is sent when that is done. It is nil if there is nothing to
	// say.
	Publication *msgs.Publication
}

// Step takes note of what was written and decides whether to sync now. The batch
// is empty when the deadline of Wake has come.
func (f *Fsyncer) Step(now time.Time, batch []*msgs.Written) Order {
	var out Order
	var pub msgs.Publication
	mustSync := false
	for _, w := range batch {
		if f.pending == 0 && w.Bytes > 0 {
			f.deadline = now.Add(f.policy.Interval)
		}
		f.written, f.pending, f.file = w.LastSeq, f.pending+w.Bytes, w.File
		mustSync = mustSync || w.MustSync
		pub.Epochs = append(pub.Epochs, w.Epochs...)
		pub.Sealed = append(pub.Sealed, w.Sealed...)
		if w.Retired != nil {
			// From here on the order closes it, whatever becomes of the message.
			out.Retired = append(out.Retired, w.Retired)
			w.Retired = nil
		}
	}
	if f.pending > 0 && (mustSync || f.due(now)) {
		out.Sync, pub.Durable = f.file, f.written
	}
	if pub.Durable > 0 || len(pub.Epochs) > 0 || len(pub.Sealed) > 0 {
		said := pub // so that nothing is allocated where nothing is said
		out.Publication = &said
	}
	return out
}

func (f *Fsyncer) due(now time.Time) bool {
	p := f.policy
	return p.Always || p.Bytes > 0 && f.pending >= p.Bytes || p.Interval > 0 && !now.Before(f.deadline)
}

// Done takes note that the sync of an order has succeeded.
func (f *Fsyncer) Done(o Order) {
	if o.Sync != nil {
		f.pending = 0
		f.synced.Store(o.Publication.Durable)
	}
}

// Wake returns when Step must be called though nothing was written.
func (f *Fsyncer) Wake() (at time.Time, ok bool) {
	return f.deadline, f.pending > 0 && f.policy.Interval > 0
}

// Last returns the order that leaves nothing unsynced, at the end of the stage.
func (f *Fsyncer) Last() Order {
	if f.pending == 0 {
		return Order{}
	}
	return Order{Sync: f.file, Publication: &msgs.Publication{Durable: f.written}}
}

// Perform carries out the part of an order that concerns files.
func (o Order) Perform() error {
	var err error
	if o.Sync != nil {
		if failed := o.Sync.Sync(); failed != nil {
			err = errs.Wrap(errs.CodeIO, failed, "sync the log")
		}
	}
	for _, f := range o.Retired {
		if failed := f.Close(); failed != nil && err == nil {
			err = errs.Wrap(errs.CodeIO, failed, "close a sealed segment")
		}
	}
	return err
}
