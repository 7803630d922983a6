package locks

import "sync"

// shard is a part of the lock table: the keys of one hash. Its methods, but for
// those that say otherwise, take its mutex; none of them waits for a lock.
type shard struct {
	manager *Manager // does not change

	mu      sync.Mutex
	objects map[Key]*object
	closed  bool

	held    int    // grants that were not given back
	waiting int    // waiters in queues
	granted uint64 // grants ever made

	_ [64]byte // keeps the mutex of the next shard off this cache line
}

// object is the state of one key that is held. Between calls these hold:
//
//   - holders is at least one; an object without holders is removed;
//   - if holders is more than one, mode is Shared;
//   - the first waiter of the queue is not compatible with the holders.
//
// Who the holders are is known to their guards alone. All but shard and key is
// guarded by the shard's mutex.
type object struct {
	shard *shard // does not change
	key   Key    // does not change

	holders     int
	mode        Mode
	first, last *waiter
	waiters     int
}

// admits reports whether one more holder of the mode is compatible with those
// there are.
func (o *object) admits(mode Mode) bool {
	return o.holders == 0 || o.mode == Shared && mode == Shared
}

func (o *object) enqueue(w *waiter) {
	w.previous = o.last
	if o.last == nil {
		o.first = w
	} else {
		o.last.next = w
	}
	o.last = w
	o.waiters++
}

func (o *object) dequeue(w *waiter) {
	if w.previous == nil {
		o.first = w.next
	} else {
		w.previous.next = w.next
	}
	if w.next == nil {
		o.last = w.previous
	} else {
		w.next.previous = w.previous
	}
	w.previous, w.next = nil, nil
	o.waiters--
}

// waiter is a request in the queue of an object. Object, mode and settled do not
// change, and settled is closed when the state leaves queued; the rest is guarded
// by the shard's mutex.
type waiter struct {
	object         *object
	mode           Mode
	previous, next *waiter
	state          waiterState
	token          Token // set when state is granted
	settled        chan struct{}
}

type waiterState uint8

const (
	queued    waiterState = iota
	granted               // it holds the key
	withdrawn             // its guard was released or its patience ended
	refused               // the manager was closed
)

// settle takes a waiter out of its queue. REQUIRES: mu is held and w is queued.
func (s *shard) settle(w *waiter, state waiterState) {
	w.object.dequeue(w)
	s.waiting--
	w.state = state
	close(w.settled)
}

// grant adds a holder. REQUIRES: mu is held and o admits the mode.
func (s *shard) grant(o *object, mode Mode) Token {
	o.holders++
	o.mode = mode
	s.held++
	s.granted++
	return s.manager.nextToken()
}

// promote grants the key to as many waiters, from the first, as are compatible
// with the holders and each other, and removes a key that is left to nobody.
// REQUIRES: mu is held.
func (s *shard) promote(o *object) {
	for w := o.first; w != nil && o.admits(w.mode); w = o.first {
		w.token = s.grant(o, w.mode)
		s.settle(w, granted)
	}
	if o.holders == 0 {
		delete(s.objects, o.key)
	}
}

// acquire grants the key if it can be granted at once. Otherwise it returns the
// waiter it has put into the queue, or nothing if the caller does not wait.
func (s *shard) acquire(key Key, mode Mode, wait bool) (hold, *waiter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return hold{}, nil, errClosed
	}
	o := s.objects[key]
	busy := o != nil && (o.first != nil || !o.admits(mode))
	if busy && !wait {
		return hold{}, nil, nil
	}
	if busy && o.waiters >= s.manager.limits.WaitersPerKey {
		return hold{}, nil, s.manager.tooManyWaiters(key)
	}
	if !s.manager.reserve() {
		return hold{}, nil, s.manager.tooManyLocks(key)
	}
	if busy {
		w := &waiter{object: o, mode: mode, settled: make(chan struct{})}
		o.enqueue(w)
		s.waiting++
		return hold{}, w, nil
	}
	if o == nil {
		o = &object{shard: s, key: key}
		s.objects[key] = o
	}
	return hold{o, mode, s.grant(o, mode)}, nil, nil
}

// upgrade makes the only holder of an object, in mode Shared, its exclusive
// holder. If there are others it fails.
func (s *shard) upgrade(o *object) (Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errClosed
	}
	if o.holders > 1 {
		return 0, s.manager.sharedByOthers(o.key, o.holders)
	}
	o.mode = Exclusive
	s.granted++
	return s.manager.nextToken(), nil
}

// downgrade undoes an upgrade.
func (s *shard) downgrade(o *object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.mode = Shared
	s.promote(o)
}

// release gives up one hold of an object.
func (s *shard) release(o *object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(o)
}

// drop is release for callers that hold mu.
func (s *shard) drop(o *object) {
	o.holders--
	s.held--
	s.manager.unreserve()
	s.promote(o)
}

// withdraw ends a wait whose context has ended. If the wait was settled in the
// meantime, that stands.
func (s *shard) withdraw(w *waiter) (Token, waiterState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.state == queued {
		s.leave(w)
	}
	return w.token, w.state
}

// disown ends a wait whose guard was released, and gives up what it was granted.
func (s *shard) disown(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch w.state {
	case queued:
		s.leave(w)
	case granted:
		s.drop(w.object)
	}
}

// leave takes a waiter out of the queue, which may let those behind it in.
// REQUIRES: mu is held and w is queued.
func (s *shard) leave(w *waiter) {
	s.settle(w, withdrawn)
	s.manager.unreserve()
	s.promote(w.object)
}

// close refuses all that waits and all that will be asked. Holders keep what
// they hold.
func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, o := range s.objects {
		for o.first != nil {
			s.settle(o.first, refused)
			s.manager.unreserve()
		}
	}
}
