package msgs

import (
	"fmt"
	"strings"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// MaxAssertionDepth bounds the nesting of All, Any and Not.
const MaxAssertionDepth = 16

// Assertion is a condition that must hold at the commit point. The set is
// closed.
type Assertion interface{ assertion() }

// CompareOp compares an actual value with a threshold.
type CompareOp uint8

// Comparisons.
const (
	Eq CompareOp = iota
	Ne
	Gt
	Gte
	Lt
	Lte
)

// Holds reports whether a comparison result (-1, 0, 1) satisfies the operator.
func (op CompareOp) Holds(c int) bool {
	switch op {
	case Eq:
		return c == 0
	case Ne:
		return c != 0
	case Gt:
		return c > 0
	case Gte:
		return c >= 0
	case Lt:
		return c < 0
	}
	return c <= 0
}

// KeyEquals holds when the key is there with exactly these bytes.
type KeyEquals struct {
	Scope         ScopeName
	Key, Expected []byte
}

// KeyForm says how the bytes of a key are compared.
type KeyForm uint8

// Forms.
const (
	// FormBytes compares byte by byte.
	FormBytes KeyForm = iota
	// FormUnsigned compares unsigned big-endian numbers of 8 or 32 bytes, also one
	// width with the other.
	FormUnsigned
	// FormSigned compares signed big-endian numbers of 8 bytes.
	FormSigned
)

// KeyCompare holds when the key is there and its bytes, taken in a form, compare
// so with the threshold: a key that is missing fails it whatever the operator.
// Bytes that are not of the form fail with validation.
type KeyCompare struct {
	Scope     ScopeName
	Key       []byte
	Form      KeyForm
	Op        CompareOp
	Threshold []byte
}

// KeyExists holds when the presence of the key is as expected.
type KeyExists struct {
	Scope    ScopeName
	Key      []byte
	Expected bool
}

// KeyVersion holds when the key was last written by the given commit; 0 means
// that it is not there.
type KeyVersion struct {
	Scope ScopeName
	Key   []byte
	Seq   uint64
}

// RowExists holds when the presence of the row is as expected.
type RowExists struct {
	Table    TableName
	Key      []value.Value
	Expected bool
}

// RowVersion holds when the row was last written by the given commit; 0 means
// that it is not there.
type RowVersion struct {
	Table TableName
	Key   []value.Value
	Seq   uint64
}

// RowColumnCompare holds when the row is there and its column compares so in
// the total order of values, in which Null is lowest.
type RowColumnCompare struct {
	Table     TableName
	Key       []value.Value
	Column    string
	Op        CompareOp
	Threshold value.Value
}

// CountCompare holds when the number of rows for which a condition is true
// compares so with the threshold.
type CountCompare struct {
	Table     TableName
	Where     query.Expr
	Op        CompareOp
	Threshold uint64
}

// SumCompare holds when the sum of a column, over the rows for which a condition
// is true and the column is not Null, compares so with the threshold. The column
// is of a numeric kind, and the threshold of the same. The sum of no rows is
// zero. Sums of integral kinds are exact, whatever their size; those of Float are
// added in the order of the primary key.
type SumCompare struct {
	Table     TableName
	Column    string
	Where     query.Expr
	Op        CompareOp
	Threshold value.Value
}

// All holds when every inner assertion does.
type All []Assertion

// Any holds when one inner assertion does; later ones are not evaluated.
type Any []Assertion

// Not holds when the inner assertion fails.
type Not struct{ Inner Assertion }

func (KeyEquals) assertion()        {}
func (KeyCompare) assertion()       {}
func (KeyExists) assertion()        {}
func (KeyVersion) assertion()       {}
func (RowExists) assertion()        {}
func (RowVersion) assertion()       {}
func (RowColumnCompare) assertion() {}
func (CountCompare) assertion()     {}
func (SumCompare) assertion()       {}
func (All) assertion()              {}
func (Any) assertion()              {}
func (Not) assertion()              {}

// ActualKind tells which field of an Actual is meant.
type ActualKind uint8

// Kinds of actual value.
const (
	ActualMissing ActualKind = iota
	ActualBytes
	ActualBool
	ActualVersion
	// ActualValue is the value of a column, or a sum: of the column's kind if that
	// holds it, else U256 or I256, and Null if none does.
	ActualValue
	ActualCount
)

// Actual is what a failed assertion found.
type Actual struct {
	Kind    ActualKind
	Bytes   []byte
	Bool    bool
	Version uint64
	Value   value.Value
	Count   uint64
}

// String describes the kind of the finding, without its content.
func (a Actual) String() string {
	switch a.Kind {
	case ActualMissing:
		return "missing"
	case ActualBytes:
		return fmt.Sprintf("%d bytes", len(a.Bytes))
	case ActualBool:
		return fmt.Sprint(a.Bool)
	case ActualVersion:
		return fmt.Sprintf("version %d", a.Version)
	case ActualCount:
		return fmt.Sprintf("%d rows", a.Count)
	}
	return "a value of type " + a.Value.Kind().String()
}

// AssertionError is the detail of assertion_failed; reach it with errors.As.
type AssertionError struct {
	// Index is the place in the envelope's list, or in the list of the
	// PostflightCheck.
	Index int
	// Assertion is the one that failed, as it was given.
	Assertion Assertion
	// Actual is what was found instead.
	Actual Actual
}

// Error implements error.
func (e *AssertionError) Error() string {
	return fmt.Sprintf("assertion %d (%s) found %s", e.Index, e.Kind(), e.Actual)
}

// Kind names the kind of the assertion, such as "KeyEquals".
func (e *AssertionError) Kind() string {
	return strings.TrimPrefix(fmt.Sprintf("%T", e.Assertion), "msgs.")
}

// Unwrap makes errors.Is(err, errs.ErrAssertionFailed) hold.
func (e *AssertionError) Unwrap() error {
	return &errs.Error{Code: errs.CodeAssertionFailed}
}
