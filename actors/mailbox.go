package actors

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Refusals of a mailbox.
var (
	// ErrFull reports that a mailbox had no room for a TrySend.
	ErrFull = errors.New("actors: mailbox is full")
	// ErrStopped reports that a mailbox was closed in an orderly way.
	ErrStopped = errors.New("actors: mailbox is closed")
)

// Mailbox is a bounded queue of messages with one receiver and any number of
// senders. It keeps these promises:
//
//   - a message is accepted only while the mailbox is open, and every accepted
//     message is received, also after Close;
//   - it never holds more than its capacity: who finds it full waits or is
//     refused;
//   - measuring costs the sender one atomic addition; the clock is read only by
//     senders that have to wait.
//
// The senders' methods, Close and the figures are safe for concurrent use;
// Receive belongs to one goroutine.
type Mailbox[T any] struct {
	name string
	c    chan T

	// A send holds gate for reading from its look at closed until its message is
	// in c or it gave up; closing takes gate for writing. So c is closed only
	// when no sender can be at it, and a receiver that meets the end of c has
	// seen everything that was accepted. Senders that wait for room hold the
	// gate too: endc is closed first, to call them out.
	gate    sync.RWMutex
	closed  atomic.Bool // set under gate
	endOnce sync.Once
	reason  error         // why sends are refused; written before endc is closed
	endc    chan struct{} // closed when the mailbox stops accepting

	claimed atomic.Bool // a stage of a system receives

	// turn is held while a batch is handled: by the goroutine of the stage, or by
	// a sender that carries its message. carry is how the stage has one message
	// handled, by the holder of turn; it is set before the first send. handled
	// counts messages of c that are done with; guarded by turn. What is carried is
	// counted apart, once; stuck says that a step has failed: what it had is left for
	// the stage to abort, and nothing may be handled behind it; guarded by turn.
	turn    sync.Mutex
	carry   func(now time.Time, msg T)
	handled uint64
	stuck   bool

	carried      atomic.Uint64
	sent         atomic.Uint64
	received     atomic.Uint64
	rejected     atomic.Uint64
	blockedSends atomic.Uint64
	blockedNanos atomic.Int64
	highWater    atomic.Int64
}

// NewMailbox returns an open mailbox for capacity messages, at least one. The
// name is for metrics and errors.
func NewMailbox[T any](name string, capacity int) *Mailbox[T] {
	return &Mailbox[T]{
		name: name,
		c:    make(chan T, max(capacity, 1)),
		endc: make(chan struct{}),
	}
}

// Send hands msg over, waiting for room if there is none. The context limits
// only that wait: where there is room it is not looked at. Send fails with the
// context's cause if it ends first, with ErrStopped after Close, and with the
// cause of the poisoning in a poisoned system. After an error the message was
// not accepted and is still the caller's.
func (m *Mailbox[T]) Send(ctx context.Context, msg T) error {
	m.gate.RLock()
	defer m.gate.RUnlock()
	if m.closed.Load() {
		return m.reason
	}
	select {
	case m.c <- msg:
		m.accept()
		return nil
	default:
		return m.sendBlocked(ctx, msg)
	}
}

// sendBlocked waits for room. REQUIRES: gate is held for reading.
func (m *Mailbox[T]) sendBlocked(ctx context.Context, msg T) error {
	m.raiseHighWater(cap(m.c))
	m.blockedSends.Add(1)
	start := time.Now()
	defer func() { m.blockedNanos.Add(int64(time.Since(start))) }()
	select {
	case m.c <- msg:
		m.accept()
		return nil
	case <-m.endc:
		return m.reason
	case <-ctx.Done():
		m.rejected.Add(1)
		return context.Cause(ctx)
	}
}

// TrySend hands msg over if there is room, and otherwise fails at once with
// ErrFull. It fails as Send does when the mailbox no longer accepts.
func (m *Mailbox[T]) TrySend(msg T) error {
	m.gate.RLock()
	defer m.gate.RUnlock()
	if m.closed.Load() {
		return m.reason
	}
	select {
	case m.c <- msg:
		m.accept()
		return nil
	default:
		m.raiseHighWater(cap(m.c))
		m.rejected.Add(1)
		return ErrFull
	}
}

// Carry is Send for a sender that is going to wait for what comes of the message.
// If the stage that reads the mailbox has nothing in hand and nothing waiting, the
// sender's goroutine handles the message there and then, in place of the stage's,
// and Carry returns when Perform has: two switches between goroutines are saved.
// Otherwise, and to a stage that has deadlines, it sends. For everybody else
// nothing is different: messages are handled one batch at a time, in the order in
// which they were accepted, and what fails, fails as it does on the goroutine of
// the stage.
//
// now is what the sender last read from the clock. The step of a message that is
// carried gets it, because nothing has been waited for since.
func (m *Mailbox[T]) Carry(ctx context.Context, now time.Time, msg T) error {
	if m.TryCarry(now, msg) {
		return nil
	}
	return m.Send(ctx, msg)
}

// TryCarry is Carry for a sender that does something else where its message cannot
// be handled there and then. It reports whether it was; if not, it was not
// accepted and is still the caller's.
func (m *Mailbox[T]) TryCarry(now time.Time, msg T) bool {
	if m.carry == nil || !m.turn.TryLock() {
		return false
	}
	if !m.acceptCarried() {
		m.turn.Unlock()
		return false
	}
	m.carry(now, msg)
	return true
}

// acceptCarried accepts a message that goes past c, if the mailbox is open and
// everything accepted before has been handled. REQUIRES: turn is held.
//
// A message of another sender may be in c and not counted yet. Its send has not
// returned, so nobody can tell which of the two came first. And the mailbox may be
// closed meanwhile: the stage takes the turn once more before it ends.
func (m *Mailbox[T]) acceptCarried() bool {
	if m.stuck || m.closed.Load() || m.sent.Load() != m.handled {
		return false
	}
	m.carried.Add(1)
	return true
}

// accept counts a message that has just entered c.
func (m *Mailbox[T]) accept() {
	m.sent.Add(1)
	m.raiseHighWater(len(m.c))
}

func (m *Mailbox[T]) raiseHighWater(depth int) {
	for {
		high := m.highWater.Load()
		if int64(depth) <= high || m.highWater.CompareAndSwap(high, int64(depth)) {
			return
		}
	}
}

// Close ends acceptance: sends fail with ErrStopped from now on, also those
// that are waiting. What was accepted can still be received. Close is
// idempotent. The mailbox of a running stage is closed by its System.
func (m *Mailbox[T]) Close() { m.end(ErrStopped) }

// end closes the mailbox for a reason; the first reason stays.
func (m *Mailbox[T]) end(reason error) {
	m.endOnce.Do(func() {
		m.reason = reason
		close(m.endc)
		m.gate.Lock()
		defer m.gate.Unlock()
		m.closed.Store(true)
		close(m.c)
	})
}

// Receive waits for one message, then takes those that already wait behind it,
// never waiting for more: at most cap(batch) together. They replace the content
// of batch, whose capacity must be at least 1, and are the caller's. Receive
// fails with the context's cause if that ends while nothing waits, and with the
// reason of the closing once the mailbox is closed and empty.
//
// A mailbox that belongs to a stage is received by the stage alone.
func (m *Mailbox[T]) Receive(ctx context.Context, batch []T) ([]T, error) {
	if batch = m.take(batch[:0]); len(batch) > 0 {
		return batch, nil
	}
	select {
	case msg, open := <-m.c:
		if !open {
			return batch, m.reason
		}
		return m.takeAfter(msg, batch), nil
	case <-ctx.Done():
		return batch, context.Cause(ctx)
	}
}

// take appends waiting messages to batch, up to its capacity. There is one
// receiver, so that what len has seen is there to be received without waiting.
func (m *Mailbox[T]) take(batch []T) []T {
	n := min(len(m.c), cap(batch)-len(batch))
	if n == 0 {
		return batch
	}
	for range n {
		batch = append(batch, <-m.c)
	}
	m.received.Add(uint64(n))
	return batch
}

// takeAfter puts a message that was waited for into the empty batch, and takes
// those behind it.
func (m *Mailbox[T]) takeAfter(first T, batch []T) []T {
	m.received.Add(1)
	return m.take(append(batch, first))
}

// await is Receive for the shell of a stage: it waits until a message comes, or
// the alarm rings (an empty batch), or the mailbox is closed and empty (open is
// false). A nil alarm never rings.
func (m *Mailbox[T]) await(batch []T, alarm <-chan time.Time) (_ []T, open bool) {
	select {
	case msg, open := <-m.c:
		if !open {
			return batch, false
		}
		return m.takeAfter(msg, batch), true
	case <-alarm:
		return batch, true
	}
}

// Depth returns the number of messages that wait now.
func (m *Mailbox[T]) Depth() int { return len(m.c) }

// Capacity returns the number of messages that can wait.
func (m *Mailbox[T]) Capacity() int { return cap(m.c) }

// MailboxStats are the figures of one mailbox. Counters run from its creation
// and never fall. Each figure is right for itself; together they are not of one
// instant.
type MailboxStats struct {
	Name string
	// Depth is the number of messages waiting, Capacity the number that can,
	// HighWater the largest depth that a sender has seen.
	Depth, Capacity, HighWater int
	// Sent counts accepted messages, Received those that were taken out.
	Sent, Received uint64
	// Rejected counts messages refused for want of room: by TrySend at once, by
	// Send when its context ended first. Refusals by a closed mailbox are not
	// counted.
	Rejected uint64
	// BlockedSends counts sends that found the mailbox full and waited, from the
	// moment the wait begins; Blocked is the time that they spent, added when
	// the wait ends.
	BlockedSends uint64
	Blocked      time.Duration
}

// Stats returns the figures of the mailbox. It takes no lock.
func (m *Mailbox[T]) Stats() MailboxStats {
	carried := m.carried.Load()
	return MailboxStats{
		Name:         m.name,
		Depth:        m.Depth(),
		Capacity:     m.Capacity(),
		HighWater:    int(m.highWater.Load()),
		Sent:         m.sent.Load() + carried,
		Received:     m.received.Load() + carried,
		Rejected:     m.rejected.Load(),
		BlockedSends: m.blockedSends.Load(),
		Blocked:      time.Duration(m.blockedNanos.Load()),
	}
}
