package query

import (
	"encoding/binary"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// MaxTermNodes bounds the literals, columns and operators of one Term.
const MaxTermNodes = 256

// termOp is the operator of a Term. The numbers are part of the canonical
// encoding.
type termOp uint8

const (
	termLiteral  termOp = 0 // the zero Term is the literal Null
	termColumn   termOp = 1
	termProposed termOp = 2
	termAdd      termOp = 3
	termSub      termOp = 4
	termCoalesce termOp = 5
)

// Term is what a column is set to: a value computed from literals and from the
// columns of the row as it was before the update. The zero Term is Null.
type Term struct {
	op      termOp
	inner   uint16 // nodes below this one; saturates
	column  string
	literal value.Value
	args    []Term // shared and never modified
}

// Lit is the literal v, which must be of the kind it is used as: kinds are not
// converted on write.
func Lit[L Literal](v L) Term { return Term{literal: literal(v)} }

// Col is the value of a column in the row as it was.
func Col(name string) Term { return Term{op: termColumn, column: name} }

// Proposed is the value of a column in the row that a write proposed, where it
// found another in its place.
func Proposed(name string) Term { return Term{op: termProposed, column: name} }

// Add is a + b, two numbers of one integral kind. It fails with overflow or
// underflow if the kind does not hold the sum, and is Null if an operand is.
func Add(a, b Term) Term { return operation(termAdd, a, b) }

// Sub is a - b, under the rules of Add.
func Sub(a, b Term) Term { return operation(termSub, a, b) }

// Coalesce is a, or b if a is Null.
func Coalesce(a, b Term) Term { return operation(termCoalesce, a, b) }

func operation(op termOp, a, b Term) Term {
	return Term{op: op, inner: min(a.inner+b.inner+2, MaxTermNodes), args: []Term{a, b}}
}

// Literal returns the value of a term that is a literal.
func (t Term) Literal() (v value.Value, ok bool) { return t.literal, t.op == termLiteral }

// Assignment sets a column to a term.
type Assignment struct {
	Column string
	To     Term
}

// Assign sets a column to a term.
func Assign(column string, to Term) Assignment { return Assignment{Column: column, To: to} }

// Size is what the term counts against the size of a request: the content of its
// literals and the names of its columns, and something for each node.
func (t Term) Size() int {
	n := 8 + len(t.column) + t.literal.Size()
	for i := range t.args {
		n += t.args[i].Size()
	}
	return n
}

// Check returns a limit_exceeded error for a term that is larger than any may be. It
// takes no time, whatever the term; what walks through one comes after it.
func (t Term) Check() error {
	if t.inner >= MaxTermNodes {
		return errs.Exceeded("nodes of a term", "max_term_nodes", int64(t.inner)+1, MaxTermNodes)
	}
	return nil
}

// AppendCanonical appends an encoding of the term to dst. Equal bytes mean equal
// terms.
func (t Term) AppendCanonical(dst []byte) []byte {
	dst = append(dst, byte(t.op))
	switch t.op {
	case termLiteral:
		return value.AppendKey(dst, t.literal)
	case termColumn, termProposed:
		return appendName(dst, t.column)
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.args)))
	for _, arg := range t.args {
		dst = arg.AppendCanonical(dst)
	}
	return dst
}

// Formula is a term bound to the columns of a layout. It is immutable.
type Formula struct {
	op       termOp
	position int
	literal  value.Value
	args     []Formula
}

// BindTerm resolves the columns of a term that is to give a value of the wanted
// kind. Terms that are not for a proposed row must not refer to one. It returns
// unknown_column, type_mismatch, limit_exceeded or validation.
func BindTerm(t Term, l Layout, want value.Kind, proposed bool) (Formula, error) {
	if err := t.Check(); err != nil {
		return Formula{}, err
	}
	f := Formula{}
	err := f.bind(&t, l, want, proposed)
	return f, err
}

// bind makes the formula of a term.
func (f *Formula) bind(t *Term, l Layout, want value.Kind, proposed bool) error {
	f.op, f.literal = t.op, t.literal
	switch t.op {
	case termLiteral:
		if kind := t.literal.Kind(); kind != want && kind != value.KindNull {
			return errs.New(errs.CodeTypeMismatch, "a literal is of kind %s, wanted is %s", kind, want)
		}
		return nil
	case termColumn, termProposed:
		if t.op == termProposed && !proposed {
			return errs.New(errs.CodeValidation, "column %q of a proposed row, where none is proposed", t.column).On(t.column)
		}
		position, kind, ok := l.Lookup(t.column)
		if !ok {
			return errs.New(errs.CodeUnknownColumn, "%s has no column %q", l, t.column).On(t.column)
		}
		if f.position = position; kind != want {
			return mismatch(t.column, want, kind)
		}
		return nil
	case termAdd, termSub:
		if !Computable(want) {
			return errs.New(errs.CodeTypeMismatch, "there is no arithmetic on values of kind %s", want)
		}
	}
	f.args = make([]Formula, len(t.args))
	for i := range f.args {
		if err := f.args[i].bind(&t.args[i], l, want, proposed); err != nil {
			return err
		}
	}
	return nil
}

// Eval returns the value for a row, of which old gives the value at a position,
// and the proposed row, which may be nil if the formula was bound without one.
// The value may share memory with theirs.
func (f *Formula) Eval(old, proposed func(position int) value.Value) (value.Value, error) {
	switch f.op {
	case termLiteral:
		return f.literal, nil
	case termColumn:
		return old(f.position), nil
	case termProposed:
		return proposed(f.position), nil
	}
	a, err := f.args[0].Eval(old, proposed)
	if err != nil {
		return value.Value{}, err
	}
	if f.op == termCoalesce {
		if !a.IsNull() {
			return a, nil
		}
		return f.args[1].Eval(old, proposed)
	}
	b, err := f.args[1].Eval(old, proposed)
	if err != nil || a.IsNull() || b.IsNull() {
		return value.Value{}, err
	}
	if f.op == termAdd {
		return Sum(a, b)
	}
	return Difference(a, b)
}
