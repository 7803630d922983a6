package locks

import (
	"context"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/empyrealapp/aedb-go/errs"
)

// Limits bounds what a manager will hold. A field that is not positive takes its
// default.
type Limits struct {
	// Locks is how many locks may be held and waited for at once, all guards
	// together; a shared lock counts once for each guard. Default 1,048,576.
	Locks int
	// WaitersPerKey is how many guards may wait for one key. Default 4,096.
	WaitersPerKey int
	// Wait is how long a request without a deadline of its own waits. Default
	// 30 seconds.
	Wait time.Duration
}

func (l Limits) withDefaults() Limits {
	if l.Locks <= 0 {
		l.Locks = 1 << 20
	}
	if l.WaitersPerKey <= 0 {
		l.WaitersPerKey = 1 << 12
	}
	if l.Wait <= 0 {
		l.Wait = 30 * time.Second
	}
	return l
}

// shardCount is a power of two, large enough that a few dozen cores seldom meet
// in one shard, small enough that summing up the figures stays cheap.
const shardCount = 64

// Manager owns the locks of one store. All its methods are safe for concurrent
// use.
type Manager struct {
	limits Limits
	seed   maphash.Seed
	shards [shardCount]shard

	tokens   atomic.Uint64 // the last token granted
	owners   atomic.Uint64 // the last number given to a guard
	reserved atomic.Int64  // locks held and waited for

	waited, timeouts, canceled, refused atomic.Uint64
	waitNanos                           atomic.Int64
}

// New returns a manager. All its tokens are greater than floor: an embedder whose
// tokens are remembered elsewhere passes a floor that rises from opening to
// opening, such as the number of the opening in the upper bits. A floor of zero
// starts at token one.
func New(limits Limits, floor Token) *Manager {
	m := &Manager{limits: limits.withDefaults(), seed: maphash.MakeSeed()}
	m.tokens.Store(uint64(floor))
	for i := range m.shards {
		m.shards[i].manager = m
		m.shards[i].objects = make(map[Key]*object)
	}
	return m
}

// Guard returns a guard that holds nothing. It is released when ctx ends, if not
// before; with a context that never ends, only Release gives its locks back.
func (m *Manager) Guard(ctx context.Context) *Guard {
	g := &Guard{manager: m, owner: m.owners.Add(1)}
	if ctx.Done() == nil {
		return g
	}
	if ctx.Err() != nil {
		g.ended = errs.FromContext(ctx, "the context of the guard has ended")
		return g
	}
	g.detach = context.AfterFunc(ctx, func() {
		g.end(errs.FromContext(ctx, "the context of the guard has ended, and its locks are released"))
	})
	return g
}

// IsLocked reports whether any guard holds the key.
func (m *Manager) IsLocked(key Key) bool {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key] != nil
}

// Close ends every wait, and refuses every later request, with code unavailable.
// What is held stays held, as the sections it protects may still run, until its
// guard is released. Closing twice is harmless.
func (m *Manager) Close() {
	for i := range m.shards {
		m.shards[i].close()
	}
}

// Stats is what a manager counts. Figures of different shards are read one after
// the other, so they need not be of one moment.
type Stats struct {
	// Keys is how many keys are held, Held how many locks on them: a key that is
	// shared counts once for each guard. Waiting is how many requests wait.
	Keys, Held, Waiting int

	// Acquired counts fresh grants, upgrades included, since the manager was made.
	Acquired uint64
	// Waited counts the waits that have ended, in whatever way, and WaitTime is
	// their time in total.
	Waited   uint64
	WaitTime time.Duration
	// Timeouts and Canceled count the waits that ended in these codes.
	Timeouts, Canceled uint64
	// Refused counts requests refused by a limit.
	Refused uint64
}

// Stats returns the figures. It takes the mutex of each shard for a moment.
func (m *Manager) Stats() Stats {
	stats := Stats{
		Waited:   m.waited.Load(),
		WaitTime: time.Duration(m.waitNanos.Load()),
		Timeouts: m.timeouts.Load(),
		Canceled: m.canceled.Load(),
		Refused:  m.refused.Load(),
	}
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		stats.Keys += len(s.objects)
		stats.Held += s.held
		stats.Waiting += s.waiting
		stats.Acquired += s.granted
		s.mu.Unlock()
	}
	return stats
}

func (m *Manager) shard(key Key) *shard {
	return &m.shards[maphash.Comparable(m.seed, key)%shardCount]
}

// nextToken is called under the mutex of the key's shard, so the tokens of a key
// rise in the order of its grants.
func (m *Manager) nextToken() Token { return Token(m.tokens.Add(1)) }

// reserve makes room for one more lock. The room is kept from the request to the
// release, so a waiter whose turn comes always has it.
func (m *Manager) reserve() bool {
	if m.reserved.Add(1) > int64(m.limits.Locks) {
		m.reserved.Add(-1)
		return false
	}
	return true
}

func (m *Manager) unreserve() { m.reserved.Add(-1) }

// bounded returns ctx with the manager's limit on waits, if it has no deadline.
func (m *Manager) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, m.limits.Wait)
}

// await waits until w is settled or ctx has ended, and returns what came of it:
// the token, or the error that ended the wait. A grant that meets the end of the
// context wins.
func (m *Manager) await(ctx context.Context, w *waiter) (Token, error) {
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	start := time.Now()
	select {
	case <-w.settled:
	case <-ctx.Done():
	}
	token, state := w.object.shard.withdraw(w)
	m.waited.Add(1)
	m.waitNanos.Add(int64(time.Since(start)))
	switch state {
	case granted:
		return token, nil
	case refused:
		return 0, errClosed
	}
	if ctx.Err() == nil {
		m.canceled.Add(1)
		return 0, errReleased // its guard's end has settled it
	}
	key := w.object.key.String()
	err := errs.FromContext(ctx, "waiting for the "+w.mode.String()+" lock of "+key)
	if err.Code == errs.CodeTimeout {
		m.timeouts.Add(1)
	} else {
		m.canceled.Add(1)
	}
	return 0, err.On(key)
}

// Refusals that name no key.
var (
	errClosed   = errs.New(errs.CodeUnavailable, "the lock manager is closed")
	errReleased = errs.New(errs.CodeCanceled, "the guard was released")
)

func (m *Manager) tooManyWaiters(key Key) error {
	m.refused.Add(1)
	return m.overLimit(errs.CodeQueueFull, key, "WaitersPerKey", m.limits.WaitersPerKey)
}

func (m *Manager) tooManyLocks(key Key) error {
	m.refused.Add(1)
	return m.overLimit(errs.CodeResourceExhausted, key, "Locks", m.limits.Locks)
}

func (m *Manager) overLimit(code errs.Code, key Key, limit string, allowed int) error {
	err := errs.New(code, "no lock of %s: the limit %s of %d is reached", key, limit, allowed)
	err.Object, err.Limit = key.String(), limit
	err.Value, err.Max = int64(allowed)+1, int64(allowed)
	return err
}

func (m *Manager) sharedByOthers(key Key, holders int) error {
	return errs.New(errs.CodeConflict,
		"the lock of %s cannot become exclusive: %d guards share it", key, holders).On(key.String())
}
