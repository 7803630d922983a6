package query

import (
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// Layout says where the columns of the rows to be filtered are: those of a
// table, or of what a query makes of one.
type Layout interface {
	// Lookup returns the position and the kind of a named column.
	Lookup(column string) (position int, kind value.Kind, ok bool)
	// String names the layout in errors.
	String() string
}

// Bind resolves the columns of a condition and checks its literals against
// them. It returns invalid_query if the condition exceeds a limit,
// column_not_found, or type_mismatch for a literal that the column's kind does
// not compare with, naming the column and both kinds but never the literal.
func Bind(e Expr, l Layout) (*Predicate, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	root, err := bind(&e, l, false)
	if err != nil {
		return nil, err
	}
	if root.op == opAnd {
		return &Predicate{terms: root.args}, nil
	}
	return &Predicate{terms: []term{root}}, nil
}

// bind makes the term of e, or of Not(e) if negate is set. Negation ends in the
// tests: by De Morgan's laws, which hold in three-valued logic, And and Or
// change places, and a test gives the opposite of each of its outcomes.
func bind(e *Expr, l Layout, negate bool) (term, error) {
	switch e.op {
	case opNot:
		return bind(&e.args[0], l, !negate)
	case opTrue, opAnd, opOr:
		t := term{op: opAnd}
		if (e.op == opOr) != negate {
			t.op = opOr
		}
		for i := range e.args {
			arg, err := bind(&e.args[i], l, negate)
			if err != nil {
				return term{}, err
			}
			if arg.op == t.op {
				t.args = append(t.args, arg.args...)
			} else {
				t.args = append(t.args, arg)
			}
		}
		return t, nil
	}
	t, err := bindTest(e, l)
	if negate {
		t.hit, t.miss, t.null = t.hit.Not(), t.miss.Not(), t.null.Not()
	}
	return t, err
}

// bindTest makes the term of one test.
func bindTest(e *Expr, l Layout) (term, error) {
	position, kind, ok := l.Lookup(e.column)
	if !ok {
		return term{}, errs.New(errs.CodeColumnNotFound, "%s has no column %q", l, e.column).On(e.column)
	}
	if e.op == opLike {
		return bindLike(e, position, kind)
	}
	if e.op == opIn && len(e.values) > MaxInValues {
		return term{}, tooMuch(ReasonInListTooLong, "number of values in a list", "max_in_values", len(e.values), MaxInValues)
	}
	for _, v := range e.values {
		if !accepts(kind, v.Kind()) {
			return term{}, mismatch(e.column, kind, v.Kind())
		}
	}
	t := term{op: e.op, position: position, exact: true, hit: True, miss: False, null: Unknown}
	switch e.op {
	case opIsNull:
		t.null = True
	case opIsNotNull:
		t.miss, t.null = True, False
	case opIn:
		t.bindIn(kind, e.values)
	case opBetween:
		t.bindBetween(kind, e.values[0], e.values[1])
	default:
		t.set, ok = passing(e.op, kind, e.values[0])
		if !ok {
			t.miss = Unknown
		} else if e.op == opNe {
			t.hit, t.miss = False, True
		}
	}
	return t, nil
}

func (t *term) bindIn(kind value.Kind, values []value.Value) {
	if len(values) == 0 {
		t.null = False
	}
	for _, v := range values {
		point, ok := passing(opEq, kind, v)
		if !ok {
			t.miss = Unknown
		}
		t.set = append(t.set, point...)
	}
	t.set = normal(t.set)
}

func (t *term) bindBetween(kind value.Kind, lo, hi value.Value) {
	from, lowKnown := passing(opGte, kind, lo)
	to, highKnown := passing(opLte, kind, hi)
	switch {
	case lowKnown && highKnown:
		t.set = intersect(from, to)
	case lowKnown:
		t.set, t.hit = from, Unknown
	case highKnown:
		t.set, t.hit = to, Unknown
	default:
		t.miss = Unknown
	}
}

func bindLike(e *Expr, position int, kind value.Kind) (term, error) {
	text := e.values[0].AsText()
	if kind != value.KindText {
		return term{}, mismatch(e.column, value.KindText, kind)
	}
	if len(text) > MaxLikeBytes {
		return term{}, tooMuch(ReasonLikeTooLong, "length of a pattern", "max_like_bytes", len(text), MaxLikeBytes)
	}
	t := term{op: opLike, position: position, hit: True, miss: False, null: Unknown}
	p := compileLike(text)
	t.set, t.exact = p.set()
	if !t.exact {
		t.like = p
	}
	return t, nil
}

// passing returns the values of a kind that pass a comparison with v. It is
// false if v compares with none of them, so that the outcome is unknown. For
// opNe these are the values that do not pass.
func passing(o op, kind value.Kind, v value.Value) (list []Interval, known bool) {
	at, how := value.Coerce(kind, v)
	if how == value.Incomparable {
		return nil, false
	}
	switch o {
	case opEq, opNe:
		if how == value.Exact {
			list = []Interval{{Bound{Value: at}, Bound{Value: at}}}
		}
	case opLt, opLte:
		switch how {
		case value.AboveAll:
			list = allValues
		case value.Exact, value.Between:
			list = []Interval{{High: Bound{at, how == value.Exact && o == opLt}}}
		}
	case opGt, opGte:
		switch how {
		case value.BelowAll:
			list = allValues
		case value.Exact, value.Between:
			list = []Interval{{Low: Bound{at, how == value.Between || o == opGt}}}
		}
	}
	return list, true
}

// accepts is the table of literal kinds that each column kind accepts.
func accepts(column, literal value.Kind) bool {
	number := func(k value.Kind) bool {
		switch k {
		case value.KindU8, value.KindU64, value.KindInteger, value.KindTimestamp:
			return true
		}
		return false
	}
	wide := func(k value.Kind) bool { return k == value.KindU256 || k == value.KindI256 }
	switch {
	case literal == value.KindNull || literal == column:
		return true
	case number(column) || column == value.KindFloat:
		return number(literal) || literal == value.KindFloat
	case wide(column):
		return number(literal) || wide(literal)
	case column == value.KindJSON:
		return literal == value.KindText
	}
	return false
}

func mismatch(column string, want, got value.Kind) error {
	return errs.New(errs.CodeTypeMismatch, "column %q: expected %s, got %s", column, want, got).On(column)
}
