package msgs

import (
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// Operation is a mutation bound to one catalog: names are resolved, rows and
// keys encoded, types and sizes checked. Callers bind in parallel; the applier
// binds again only what was bound to another catalog than the one it works on.
// The set is closed.
type Operation interface{ operation() }

// BoundRow is a row ready to be stored.
type BoundRow struct {
	Key, Data []byte
	// Indexes holds the row's entry in each index of the table, in order.
	Indexes []record.IndexEntry
}

// PutRows is a bound WriteRows.
type PutRows struct {
	Table *catalog.Table
	Mode  WriteMode
	Rows  []BoundRow
}

// SetFields is a bound UpdateFields.
type SetFields struct {
	Table  *catalog.Table
	Key    []byte
	Fields []BoundField
}

// BoundField assigns a checked value to the column at a position.
type BoundField struct {
	Position int
	Value    value.Value
}

// RemoveRow is a bound DeleteRow.
type RemoveRow struct {
	Table *catalog.Table
	Key   []byte
}

// PutKey is a bound KvSet. Value is a buffer made by record.NewKV.
type PutKey struct {
	Space      SpaceID
	Key, Value []byte
}

// RemoveKey is a bound KvDel.
type RemoveKey struct {
	Space SpaceID
	Key   []byte
}

// Compute is a bound KvArithmetic.
type Compute struct {
	Space SpaceID
	KvArithmetic
}

// Emit is a bound EmitEvent.
type Emit struct{ EmitEvent }

// Check is a bound PostflightCheck.
type Check struct{ Conditions []Condition }

// Alter is a bound Define.
type Alter struct{ Statement catalog.Statement }

func (*PutRows) operation()   {}
func (*SetFields) operation() {}
func (*RemoveRow) operation() {}
func (*PutKey) operation()    {}
func (*RemoveKey) operation() {}
func (*Compute) operation()   {}
func (*Emit) operation()      {}
func (*Check) operation()     {}
func (*Alter) operation()     {}

// Condition is an assertion bound to one catalog.
type Condition struct {
	// Assertion is the source, reported on failure.
	Assertion Assertion
	// Space and Key are the entry that a leaf looks at. Space is 0 for a scope
	// that does not exist: its keys are absent.
	Space SpaceID
	Key   []byte
	// Table and Position are set for RowColumnCompare.
	Table    *catalog.Table
	Position int
	// Inner holds the operands of All, Any and Not.
	Inner []Condition
}
