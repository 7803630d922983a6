package reader

import (
	"slices"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// maxRanges bounds the ranges of one path. A condition that would need more is
// left to the filter.
const maxRanges = 16_384

// path is one way to the rows: ranges of the primary key or of an index.
type path struct {
	index  *catalog.Index // nil for the primary key
	ranges []KeyRange
	// points means that every range is the key of one row.
	points bool
	// bound are the leading columns of the key whose domains the ranges enforce,
	// the first fixed of them down to single values.
	bound []int
	fixed int
	// pinned are those of the fixed columns that have one value in all ranges.
	pinned []int

	way way
	// sort is set if the way is not the order asked for.
	sort    bool
	covered bool
	// rest is what the ranges leave to be checked; nil if nothing.
	rest *query.Predicate
	// visits and cost are estimates: of entries, and in reads of a row.
	visits, cost float64
}

// keyColumn returns the n-th column of the keys of a path, and false if there are
// no more. An index ends with the columns of the primary key.
func keyColumn(t *catalog.Table, x *catalog.Index, n int) (position int, ok bool) {
	if x != nil {
		if n < len(x.Columns) {
			return x.Columns[n], true
		}
		n -= len(x.Columns)
	}
	if n < len(t.PrimaryKey) {
		return t.PrimaryKey[n], true
	}
	return 0, false
}

// domains caches what a condition says about single columns.
type domains struct {
	table     *catalog.Table
	predicate *query.Predicate
	known     []domain
	few       [4]domain // room for known, which is mostly short
}

type domain struct {
	position int
	set      query.Set
	all      bool // every value the column can have
}

func (d *domains) of(position int) domain {
	for _, k := range d.known {
		if k.position == position {
			return k
		}
	}
	k := domain{position: position, set: d.predicate.Domain(position)}
	nullable := d.table.Columns[position].Nullable
	k.all = k.set.IsAll() && (k.set.Null || !nullable)
	k.set.Null = k.set.Null && nullable
	d.known = append(d.known, k)
	return k
}

// points returns the number of values in the set, and false unless it is a list
// of single values.
func points(s query.Set) (n int, ok bool) {
	for _, i := range s.Intervals {
		if _, ok := i.Point(); !ok {
			return 0, false
		}
	}
	n = len(s.Intervals)
	if s.Null {
		n++
	}
	return n, true
}

// newPath makes the path through an index, or through the primary key, for the
// rows that meet a condition. Leading columns of the key with a list of values
// multiply the ranges; the first column with a wider domain ends them.
func newPath(t *catalog.Table, x *catalog.Index, d *domains) path {
	p := path{index: x}
	keys := len(t.PrimaryKey)
	if x != nil {
		keys = len(x.Columns)
		if !x.Unique {
			keys += len(t.PrimaryKey)
		}
	}
	var one [1][]byte
	prefixes := one[:]
	for i := range keys {
		position, _ := keyColumn(t, x, i)
		dom := d.of(position)
		if dom.all || slices.Contains(p.bound, position) {
			break
		}
		n, ok := points(dom.set)
		if !ok {
			n = len(dom.set.Intervals) + 1
		}
		if n*len(prefixes) > maxRanges {
			break
		}
		p.bound = append(p.bound, position)
		if !ok {
			for _, prefix := range prefixes {
				p.ranges = appendRanges(p.ranges, prefix, dom.set)
			}
			return p
		}
		p.fixed++
		if n == 1 {
			p.pinned = append(p.pinned, position)
		}
		prefixes = extend(prefixes, dom.set, n)
	}
	if p.fixed == 0 {
		p.ranges = everything
		return p
	}
	p.points = x == nil && p.fixed == keys
	p.ranges = make([]KeyRange, len(prefixes))
	for i, prefix := range prefixes {
		p.ranges[i] = KeyRange{Start: prefix}
		if !p.points {
			p.ranges[i].End = value.PrefixEnd(prefix)
		}
	}
	return p
}

// everything is the ranges of a path without a condition.
var everything = []KeyRange{{}}

// extend appends each value of the set, of which there are n, to each prefix.
// The prefixes are used up.
func extend(prefixes [][]byte, s query.Set, n int) [][]byte {
	if n == 1 {
		v := value.Null()
		if !s.Null {
			v = s.Intervals[0].Low.Value
		}
		for i := range prefixes {
			if prefixes[i] == nil {
				prefixes[i] = make([]byte, 0, value.KeyLen(v))
			}
			prefixes[i] = value.AppendKey(prefixes[i], v)
		}
		return prefixes
	}
	out := make([][]byte, 0, len(prefixes)*n)
	for _, prefix := range prefixes {
		if s.Null {
			out = append(out, keyWith(prefix, value.Null()))
		}
		for _, i := range s.Intervals {
			out = append(out, keyWith(prefix, i.Low.Value))
		}
	}
	return out
}

// appendRanges appends the ranges of the keys that begin with prefix and go on
// with a value of the set.
func appendRanges(dst []KeyRange, prefix []byte, s query.Set) []KeyRange {
	null := keyWith(prefix, value.Null())
	if s.Null {
		dst = append(dst, KeyRange{null, value.PrefixEnd(null)})
	}
	for _, i := range s.Intervals {
		r := KeyRange{Start: value.PrefixEnd(null), End: value.PrefixEnd(prefix)}
		if low := i.Low; !low.Value.IsNull() {
			if r.Start = keyWith(prefix, low.Value); low.Open {
				r.Start = value.PrefixEnd(r.Start)
			}
		}
		if high := i.High; !high.Value.IsNull() {
			if r.End = keyWith(prefix, high.Value); !high.Open {
				r.End = value.PrefixEnd(r.End)
			}
		}
		dst = append(dst, r)
	}
	return dst
}

func keyWith(prefix []byte, v value.Value) []byte {
	return value.AppendKey(append(make([]byte, 0, len(prefix)+value.KeyLen(v)), prefix...), v)
}

// sortKey is a sort key, bound to a column.
type sortKey struct {
	position int
	desc     bool
}

// arrange sets the way that makes the path produce the order, with ties in
// ascending order of the primary key, or has the rows sorted if there is none.
func (p *path) arrange(t *catalog.Table, order []sortKey) {
	p.way, p.sort = way{}, false
	if len(order) == 0 {
		return
	}
	want, descending := wanted(t, order, p.pinned)
	if descending < 0 {
		p.sort = true
		return
	}
	group, matched := 0, 0
	for i := 0; matched < len(want); i++ {
		position, ok := keyColumn(t, p.index, i)
		if !ok {
			break
		}
		if slices.Contains(p.pinned, position) || p.index != nil && i >= len(p.index.Columns) && slices.Contains(p.index.Columns, position) {
			continue
		}
		if want[matched].position != position {
			p.sort = true
			return
		}
		if matched++; matched == descending {
			group = i + 1
		}
	}
	switch {
	case descending == 0:
	case descending == len(want):
		p.way = way{backward: true}
	case len(p.ranges) > 1 && group < len(p.bound):
		p.sort = true // one group lies in several ranges
	default:
		p.way = way{backward: true, group: group}
	}
}

// wanted completes the order to a total one, up to where it is total, without
// the columns that have one value only. The first keys are descending, the
// others ascending; descending is -1 if they are mixed.
func wanted(t *catalog.Table, order []sortKey, pinned []int) (want []sortKey, descending int) {
	open := len(t.PrimaryKey) // columns of the primary key not yet decided
	seen := make([]int, 0, len(pinned)+len(order)+open)
	mark := func(position int) bool {
		if slices.Contains(seen, position) {
			return false
		}
		seen = append(seen, position)
		if t.KeyOrdinal(position) >= 0 {
			open--
		}
		return true
	}
	for _, position := range pinned {
		mark(position)
	}
	for _, k := range order {
		if open > 0 && mark(k.position) {
			want = append(want, k)
		}
	}
	for _, position := range t.PrimaryKey {
		if mark(position) {
			want = append(want, sortKey{position: position})
		}
	}
	for descending < len(want) && want[descending].desc {
		descending++
	}
	for _, k := range want[descending:] {
		if k.desc {
			return want, -1
		}
	}
	return want, descending
}

// Guesses of the share of a table that a domain lets pass. There are no
// statistics; what counts is that a plan is the same every time and that the
// narrower of two conditions wins.
const (
	shareOfPoint    = 0.01
	shareOfNull     = 0.1
	shareOfInterval = 0.1
	shareOfHalf     = 1.0 / 3
	shareOfNotNull  = 0.9
	shareOfUnknown  = 0.5

	costOfIndexEntry = 2.0 // with the row it points to
	costOfCovered    = 1.2
)

func share(d domain) float64 {
	if d.all {
		return shareOfUnknown
	}
	sum := 0.0
	if d.set.Null {
		sum += shareOfNull
	}
	for _, i := range d.set.Intervals {
		_, point := i.Point()
		switch {
		case point:
			sum += shareOfPoint
		case i.Unbounded():
			sum += shareOfNotNull
		case i.Low.Value.IsNull() || i.High.Value.IsNull():
			sum += shareOfHalf
		default:
			sum += shareOfInterval
		}
	}
	return min(sum, 1)
}

// estimate sets the visits and the cost of the path for a table of so many
// rows, if want rows are enough; -1 is all.
func (p *path) estimate(rows, want int, d *domains) {
	p.visits = float64(rows)
	for _, position := range p.bound {
		p.visits *= share(d.of(position))
	}
	if p.points || p.index != nil && p.index.Unique && p.fixed == len(p.index.Columns) {
		p.visits = min(float64(len(p.ranges)), float64(rows))
	}
	p.visits = max(p.visits, 1)
	pass := 1.0
	if p.rest != nil {
		var few [8]int
		counted := few[:0]
		for position := range p.rest.Positions {
			if !slices.Contains(p.bound, position) && !slices.Contains(counted, position) {
				counted = append(counted, position)
				pass *= share(d.of(position))
			}
		}
		if len(counted) == 0 {
			pass = shareOfUnknown
		}
	}
	if want >= 0 && !p.sort {
		p.visits = min(p.visits, float64(want)/max(pass, 1e-6))
	}
	switch {
	case p.index == nil:
		p.cost = p.visits
	case p.covered:
		p.cost = p.visits * costOfCovered
	default:
		p.cost = p.visits * costOfIndexEntry
	}
	if p.sort {
		p.cost += p.visits * pass
	}
}
