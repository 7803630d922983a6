package follower

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/empyrealapp/aedb-go/actors"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/state"
)

// Options say what to follow and how.
type Options struct {
	// Store is the store. In Strict mode damage is an error of Open; in Permissive
	// mode what is in front of it is shown.
	Store recovery.Options
	// Interval is the time between two looks at the log; 0 leaves it at those that
	// Refresh asks for.
	Interval time.Duration
}

// Shown is what a follower shows at one moment. It does not change.
type Shown struct {
	// Image is the state after the last commit that was found in the log.
	Image *state.Image
	// DurableSeq is the last of these commits that is known to be on stable storage,
	// and Durable an image of that or an earlier one.
	DurableSeq uint64
	Durable    *state.Image
	// Checkpoint is the state of the checkpoint that the replay began with; nil if
	// there was none.
	Checkpoint *state.Image
	// Incarnation is the identity of the store.
	Incarnation manifest.Incarnation
	// Looked is when the log was last read to its end, Progress when that last found
	// a commit.
	Looked, Progress time.Time
	// Loads counts how often a checkpoint was loaded: once by Open, and each time
	// that the log could not be read on from where it was.
	Loads uint64
	// Err says why the follower is stuck, nil if it is not.
	Err error
}

// Follower follows one store. All methods are safe for concurrent use.
type Follower struct {
	options Options
	system  *actors.System
	shown   atomic.Pointer[Shown]

	// turn has room for the one who works on the fields below.
	turn    chan struct{}
	replica *replica // nil: to be loaded anew
	waits   int      // looks to be left out before the next try
	pause   int      // how many were left out last time

	ended chan struct{} // closed by Close
	end   func()        // closes it, once

	mu    sync.Mutex    // guards moved
	moved chan struct{} // closed when something else is shown
}

// maxPause is the greatest number of looks that are left out after a failure.
const maxPause = 64

// maxLoads bounds how often one look begins again because the store has moved on.
const maxLoads = 8

// Open loads a store and begins to follow it. Its errors are those of
// recovery.Look, and recovery_integrity, with a *Damage, for a damaged log.
func Open(ctx context.Context, o Options) (*Follower, error) {
	f := &Follower{options: o, turn: make(chan struct{}, 1), moved: make(chan struct{}), ended: make(chan struct{})}
	f.end = sync.OnceFunc(func() { close(f.ended) })
	f.shown.Store(&Shown{})
	if err := f.load(ctx); err != nil && f.Shown().Image == nil {
		return nil, err
	}
	var workers []actors.Actor
	if o.Interval > 0 {
		workers = append(workers, &actors.Worker{Name: "follower", Run: f.run})
	}
	var err error
	f.system, err = actors.Start(f.broken, workers...)
	return f, err
}

// Shown returns what is shown now.
func (f *Follower) Shown() *Shown { return f.shown.Load() }

// Close ends the following, and all waits. What was shown last stays.
func (f *Follower) Close() {
	f.end()
	// It cannot fail: the context does not end, and a follower that is broken has
	// said so.
	_ = f.system.Stop(context.Background())
	f.turn <- struct{}{}
	defer f.pass()
	f.replica = nil
}

// run looks at the log now and then. It is the life of the follower's goroutine.
func (f *Follower) run(ctx context.Context) error {
	ticker := time.NewTicker(f.options.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := f.tick(ctx); err != nil {
			return err
		}
	}
}

// tick is one look of the follower's own. What it comes to is shown.
func (f *Follower) tick(ctx context.Context) error {
	if err := f.take(ctx); err != nil {
		return err
	}
	defer f.pass()
	if f.waits > 0 {
		f.waits--
		return nil
	}
	_ = f.look(ctx)
	return nil
}

// broken tells of a panic, which ends the following.
func (f *Follower) broken(cause error) {
	f.show(func(s *Shown) { s.Err = errs.Wrap(errs.CodeInternal, cause, "the follower has broken down") })
}

// take waits for the turn.
func (f *Follower) take(ctx context.Context) error {
	select {
	case f.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errs.FromContext(ctx, "waiting to read the log")
	}
}

// pass ends the turn.
func (f *Follower) pass() { <-f.turn }

// Refresh reads the log to its present end and returns the last commit shown, also
// with an error, which tells why it got no further.
func (f *Follower) Refresh(ctx context.Context) (uint64, error) {
	if err := f.take(ctx); err != nil {
		return f.Shown().Image.Seq(), err
	}
	defer f.pass()
	err := f.look(ctx)
	return f.Shown().Image.Seq(), err
}

// Wait waits until a commit is shown. Without an Interval it looks once, and fails
// with seq_not_yet_visible. A follower that is stuck fails with the reason.
func (f *Follower) Wait(ctx context.Context, seq uint64) error {
	if f.Shown().Image.Seq() >= seq {
		return nil
	}
	if at, err := f.Refresh(ctx); err != nil || at >= seq {
		return err
	}
	for {
		moved := f.Moved()
		s := f.Shown()
		switch {
		case s.Image.Seq() >= seq:
			return nil
		case s.Err != nil:
			return s.Err
		case f.options.Interval == 0:
			return errs.New(errs.CodeSeqNotYetVisible, "the log ends at commit %d, below %d", s.Image.Seq(), seq)
		}
		select {
		case <-moved:
		case <-f.ended:
			return f.errClosed()
		case <-ctx.Done():
			return errs.FromContext(ctx, "waiting for a commit")
		}
	}
}

// Moved returns a channel that is closed when something else is shown than before
// the call.
func (f *Follower) Moved() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.moved
}

// show changes what is shown.
func (f *Follower) show(change func(*Shown)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.shown.Load()
	next := *before
	change(&next)
	f.shown.Store(&next)
	if next.Image != before.Image || (next.Err != nil) != (before.Err != nil) {
		close(f.moved)
		f.moved = make(chan struct{})
	}
}

func (f *Follower) errClosed() error {
	return errs.New(errs.CodeUnavailable, "the reader of %s is closed", f.options.Store.Dir)
}

// look reads on, or begins anew where that cannot be done. It needs the turn.
func (f *Follower) look(ctx context.Context) error {
	select {
	case <-f.ended:
		return f.errClosed()
	default:
	}
	if f.replica == nil {
		return f.load(ctx)
	}
	err := f.replica.follow(ctx)
	if err == nil {
		err = f.publish(f.replica, nil)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	if !f.replica.spoiled {
		_ = f.publish(f.replica, nil) // what is in front of the trouble; load finds it again
	}
	f.replica = nil
	return f.load(ctx)
}

// load makes a new replica from the newest checkpoint. A failure counts only if the
// manifest is still the one that it began with: else a file may have been removed in
// an orderly way.
func (f *Follower) load(ctx context.Context) error {
	o := &f.options.Store
	for n := 1; ; n++ {
		before, _ := manifest.Newest(o.FS, o.Dir)
		err := f.attempt(ctx)
		if err == nil {
			f.pause = 0
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		if after, listErr := manifest.Newest(o.FS, o.Dir); listErr != nil || after == before || n == maxLoads {
			f.pause = min(max(1, 2*f.pause), maxPause)
			f.waits = f.pause
			f.show(func(s *Shown) { s.Err = err })
			return err
		}
	}
}

func (f *Follower) attempt(ctx context.Context) error {
	r, err := loadReplica(ctx, f.options.Store)
	if err != nil {
		return err
	}
	if s := f.Shown(); s.Image != nil && r.incarnation != s.Incarnation {
		return errs.New(errs.CodeUnavailable, "the store in %s is another one now, %s instead of %s; open it again",
			f.options.Store.Dir, r.incarnation, s.Incarnation).On(f.options.Store.Dir)
	}
	err = r.follow(ctx)
	if err == nil {
		err = r.arrived()
	}
	if err != nil && (f.options.Store.Mode == recovery.Strict || ctx.Err() != nil) {
		return err
	}
	f.replica = r
	if err != nil {
		f.replica = nil // its log is not to be read on
	}
	f.show(func(s *Shown) { s.Loads++ })
	return f.publish(r, err)
}

// publish shows the state of a replica, and the damage that it stands in front of.
func (f *Follower) publish(r *replica, damage error) error {
	if err := r.freeze(); err != nil {
		return err
	}
	now := f.options.Store.Clock.Now()
	f.show(func(s *Shown) {
		if s.Image == nil || s.Image.Seq() != r.image.Seq() {
			s.Progress = now
		}
		s.Image, s.Checkpoint, s.Incarnation = r.image, r.checkpoint, r.incarnation
		s.DurableSeq, s.Durable = min(r.durable, r.image.Seq()), r.durableImage
		s.Looked, s.Err = now, damage
	})
	return damage
}
