package feed

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// pageCommits is how many commits are taken from memory at a time.
const pageCommits = 128

// errStopped says that the consumer wants no more.
var errStopped = errors.New("the consumer has stopped")

// subscription is one consumer's way through the commits.
type subscription struct {
	feed    *Feed
	source  *Source
	options Options
	yield   func(Delta, error) bool
	decoder decoder
	// seq is the last commit that the consumer has been told of, or need not be.
	seq atomic.Uint64
	// catalog is the schema after that commit; nil if it is not known.
	catalog *catalog.Catalog
}

// run delivers commits until something ends it; the result is never nil.
func (s *subscription) run(ctx context.Context) error {
	if seq, visible := s.seq.Load(), s.source.Visible(); seq > visible {
		return errs.New(errs.CodeSeqNotYetVisible, "the feed cannot begin behind commit %d; %d is the newest", seq, visible)
	}
	for {
		visible := s.source.Visible()
		if s.seq.Load() == visible {
			if err := s.wait(ctx, visible); err != nil {
				return err
			}
			continue
		}
		if err := s.advance(ctx, visible); err != nil {
			return err
		}
	}
}

// wait waits until there is something above the newest commit seen.
func (s *subscription) wait(ctx context.Context, seen uint64) error {
	moved := s.source.Moved()
	if s.source.Visible() > seen {
		return nil
	}
	select {
	case <-moved:
		return nil
	case <-ctx.Done():
		return errs.FromContext(ctx, "waiting for changes")
	case <-s.source.Closed:
	case <-s.source.Broken:
	}
	if s.source.Visible() > seen {
		return nil
	}
	return s.source.Err()
}

// advance delivers some of the commits up to visible.
func (s *subscription) advance(ctx context.Context, visible uint64) error {
	sets, err := s.source.Recent.After(s.seq.Load(), pageCommits)
	if errs.CodeOf(err) == errs.CodeSeqGarbageCollected {
		return s.readLog(ctx)
	}
	if err != nil {
		return err
	}
	for i := range sets {
		if sets[i].Seq > visible {
			break
		}
		delta, err := s.decoder.recent(&sets[i])
		if err != nil {
			return err
		}
		if err := s.deliver(ctx, delta); err != nil {
			return err
		}
		s.catalog = sets[i].Catalog
	}
	return nil
}

// readLog delivers the commits below those in memory from the log, or passes over
// what is no longer there.
func (s *subscription) readLog(ctx context.Context) error {
	err := s.replay(ctx)
	if errs.CodeOf(err) == errs.CodeSeqGarbageCollected {
		return s.skip(ctx, err)
	}
	return err
}

// forgotten returns the last visible commit that memory has let go of. Memory may
// be ahead of what is visible.
func (s *subscription) forgotten() uint64 {
	return min(s.source.Recent.Oldest(), s.source.Visible())
}

func (s *subscription) replay(ctx context.Context) error {
	after := s.seq.Load()
	if s.catalog == nil {
		var err error
		if after, s.catalog, err = s.source.Log.Base(after); err != nil {
			return err
		}
	}
	last := s.forgotten()
	if err := s.source.Written(ctx, last); err != nil {
		return err
	}
	return s.source.Log.Read(after, last, func(set *msgs.Changeset) error {
		select {
		case <-s.source.Closed:
			return s.source.Err()
		default:
		}
		if set.Seq <= s.seq.Load() {
			next, err := catalogAfter(s.catalog, set)
			s.catalog = next
			return err
		}
		if set.Seq > last {
			// Memory moves on meanwhile, and what has been read need not be read again.
			if last = s.forgotten(); set.Seq > last {
				return ErrEnough
			}
		}
		delta, next, err := s.decoder.logged(set, s.catalog)
		if err != nil {
			return err
		}
		s.catalog = next
		return s.deliver(ctx, delta)
	})
}

// skip goes on with the oldest commit there is, if that is wanted.
func (s *subscription) skip(ctx context.Context, cause error) error {
	oldest := s.forgotten()
	logged, ok, err := s.source.Log.Oldest()
	if err != nil {
		return err
	}
	if ok {
		oldest = min(oldest, logged)
	}
	seq := s.seq.Load()
	if !s.options.SkipMissed || oldest <= seq {
		return errs.Wrap(errs.CodeSeqGarbageCollected, cause, "commit %d is no longer retained; the oldest seq to go on from is %d", seq+1, oldest)
	}
	s.catalog = nil
	s.feed.missed.Add(oldest - seq)
	return s.deliver(ctx, Delta{Seq: oldest, Missed: oldest - seq})
}

// deliver hands a delta to the consumer, if there is anything in it for it.
func (s *subscription) deliver(ctx context.Context, d Delta) error {
	if ctx.Err() != nil {
		return errs.FromContext(ctx, "reading changes")
	}
	if len(d.Changes) > 0 || d.Missed > 0 || d.Volatile && !d.BeforeKnown || s.options.AllCommits {
		s.feed.delivered.Add(1)
		if !s.yield(d, nil) {
			return errStopped
		}
	}
	s.seq.Store(d.Seq)
	return nil
}
