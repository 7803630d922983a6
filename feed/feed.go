package feed

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
)

// Feed gives out subscriptions to the commits of one store. It is safe for
// concurrent use.
type Feed struct {
	source    Source
	delivered atomic.Uint64
	missed    atomic.Uint64

	mu   sync.Mutex // guards subs
	subs map[*subscription]struct{}
}

// New returns a feed.
func New(s Source) *Feed {
	return &Feed{source: s, subs: map[*subscription]struct{}{}}
}

// Stats are the figures of a feed.
type Stats struct {
	// Subscribers are the subscriptions that are being consumed.
	Subscribers int
	// Delivered counts deltas handed out, Missed the commits that were passed over
	// because they were no longer retained, over all subscriptions there were.
	Delivered, Missed uint64
	// Lag is how many visible commits the slowest subscriber has not come to.
	Lag uint64
}

// Stats returns the figures as they are now.
func (f *Feed) Stats() Stats {
	visible := f.source.Visible()
	s := Stats{Delivered: f.delivered.Load(), Missed: f.missed.Load()}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Subscribers = len(f.subs)
	for sub := range f.subs {
		if at := sub.seq.Load(); at < visible {
			s.Lag = max(s.Lag, visible-at)
		}
	}
	return s
}

// Changes yields the commits above from, each once and in order, and waits for
// more. It ends with an error: that of the context, the source's when that has
// ended, seq_not_yet_visible for a start above the newest commit, or
// seq_garbage_collected, which names the oldest seq to go on from, for one that is
// no longer retained or when the consumer has fallen that far behind.
//
// It works on the consumer's goroutine. While it reads the log, about a MiB of it is
// in memory; else some commits that the store keeps or kept anyway. A consumer that
// keeps falling behind memory goes on in the log where a reading of it has ended
// before; the first time it reads a segment from its start.
func (f *Feed) Changes(ctx context.Context, from uint64, o Options) iter.Seq2[Delta, error] {
	return func(yield func(Delta, error) bool) {
		s := &subscription{
			feed: f, source: &f.source, options: o, yield: yield,
			decoder: decoder{only: o.Only, keysOnly: o.KeysOnly},
		}
		s.seq.Store(from)
		f.enter(s)
		defer f.leave(s)
		if err := s.run(ctx); !errors.Is(err, errStopped) {
			yield(Delta{}, err)
		}
	}
}

func (f *Feed) enter(s *subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subs[s] = struct{}{}
}

func (f *Feed) leave(s *subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.subs, s)
}
