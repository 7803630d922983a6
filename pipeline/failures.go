package pipeline

import (
	"errors"
	"sync"
	"time"

	"github.com/empyrealapp/aedb-go/msgs"
)

// FailedAssertion tells of a request that was refused since an assertion did not
// hold. It names kinds, and no content of the store or of the request.
type FailedAssertion struct {
	// Time is when the request was decided on, and Seq the last commit before it.
	Time time.Time
	Seq  uint64
	// Caller is the id of the caller, "" for the anonymous one.
	Caller string
	// Index is the place of the assertion in its list, and Kind its kind, such as
	// "KeyEquals".
	Index int
	Kind  string
	// Finding says what was found instead, such as "missing" or "version 7".
	Finding string
}

// maxFailures bounds how many failed assertions are kept: enough to see who is in
// whose way, at some 100 bytes each.
const maxFailures = 256

// failures keeps the newest failed assertions, in memory only. A record in the log
// for each would turn contention into commits.
type failures struct {
	mu   sync.Mutex
	ring []FailedAssertion
	next int // the oldest, once the ring is full
}

// publish keeps the failed assertions among the answers of epochs.
func (f *failures) publish(epochs []*msgs.Epoch) {
	for _, e := range epochs {
		for i := range e.Answers {
			if e.Answers[i].Err != nil {
				f.note(&e.Answers[i], e.Micros)
			}
		}
	}
}

// note keeps a refusal if it is by an assertion.
func (f *failures) note(a *msgs.Answer, micros int64) {
	var failed *msgs.AssertionError
	if !errors.As(a.Err, &failed) {
		return
	}
	n := FailedAssertion{
		Time: time.UnixMicro(micros), Seq: a.Seq, Caller: a.Caller,
		Index: failed.Index, Kind: failed.Kind(), Finding: failed.Actual.String(),
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ring) < maxFailures {
		f.ring = append(f.ring, n)
		return
	}
	f.ring[f.next] = n
	f.next = (f.next + 1) % maxFailures
}

// list returns what is kept, the oldest first.
func (f *failures) list() []FailedAssertion {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append(append([]FailedAssertion(nil), f.ring[f.next:]...), f.ring[:f.next]...)
}

// FailedAssertions returns the newest requests that were refused by an assertion,
// the oldest of them first.
func (p *Pipeline) FailedAssertions() []FailedAssertion { return p.failures.list() }
