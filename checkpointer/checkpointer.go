package checkpointer

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
)

// retryDelay is the least time between two attempts that nobody asked for.
const retryDelay = 10 * time.Second

// Config is what a checkpointer works with.
type Config struct {
	FS    vfs.FS
	Dir   string
	Clock vfs.Clock
	// Kept is how many checkpoints are retained; below 1 stands for 1.
	Kept int
	// Bytes of log since the last checkpoint make one due; 0 switches that off.
	Bytes int64
	// Interval since the last checkpoint makes one due if there is anything new;
	// 0 switches that off.
	Interval time.Duration
	// Concurrency is how many goroutines may compress; below 1 stands for 1. Commits
	// that are made meanwhile have what it leaves of the processors.
	Concurrency int
	// Sealing says how checkpoints and manifests are protected.
	Sealing keys.Sealing
}

// Policy is the part of a Config that may change later.
type Policy struct {
	Kept     int
	Bytes    int64
	Interval time.Duration
}

// Checkpointer is the logic of the stage. Step, Wake and Take belong to one
// goroutine; Latest, Stats, Tune and the pins are for any.
type Checkpointer struct {
	cfg   Config
	tuned atomic.Pointer[Policy] // for the next step to take over; else nil

	manifest manifest.Manifest // in force
	sealed   []msgs.Segment    // on disk, ascending, without a gap
	active   uint64            // the segment after them
	// undecided is a checkpoint whose manifest could not be made durable and may be in
	// force all the same; else nil. It stays as it is: encrypted anew it would be
	// another file, and not what that manifest names.
	undecided *written

	bytes   int64     // of log since the last checkpoint
	last    time.Time // of the last checkpoint; zero before the first step
	asked   time.Time // of the attempt under way
	retryAt time.Time // before which no attempt is made unasked

	latest atomic.Pointer[state.Image]
	// written of total entries are in the checkpoint that is being taken; total is 0
	// while there is none.
	written, total atomic.Int64
	mu             sync.Mutex // guards what follows
	stats          Stats
	pins           []manifest.Pin // one of a name
}

// Stats are the figures of a checkpointer since it was made.
type Stats struct {
	// Seq is what the newest checkpoint shows, 0 if there is none.
	Seq uint64
	// At is when it was finished, or begun if it was there before; zero if there is
	// none.
	At time.Time
	// Bytes is the size of its file, Duration what writing it took.
	Bytes    int64
	Duration time.Duration
	// Taken and Failures count attempts.
	Taken, Failures uint64
	// Err is why the last attempt failed; nil if it did not.
	Err error
	// BytesSince is how much the log is known to have grown since.
	BytesSince int64
	// Written of Total entries are in the checkpoint that is being taken; both are 0
	// while there is none.
	Written, Total int64
	// Pins are the holds on the log, and PinnedBytes is how much log the last
	// checkpoint kept for them alone. PinsBroken counts those given up because that
	// had become too much.
	Pins        []manifest.Pin
	PinnedBytes int64
	PinsBroken  uint64
}

// Order is what a step decides.
type Order struct {
	// Take asks for a checkpoint of the image that is published now.
	Take bool
	// Replies are to be answered with the outcome.
	Replies []chan msgs.CheckpointReply
}

// New returns a checkpointer that goes on from a recovery: with the manifest in
// force, the sealed segments on disk in order, and the image of the newest
// checkpoint or nil.
func New(cfg Config, m manifest.Manifest, sealed []msgs.Segment, latest *state.Image) *Checkpointer {
	cfg.Kept = max(1, cfg.Kept)
	c := &Checkpointer{cfg: cfg, manifest: m, active: m.ActiveSegment, pins: slices.Clone(m.Pins)}
	c.latest.Store(latest)
	if n := len(m.Checkpoints); n > 0 {
		newest := &m.Checkpoints[n-1]
		c.stats.Seq, c.stats.Bytes = newest.Seq, newest.Size
		c.stats.At = time.UnixMicro(newest.CreatedMicros)
	}
	c.seal(sealed)
	// What a recovery had to replay is as good a reason for a checkpoint as what
	// is written from now on.
	for i := range c.sealed {
		if s := &c.sealed[i]; s.LastSeq > c.stats.Seq {
			c.bytes += s.Size
		}
	}
	c.stats.BytesSince = c.bytes
	return c
}

// Resume takes note that the active segment is one gone on with, of which so many
// bytes are not in the newest checkpoint. It is called before the first step.
func (c *Checkpointer) Resume(bytes int64) {
	c.bytes += bytes
	c.stats.BytesSince = c.bytes
}

// Tune makes another policy count from the next step on.
func (c *Checkpointer) Tune(p Policy) { c.tuned.Store(&p) }

// Step takes note of messages and decides whether a checkpoint is to be taken.
func (c *Checkpointer) Step(now time.Time, batch []*msgs.Progress) Order {
	if p := c.tuned.Swap(nil); p != nil {
		c.cfg.Kept, c.cfg.Bytes, c.cfg.Interval = max(1, p.Kept), p.Bytes, p.Interval
	}
	var o Order
	for _, p := range batch {
		c.bytes += p.Bytes
		c.seal(p.Sealed)
		if p.Reply != nil {
			o.Replies = append(o.Replies, p.Reply)
		}
	}
	if c.last.IsZero() {
		c.last = now
	}
	at, ok := c.Wake()
	o.Take = len(o.Replies) > 0 || ok && !now.Before(at)
	if o.Take {
		c.asked, c.retryAt = now, now.Add(retryDelay)
	}
	c.mu.Lock()
	c.stats.BytesSince = c.bytes
	c.mu.Unlock()
	return o
}

// Wake tells when a step is due though no message has come. Before the first
// step that is at once, for the interval begins with it.
func (c *Checkpointer) Wake() (at time.Time, ok bool) {
	switch {
	case c.cfg.Bytes > 0 && c.bytes >= c.cfg.Bytes:
	case c.cfg.Interval > 0 && c.last.IsZero():
	case c.cfg.Interval > 0:
		at = c.last.Add(c.cfg.Interval)
	default:
		return at, false
	}
	if at.Before(c.retryAt) {
		at = c.retryAt
	}
	return at, true
}

// Latest returns the image of the newest checkpoint, nil before the first.
func (c *Checkpointer) Latest() *state.Image { return c.latest.Load() }

// Stats returns the figures as they are now.
func (c *Checkpointer) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	if s.Total = c.total.Load(); s.Total > 0 {
		s.Written = min(c.written.Load(), s.Total)
	}
	s.Pins = slices.Clone(c.pins)
	return s
}

func (c *Checkpointer) seal(segments []msgs.Segment) {
	c.sealed = append(c.sealed, segments...)
	if n := len(c.sealed); n > 0 {
		c.active = max(c.active, c.sealed[n-1].Number+1)
	}
}
