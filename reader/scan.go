package reader

import (
	"bytes"
	"context"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// checkEvery is the number of entries visited between two looks at the context.
const checkEvery = 1024

// scan visits the entries of a space that lie in given ranges.
type scan struct {
	ctx   context.Context
	src   Source
	rec   Recorder
	space catalog.SpaceID
	// ranges are in ascending order and disjoint.
	ranges []KeyRange
	// points means that there is at most one entry in each range, under Start.
	points bool
	way    way
	// after is the key behind which the scan begins, in its own order; nil is
	// the beginning.
	after []byte

	visited int
}

// way is the order of a scan.
type way struct {
	// backward visits the highest key first.
	backward bool
	// group, if not 0, keeps entries that are equal in that many leading
	// elements of the key in ascending order among themselves: descending sort
	// keys with an ascending tie-break.
	group int
}

// visitor is called for each entry. The slices are shared.
type visitor func(key, val []byte, version uint64) (more bool, err error)

// run calls visit until it is told to stop. It records what was examined, also
// when it stops early.
func (s *scan) run(visit visitor) error {
	for i := range s.ranges {
		r := s.ranges[i]
		if s.way.backward {
			r = s.ranges[len(s.ranges)-1-i]
		}
		if s.after != nil && s.done(r) {
			continue
		}
		more, err := s.visit(r, visit)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// done reports whether the whole range lies before the position at which the
// scan begins.
func (s *scan) done(r KeyRange) bool {
	switch {
	case s.way.group > 0:
		end := value.PrefixEnd(elements(s.after, s.way.group))
		return end != nil && bytes.Compare(r.Start, end) >= 0
	case s.way.backward:
		return bytes.Compare(r.Start, s.after) >= 0
	case s.points:
		return bytes.Compare(r.Start, s.after) <= 0
	}
	return r.End != nil && bytes.Compare(r.End, s.after) <= 0
}

func (s *scan) visit(r KeyRange, visit visitor) (more bool, err error) {
	switch {
	case s.points:
		return s.point(r.Start, visit)
	case s.way.group > 0:
		return s.groups(r, visit)
	case s.way.backward:
		return s.descend(r, visit)
	}
	return s.ascend(r, visit)
}

func (s *scan) point(key []byte, visit visitor) (more bool, err error) {
	if err := s.check(); err != nil {
		return false, err
	}
	if s.rec != nil {
		s.rec.Point(s.space, key)
	}
	val, version, ok := s.src.Get(s.space, key)
	if !ok {
		return true, nil
	}
	return visit(key, val, version)
}

func (s *scan) ascend(r KeyRange, visit visitor) (more bool, err error) {
	if s.after != nil && bytes.Compare(r.Start, s.after) <= 0 {
		r.Start = successor(s.after)
	}
	c := s.src.Cursor(s.space)
	for c.SeekGE(r.Start); c.Valid() && below(c.Key(), r.End); c.Next() {
		if err := s.check(); err != nil {
			return false, err
		}
		if more, err := visit(c.Key(), c.Value(), c.Version()); !more || err != nil {
			s.record(r.Start, successor(c.Key()))
			return false, err
		}
	}
	s.record(r.Start, r.End)
	return true, nil
}

func (s *scan) descend(r KeyRange, visit visitor) (more bool, err error) {
	if s.after != nil && below(s.after, r.End) {
		r.End = s.after
	}
	c := s.src.Cursor(s.space)
	if r.End == nil {
		c.Last()
	} else {
		c.SeekLT(r.End)
	}
	for ; c.Valid() && bytes.Compare(c.Key(), r.Start) >= 0; c.Prev() {
		if err := s.check(); err != nil {
			return false, err
		}
		if more, err := visit(c.Key(), c.Value(), c.Version()); !more || err != nil {
			s.record(c.Key(), r.End)
			return false, err
		}
	}
	s.record(r.Start, r.End)
	return true, nil
}

// groups visits the groups of the range from the last to the first, and the
// entries of each in ascending order.
func (s *scan) groups(r KeyRange, visit visitor) (more bool, err error) {
	var resumed []byte
	if s.after != nil {
		resumed = elements(s.after, s.way.group)
		if end := value.PrefixEnd(resumed); end != nil && below(end, r.End) {
			r.End = end
		}
	}
	c := s.src.Cursor(s.space)
	for end := r.End; ; {
		if end == nil {
			c.Last()
		} else {
			c.SeekLT(end)
		}
		if !c.Valid() || bytes.Compare(c.Key(), r.Start) < 0 {
			s.record(r.Start, r.End)
			return true, nil
		}
		group := elements(c.Key(), s.way.group)
		start := group
		if bytes.Compare(start, r.Start) < 0 {
			start = r.Start
		}
		from := start
		if resumed != nil && bytes.Equal(group, resumed) {
			from = successor(s.after)
		}
		for c.SeekGE(from); c.Valid() && below(c.Key(), end); c.Next() {
			if err := s.check(); err != nil {
				return false, err
			}
			if more, err := visit(c.Key(), c.Value(), c.Version()); !more || err != nil {
				s.record(from, successor(c.Key()))
				if above := value.PrefixEnd(group); above != nil {
					s.record(above, r.End)
				}
				return false, err
			}
		}
		if end = start; bytes.Equal(start, r.Start) {
			s.record(r.Start, r.End)
			return true, nil
		}
	}
}

// check looks at the context now and then.
func (s *scan) check() error {
	if s.visited++; s.visited%checkEvery == 1 && s.ctx.Err() != nil {
		return errs.FromContext(s.ctx, "reading")
	}
	return nil
}

func (s *scan) record(start, end []byte) {
	if s.rec != nil && below(start, end) {
		s.rec.Range(s.space, start, end)
	}
}

// below reports whether key is below the end of a range.
func below(key, end []byte) bool { return end == nil || bytes.Compare(key, end) < 0 }

// successor returns the lowest key above key, as a new slice.
func successor(key []byte) []byte {
	return append(append(make([]byte, 0, len(key)+1), key...), 0)
}

// elements returns the first n elements of an encoded key, or all if there are
// no more. The result aliases key.
func elements(key []byte, n int) []byte {
	rest := key
	for ; n > 0 && len(rest) > 0; n-- {
		var err error
		if rest, err = value.SkipKey(rest); err != nil {
			return key
		}
	}
	return key[: len(key)-len(rest) : len(key)-len(rest)]
}
