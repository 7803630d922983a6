package msgs

import (
	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/value"
)

// ScopeName names a scope.
type ScopeName struct {
	Project, Scope string
}

// TableName names a table.
type TableName struct {
	Project, Scope, Table string
}

// Mutation is one change that a caller asks for. The mutations of an envelope
// are executed in order, each seeing the effects of those before it. The set is
// closed.
type Mutation interface{ mutation() }

// WriteMode tells what a row write does when the row is there already.
type WriteMode uint8

// Modes of row writes.
const (
	// WriteInsert fails with duplicate_primary_key.
	WriteInsert WriteMode = iota
	// WriteUpsert replaces the row.
	WriteUpsert
)

// WriteRows inserts or replaces whole rows of one table. Columns names the
// columns that the rows give, in their order; nil means all columns in table
// order. A column left out gets its default, else Null. Within an insert, two
// rows with the same key fail; within an upsert, the last wins.
type WriteRows struct {
	Table   TableName
	Mode    WriteMode
	Columns []string
	Rows    []value.Row
}

// Field assigns a value to a column.
type Field struct {
	Column string
	Value  value.Value
}

// UpdateFields overwrites the named columns of the row with the given primary
// key. The row must exist, and key columns cannot be assigned.
type UpdateFields struct {
	Table  TableName
	Key    []value.Value
	Fields []Field
}

// DeleteRow removes the row with the given primary key, if it is there.
type DeleteRow struct {
	Table TableName
	Key   []value.Value
}

// KvSet sets a key, whether or not it is there.
type KvSet struct {
	Scope      ScopeName
	Key, Value []byte
}

// KvDel removes a key, if it is there.
type KvDel struct {
	Scope ScopeName
	Key   []byte
}

// NumberWidth is the stored form of a number in a key-value entry.
type NumberWidth uint8

// Widths, as the number of big-endian bytes.
const (
	Width64  NumberWidth = 8
	Width256 NumberWidth = 32
)

// ArithmeticOp is what a KvArithmetic does.
type ArithmeticOp uint8

// Arithmetic operations.
const (
	ArithmeticAdd ArithmeticOp = iota
	ArithmeticSub
)

// MissingPolicy says what arithmetic does with a key that is not there.
type MissingPolicy uint8

// Policies for missing keys.
const (
	// MissingTreatAsZero counts from zero.
	MissingTreatAsZero MissingPolicy = iota
	// MissingReject fails with validation.
	MissingReject
)

// LimitPolicy says what arithmetic does with a result out of range.
type LimitPolicy uint8

// Policies for results out of range.
const (
	// LimitReject fails with overflow or underflow.
	LimitReject LimitPolicy = iota
	// LimitSaturate stores the largest number; only for additions.
	LimitSaturate
	// LimitNoOp succeeds and writes nothing; only for subtractions.
	LimitNoOp
)

// KvArithmetic adds to or subtracts from an unsigned big-endian number stored
// under a key, inside the commit and without a read dependency. It moves the
// key's version even when the amount is zero.
type KvArithmetic struct {
	Scope     ScopeName
	Key       []byte
	Op        ArithmeticOp
	Width     NumberWidth
	Amount    uint256.Int
	OnMissing MissingPolicy
	OnLimit   LimitPolicy
}

// EmitEvent stores an event in the outbox, atomically with the rest of the
// envelope. The payload is JSON.
type EmitEvent struct {
	Scope       ScopeName
	Topic       string
	Key         string
	PayloadJSON string
}

// PostflightCheck evaluates assertions against what the mutations before it
// have left. A failure rejects the envelope. It creates no read dependency.
type PostflightCheck struct {
	Assertions []Assertion
}

// Define changes the catalog.
type Define struct {
	Statement catalog.Statement
}

func (WriteRows) mutation()       {}
func (UpdateFields) mutation()    {}
func (DeleteRow) mutation()       {}
func (KvSet) mutation()           {}
func (KvDel) mutation()           {}
func (KvArithmetic) mutation()    {}
func (EmitEvent) mutation()       {}
func (PostflightCheck) mutation() {}
func (Define) mutation()          {}
