package msgs

import (
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/query"
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
	// Conflict is nil if there is no OnConflict.
	Conflict *BoundConflict
}

// BoundConflict is a bound OnConflict.
type BoundConflict struct {
	// Index is the place of the target among the table's indexes, or -1 for the
	// primary key.
	Index int
	// Where is nil if there is no condition. Set is empty if the row is kept.
	Where *query.Predicate
	Set   []BoundAssignment
	// Source says the same by names, with the assignments that Set was bound from.
	Source OnConflict
}

// BoundAssignment sets the column at a position.
type BoundAssignment struct {
	Position int
	To       query.Formula
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

// BoundSelection is a bound Selection, with the way to its rows.
type BoundSelection struct {
	Table *catalog.Table
	Where *query.Predicate
	// Path is the index that the rows are found by, nil for the primary key. Ranges
	// are where in its space they can be, ascending and disjoint.
	Path   *catalog.Index
	Ranges []KeyRange
	// Sort is set if the rows are wanted in the order of the primary key, and the
	// path has another.
	Sort     bool
	Backward bool
	// Limit is 0 for none.
	Limit int
}

// KeyRange is the keys in [Start, End); a nil End is the end of the space.
type KeyRange struct {
	Start, End []byte
}

// SetRows is a bound UpdateRows.
type SetRows struct {
	Selection BoundSelection
	Set       []BoundAssignment
	Source    UpdateRows
}

// RemoveRows is a bound DeleteRows.
type RemoveRows struct {
	Selection BoundSelection
	Source    DeleteRows
}

// ComputeCell is a bound CellArithmetic.
type ComputeCell struct {
	Table    *catalog.Table
	Key      []byte
	Position int
	Source   CellArithmetic
}

// PutKey is a bound KvSet. Value is a buffer made by record.AppendNewKV.
type PutKey struct {
	Space      SpaceID
	Key, Value []byte
}

// PutKeys is a bound KvSetMany. The values are buffers as that of PutKey.
type PutKeys struct {
	Space SpaceID
	Pairs []KvPair
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

// AddSigned is a bound KvAddSigned.
type AddSigned struct {
	Space SpaceID
	KvAddSigned
}

// Count is a bound CounterAdd.
type Count struct {
	Space SpaceID
	CounterAdd
}

// Guard is a bound Guarded.
type Guard struct {
	Conditions []Condition
	Operation  Operation
}

// Emit is a bound EmitEvent.
type Emit struct{ EmitEvent }

// Check is a bound PostflightCheck.
type Check struct{ Conditions []Condition }

// Alter is a bound Define.
type Alter struct{ Statement catalog.Statement }

func (*PutRows) operation()     {}
func (*SetFields) operation()   {}
func (*SetRows) operation()     {}
func (*RemoveRow) operation()   {}
func (*RemoveRows) operation()  {}
func (*ComputeCell) operation() {}
func (*PutKey) operation()      {}
func (*PutKeys) operation()     {}
func (*RemoveKey) operation()   {}
func (*Compute) operation()     {}
func (*AddSigned) operation()   {}
func (*Count) operation()       {}
func (*Guard) operation()       {}
func (*Emit) operation()        {}
func (*Check) operation()       {}
func (*Alter) operation()       {}

// Condition is an assertion bound to one catalog.
type Condition struct {
	// Assertion is the source, reported on failure.
	Assertion Assertion
	// Space and Key are the entry that a leaf looks at. Space is 0 for a scope
	// that does not exist: its keys are absent.
	Space SpaceID
	Key   []byte
	// Table is set for assertions on tables, Position if they are on a column, and
	// Selection, which has no limit, if they are on many rows.
	Table     *catalog.Table
	Position  int
	Selection *BoundSelection
	// Inner holds the operands of All, Any and Not.
	Inner []Condition
}
