package query

import "github.com/empyrealapp/aedb-go/value"

// Truth is the outcome of a condition.
type Truth uint8

// Outcomes, in an order that makes And the least and Or the greatest.
const (
	False   Truth = 0
	Unknown Truth = 1
	True    Truth = 2
)

// Not returns the opposite; that of Unknown is Unknown.
func (t Truth) Not() Truth { return True - t }

// String returns "false", "unknown" or "true".
func (t Truth) String() string { return [...]string{"false", "unknown", "true"}[min(t, True)] }

// Predicate is a condition bound to the columns of a layout. It is immutable.
type Predicate struct {
	terms []term // all have to be true
}

// always is the predicate that holds for every row.
var always = &Predicate{}

// term is a node of a bound condition: a test, or the And or Or of others.
// There is no Not; see bind.
type term struct {
	op   op
	args []term

	// A test looks a cell up in a set; the three outcomes say the rest.
	position        int
	set             []Interval
	exact           bool    // false if set is merely the texts with like's prefix
	like            pattern // decides in place of set, if not nil
	hit, miss, null Truth
}

// Eval returns the outcome for a row, of which column gives the value at a
// position. It asks for no more columns than it takes, keeps none of the
// values, and does not allocate.
func (p *Predicate) Eval(column func(position int) value.Value) Truth {
	return all(p.terms, column)
}

func all(terms []term, column func(position int) value.Value) Truth {
	out := True
	for i := range terms {
		if out = min(out, terms[i].eval(column)); out == False {
			break
		}
	}
	return out
}

func (t *term) eval(column func(position int) value.Value) Truth {
	switch t.op {
	case opAnd:
		return all(t.args, column)
	case opOr:
		out := False
		for i := range t.args {
			if out = max(out, t.args[i].eval(column)); out == True {
				break
			}
		}
		return out
	}
	v := column(t.position)
	switch {
	case v.IsNull():
		return t.null
	case t.like != nil && t.like.match(v.AsText()), t.like == nil && contains(t.set, v):
		return t.hit
	}
	return t.miss
}

// IsTrue reports whether the predicate holds for every row.
func (p *Predicate) IsTrue() bool { return len(p.terms) == 0 }

// Domain returns the values that the column at a position may have in a row for
// which the predicate is true. Rows with other values need not be looked at.
func (p *Predicate) Domain(position int) Set { return domainOfAll(p.terms, position) }

func domainOfAll(terms []term, position int) Set {
	s := Set{Null: true, Intervals: allValues}
	for i := range terms {
		s = s.intersect(terms[i].domain(position))
	}
	return s
}

func (t *term) domain(position int) Set {
	switch {
	case t.op == opAnd:
		return domainOfAll(t.args, position)
	case t.op == opOr:
		return domainOfAny(t.args, position)
	case t.position != position:
		return Set{Null: true, Intervals: allValues}
	}
	s := Set{Null: t.null == True}
	switch {
	case t.miss == True && (t.hit == True || !t.exact):
		s.Intervals = allValues
	case t.miss == True:
		s.Intervals = complement(t.set)
	case t.hit == True:
		s.Intervals = t.set
	}
	return s
}

func domainOfAny(terms []term, position int) Set {
	s := Set{}
	var list []Interval
	for i := range terms {
		d := terms[i].domain(position)
		s.Null = s.Null || d.Null
		list = append(list, d.Intervals...)
	}
	s.Intervals = normal(list)
	return s
}

// Without returns what is left to check of a row whose columns at the given
// positions are known to be in their domains.
func (p *Predicate) Without(known func(position int) bool) *Predicate {
	rest := always
	for i := range p.terms {
		t := &p.terms[i]
		position, exact := t.alone()
		if !exact || position < 0 || !known(position) {
			if rest == always {
				rest = &Predicate{}
			}
			rest.terms = append(rest.terms, *t)
		}
	}
	return rest
}

// alone returns the one column that the term tests, or -1 if it tests none. It
// is not exact if there are several columns, or if the term's domain holds more
// than what passes.
func (t *term) alone() (position int, exact bool) {
	if t.op != opAnd && t.op != opOr {
		return t.position, t.exact
	}
	position = -1
	for i := range t.args {
		p, exact := t.args[i].alone()
		if !exact || p >= 0 && position >= 0 && p != position {
			return 0, false
		}
		position = max(position, p)
	}
	return position, true
}

// Positions yields the positions of the columns that the predicate tests,
// some of them more than once.
func (p *Predicate) Positions(yield func(position int) bool) { positions(p.terms, yield) }

func positions(terms []term, yield func(int) bool) bool {
	for i := range terms {
		t := &terms[i]
		if t.op == opAnd || t.op == opOr {
			if !positions(t.args, yield) {
				return false
			}
		} else if !yield(t.position) {
			return false
		}
	}
	return true
}
