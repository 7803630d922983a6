package reader

import (
	"bytes"
	"context"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// checkEvery is the number of entries visited between two looks at the context.
const checkEvery = 1024

// scan visits the entries of a space that lie in given ranges. After next has
// reported an entry, the cursor is on it; stop must be called if no more are
// wanted.
type scan struct {
	ctx context.Context
	rec Recorder
	// cursor is over the space.
	cursor blocktree.Cursor
	space  catalog.SpaceID
	// ranges are in ascending order and disjoint.
	ranges []KeyRange
	// points means that there is at most one entry in each range, under Start.
	points bool
	way    way
	// after is the key behind which the scan begins, in its own order; nil is
	// the beginning.
	after []byte

	begun int // ranges
	// within is the range being visited, without what lies before the position;
	// it is left when all of it has been visited.
	within  KeyRange
	entered bool
	group   group
	visited int
	err     error
}

// group is a run of entries that a scan visits in ascending order: those of the
// range being visited from a key up to a bound.
type group struct {
	prefix     []byte // that all its keys share
	from       []byte // where the visit begins
	start, end []byte
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

// next moves to the next entry and reports whether there is one. If there is
// none, err says whether that is for a failure.
func (s *scan) next() bool {
	for {
		if s.visited++; s.visited%checkEvery == 1 && s.ctx.Err() != nil {
			s.err, s.entered, s.begun = errs.FromContext(s.ctx, "reading"), false, len(s.ranges)
			return false
		}
		if s.entered && s.step() {
			return true
		}
		s.leave()
		switch more, found := s.enter(); {
		case !more:
			return false
		case found:
			return true
		}
		s.leave()
	}
}

// leave ends the visit of a range of which nothing is left.
func (s *scan) leave() {
	if s.entered {
		s.record(s.within.Start, s.within.End)
		s.entered = false
	}
}

// enter goes to the first entry of the next range, and reports whether there is
// such a range, and such an entry.
func (s *scan) enter() (more, found bool) {
	for ; s.begun < len(s.ranges); s.begun++ {
		r := s.ranges[s.begun]
		if s.way.backward {
			r = s.ranges[len(s.ranges)-1-s.begun]
		}
		if s.after == nil || !s.done(r) {
			s.begun++
			s.within = r
			return true, s.first()
		}
	}
	return false, false
}

// first goes to the first entry of the range to be visited.
func (s *scan) first() bool {
	r := &s.within
	switch {
	case s.points:
		if s.rec != nil {
			s.rec.Point(s.space, r.Start)
		}
		return s.cursor.SeekGE(r.Start) && bytes.Equal(s.cursor.Key(), r.Start)
	case s.way.group > 0:
		s.entered = true
		s.group = group{end: r.End}
		if s.after != nil {
			if end := value.PrefixEnd(elements(s.after, s.way.group)); end != nil && below(end, r.End) {
				r.End, s.group.end = end, end
			}
		}
		return s.firstOfGroup()
	case s.way.backward:
		s.entered = true
		if s.after != nil && below(s.after, r.End) {
			r.End = s.after
		}
		s.seekBelow(r.End)
		return s.above(r.Start)
	}
	s.entered = true
	if s.after != nil && bytes.Compare(r.Start, s.after) <= 0 {
		r.Start = successor(s.after)
	}
	s.cursor.SeekGE(r.Start)
	return s.under(r.End)
}

// step goes to the next entry of the range being visited.
func (s *scan) step() bool {
	switch {
	case s.way.group > 0:
		s.cursor.Next()
		return s.under(s.group.end) || s.nextGroup()
	case s.way.backward:
		s.cursor.Prev()
		return s.above(s.within.Start)
	}
	return s.cursor.NextBelow(s.within.End)
}

// nextGroup goes to the first entry of the group below the one that was visited.
func (s *scan) nextGroup() bool {
	s.group.end = s.group.start
	return !bytes.Equal(s.group.start, s.within.Start) && s.firstOfGroup()
}

// firstOfGroup goes to the first entry of the highest group that lies below the
// bound which is set as its end.
func (s *scan) firstOfGroup() bool {
	for {
		g := &s.group
		s.seekBelow(g.end)
		if !s.above(s.within.Start) {
			return false
		}
		g.prefix = elements(s.cursor.Key(), s.way.group)
		g.start = g.prefix
		if bytes.Compare(g.start, s.within.Start) < 0 {
			g.start = s.within.Start
		}
		g.from = g.start
		if s.after != nil && bytes.Equal(g.prefix, elements(s.after, s.way.group)) {
			g.from = successor(s.after)
		}
		s.cursor.SeekGE(g.from)
		if s.under(g.end) {
			return true
		}
		if g.end = g.start; bytes.Equal(g.start, s.within.Start) {
			return false
		}
	}
}

// seekBelow goes to the last entry below a key, or the last of all for nil.
func (s *scan) seekBelow(key []byte) {
	if key == nil {
		s.cursor.Last()
	} else {
		s.cursor.SeekLT(key)
	}
}

// under reports whether the cursor is on an entry below the end of a range.
func (s *scan) under(end []byte) bool { return s.cursor.Valid() && below(s.cursor.Key(), end) }

// above reports whether the cursor is on an entry not below start.
func (s *scan) above(start []byte) bool {
	return s.cursor.Valid() && bytes.Compare(s.cursor.Key(), start) >= 0
}

// stop ends the scan on the entry it is on, and records what was examined of the
// range being visited.
func (s *scan) stop() {
	if !s.entered {
		return
	}
	s.entered, s.begun = false, len(s.ranges)
	if s.rec == nil {
		return
	}
	switch key := s.cursor.Key(); {
	case s.way.group > 0:
		s.record(s.group.from, successor(key))
		if upper := value.PrefixEnd(s.group.prefix); upper != nil {
			s.record(upper, s.within.End)
		}
	case s.way.backward:
		s.record(key, s.within.End)
	default:
		s.record(s.within.Start, successor(key))
	}
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
