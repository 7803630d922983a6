package msgs

import (
	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/query"
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

// WriteRows inserts or replaces whole rows of one table, one after another.
// Columns names the columns that the rows give, in their order; nil means all
// columns in table order. A column left out gets its default, else Null. Within
// an insert, two rows with the same key fail; within an upsert, the last wins.
//
// It is Insert, InsertBatch, Upsert and UpsertBatch, and with OnConflict, which
// goes with WriteInsert, UpsertOnConflict and UpsertBatchOnConflict.
type WriteRows struct {
	Table      TableName
	Mode       WriteMode
	Columns    []string
	Rows       []value.Row
	OnConflict *OnConflict
}

// OnConflict tells what a write does with a row that is there already: one that
// equals the proposed row in the columns of the target. A proposed row that finds
// none is inserted; it may still fail on a key that is not the target.
type OnConflict struct {
	// Index is the target: a unique index. Columns, if given instead, are those of
	// the primary key or of a unique index, in any order. With neither, the target
	// is the primary key.
	Index   string
	Columns []string
	Action  ConflictAction
	// Set is for ConflictUpdate. Its terms may refer to the proposed row.
	Set []query.Assignment
	// Where is a condition on the row that is there; where it is not true, that row
	// is left as it is.
	Where query.Expr
}

// ConflictAction is what happens to the row that is there.
type ConflictAction uint8

// Conflict actions.
const (
	// ConflictKeep leaves it as it is, with its version (DoNothing).
	ConflictKeep ConflictAction = iota
	// ConflictMerge overwrites it with every proposed value that is not Null, the
	// primary key apart (DoMerge).
	ConflictMerge
	// ConflictUpdate makes the assignments (DoUpdate, DoUpdateWith).
	ConflictUpdate
)

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

// Selection chooses rows of a table: the first Limit rows in an order for which
// a condition is true.
type Selection struct {
	Table TableName
	Where query.Expr
	// Index, if named, is the order; else it is the primary key.
	Index string
	// Backward looks at the highest keys first.
	Backward bool
	// Limit is the greatest number of rows; 0 is no limit.
	Limit int
}

// UpdateRows makes assignments to the selected rows, all computed from the row as
// it was; key columns cannot be assigned. Unique values may move among the rows.
// It is UpdateWhere and UpdateWhereExpr, and with Return, MutateWhereReturning
// and ClaimOne: rows are chosen at the commit point, so no two commits claim one.
type UpdateRows struct {
	Selection
	Set []query.Assignment
	// Return puts the rows before and after into the reply.
	Return bool
}

// DeleteRow removes the row with the given primary key, if it is there.
type DeleteRow struct {
	Table TableName
	Key   []value.Value
}

// DeleteRows removes the selected rows (DeleteWhere).
type DeleteRows struct {
	Selection
	// Return puts the rows into the reply.
	Return bool
}

// CellArithmetic computes one cell of a row from what it holds, inside the commit
// and without a read dependency. The row must exist, and the cell hold a number;
// the amount is of the column's kind, which is integral. It is TableIncU256 and
// TableDecU256, for every integral kind. It moves the row's version even when
// adding zero.
type CellArithmetic struct {
	Table   TableName
	Key     []value.Value
	Column  string
	Op      ArithmeticOp
	Amount  value.Value
	OnLimit LimitPolicy
}

// KvSet sets a key, whether or not it is there.
type KvSet struct {
	Scope      ScopeName
	Key, Value []byte
}

// KvSetMany sets keys of one scope, in order, as so many KvSet would.
type KvSetMany struct {
	Scope ScopeName
	Pairs []KvPair
}

// KvPair is a key with its value.
type KvPair struct{ Key, Value []byte }

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

// ArithmeticOp is what arithmetic does.
type ArithmeticOp uint8

// Arithmetic operations.
const (
	ArithmeticAdd ArithmeticOp = iota
	ArithmeticSub
	// ArithmeticSet stores the amount.
	ArithmeticSet
	// ArithmeticMax and ArithmeticMin store the amount if that is greater, or less.
	// A number that stays is not written and keeps its version.
	ArithmeticMax
	ArithmeticMin
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

// KvArithmetic computes an unsigned big-endian number stored under a key, inside
// the commit and without a read dependency. Additions and subtractions move the
// key's version even when the amount is zero. It is KvIncU256, KvDecU256, the
// KvAdd…Ex and KvSub…Ex of both widths, KvMax…, KvMin… and, together with
// Guarded, KvMutate….
type KvArithmetic struct {
	Scope     ScopeName
	Key       []byte
	Op        ArithmeticOp
	Width     NumberWidth
	Amount    uint256.Int
	OnMissing MissingPolicy
	OnLimit   LimitPolicy
}

// KvAddSigned adds to a signed number of 8 big-endian bytes in two's complement
// (KvAddI64Bounded). A sum that no int64 holds fails with overflow or underflow,
// one outside [Least, Greatest] with validation; nil is no bound.
type KvAddSigned struct {
	Scope           ScopeName
	Key             []byte
	Delta           int64
	OnMissing       MissingPolicy
	Least, Greatest *int64
}

// MaxCounterShards bounds the shards of a counter.
const MaxCounterShards = 4096

// CounterAdd adds to one shard of a counter, chosen by the hint modulo the number
// of shards. The first addition stores that number with the counter; another one
// later fails with validation. A shard fails with overflow above 64 bits.
// Counters have names of their own, apart from the keys of the scope.
type CounterAdd struct {
	Scope  ScopeName
	Key    []byte
	Amount uint64
	Shards int
	Hint   uint32
}

// Guarded is a mutation that is carried out if assertions hold at its place; else
// the envelope fails with assertion_failed. It makes the conditional forms of
// every write: compare and swap, set if absent, delete if, an expected version.
// It holds no definition, check or other Guarded.
type Guarded struct {
	If []Assertion
	Do Mutation
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
func (UpdateRows) mutation()      {}
func (DeleteRow) mutation()       {}
func (DeleteRows) mutation()      {}
func (CellArithmetic) mutation()  {}
func (KvSet) mutation()           {}
func (KvSetMany) mutation()       {}
func (KvDel) mutation()           {}
func (KvArithmetic) mutation()    {}
func (KvAddSigned) mutation()     {}
func (CounterAdd) mutation()      {}
func (Guarded) mutation()         {}
func (EmitEvent) mutation()       {}
func (PostflightCheck) mutation() {}
func (Define) mutation()          {}
