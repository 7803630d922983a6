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
type Window struct {
	// Commits is the number of commits after which a record is forgotten.
	Commits uint64
	// Age is the time after which a record is forgotten.
	Age time.Duration
}

func (w Window) enabled() bool { return w.Commits > 0 || w.Age > 0 }

// expired reports whether a record of the given commit is outside the window
// for a request that would be commit seq at the given time.
func (w Window) expired(recorded uint64, recordedMicros int64, seq uint64, micros int64) bool {
	return w.Commits > 0 && seq-recorded > w.Commits ||
		w.Age > 0 && micros-recordedMicros > w.Age.Microseconds()
}

// find returns the commit that applied the request before, if one is
// remembered.
func (w Window) find(s *state.Working, r *msgs.Request, micros int64) (seq uint64, found bool, err error) {
	if r.Idempotency == nil || !w.enabled() {
		return 0, false, nil
	}
	raw, _, ok := s.Get(catalog.SpaceIdempotency, r.Idempotency)
	if !ok {
		return 0, false, nil
	}
	rec, err := record.ParseIdempotency(raw)
	if err != nil {
		return 0, false, err
	}
	if w.expired(rec.Seq, rec.Micros, s.Seq()+1, micros) {
		return 0, false, nil
	}
	if rec.Fingerprint != r.Fingerprint {
		return 0, false, errs.New(errs.CodeIdempotencyMismatch,
			"idempotency key reuse with different request: commit %d was made under this key", rec.Seq)
	}
	return rec.Seq, true, nil
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
		Seq: s.Seq(), Micros: s.Micros(), Fingerprint: r.Fingerprint,
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
			if !w.expired(rec.Seq, rec.Micros, s.Seq(), s.Micros()) {
				return nil
			}
			s.Delete(catalog.SpaceIdempotency, key)
		}
		s.Delete(catalog.SpaceIdempotencyAge, age)
	}
	return nil
}
