package aedb

import (
	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
)

// Mutation is one change of an envelope. Make mutations with the methods of
// Scope; they may be combined across scopes.
type Mutation = msgs.Mutation

// Envelope is one atomic request: all of it happens at one commit seq, or none.
type Envelope = msgs.Envelope

// IdempotencyKey identifies a request across retries, 16 bytes of the caller's
// choice.
type IdempotencyKey = msgs.IdempotencyKey

// WriteClass chooses what acknowledging a commit promises.
type WriteClass = msgs.WriteClass

// Write classes.
const (
	// Standard commits are acknowledged as Config.Durability says.
	Standard = msgs.Standard
	// Economic commits are on stable storage before they are visible, in every
	// durability mode.
	Economic = msgs.Economic
	// Volatile commits are visible at once and never logged: a crash loses them,
	// and a Close without a checkpoint, unless a checkpoint has been taken since.
	// They write keys only, and have no idempotency key.
	Volatile = msgs.Volatile
)

// Field assigns a value to a column.
type Field = msgs.Field

// Set assigns a value to a column, for UpdateFields.
func Set(column string, v Value) Field { return Field{Column: column, Value: v} }

// ColumnSpec describes a column of a table to be made.
type ColumnSpec = catalog.ColumnSpec

// IndexSpec describes an index to be made. Indexes are ordered; a unique one
// refuses rows with equal values, unless one of them is Null.
type IndexSpec = catalog.IndexSpec

// TableSpec describes a table to be made.
type TableSpec struct {
	Columns    []ColumnSpec
	PrimaryKey []string
	Indexes    []IndexSpec
	// IfNotExists leaves an identical table as it is.
	IfNotExists bool
}

// Column describes a column that is never null.
func Column(name string, t Type) ColumnSpec { return ColumnSpec{Name: name, Kind: t} }

// NullableColumn describes a column that may be Null.
func NullableColumn(name string, t Type) ColumnSpec {
	return ColumnSpec{Name: name, Kind: t, Nullable: true}
}

func (s *Scope) name() msgs.ScopeName {
	return msgs.ScopeName{Project: s.project, Scope: s.scope}
}

func (s *Scope) table(name string) msgs.TableName {
	return msgs.TableName{Project: s.project, Scope: s.scope, Table: name}
}

// CreateTable makes a table.
func (s *Scope) CreateTable(name string, spec TableSpec) Mutation {
	return msgs.Define{Statement: catalog.CreateTable{
		Project: s.project, Scope: s.scope, Table: name, Columns: spec.Columns,
		PrimaryKey: spec.PrimaryKey, Indexes: spec.Indexes, IfNotExists: spec.IfNotExists,
	}}
}

// DropTable removes a table with its rows and indexes. Dropping a table that
// does not exist succeeds.
func (s *Scope) DropTable(name string) Mutation {
	return msgs.Define{Statement: catalog.DropTable{Project: s.project, Scope: s.scope, Table: name}}
}

// CreateIndex makes an index and fills it within the same commit.
func (s *Scope) CreateIndex(table string, spec IndexSpec) Mutation {
	return msgs.Define{Statement: catalog.CreateIndex{Project: s.project, Scope: s.scope, Table: table, Index: spec}}
}

// DropIndex removes an index. Dropping one that does not exist succeeds.
func (s *Scope) DropIndex(table, index string) Mutation {
	return msgs.Define{Statement: catalog.DropIndex{Project: s.project, Scope: s.scope, Table: table, Index: index}}
}

// Insert adds a row, one value for each column in table order. A row with the
// same primary key fails with duplicate_primary_key.
func (s *Scope) Insert(table string, row Row) Mutation {
	return s.InsertBatch(table, []Row{row})
}

// InsertBatch adds rows.
func (s *Scope) InsertBatch(table string, rows []Row) Mutation {
	return msgs.WriteRows{Table: s.table(table), Mode: msgs.WriteInsert, Rows: rows}
}

// InsertInto adds rows that give the named columns only. Columns left out get
// their default, else Null.
func (s *Scope) InsertInto(table string, columns []string, rows ...Row) Mutation {
	return msgs.WriteRows{Table: s.table(table), Mode: msgs.WriteInsert, Columns: columns, Rows: rows}
}

// Upsert adds a row or replaces the one with the same primary key.
func (s *Scope) Upsert(table string, row Row) Mutation {
	return s.UpsertBatch(table, []Row{row})
}

// UpsertBatch adds or replaces rows; of several with one key the last wins.
func (s *Scope) UpsertBatch(table string, rows []Row) Mutation {
	return msgs.WriteRows{Table: s.table(table), Mode: msgs.WriteUpsert, Rows: rows}
}

// OnConflict tells what InsertOr does with a row that is there already.
type OnConflict = msgs.OnConflict

// ConflictAction is what InsertOr does to the row that is there.
type ConflictAction = msgs.ConflictAction

// Conflict actions.
const (
	// KeepRow leaves the row as it is.
	KeepRow = msgs.ConflictKeep
	// MergeRow overwrites it with every proposed value that is not Null.
	MergeRow = msgs.ConflictMerge
	// UpdateRow makes assignments, whose terms may refer to the proposed row.
	UpdateRow = msgs.ConflictUpdate
)

// InsertOr adds rows, and does to each one that is there already what the conflict
// says; of several rows in the place of one, each sees what the one before has
// left. The reply tells how many were written.
func (s *Scope) InsertOr(table string, conflict OnConflict, rows ...Row) Mutation {
	return msgs.WriteRows{Table: s.table(table), Rows: rows, OnConflict: &conflict}
}

// UpdateFields overwrites the named columns of the row with the given primary
// key, which must exist.
func (s *Scope) UpdateFields(table string, key []Value, fields ...Field) Mutation {
	return msgs.UpdateFields{Table: s.table(table), Key: key, Fields: fields}
}

// Delete removes the row with the given primary key. Deleting a row that does
// not exist succeeds.
func (s *Scope) Delete(table string, key ...Value) Mutation {
	return msgs.DeleteRow{Table: s.table(table), Key: key}
}

// Selection chooses the rows of an UpdateRows or DeleteRows.
type Selection = msgs.Selection

// UpdateRows makes assignments to selected rows and can return them; UpdateWhere
// and ClaimOne make the usual forms.
type UpdateRows = msgs.UpdateRows

// DeleteRows removes selected rows and can return them; DeleteWhere makes the
// usual form.
type DeleteRows = msgs.DeleteRows

// Reply is what a mutation has to tell of what it did.
type Reply = msgs.Reply

// RowChange is one row before and after a mutation.
type RowChange = msgs.RowChange

// Select selects all rows of a table for which a condition is true, in the order
// of the primary key.
func (s *Scope) Select(table string, where query.Expr) Selection {
	return Selection{Table: s.table(table), Where: where}
}

// UpdateWhere makes assignments to all rows for which a condition is true. All
// terms see the row as it was. The reply tells how many there were.
func (s *Scope) UpdateWhere(table string, where query.Expr, set ...query.Assignment) Mutation {
	return UpdateRows{Selection: s.Select(table, where), Set: set}
}

// ClaimOne makes assignments to the first row for which a condition is true, in
// the order of the named index or else of the primary key. The reply has the row
// before and after, if there was one. As the row is chosen at the commit point,
// one of any number of racing claimants gets it.
func (s *Scope) ClaimOne(table, index string, where query.Expr, set ...query.Assignment) Mutation {
	selection := s.Select(table, where)
	selection.Index, selection.Limit = index, 1
	return UpdateRows{Selection: selection, Set: set, Return: true}
}

// DeleteWhere removes all rows for which a condition is true. The reply tells how
// many there were.
func (s *Scope) DeleteWhere(table string, where query.Expr) Mutation {
	return DeleteRows{Selection: s.Select(table, where)}
}

// CellAdd adds to a cell that holds a number. The amount is of the column's kind,
// which is integral. The row must exist. The reply has the new number.
func (s *Scope) CellAdd(table string, key []Value, column string, amount Value, overflow LimitPolicy) Mutation {
	return s.cell(msgs.ArithmeticAdd, table, key, column, amount, overflow)
}

// CellSub subtracts from a cell that holds a number; see CellAdd.
func (s *Scope) CellSub(table string, key []Value, column string, amount Value, underflow LimitPolicy) Mutation {
	return s.cell(msgs.ArithmeticSub, table, key, column, amount, underflow)
}

func (s *Scope) cell(op msgs.ArithmeticOp, table string, key []Value, column string, amount Value, limit LimitPolicy) Mutation {
	return msgs.CellArithmetic{Table: s.table(table), Key: key, Column: column, Op: op, Amount: amount, OnLimit: limit}
}

// If carries a write out if assertions hold at its place among the mutations; else
// the envelope fails with assertion_failed.
func If(write Mutation, assertions ...Assertion) Mutation {
	return msgs.Guarded{If: assertions, Do: write}
}

// KvSet sets a key.
func (s *Scope) KvSet(key, val []byte) Mutation {
	return msgs.KvSet{Scope: s.name(), Key: key, Value: val}
}

// KvPair is a key with the value to be set.
type KvPair = msgs.KvPair

// KvSetMany sets many keys, in order, as so many KvSet would, and costs less: it is what
// a load is made of. Limits.BatchRows bounds the pairs. None at all is a validation error.
func (s *Scope) KvSetMany(pairs ...KvPair) Mutation {
	return msgs.KvSetMany{Scope: s.name(), Pairs: pairs}
}

// KvDel removes a key. Removing one that does not exist succeeds.
func (s *Scope) KvDel(key []byte) Mutation {
	return msgs.KvDel{Scope: s.name(), Key: key}
}

// KvSetIfAbsent sets a key that is not there.
func (s *Scope) KvSetIfAbsent(key, val []byte) Mutation {
	return If(s.KvSet(key, val), s.KeyExists(key, false))
}

// KvCompareAndSwap sets a key that was last written by the given commit; 0 means
// that it is not there.
func (s *Scope) KvCompareAndSwap(key, val []byte, seq uint64) Mutation {
	return If(s.KvSet(key, val), s.KeyVersion(key, seq))
}

// KvDelIf removes a key that has just this value.
func (s *Scope) KvDelIf(key, val []byte) Mutation {
	return If(s.KvDel(key), s.KeyEquals(key, val))
}

// MissingPolicy says what arithmetic does with a key that is not there.
type MissingPolicy = msgs.MissingPolicy

// LimitPolicy says what arithmetic does with a result out of range.
type LimitPolicy = msgs.LimitPolicy

// Policies of arithmetic.
const (
	// TreatAsZero counts a missing key as zero.
	TreatAsZero = msgs.MissingTreatAsZero
	// RejectMissing fails with validation.
	RejectMissing = msgs.MissingReject
	// RejectLimit fails with overflow or underflow.
	RejectLimit = msgs.LimitReject
	// Saturate stores the largest number; for additions.
	Saturate = msgs.LimitSaturate
	// NoOp succeeds and writes nothing; for subtractions.
	NoOp = msgs.LimitNoOp
)

// KvAddU64 adds to a number of 8 big-endian bytes.
func (s *Scope) KvAddU64(key []byte, amount uint64, missing MissingPolicy, overflow LimitPolicy) Mutation {
	return s.arithmetic(msgs.ArithmeticAdd, msgs.Width64, key, *uint256.NewInt(amount), missing, overflow)
}

// KvSubU64 subtracts from a number of 8 big-endian bytes.
func (s *Scope) KvSubU64(key []byte, amount uint64, missing MissingPolicy, underflow LimitPolicy) Mutation {
	return s.arithmetic(msgs.ArithmeticSub, msgs.Width64, key, *uint256.NewInt(amount), missing, underflow)
}

// KvAddU256 adds to a number of 32 big-endian bytes.
func (s *Scope) KvAddU256(key []byte, amount *uint256.Int, missing MissingPolicy, overflow LimitPolicy) Mutation {
	return s.arithmetic(msgs.ArithmeticAdd, msgs.Width256, key, *amount, missing, overflow)
}

// KvSubU256 subtracts from a number of 32 big-endian bytes.
func (s *Scope) KvSubU256(key []byte, amount *uint256.Int, missing MissingPolicy, underflow LimitPolicy) Mutation {
	return s.arithmetic(msgs.ArithmeticSub, msgs.Width256, key, *amount, missing, underflow)
}

// KvSetU64 stores a number of 8 big-endian bytes.
func (s *Scope) KvSetU64(key []byte, n uint64) Mutation {
	return s.arithmetic(msgs.ArithmeticSet, msgs.Width64, key, *uint256.NewInt(n), TreatAsZero, RejectLimit)
}

// KvMaxU64 raises a number of 8 big-endian bytes to the candidate, if that is
// greater.
func (s *Scope) KvMaxU64(key []byte, candidate uint64, missing MissingPolicy) Mutation {
	return s.arithmetic(msgs.ArithmeticMax, msgs.Width64, key, *uint256.NewInt(candidate), missing, RejectLimit)
}

// KvMinU64 lowers a number of 8 big-endian bytes to the candidate, if that is
// less. Of a missing key counted as zero the least is zero.
func (s *Scope) KvMinU64(key []byte, candidate uint64, missing MissingPolicy) Mutation {
	return s.arithmetic(msgs.ArithmeticMin, msgs.Width64, key, *uint256.NewInt(candidate), missing, RejectLimit)
}

// KvSetU256 stores a number of 32 big-endian bytes.
func (s *Scope) KvSetU256(key []byte, n *uint256.Int) Mutation {
	return s.arithmetic(msgs.ArithmeticSet, msgs.Width256, key, *n, TreatAsZero, RejectLimit)
}

// KvMaxU256 raises a number of 32 big-endian bytes; see KvMaxU64.
func (s *Scope) KvMaxU256(key []byte, candidate *uint256.Int, missing MissingPolicy) Mutation {
	return s.arithmetic(msgs.ArithmeticMax, msgs.Width256, key, *candidate, missing, RejectLimit)
}

// KvMinU256 lowers a number of 32 big-endian bytes; see KvMinU64.
func (s *Scope) KvMinU256(key []byte, candidate *uint256.Int, missing MissingPolicy) Mutation {
	return s.arithmetic(msgs.ArithmeticMin, msgs.Width256, key, *candidate, missing, RejectLimit)
}

// KvAddI64 adds to a signed number of 8 big-endian bytes in two's complement. A
// sum outside the bounds, of which nil is none, fails with validation.
func (s *Scope) KvAddI64(key []byte, delta int64, missing MissingPolicy, least, greatest *int64) Mutation {
	return msgs.KvAddSigned{
		Scope: s.name(), Key: key, Delta: delta, OnMissing: missing, Least: least, Greatest: greatest,
	}
}

// CounterAdd adds to a counter of 1 to 4096 shards, to the one that the hint
// chooses. The first addition decides how many shards there are.
func (s *Scope) CounterAdd(name []byte, amount uint64, shards int, hint uint32) Mutation {
	return msgs.CounterAdd{Scope: s.name(), Key: name, Amount: amount, Shards: shards, Hint: hint}
}

func (s *Scope) arithmetic(op msgs.ArithmeticOp, w msgs.NumberWidth, key []byte, amount uint256.Int, missing MissingPolicy, limit LimitPolicy) Mutation {
	return msgs.KvArithmetic{
		Scope: s.name(), Key: key, Op: op, Width: w, Amount: amount, OnMissing: missing, OnLimit: limit,
	}
}

// EmitEvent stores an event in the outbox, atomically with the rest of the
// envelope. Topics are names; keys are not blank, and unique per topic within an
// envelope; the payload is JSON. The outbox is the table "event_outbox" of the
// scope "app" in the project "_system", which is made with the first event and
// can be queried like any other.
func (s *Scope) EmitEvent(topic, key, payloadJSON string) Mutation {
	return msgs.EmitEvent{Scope: s.name(), Topic: topic, Key: key, PayloadJSON: payloadJSON}
}

// Check evaluates assertions at its place among the mutations, against what
// those before it have left.
func Check(assertions ...Assertion) Mutation {
	return msgs.PostflightCheck{Assertions: assertions}
}
