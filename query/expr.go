package query

import (
	"encoding/binary"
	"math"

	"github.com/empyrealapp/aedb-go/value"
)

// Limits on conditions.
const (
	// MaxDepth bounds the depth of a condition. A test has depth 1; And, Or and
	// Not add 1 to their deepest operand, whatever the number of operands.
	MaxDepth = 32
	// MaxExprNodes bounds the tests and operators of one condition. Operands may be
	// shared, so that a condition of little depth and memory can have very many.
	MaxExprNodes = 16_384
	// MaxInValues bounds the values listed in one In.
	MaxInValues = 10_000
	// MaxLikeBytes bounds the pattern of a Like.
	MaxLikeBytes = 256
)

// op is the operator of a node. The numbers are part of the canonical encoding.
type op uint8

const (
	opTrue      op = 0 // the zero Expr
	opEq        op = 1
	opNe        op = 2
	opLt        op = 3
	opLte       op = 4
	opGt        op = 5
	opGte       op = 6
	opIn        op = 7
	opBetween   op = 8
	opIsNull    op = 9
	opIsNotNull op = 10
	opLike      op = 11
	opAnd       op = 12
	opOr        op = 13
	opNot       op = 14
)

// Expr is a condition on a row: a tree of tests of one column against literals,
// joined by And, Or and Not. The zero Expr is no condition: it is always true.
type Expr struct {
	op     op
	depth  uint16 // saturates
	inner  uint16 // nodes below this one; saturates
	column string
	values []value.Value // literals of a test, shared and never modified
	args   []Expr        // operands of And, Or and Not, shared and never modified
}

// Literal is what a column may be compared with. int and int64 become Integer,
// uint8 U8, uint64 U64, float64 Float, string Text; a value.Value stays as it
// is and serves for all other kinds, and for Null.
type Literal interface {
	bool | int | int64 | uint8 | uint64 | float64 | string | value.Value
}

func literal[L Literal](l L) value.Value {
	switch v := any(l).(type) {
	case bool:
		return value.Bool(v)
	case int:
		return value.Int(int64(v))
	case int64:
		return value.Int(v)
	case uint8:
		return value.U8(v)
	case uint64:
		return value.U64(v)
	case float64:
		return value.Float(v)
	case string:
		return value.Text(v)
	case value.Value:
		return v
	}
	return value.Null()
}

func test(o op, column string, values ...value.Value) Expr {
	return Expr{op: o, depth: 1, column: column, values: values}
}

// Eq is column = v. A comparison with Null is Unknown; see IsNull.
func Eq[L Literal](column string, v L) Expr { return test(opEq, column, literal(v)) }

// Ne is column <> v.
func Ne[L Literal](column string, v L) Expr { return test(opNe, column, literal(v)) }

// Lt is column < v.
func Lt[L Literal](column string, v L) Expr { return test(opLt, column, literal(v)) }

// Lte is column <= v.
func Lte[L Literal](column string, v L) Expr { return test(opLte, column, literal(v)) }

// Gt is column > v.
func Gt[L Literal](column string, v L) Expr { return test(opGt, column, literal(v)) }

// Gte is column >= v.
func Gte[L Literal](column string, v L) Expr { return test(opGte, column, literal(v)) }

// In is true if the column equals one of the values. An empty list is false,
// even for Null; a list with Null in it is never false.
func In[L Literal](column string, values ...L) Expr {
	list := make([]value.Value, len(values))
	for i, v := range values {
		list[i] = literal(v)
	}
	return test(opIn, column, list...)
}

// Between is lo <= column and column <= hi.
func Between[L Literal](column string, lo, hi L) Expr {
	return test(opBetween, column, literal(lo), literal(hi))
}

// IsNull is true if the column is Null and false otherwise.
func IsNull(column string) Expr { return test(opIsNull, column) }

// IsNotNull is false if the column is Null and true otherwise.
func IsNotNull(column string) Expr { return test(opIsNotNull, column) }

// Like is true if the whole Text matches the pattern: % is any run of
// characters, _ is one character, a backslash takes what follows it literally,
// and everything else, case included, stands for itself.
func Like(column, pattern string) Expr { return test(opLike, column, value.Text(pattern)) }

// And is true if all its operands are, and if there are none.
func And(operands ...Expr) Expr {
	if len(operands) == 0 {
		return Expr{}
	}
	return join(opAnd, operands)
}

// Or is true if one of its operands is, and false if there are none.
func Or(operands ...Expr) Expr { return join(opOr, operands) }

// Not is true if its operand is false. It is Unknown if its operand is.
func Not(operand Expr) Expr { return join(opNot, []Expr{operand}) }

func join(o op, operands []Expr) Expr {
	if len(operands) == 1 && o != opNot {
		return operands[0]
	}
	e := Expr{op: o, depth: 1, args: append([]Expr(nil), operands...)}
	nodes := 0
	for i := range e.args {
		if d := e.args[i].depth; d >= e.depth {
			e.depth = min(d, math.MaxUint16-1) + 1
		}
		nodes = min(nodes+int(e.args[i].inner)+1, MaxExprNodes)
	}
	e.inner = uint16(nodes)
	return e
}

// Check returns an invalid_query error, with the limit, for a condition that is
// deeper or larger than any may be. It takes no time, whatever the condition; what
// walks through one comes after it.
func (e Expr) Check() error {
	if e.depth > MaxDepth {
		return tooMuch(ReasonTooDeep, "depth of the condition", "max_expression_depth", int(e.depth), MaxDepth)
	}
	if e.inner >= MaxExprNodes {
		return tooMuch(ReasonTooLarge, "nodes of the condition", "max_expression_nodes", int(e.inner)+1, MaxExprNodes)
	}
	return nil
}

// IsZero reports whether e is no condition at all.
func (e Expr) IsZero() bool { return e.op == opTrue }

// AppendCanonical appends an encoding of e to dst: operator, column, literals
// and operands, each in the order given. Equal bytes mean equal conditions.
// Literals are encoded as keys are, with their kinds.
func (e Expr) AppendCanonical(dst []byte) []byte {
	dst = append(dst, byte(e.op))
	switch e.op {
	case opTrue:
		return dst
	case opAnd, opOr, opNot:
		dst = binary.AppendUvarint(dst, uint64(len(e.args)))
		for i := range e.args {
			dst = e.args[i].AppendCanonical(dst)
		}
		return dst
	}
	dst = appendName(dst, e.column)
	dst = binary.AppendUvarint(dst, uint64(len(e.values)))
	return value.AppendKeyRow(dst, e.values...)
}

func appendName(dst []byte, name string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(name)))
	return append(dst, name...)
}
