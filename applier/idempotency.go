package applier

import (
	"time"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
)

// Window says how long requests with an idempotency key are remembered. A
// record counts while it is inside both bounds; a bound of zero does not apply,
// and two zeros switch the feature off.
//
// A request is looked up twice. The first time is on the caller's goroutine, in
// the published image, before it is bound: what has been applied is answered
// whatever has become of the things it names. The second is at the commit point,
// which sees those still on their way. A request that is refused between the two
// was refused on one image that does not know it, as if it had been executed there
// and then.
type Window struct {
	// Commits is the number of commits after which a record is forgotten.
	Commits uint64
	// Age is the time after which a record is forgotten.
	Age time.Duration
}

// Source is a state in which requests are remembered, such as state.Image.
type Source interface {
	Seq() uint64
	Get(space catalog.SpaceID, key []byte) (val []byte, version uint64, ok bool)
}

// Remembered is what is known of a request that was applied.
type Remembered struct {
	// Seq is the commit that applied it.
	Seq uint64
	// Replies are what it told. Lost says that they were too long to be kept.
	Replies []msgs.Reply
	Lost    bool
}

func (w Window) enabled() bool { return w.Commits > 0 || w.Age > 0 }

// expired reports whether a record of the given commit is outside the window
// for a request that would be commit seq at the given time.
func (w Window) expired(r *record.Idempotency, seq uint64, micros int64) bool {
	return w.Commits > 0 && seq-r.Seq > w.Commits ||
		w.Age > 0 && micros-r.Micros > w.Age.Microseconds()
}

// Find returns what is remembered under a stored key, for a request that would be
// the next commit, made at the given time in microseconds.
func (w Window) Find(s Source, key []byte, micros int64) (m Remembered, found bool, err error) {
	r, found, err := w.load(s, key, micros)
	if !found {
		return m, false, err
	}
	m, err = remembered(&r)
	return m, err == nil, err
}

// FindRetry is Find for a request with a fingerprint: it fails with
// idempotency_mismatch if what is remembered is another request.
func (w Window) FindRetry(s Source, key []byte, fingerprint [32]byte, micros int64) (m Remembered, found bool, err error) {
	r, found, err := w.load(s, key, micros)
	if !found {
		return m, false, err
	}
	if r.Fingerprint != fingerprint {
		return m, false, errs.New(errs.CodeIdempotencyMismatch,
			"idempotency key reuse with different request: commit %d was made under this key", r.Seq)
	}
	m, err = remembered(&r)
	return m, err == nil, err
}

// load returns the record under a stored key, if it is inside the window.
func (w Window) load(s Source, key []byte, micros int64) (r record.Idempotency, found bool, err error) {
	if key == nil || !w.enabled() {
		return r, false, nil
	}
	raw, _, ok := s.Get(catalog.SpaceIdempotency, key)
	if !ok {
		return r, false, nil
	}
	r, err = record.ParseIdempotency(raw)
	return r, err == nil && !w.expired(&r, s.Seq()+1, micros), err
}

func remembered(r *record.Idempotency) (m Remembered, err error) {
	m.Seq = r.Seq
	m.Replies, m.Lost, err = parseReplies(r.Replies)
	return m, err
}

// remember writes the record of the request into the commit under construction
// and forgets some that have expired.
func (w Window) remember(s *state.Working, r *msgs.Request) error {
	if r.Idempotency == nil || !w.enabled() {
		return nil
	}
	if raw, _, ok := s.Get(catalog.SpaceIdempotency, r.Idempotency); ok {
		rec, err := record.ParseIdempotency(raw)
		if err != nil {
			return err
		}
		s.Delete(catalog.SpaceIdempotencyAge, record.AppendIdempotencyAge(nil, rec.Seq, r.Idempotency))
	}
	s.Put(catalog.SpaceIdempotency, r.Idempotency, record.AppendIdempotency(nil, record.Idempotency{
		Seq: s.Seq(), Micros: s.Micros(), Fingerprint: r.Fingerprint, Replies: appendReplies(nil, r.Replies),
	}))
	s.Put(catalog.SpaceIdempotencyAge, record.AppendIdempotencyAge(nil, s.Seq(), r.Idempotency), nil)
	return w.forget(s)
}

// forget removes a few of the oldest records if they have expired. Each keyed
// commit adds one and can remove more than one, so they cannot pile up.
func (w Window) forget(s *state.Working) error {
	const atMost = 4
	for range atMost {
		cur := s.Cursor(catalog.SpaceIdempotencyAge)
		cur.First()
		if !cur.Valid() {
			return nil
		}
		age := append([]byte(nil), cur.Key()...)
		_, key, err := record.SplitIdempotencyAge(age)
		if err != nil {
			return err
		}
		raw, _, ok := s.Get(catalog.SpaceIdempotency, key)
		if ok {
			rec, err := record.ParseIdempotency(raw)
			if err != nil {
				return err
			}
			if !w.expired(&rec, s.Seq(), s.Micros()) {
				return nil
			}
			s.Delete(catalog.SpaceIdempotency, key)
		}
		s.Delete(catalog.SpaceIdempotencyAge, age)
	}
	return nil
}
