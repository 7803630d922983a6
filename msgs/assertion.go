package msgs

import (
	"fmt"

	"github.com/empyrealapp/aedb-go/errs"
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

// All holds when every inner assertion does.
type All []Assertion

// Any holds when one inner assertion does; later ones are not evaluated.
type Any []Assertion

// Not holds when the inner assertion fails.
type Not struct{ Inner Assertion }

func (KeyEquals) assertion()        {}
func (KeyExists) assertion()        {}
func (KeyVersion) assertion()       {}
func (RowExists) assertion()        {}
func (RowVersion) assertion()       {}
func (RowColumnCompare) assertion() {}
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
	ActualValue
)

// Actual is what a failed assertion found.
type Actual struct {
	Kind    ActualKind
	Bytes   []byte
	Bool    bool
	Version uint64
	Value   value.Value
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
	return fmt.Sprintf("assertion %d (%T) found %s", e.Index, e.Assertion, e.Actual)
}

// Unwrap makes errors.Is(err, errs.ErrAssertionFailed) hold.
func (e *AssertionError) Unwrap() error {
	return &errs.Error{Code: errs.CodeAssertionFailed}
}
