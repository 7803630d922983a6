package input

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// small are limits that a test can exceed without much ado.
func small(c *aedb.Config) {
	c.Limits = aedb.LimitsConfig{
		Mutations: 8, Assertions: 20, TransactionBytes: 64 << 10, BatchRows: 4,
		KVKeyBytes: 32, KVValueBytes: 1 << 10, TableValueBytes: 24 << 10, PrimaryKeyBytes: 256,
		EventPayloadBytes: 128, ReadBytes: 1 << 20,
	}
}

// wrong is one request that must be refused.
type wrong struct {
	name string
	env  aedb.Envelope
	want *aedb.Error
	// limit is the name of the limit that the error must give, or "".
	limit string
	// object is what the error must name, or "".
	object string
}

// one is an envelope of mutations.
func one(m ...aedb.Mutation) aedb.Envelope { return aedb.Envelope{Mutations: m} }

// when is an envelope under a condition.
func when(app *aedb.Scope, a ...aedb.Assertion) aedb.Envelope {
	return aedb.Envelope{Assertions: a, Mutations: []aedb.Mutation{app.KvSet([]byte("text"), []byte("changed"))}}
}

func repeat[T any](v T, n int) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func names(db *aedb.DB, app *aedb.Scope) []wrong {
	noProject, noScope := db.NoAuth().Scope("nope", "app"), db.NoAuth().Scope("p", "nope")
	system := db.NoAuth().Scope("_system", "app")
	k, spec := []byte("k"), aedb.TableSpec{
		Columns: []aedb.ColumnSpec{aedb.Column("id", aedb.TypeInteger)}, PrimaryKey: []string{"id"},
	}
	define := func(s catalog.Statement) aedb.Envelope { return one(msgs.Define{Statement: s}) }
	long := strings.Repeat("n", 129)
	key := []aedb.Value{aedb.Int(1)}
	return []wrong{
		{name: "unknown project, key", env: one(noProject.KvSet(k, nil)), want: aedb.ErrProjectNotFound, object: "nope"},
		{name: "unknown project, row", env: one(noProject.Insert("people", person(9))), want: aedb.ErrProjectNotFound},
		{name: "unknown project, table", env: one(noProject.CreateTable("t", spec)), want: aedb.ErrProjectNotFound},
		{name: "unknown project, event", env: one(noProject.EmitEvent("t", "k", "{}")), want: aedb.ErrProjectNotFound},
		{name: "unknown project, scope", env: define(catalog.CreateScope{Project: "nope", Scope: "s"}), want: aedb.ErrProjectNotFound},
		{name: "unknown project, drop", env: define(catalog.DropProject{Project: "nope", MustExist: true}), want: aedb.ErrProjectNotFound},
		{name: "unknown scope, key", env: one(noScope.KvDel(k)), want: aedb.ErrScopeNotFound, object: "nope"},
		{name: "unknown scope, number", env: one(noScope.KvAddU64(k, 1, aedb.TreatAsZero, aedb.RejectLimit)), want: aedb.ErrScopeNotFound},
		{name: "unknown scope, row", env: one(noScope.Delete("people", key...)), want: aedb.ErrScopeNotFound},
		{name: "unknown scope, table", env: one(noScope.CreateTable("t", spec)), want: aedb.ErrScopeNotFound},
		{name: "unknown scope, drop", env: define(catalog.DropScope{Project: "p", Scope: "nope", MustExist: true}), want: aedb.ErrScopeNotFound},
		{name: "unknown table, insert", env: one(app.Insert("nope", person(9))), want: aedb.ErrTableNotFound, object: "nope"},
		{name: "unknown table, fields", env: one(app.UpdateFields("nope", key, aedb.Set("name", aedb.Text("")))), want: aedb.ErrTableNotFound},
		{name: "unknown table, delete", env: one(app.Delete("nope", key...)), want: aedb.ErrTableNotFound},
		{name: "unknown table, index", env: one(app.CreateIndex("nope", aedb.IndexSpec{Name: "x", Columns: []string{"id"}})), want: aedb.ErrTableNotFound},
		{name: "unknown table, condition", env: when(app, app.RowExists("nope", key, true)), want: aedb.ErrTableNotFound},
		{name: "unknown table, drop", env: define(catalog.DropTable{Project: "p", Scope: "app", Table: "nope", MustExist: true}), want: aedb.ErrTableNotFound},
		{name: "unknown index, drop", env: define(catalog.DropIndex{Project: "p", Scope: "app", Table: "people", Index: "nope", MustExist: true}), want: aedb.ErrIndexNotFound, object: "nope"},
		{name: "unknown column, insert", env: one(app.InsertInto("people", []string{"id", "nope"}, aedb.Row{aedb.Int(9), aedb.Int(1)})), want: aedb.ErrUnknownColumn, object: "nope"},
		{name: "unknown column, fields", env: one(app.UpdateFields("people", key, aedb.Set("nope", aedb.Int(1)))), want: aedb.ErrUnknownColumn},
		{name: "unknown column, condition", env: when(app, app.ColumnCompare("people", key, "nope", aedb.Eq, aedb.Int(1))), want: aedb.ErrUnknownColumn},
		{name: "unknown column, index", env: one(app.CreateIndex("people", aedb.IndexSpec{Name: "x", Columns: []string{"nope"}})), want: aedb.ErrUnknownColumn},
		{name: "unknown column, primary key", env: one(app.CreateTable("t", aedb.TableSpec{Columns: spec.Columns, PrimaryKey: []string{"nope"}})), want: aedb.ErrUnknownColumn},

		{name: "empty name, project", env: define(catalog.CreateProject{}), want: aedb.ErrValidation, object: "project"},
		{name: "empty name, scope", env: define(catalog.CreateScope{Project: "p"}), want: aedb.ErrValidation, object: "scope"},
		{name: "empty name, table", env: one(app.CreateTable("", spec)), want: aedb.ErrValidation, object: "table"},
		{name: "empty name, column", env: one(app.CreateTable("t", aedb.TableSpec{Columns: []aedb.ColumnSpec{{Kind: aedb.TypeText}}, PrimaryKey: []string{""}})), want: aedb.ErrValidation, object: "column"},
		{name: "empty name, index", env: one(app.CreateIndex("people", aedb.IndexSpec{Columns: []string{"id"}})), want: aedb.ErrValidation, object: "index"},
		{name: "empty name, topic", env: one(app.EmitEvent("", "k", "{}")), want: aedb.ErrValidation, object: "topic"},
		{name: "bad character, project", env: define(catalog.CreateProject{Project: "a/b"}), want: aedb.ErrValidation},
		{name: "bad character, table", env: one(app.CreateTable("a.b", spec)), want: aedb.ErrValidation},
		{name: "bad character, zero", env: one(app.CreateTable("a\x00", spec)), want: aedb.ErrValidation},
		{name: "bad character, not UTF-8", env: one(app.CreateTable("a\xff", spec)), want: aedb.ErrValidation},
		{name: "long name", env: one(app.CreateTable(long, spec)), want: aedb.ErrLimitExceeded, limit: "max_name_bytes"},
		{name: "reserved project", env: define(catalog.CreateProject{Project: "_system"}), want: aedb.ErrValidation},
		{name: "reserved project, drop", env: define(catalog.DropProject{Project: "_system"}), want: aedb.ErrValidation},
		{name: "reserved project, table", env: one(system.CreateTable("t", spec)), want: aedb.ErrValidation},
		{name: "reserved table", env: one(app.CreateTable("__kv_index", spec)), want: aedb.ErrValidation},

		{name: "project exists", env: define(catalog.CreateProject{Project: "p", MustBeNew: true}), want: aedb.ErrProjectAlreadyExists},
		{name: "scope exists", env: define(catalog.CreateScope{Project: "p", Scope: "app", MustBeNew: true}), want: aedb.ErrScopeAlreadyExists},
		{name: "table exists", env: one(app.CreateTable("people", spec)), want: aedb.ErrTableAlreadyExists},
		{name: "table exists otherwise", env: one(app.CreateTable("people", aedb.TableSpec{Columns: spec.Columns, PrimaryKey: spec.PrimaryKey, IfNotExists: true})), want: aedb.ErrTableAlreadyExists},
		{name: "index exists", env: one(app.CreateIndex("people", aedb.IndexSpec{Name: "by_email", Columns: []string{"id"}})), want: aedb.ErrIndexAlreadyExists},
		{name: "table without columns", env: one(app.CreateTable("t", aedb.TableSpec{PrimaryKey: []string{"id"}})), want: aedb.ErrValidation},
		{name: "table without key", env: one(app.CreateTable("t", aedb.TableSpec{Columns: spec.Columns})), want: aedb.ErrValidation},
		{name: "column twice in table", env: one(app.CreateTable("t", aedb.TableSpec{Columns: repeat(spec.Columns[0], 2), PrimaryKey: spec.PrimaryKey})), want: aedb.ErrValidation},
		{name: "column twice in key", env: one(app.CreateTable("t", aedb.TableSpec{Columns: spec.Columns, PrimaryKey: []string{"id", "id"}})), want: aedb.ErrValidation},
		{name: "column twice in index", env: one(app.CreateIndex("people", aedb.IndexSpec{Name: "x", Columns: []string{"id", "id"}})), want: aedb.ErrValidation},
		{name: "column twice in insert", env: one(app.InsertInto("people", []string{"id", "id"}, aedb.Row{aedb.Int(9), aedb.Int(9)})), want: aedb.ErrValidation},
		{name: "index without columns", env: one(app.CreateIndex("people", aedb.IndexSpec{Name: "x"})), want: aedb.ErrValidation},
		{name: "column without type", env: one(app.CreateTable("t", aedb.TableSpec{Columns: []aedb.ColumnSpec{{Name: "id"}}, PrimaryKey: []string{"id"}})), want: aedb.ErrValidation},
		{name: "column of unknown type", env: one(app.CreateTable("t", aedb.TableSpec{Columns: []aedb.ColumnSpec{{Name: "id", Kind: 99}}, PrimaryKey: []string{"id"}})), want: aedb.ErrValidation},
	}
}

func values(_ *aedb.DB, app *aedb.Scope) []wrong {
	key := []aedb.Value{aedb.Int(1)}
	insert := func(column int, v aedb.Value) aedb.Envelope {
		return one(app.Insert("people", with(person(9), column, v)))
	}
	fields := func(column string, v aedb.Value) aedb.Envelope {
		return one(app.UpdateFields("people", key, aedb.Set(column, v)))
	}
	number, text, reject := []byte("number"), []byte("text"), aedb.RejectLimit
	return []wrong{
		{name: "wrong type", env: insert(1, aedb.Int(1)), want: aedb.ErrTypeMismatch, object: "name"},
		{name: "wrong type, number for number", env: insert(0, aedb.U64(9)), want: aedb.ErrTypeMismatch, object: "id"},
		{name: "wrong type, text for JSON", env: insert(4, aedb.Text(`{}`)), want: aedb.ErrTypeMismatch},
		{name: "wrong type, fields", env: fields("name", aedb.Blob([]byte(secret))), want: aedb.ErrTypeMismatch},
		{name: "wrong type, key", env: one(app.Delete("people", aedb.Text(secret))), want: aedb.ErrTypeMismatch},
		{name: "wrong type, condition", env: when(app, app.ColumnCompare("people", key, "name", aedb.Eq, aedb.Int(1))), want: aedb.ErrTypeMismatch},
		{name: "wrong type, default", env: one(app.CreateTable("t", aedb.TableSpec{
			Columns: []aedb.ColumnSpec{{Name: "id", Kind: aedb.TypeInteger, Default: ptr(aedb.Text(secret))}}, PrimaryKey: []string{"id"},
		})), want: aedb.ErrTypeMismatch},
		{name: "null", env: insert(1, aedb.Null()), want: aedb.ErrNotNullViolation, object: "name"},
		{name: "null in key", env: insert(0, aedb.Null()), want: aedb.ErrNotNullViolation, object: "id"},
		{name: "null left out", env: one(app.InsertInto("people", []string{"id"}, aedb.Row{aedb.Int(9)})), want: aedb.ErrNotNullViolation},
		{name: "null, fields", env: fields("name", aedb.Null()), want: aedb.ErrNotNullViolation},
		{name: "null key", env: one(app.Delete("people", aedb.Null())), want: aedb.ErrNotNullViolation},
		{name: "not a number", env: insert(3, aedb.Float(math.NaN())), want: aedb.ErrValidation, object: "score"},
		{name: "infinite", env: insert(3, aedb.Float(math.Inf(-1))), want: aedb.ErrValidation},
		{name: "text not UTF-8", env: insert(1, aedb.Text(secret+"\xff")), want: aedb.ErrValidation},
		{name: "JSON that is none", env: insert(4, aedb.JSON(`{"`+secret)), want: aedb.ErrValidation},
		{name: "row too narrow", env: one(app.Insert("people", person(9)[:6])), want: aedb.ErrValidation},
		{name: "row too wide", env: one(app.Insert("people", append(person(9), aedb.Int(1)))), want: aedb.ErrValidation},
		{name: "row of no width", env: one(app.Insert("people", nil)), want: aedb.ErrValidation},
		{name: "row narrower than its columns", env: one(app.InsertInto("people", []string{"id", "name"}, aedb.Row{aedb.Int(9)})), want: aedb.ErrValidation},
		{name: "key too narrow", env: one(app.Delete("pairs", aedb.Text("a"))), want: aedb.ErrValidation},
		{name: "key too wide", env: one(app.Delete("people", aedb.Int(1), aedb.Int(2))), want: aedb.ErrValidation},
		{name: "key of no width", env: one(app.UpdateFields("people", nil, aedb.Set("name", aedb.Text("")))), want: aedb.ErrValidation},
		{name: "prefix too wide", env: aedb.Envelope{
			Mutations: []aedb.Mutation{app.KvDel(text)},
			ReadSet:   aedb.ReadSet{RowRanges: []msgs.RowRangeRead{app.RowRangeRead("people", []aedb.Value{aedb.Int(1), aedb.Int(2)}, 1)}},
		}, want: aedb.ErrValidation},
		{name: "column of the key assigned", env: fields("id", aedb.Int(9)), want: aedb.ErrValidation},
		{name: "duplicate key", env: one(app.Insert("people", person(1))), want: aedb.ErrDuplicatePrimaryKey},
		{name: "duplicate key in a batch", env: one(app.InsertBatch("people", []aedb.Row{person(9), with(person(9), 2, aedb.Null())})), want: aedb.ErrDuplicatePrimaryKey},
		{name: "duplicate key after others", env: one(app.KvDel(text), app.Delete("people", aedb.Int(2)), app.Insert("people", person(1))), want: aedb.ErrDuplicatePrimaryKey},
		{name: "unique", env: one(app.Insert("people", with(person(9), 2, person(1)[2]))), want: aedb.ErrUniqueViolation},
		{name: "unique, upsert", env: one(app.Upsert("people", with(person(2), 2, person(1)[2]))), want: aedb.ErrUniqueViolation},
		{name: "unique, fields", env: one(app.UpdateFields("people", []aedb.Value{aedb.Int(2)}, aedb.Set("email", person(1)[2]))), want: aedb.ErrUniqueViolation},
		{name: "unique index over equal rows", env: one(app.CreateIndex("people", aedb.IndexSpec{Name: "x", Columns: []string{"name"}, Unique: true})), want: aedb.ErrUniqueViolation},
		{name: "row not found", env: one(app.UpdateFields("people", []aedb.Value{aedb.Int(9)}, aedb.Set("name", aedb.Text("")))), want: aedb.ErrRowNotFound},

		{name: "number of wrong width", env: one(app.KvAddU64(text, 1, aedb.TreatAsZero, reject)), want: aedb.ErrValidation},
		{name: "number of the other width", env: one(app.KvAddU256(number, uint256.NewInt(1), aedb.TreatAsZero, reject)), want: aedb.ErrValidation},
		{name: "number missing", env: one(app.KvAddU64([]byte("none"), 1, aedb.RejectMissing, reject)), want: aedb.ErrValidation},
		{name: "overflow", env: one(app.KvAddU64(number, math.MaxUint64, aedb.TreatAsZero, reject)), want: aedb.ErrOverflow},
		{name: "overflow of 256 bits", env: one(app.KvAddU256([]byte("new"), new(uint256.Int).SetAllOne(), aedb.TreatAsZero, reject),
			app.KvAddU256([]byte("new"), uint256.NewInt(1), aedb.TreatAsZero, reject)), want: aedb.ErrOverflow},
		{name: "underflow", env: one(app.KvSubU64(number, 8, aedb.TreatAsZero, reject)), want: aedb.ErrUnderflow},
		{name: "underflow of nothing", env: one(app.KvSubU64([]byte("none"), 1, aedb.TreatAsZero, reject)), want: aedb.ErrUnderflow},
		{name: "saturating subtraction", env: one(app.KvSubU64(number, 8, aedb.TreatAsZero, aedb.Saturate)), want: aedb.ErrValidation},
		{name: "idle addition", env: one(app.KvAddU64(number, 8, aedb.TreatAsZero, aedb.NoOp)), want: aedb.ErrValidation},

		{name: "event with a blank key", env: one(app.EmitEvent("t", " ", "{}")), want: aedb.ErrValidation},
		{name: "event with a payload that is not JSON", env: one(app.EmitEvent("t", "k", secret)), want: aedb.ErrValidation},
		{name: "event twice", env: one(app.EmitEvent("t", "k", "{}"), app.EmitEvent("t", "k", "{}")), want: aedb.ErrDuplicatePrimaryKey},
	}
}

func limits(_ *aedb.DB, app *aedb.Scope) []wrong {
	big := func(n int) []byte { return []byte(strings.Repeat("x", n)) }
	set := app.KvSet([]byte("text"), nil)
	holds := app.KeyExists([]byte("text"), true)
	deep := holds
	for range 17 {
		deep = aedb.Not(deep)
	}
	return []wrong{
		{name: "key", env: one(app.KvSet(big(33), nil)), want: aedb.ErrLimitExceeded, limit: "max_kv_key_bytes"},
		{name: "key to remove", env: one(app.KvDel(big(33))), want: aedb.ErrLimitExceeded, limit: "max_kv_key_bytes"},
		{name: "key of a number", env: one(app.KvAddU64(big(33), 1, aedb.TreatAsZero, aedb.RejectLimit)), want: aedb.ErrLimitExceeded, limit: "max_kv_key_bytes"},
		{name: "key among many", env: one(app.KvSetMany(aedb.KvPair{}, aedb.KvPair{Key: big(33)})), want: aedb.ErrLimitExceeded, limit: "max_kv_key_bytes"},
		{name: "value among many", env: one(app.KvSetMany(aedb.KvPair{Value: big(1<<10 + 1)})), want: aedb.ErrLimitExceeded, limit: "max_kv_value_bytes"},
		{name: "pairs", env: one(app.KvSetMany(make([]aedb.KvPair, 5)...)), want: aedb.ErrLimitExceeded, limit: "max_batch_rows"},
		{name: "value", env: one(app.KvSet([]byte("k"), big(1<<10+1))), want: aedb.ErrLimitExceeded, limit: "max_kv_value_bytes"},
		{name: "cell", env: one(app.Insert("people", with(person(9), 1, aedb.Text(string(big(24<<10+1)))))), want: aedb.ErrLimitExceeded, limit: "max_table_value_bytes"},
		{name: "blob", env: one(app.UpdateFields("people", []aedb.Value{aedb.Int(1)}, aedb.Set("photo", aedb.Blob(big(24<<10+1))))), want: aedb.ErrLimitExceeded, limit: "max_table_value_bytes"},
		{name: "primary key", env: one(app.Insert("pairs", aedb.Row{aedb.Text(string(big(256))), aedb.U64(1)})), want: aedb.ErrLimitExceeded, limit: "max_primary_key_bytes"},
		{name: "primary key to delete", env: one(app.Delete("pairs", aedb.Text(string(big(256))), aedb.U64(1))), want: aedb.ErrLimitExceeded, limit: "max_primary_key_bytes"},
		{name: "index entry", env: one(app.Insert("people", with(person(9), 2, aedb.Text(string(big(20<<10)))))), want: aedb.ErrLimitExceeded, limit: "max_index_key_bytes"},
		{name: "index entry, fields", env: one(app.UpdateFields("people", []aedb.Value{aedb.Int(1)}, aedb.Set("email", aedb.Text(string(big(20<<10)))))), want: aedb.ErrLimitExceeded, limit: "max_index_key_bytes"},
		{name: "rows", env: one(app.UpsertBatch("people", repeat(person(9), 5))), want: aedb.ErrLimitExceeded, limit: "max_batch_rows"},
		{name: "mutations", env: one(repeat(set, 9)...), want: aedb.ErrLimitExceeded, limit: "max_mutations_per_envelope"},
		{name: "assertions", env: when(app, repeat(holds, 21)...), want: aedb.ErrLimitExceeded, limit: "max_read_assertions_per_envelope"},
		{name: "assertions, nested", env: when(app, aedb.All(repeat(holds, 20)...)), want: aedb.ErrLimitExceeded, limit: "max_read_assertions_per_envelope"},
		{name: "assertion depth", env: when(app, deep), want: aedb.ErrLimitExceeded, limit: "max_assertion_depth"},
		{name: "envelope", env: one(repeat(app.Insert("people", with(person(9), 1, aedb.Text(string(big(20<<10))))), 4)...), want: aedb.ErrLimitExceeded, limit: "max_transaction_bytes"},
		{name: "event", env: one(app.EmitEvent("t", "k", `"`+string(big(127))+`"`)), want: aedb.ErrLimitExceeded, limit: "max_event_payload_bytes"},
		{name: "event key", env: one(app.EmitEvent("t", string(big(200)), `1`)), want: aedb.ErrLimitExceeded, limit: "max_primary_key_bytes"},
	}
}

func shapes(db *aedb.DB, app *aedb.Scope) []wrong {
	text := []byte("text")
	set := app.KvSet(text, []byte("changed"))
	head := db.Heads().VisibleSeq
	wrongKey := aedb.IdempotencyKey{1}
	return []wrong{
		{name: "empty envelope", env: aedb.Envelope{}, want: aedb.ErrValidation},
		{name: "no mutations", env: aedb.Envelope{IdempotencyKey: &wrongKey, Mutations: []aedb.Mutation{}}, want: aedb.ErrValidation},
		{name: "nil mutation", env: one(nil), want: aedb.ErrValidation},
		{name: "nil mutation after another", env: one(set, nil), want: aedb.ErrValidation},
		{name: "nil statement", env: one(msgs.Define{}), want: aedb.ErrValidation},
		{name: "nil assertion", env: when(app, nil), want: aedb.ErrValidation},
		{name: "nil in a check", env: one(set, aedb.Check(nil)), want: aedb.ErrValidation},
		{name: "nil under not", env: when(app, aedb.Not(nil)), want: aedb.ErrValidation},
		{name: "all of nothing", env: when(app, aedb.All()), want: aedb.ErrValidation},
		{name: "any of nothing", env: when(app, aedb.Any()), want: aedb.ErrValidation},
		{name: "no rows", env: one(app.InsertBatch("people", nil)), want: aedb.ErrValidation},
		{name: "no fields", env: one(app.UpdateFields("people", []aedb.Value{aedb.Int(1)})), want: aedb.ErrValidation},
		{name: "base ahead", env: aedb.Envelope{BaseSeq: head + 1, Mutations: []aedb.Mutation{set}}, want: aedb.ErrValidation},

		{name: "condition fails", env: when(app, app.KeyEquals(text, []byte("other"))), want: aedb.ErrAssertionFailed},
		{name: "condition on a version fails", env: when(app, app.KeyVersion(text, head+1)), want: aedb.ErrAssertionFailed},
		{name: "condition on a row fails", env: when(app, app.RowExists("people", []aedb.Value{aedb.Int(9)}, true)), want: aedb.ErrAssertionFailed},
		{name: "condition on a column fails", env: when(app, app.ColumnCompare("people", []aedb.Value{aedb.Int(1)}, "name", aedb.Lt, aedb.Text(""))), want: aedb.ErrAssertionFailed},
		{name: "conditions fail in the end", env: when(app, aedb.All(app.KeyExists(text, true), aedb.Not(app.KeyExists(text, true)))), want: aedb.ErrAssertionFailed},
		{name: "check fails after mutations", env: one(set, app.Delete("people", aedb.Int(1)), aedb.Check(app.KeyEquals(text, []byte(secret)))), want: aedb.ErrAssertionFailed},
		{name: "read set is stale", env: aedb.Envelope{
			Mutations: []aedb.Mutation{set}, ReadSet: aedb.ReadSet{Keys: []msgs.KeyRead{app.KeyRead(text, 1)}},
		}, want: aedb.ErrConflict},
		{name: "range read set is stale", env: aedb.Envelope{
			Mutations: []aedb.Mutation{set}, ReadSet: aedb.ReadSet{RowRanges: []msgs.RowRangeRead{app.RowRangeRead("people", nil, 1)}},
		}, want: aedb.ErrConflict},
	}
}

func ptr[T any](v T) *T { return &v }

// TestRequestsThatAreWrongAreRefusedWhole sends each alone, and also behind
// mutations that are right: those must not happen either.
func TestRequestsThatAreWrongAreRefusedWhole(t *testing.T) {
	db := open(t, vfs.NewMem(), small)
	app := fill(t, db)
	ctx := t.Context()
	before, heads := contents(t, db), db.Heads()
	check := func(t *testing.T, c wrong, env aedb.Envelope) {
		t.Helper()
		_, err := app.CommitEnvelope(ctx, env, aedb.Durable)
		refused(t, err, c.want)
		var e *aedb.Error
		require.True(t, errors.As(err, &e))
		if c.limit != "" {
			require.Equal(t, c.limit, e.Limit)
			require.Greater(t, e.Value, e.Max)
			require.Contains(t, err.Error(), c.limit)
		}
		if c.object != "" {
			require.Equal(t, c.object, e.Object, "%v", err)
		}
		require.Equal(t, heads, db.Heads())
	}
	for group, cases := range map[string]func(*aedb.DB, *aedb.Scope) []wrong{
		"names": names, "values": values, "limits": limits, "shapes": shapes,
	} {
		t.Run(group, func(t *testing.T) {
			for _, c := range cases(db, app) {
				t.Run(c.name, func(t *testing.T) {
					check(t, c, c.env)
					if n := len(c.env.Mutations); n == 0 || n > 6 {
						return
					}
					behind := c.env
					behind.Mutations = append([]aedb.Mutation{
						app.KvDel([]byte("spare")), app.Insert("people", with(person(77), 2, aedb.Null())),
					}, behind.Mutations...)
					check(t, c, behind)
				})
			}
			same(t, before, contents(t, db))
		})
	}
	// In a transaction the same mistakes show at once, and the closure may go on.
	t.Run("in a transaction", func(t *testing.T) {
		require.ErrorIs(t, app.Update(ctx, func(tx *aedb.Tx) error {
			for _, cases := range []func(*aedb.DB, *aedb.Scope) []wrong{names, values} {
				for _, c := range cases(db, app) {
					if len(c.env.Assertions) == 0 && len(c.env.ReadSet.RowRanges) == 0 {
						refused(t, tx.Do(c.env.Mutations...), c.want)
					}
				}
			}
			return errStop
		}), errStop)
		same(t, before, contents(t, db))
	})
}

var errStop = errors.New("stop")

func TestAssertionFailureTellsWhatWasFoundToCodeOnly(t *testing.T) {
	db := open(t, vfs.NewMem())
	app := fill(t, db)
	env := when(app, app.KeyExists([]byte("text"), true), app.KeyEquals([]byte("text"), []byte("other")))
	_, err := app.CommitEnvelope(t.Context(), env, aedb.Visible)
	refused(t, err, aedb.ErrAssertionFailed)
	var failed *aedb.AssertionError
	require.True(t, errors.As(err, &failed))
	require.Equal(t, 1, failed.Index)
	require.Equal(t, secret, string(failed.Actual.Bytes), "the caller's code may know; the text must not")
}

func TestIdempotencyKeyOfAnotherRequest(t *testing.T) {
	db := open(t, vfs.NewMem())
	app := fill(t, db)
	id := aedb.IdempotencyKey{1}
	first := aedb.Envelope{IdempotencyKey: &id, Mutations: []aedb.Mutation{app.KvSet([]byte("k"), []byte(secret))}}
	_, err := app.CommitEnvelope(t.Context(), first, aedb.Visible)
	require.NoError(t, err)
	before := contents(t, db)
	other := first
	other.Mutations = []aedb.Mutation{app.KvSet([]byte("k"), []byte("other"))}
	_, err = app.CommitEnvelope(t.Context(), other, aedb.Visible)
	refused(t, err, aedb.ErrIdempotencyMismatch)
	same(t, before, contents(t, db))
}

func TestBlankAndReservedCallersAreDeniedEverything(t *testing.T) {
	db := open(t, vfs.NewMem())
	fill(t, db)
	before := contents(t, db)
	ctx := t.Context()
	for _, id := range []string{"", " \t", "system"} {
		s := db.As(id)
		app := s.Scope("p", "app")
		for _, err := range []error{
			second(app.Commit(ctx, app.KvSet([]byte("k"), nil))),
			second(s.Projects()), second(app.Tables()), second(s.BeginRead(ctx, aedb.AtLatest)),
			app.Update(ctx, func(*aedb.Tx) error { return nil }),
			app.View(ctx, func(*aedb.View) error { return nil }),
			third(app.KV().Get(ctx, []byte("text"))), third(app.Row(ctx, "people", aedb.Int(1))),
		} {
			refused(t, err, aedb.ErrPermissionDenied)
		}
	}
	same(t, before, contents(t, db))
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

func TestContextThatHasEndedIsSaidSoAndNothingHappens(t *testing.T) {
	db := open(t, vfs.NewMem())
	app := fill(t, db)
	before := contents(t, db)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithTimeout(t.Context(), 0)
	defer cancelLate()
	for want, ctx := range map[*aedb.Error]context.Context{aedb.ErrCanceled: canceled, aedb.ErrTimeout: late} {
		for name, err := range map[string]error{
			"Commit": second(app.Commit(ctx, app.KvSet([]byte("k"), nil))),
			"Submit": second(app.Submit(ctx, one(app.KvSet([]byte("k"), nil)))),
			"Define": second(db.NoAuth().CreateProject(ctx, "q")),
			"Update": app.Update(ctx, func(*aedb.Tx) error { return nil }),
			"View":   app.View(ctx, func(*aedb.View) error { return nil }),
			"Begin":  second(db.NoAuth().BeginRead(ctx, aedb.AtLatest)),
			"Get":    third(app.KV().Get(ctx, []byte("text"))),
			"Many":   second(app.KV().GetMany(ctx, nil)),
			"Row":    third(app.Row(ctx, "people", aedb.Int(1))),
			"Page":   second(app.KV().Page(ctx, aedb.Range{Limit: 1})),
			"Flush":  second(db.Flush(ctx)),
			"Check":  second(db.Checkpoint(ctx)),
		} {
			require.Equal(t, want.Code, aedb.CodeOf(err), "%s: %v", name, err)
			require.ErrorIs(t, err, ctx.Err(), name)
			require.Equal(t, aedb.ClassRetryable, aedb.ClassOf(err), name)
		}
	}
	same(t, before, contents(t, db))
}
