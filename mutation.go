package aedb

import (
	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
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

// KvSet sets a key.
func (s *Scope) KvSet(key, val []byte) Mutation {
	return msgs.KvSet{Scope: s.name(), Key: key, Value: val}
}

// KvDel removes a key. Removing one that does not exist succeeds.
func (s *Scope) KvDel(key []byte) Mutation {
	return msgs.KvDel{Scope: s.name(), Key: key}
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
