package walwriter

import (
	"errors"
	"slices"
	"sync"
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

// Fsyncer decides when to sync. Its steps, and Wake, belong to the holder of the
// stage's turn; the other methods are for any goroutine.
//
// Several orders may be under way at once. They come to an end in the order in which
// they were given, whichever sync returns first: so what waits for them goes out in
// the order of the log, and a file is closed when nobody can be about to sync it.
type Fsyncer struct {
	policy Policy

	written  uint64 // last commit handed to the file
	pending  int64  // bytes written since the last order to sync
	deadline time.Time
	file     msgs.File

	mu       sync.Mutex    // guards the following, and is held while orders end
	underway []*Order      // in the order in which they were given
	usually  time.Duration // what a sync takes; see learn
	last     time.Time     // when the last sync has returned

	synced atomic.Uint64
}

// NewFsyncer returns a fsyncer for a log whose commits up to synced are on
// stable storage.
func NewFsyncer(policy Policy, synced uint64, file msgs.File) *Fsyncer {
	f := &Fsyncer{policy: policy, written: synced, file: file}
	f.synced.Store(synced)
	return f
}

// Synced returns the last commit on stable storage.
func (f *Fsyncer) Synced() uint64 { return f.synced.Load() }

// Order is what a step decides: Sync is synced, by Perform, and then the order is
// landed.
type Order struct {
	// Sync is the file to be synced, or nil.
	Sync msgs.File

	begun time.Time // when it was given
	// said and retired are what goes out, and what is closed, when the order ends.
	said    msgs.Publication
	retired []msgs.File
	landed  bool // guarded by Fsyncer.mu
}

// Durable returns the last commit that the sync of the order covers.
func (o *Order) Durable() uint64 { return o.said.Durable }

// Step takes note of what was written and decides whether to sync now. The batch
// is empty when the deadline of Wake has come. The epochs and the retired files of
// the batch are the order's from here on: nobody else answers or closes them.
func (f *Fsyncer) Step(now time.Time, batch []*msgs.Written) *Order {
	o, mustSync := &Order{begun: now}, false
	for _, w := range batch {
		if f.pending == 0 && w.Bytes > 0 {
			f.deadline = now.Add(f.policy.Interval)
		}
		f.written, f.pending, f.file = w.LastSeq, f.pending+w.Bytes, w.File
		mustSync = mustSync || w.MustSync
		o.said.Epochs = append(o.said.Epochs, w.Epochs...)
		o.said.Sealed = append(o.said.Sealed, w.Sealed...)
		if w.Retired != nil {
			o.retired = append(o.retired, w.Retired)
		}
		w.Epochs, w.Retired = nil, nil
	}
	if f.pending > 0 && (mustSync || f.due(now)) {
		f.sync(o)
	}
	f.depart(o)
	return o
}

// Last returns the order that leaves nothing unsynced, at the end of the stage.
func (f *Fsyncer) Last() *Order {
	o := &Order{}
	if f.pending > 0 {
		f.sync(o)
	}
	f.depart(o)
	return o
}

// sync has the order sync all that was written.
func (f *Fsyncer) sync(o *Order) {
	o.Sync, o.said.Durable, f.pending = f.file, f.written, 0
}

func (f *Fsyncer) depart(o *Order) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.underway = append(f.underway, o)
}

// Perform carries out the sync.
func (o *Order) Perform() error {
	if o.Sync != nil {
		if err := o.Sync.Sync(); err != nil {
			return errs.Wrap(errs.CodeIO, err, "sync the log")
		}
	}
	return nil
}

// Land takes note that an order has been performed. It ends the orders that can end
// now, if any: their files are closed, and what they have to say is delivered as one
// publication, unless that is nothing.
func (f *Fsyncer) Land(o *Order, now time.Time, deliver func(*msgs.Publication) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	o.landed = true
	if o.Sync != nil {
		f.learn(now.Sub(o.begun))
		f.last = now
	}
	n := 0
	for n < len(f.underway) && f.underway[n].landed {
		n++
	}
	if n == 0 {
		return nil
	}
	out := join(f.underway[:n])
	if out.Durable > 0 {
		f.synced.Store(out.Durable)
	}
	if err := closeRetired(f.underway[:n]); err != nil {
		return errs.Wrap(errs.CodeIO, err, "close a sealed segment")
	}
	if out.Durable > 0 || len(out.Epochs) > 0 || len(out.Sealed) > 0 {
		if err := deliver(out); err != nil {
			return err
		}
	}
	f.underway = slices.Delete(f.underway, 0, n)
	return nil
}

// join returns what some orders in a row have to say together.
func join(orders []*Order) *msgs.Publication {
	out := &orders[0].said
	for _, o := range orders[1:] {
		// The slices of an order are its own.
		out.Epochs = append(out.Epochs, o.said.Epochs...)
		out.Sealed = append(out.Sealed, o.said.Sealed...)
		out.Durable = max(out.Durable, o.said.Durable)
		o.said = msgs.Publication{}
	}
	return out
}

func closeRetired(orders []*Order) (err error) {
	for _, o := range orders {
		for _, file := range o.retired {
			err = errors.Join(err, file.Close())
		}
		o.retired = nil
	}
	return err
}

// Abandon ends what is under way when the store has broken down and nobody performs
// an order any more: it closes the files, and returns the epochs for the caller to
// answer.
func (f *Fsyncer) Abandon() (epochs []*msgs.Epoch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = closeRetired(f.underway) // nothing follows from an error
	for _, o := range f.underway {
		epochs = append(epochs, o.said.Epochs...)
	}
	f.underway = nil
	return epochs
}

// gathering is how long after a sync the next batch waits for callers who are on
// their way: a fraction of what a sync takes.
const gathering = 100 * time.Microsecond

// Gather tells whether a batch should wait for more requests before it is synced.
// usual is how many there have been at once lately.
//
// A sync takes as long for one request as for all. So callers who were just answered
// get the time to come back, for otherwise two parties form, each of which waits for
// the sync of the other.
func (f *Fsyncer) Gather(now time.Time, batch []*msgs.Written, usual int64) bool {
	n := int64(0)
	for _, w := range batch {
		for _, e := range w.Epochs {
			n += int64(len(e.Answers))
		}
	}
	if n == 0 || n >= usual-usual/8 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return now.Sub(f.last) < gathering
}

// slow is how many times the usual a sync takes that is slow.
const slow = 4

// Patience returns after which time a sync is slow: others keep the disk busy, and a
// second one does well to begin beside it.
func (f *Fsyncer) Patience() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slow * f.usually
}

// learn takes note of how long a sync took. Slow ones count little: they are what the
// usual time is to be told from.
func (f *Fsyncer) learn(took time.Duration) {
	switch {
	case f.usually == 0:
		f.usually = took
	case took < f.usually:
		f.usually -= (f.usually - took) / 4
	default:
		f.usually += (took - f.usually) / 16
	}
}

func (f *Fsyncer) due(now time.Time) bool {
	p := f.policy
	return p.Always || p.Bytes > 0 && f.pending >= p.Bytes || p.Interval > 0 && !now.Before(f.deadline)
}

// Wake returns when Step must be called though nothing was written.
func (f *Fsyncer) Wake() (at time.Time, ok bool) {
	return f.deadline, f.pending > 0 && f.policy.Interval > 0
}
