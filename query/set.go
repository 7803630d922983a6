package query

import (
	"slices"

	"github.com/empyrealapp/aedb-go/value"
)

// Bound is one end of an Interval. A Null value is no bound at all; Open leaves
// the value itself out.
type Bound struct {
	Value value.Value
	Open  bool
}

// Interval is a range of values of one kind, in the order of value.Compare.
// Null is in no interval.
type Interval struct {
	Low, High Bound
}

// Point returns the one value of the interval, if it is written as one.
func (i Interval) Point() (value.Value, bool) {
	closed := !i.Low.Open && !i.High.Open && !i.Low.Value.IsNull()
	return i.Low.Value, closed && i.Low.Value == i.High.Value
}

// Unbounded reports whether the interval holds every value of the kind.
func (i Interval) Unbounded() bool { return i.Low.Value.IsNull() && i.High.Value.IsNull() }

// Set is a set of values that one column may have.
type Set struct {
	// Null is whether Null is in the set.
	Null bool
	// Intervals hold the other values. They are in ascending order, not empty,
	// and apart from each other. They must not be modified.
	Intervals []Interval
}

// allValues is the set of every value but Null.
var allValues = []Interval{{}}

// IsAll reports whether every value but Null is in the set.
func (s Set) IsAll() bool { return len(s.Intervals) == 1 && s.Intervals[0].Unbounded() }

// IsEmpty reports whether nothing is in the set.
func (s Set) IsEmpty() bool { return !s.Null && len(s.Intervals) == 0 }

func (s Set) intersect(t Set) Set {
	return Set{Null: s.Null && t.Null, Intervals: intersect(s.Intervals, t.Intervals)}
}

// compareLow orders lower bounds by what they let in, the most first.
func compareLow(a, b Bound) int {
	switch an, bn := a.Value.IsNull(), b.Value.IsNull(); {
	case an && bn:
		return 0
	case an:
		return -1
	case bn:
		return 1
	}
	if c := value.Compare(a.Value, b.Value); c != 0 || a.Open == b.Open {
		return c
	}
	if a.Open {
		return 1
	}
	return -1
}

// compareHigh orders upper bounds by what they let in, the least first.
func compareHigh(a, b Bound) int {
	switch an, bn := a.Value.IsNull(), b.Value.IsNull(); {
	case an && bn:
		return 0
	case an:
		return 1
	case bn:
		return -1
	}
	if c := value.Compare(a.Value, b.Value); c != 0 || a.Open == b.Open {
		return c
	}
	if a.Open {
		return -1
	}
	return 1
}

// apart reports whether there is a gap between an interval that ends at high
// and one that begins at low, or would be if there were such a value.
func apart(high, low Bound) bool {
	if high.Value.IsNull() || low.Value.IsNull() {
		return false
	}
	c := value.Compare(high.Value, low.Value)
	return c < 0 || c == 0 && high.Open && low.Open
}

// interval returns the interval between two bounds, and false if it is empty.
func interval(low, high Bound) (Interval, bool) {
	if !low.Value.IsNull() && !high.Value.IsNull() {
		c := value.Compare(low.Value, high.Value)
		if c > 0 || c == 0 && (low.Open || high.Open) {
			return Interval{}, false
		}
	}
	return Interval{low, high}, true
}

func intersect(a, b []Interval) []Interval {
	if len(a) == 1 && a[0].Unbounded() {
		return b
	}
	if len(b) == 1 && b[0].Unbounded() {
		return a
	}
	var out []Interval
	for len(a) > 0 && len(b) > 0 {
		low, high := a[0].Low, a[0].High
		if compareLow(b[0].Low, low) > 0 {
			low = b[0].Low
		}
		if compareHigh(b[0].High, high) < 0 {
			high = b[0].High
			b = b[1:]
		} else {
			a = a[1:]
		}
		if i, ok := interval(low, high); ok {
			out = append(out, i)
		}
	}
	return out
}

// normal sorts the intervals and joins those that touch, in place.
func normal(list []Interval) []Interval {
	slices.SortFunc(list, func(x, y Interval) int { return compareLow(x.Low, y.Low) })
	n := 0
	for _, next := range list {
		if n > 0 && !apart(list[n-1].High, next.Low) {
			if compareHigh(next.High, list[n-1].High) > 0 {
				list[n-1].High = next.High
			}
			continue
		}
		list[n] = next
		n++
	}
	return list[:n]
}

// complement returns every value that is not in the list, Null apart.
func complement(list []Interval) []Interval {
	var out []Interval
	low := Bound{}
	for _, i := range list {
		if !i.Low.Value.IsNull() {
			if gap, ok := interval(low, Bound{i.Low.Value, !i.Low.Open}); ok {
				out = append(out, gap)
			}
		}
		if i.High.Value.IsNull() {
			return out
		}
		low = Bound{i.High.Value, !i.High.Open}
	}
	return append(out, Interval{Low: low})
}

// contains reports whether a value that is not Null is in the list.
func contains(list []Interval, v value.Value) bool {
	for len(list) > 1 {
		mid := len(list) / 2
		if compareLow(Bound{Value: v}, list[mid].Low) < 0 {
			list = list[:mid]
		} else {
			list = list[mid:]
		}
	}
	if len(list) == 0 {
		return false
	}
	low, high := &list[0].Low, &list[0].High
	if !low.Value.IsNull() {
		if c := value.Compare(v, low.Value); c < 0 || c == 0 && low.Open {
			return false
		}
	}
	if !high.Value.IsNull() {
		if c := value.Compare(v, high.Value); c > 0 || c == 0 && high.Open {
			return false
		}
	}
	return true
}
