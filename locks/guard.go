package locks

import (
	"context"
	"slices"
	"sync"

	"github.com/empyrealapp/aedb-go/errs"
)

// Guard is the set of locks of one logical transaction. A key is in it once:
// there is no counting of holds. It belongs to one goroutine, but for Release,
// which any may call, also while another waits for a lock of the guard.
//
// Its methods that take locks fail with
//
//   - timeout or canceled, when a context has ended: the call's, or the guard's;
//   - canceled, when the guard was released;
//   - unavailable, when the manager was closed;
//   - queue_full or resource_exhausted, when a limit was reached;
//   - conflict, when a shared lock cannot become exclusive;
//   - validation, when the mode is none, or the guard already waits.
type Guard struct {
	manager *Manager
	owner   uint64
	detach  func() bool // takes the guard off its context; nil if there is nothing to take off

	// The mutex is taken before that of a shard, and not held during a wait.
	mu    sync.Mutex
	held  []hold      // sorted by key
	wait  *waiter     // what the guard waits for, or nil
	ended *errs.Error // why the guard takes no more locks, or nil
}

type hold struct {
	object *object
	mode   Mode
	token  Token
}

func (h hold) release() { h.object.shard.release(h.object) }

// Owner returns the number of the guard. No two guards of a manager share one.
func (g *Guard) Owner() uint64 { return g.owner }

// Lock takes the lock of a key, waiting in turn for it, and returns its fencing
// token. It waits no longer than until the deadline of ctx, or for Limits.Wait if
// there is none. A context that has ended takes no lock.
//
// A key that the guard holds already is not taken again: the token is that of its
// grant. If it is held Shared and asked for Exclusive, it is upgraded, with a
// fresh token, if no other guard shares it. Otherwise Lock fails at once with
// code conflict and the shared lock stays: two guards that waited to upgrade
// would wait for each other.
func (g *Guard) Lock(ctx context.Context, key Key, mode Mode) (Token, error) {
	if ctx.Err() != nil {
		return 0, errs.FromContext(ctx, "before asking for the lock of "+key.String()).On(key.String())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	token, w, err := g.request(key, mode, true)
	if w == nil {
		return token, err
	}

	g.wait = w
	g.mu.Unlock()
	token, err = g.manager.await(ctx, w)
	g.mu.Lock()
	g.wait = nil
	if g.ended != nil {
		return 0, g.ended // the end has given back what may have been granted
	}
	if err != nil {
		return 0, err
	}
	g.insert(hold{w.object, mode, token})
	return token, nil
}

// TryLock is Lock for who does not wait: it reports false, and no error, if the
// key is held by another guard or others wait for it, or if it is held Shared and
// cannot be upgraded.
func (g *Guard) TryLock(key Key, mode Mode) (Token, bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	token, _, err := g.request(key, mode, false)
	if errs.CodeOf(err) == errs.CodeConflict {
		return 0, false, nil
	}
	return token, token != 0, err
}

// LockAll takes several locks in canonical order, whatever the order they are
// asked in, under one deadline as Lock would set it. A key that is asked for more
// than once is taken in the stronger mode. If one fails, all that this call took
// or upgraded is given back, and what the guard held before stays as it was. The
// tokens are those that Token returns.
func (g *Guard) LockAll(ctx context.Context, wants ...Want) error {
	ctx, cancel := g.manager.bounded(ctx)
	defer cancel()
	g.mu.Lock()
	before := slices.Clone(g.held)
	g.mu.Unlock()
	for _, w := range canonical(wants) {
		if _, err := g.Lock(ctx, w.Key, w.Mode); err != nil {
			g.restore(before)
			return err
		}
	}
	return nil
}

// Unlock gives one lock back. It does nothing if the guard does not hold it.
func (g *Guard) Unlock(key Key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i, found := find(g.held, key); found {
		g.held[i].release()
		g.held = slices.Delete(g.held, i, i+1)
	}
}

// Release gives all locks back and ends the guard, together with its wait if it
// has one. It is what commit, rollback and close come to. Calling it again does
// nothing, so it can be deferred as well.
func (g *Guard) Release() {
	if g.detach != nil {
		g.detach()
	}
	g.end(errReleased)
}

// Token returns the fencing token of a lock, and whether the guard holds it.
func (g *Guard) Token(key Key) (Token, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i, found := find(g.held, key); found {
		return g.held[i].token, true
	}
	return 0, false
}

// Keys returns the keys that the guard holds, in canonical order. The slice is
// the caller's.
func (g *Guard) Keys() []Key {
	g.mu.Lock()
	defer g.mu.Unlock()
	keys := make([]Key, len(g.held))
	for i, h := range g.held {
		keys[i] = h.object.key
	}
	return keys
}

// request takes a lock that can be had at once. A waiter is returned if it
// cannot and the caller waits; a zero token without an error if it cannot and the
// caller does not. REQUIRES: mu is held.
func (g *Guard) request(key Key, mode Mode, wait bool) (Token, *waiter, error) {
	switch {
	case g.ended != nil:
		return 0, nil, g.ended
	case mode > Shared:
		return 0, nil, errs.New(errs.CodeValidation, "%d is no mode of a lock", mode).On(key.String())
	case g.wait != nil:
		return 0, nil, errs.New(errs.CodeValidation,
			"the guard already waits for %s", g.wait.object.key).On(key.String())
	}
	if i, found := find(g.held, key); found {
		h := &g.held[i]
		if h.mode.covers(mode) {
			return h.token, nil, nil
		}
		token, err := h.object.shard.upgrade(h.object)
		if err != nil {
			return 0, nil, err
		}
		h.mode, h.token = mode, token
		return token, nil, nil
	}
	h, w, err := g.manager.shard(key).acquire(key, mode, wait)
	if h.object != nil {
		g.insert(h)
	}
	return h.token, w, err
}

// restore gives back what the guard holds beyond an earlier state.
func (g *Guard) restore(before []hold) {
	g.mu.Lock()
	defer g.mu.Unlock()
	kept := g.held[:0]
	for _, h := range g.held {
		i, found := find(before, h.object.key)
		switch {
		case !found:
			h.release()
			continue
		case before[i].mode != h.mode:
			h.object.shard.downgrade(h.object)
			h = before[i]
		}
		kept = append(kept, h)
	}
	g.held = kept
}

// end gives everything back, for the reason that later calls are told.
func (g *Guard) end(reason *errs.Error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended != nil {
		return
	}
	g.ended = reason
	if w := g.wait; w != nil {
		w.object.shard.disown(w)
	}
	for _, h := range g.held {
		h.release()
	}
	g.held = nil
}

// insert adds a hold. REQUIRES: mu is held and the guard does not hold its key.
func (g *Guard) insert(h hold) {
	i, _ := find(g.held, h.object.key)
	g.held = slices.Insert(g.held, i, h)
}

// find returns where in holds, sorted by key, the key is or belongs.
func find(holds []hold, key Key) (int, bool) {
	return slices.BinarySearchFunc(holds, key, func(h hold, key Key) int { return h.object.key.Compare(key) })
}
