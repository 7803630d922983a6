package executor

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/value"
)

func TestInsertRefusesAnExistingKey(t *testing.T) {
	s := newStore(t)
	s.must(insert(user(1, "a", 1)))
	s.fails(errs.CodeDuplicatePrimaryKey, insert(user(1, "b", 2)))
	s.fails(errs.CodeDuplicatePrimaryKey, insert(user(2, "b", 2), user(1, "c", 3)))
	s.fails(errs.CodeDuplicatePrimaryKey, insert(user(2, "b", 2), user(2, "c", 3)))
	require.Nil(t, s.row(2))
	require.Equal(t, user(1, "a", 1), s.row(1))
}

func TestUpsertReplacesTheRowAndTheLastOfABatchWins(t *testing.T) {
	s := newStore(t)
	s.must(upsert(user(1, "a", 1)))
	s.must(upsert(user(1, "b", 2), user(2, "c", 3), user(1, "d", 4)))
	require.Equal(t, user(1, "d", 4), s.row(1))
	require.Equal(t, 2, s.entries("by_name"))
	require.Equal(t, 2, s.entries("by_age"))
}

func TestBatchLimitIsNamed(t *testing.T) {
	s := newStore(t)
	rows := []value.Row{user(1, "", 0), user(2, "", 0), user(3, "", 0), user(4, "", 0)}
	for _, m := range []msgs.Mutation{insert(rows...), upsert(rows...)} {
		err := s.do(m)
		require.Equal(t, errs.Validation, errs.ClassOf(err))
		require.ErrorContains(t, err, "max_batch_rows")
	}
	s.must(insert(rows[:3]...))
}

func TestColumnsLeftOutGetTheirDefault(t *testing.T) {
	s := newStore(t)
	into := func(columns []string, rows ...value.Row) msgs.Mutation {
		return msgs.WriteRows{Table: users, Columns: columns, Rows: rows}
	}
	s.must(into([]string{"name", "id"}, value.Row{value.Text("a"), value.Int(1)}, value.Row{value.Text("b"), value.Int(2)}))
	require.Equal(t, user(1, "a", -1), s.row(1))
	require.Equal(t, user(2, "b", -1), s.row(2))
	s.fails(errs.CodeNotNullViolation, into([]string{"name"}, value.Row{value.Text("c")}))
	s.fails(errs.CodeNotNullViolation, into([]string{"id", "score"}, value.Row{value.Int(3), value.Null()}))
	s.fails(errs.CodeUnknownColumn, into([]string{"id", "no"}, value.Row{value.Int(3), value.Null()}))
	s.fails(errs.CodeValidation, into([]string{"id", "id"}, value.Row{value.Int(3), value.Int(3)}))
	s.fails(errs.CodeValidation, into([]string{}, value.Row{value.Int(3)}))
	s.fails(errs.CodeNotNullViolation, into([]string{}, value.Row{}))
}

func TestRowsAreCheckedAgainstTheTable(t *testing.T) {
	s := newStore(t)
	with := func(p int, v value.Value) value.Row {
		row := user(1, "a", 1)
		row[p] = v
		return row
	}
	s.fails(errs.CodeTypeMismatch, insert(with(2, value.U64(5))))
	s.fails(errs.CodeNotNullViolation, insert(with(0, value.Null())))
	s.fails(errs.CodeNotNullViolation, insert(with(4, value.Null())))
	s.fails(errs.CodeLimitExceeded, insert(with(3, value.Text(strings.Repeat("x", 30<<10+1)))))
	s.fails(errs.CodeValidation, insert(with(3, value.Text("\xff"))))
	s.fails(errs.CodeValidation, insert(user(1, "a", 1)[:4]))
	s.fails(errs.CodeValidation, insert(append(user(1, "a", 1), value.Null())))
	s.fails(errs.CodeValidation, insert())
	s.fails(errs.CodeValidation, msgs.WriteRows{Table: users, Mode: 9, Rows: []value.Row{user(1, "a", 1)}})
	s.fails(errs.CodeTableNotFound, msgs.WriteRows{Table: msgs.TableName{Project: "p", Scope: "app", Table: "no"}})
	s.fails(errs.CodeScopeNotFound, msgs.WriteRows{Table: msgs.TableName{Project: "p", Scope: "no", Table: "users"}})
	s.fails(errs.CodeProjectNotFound, msgs.WriteRows{Table: msgs.TableName{Project: "no", Scope: "app", Table: "users"}})

	s.must(define(catalog.CreateTable{
		Project: "p", Scope: "app", Table: "kinds", PrimaryKey: []string{"k"},
		Columns: []catalog.ColumnSpec{{Name: "k", Kind: value.KindText}, {Name: "f", Kind: value.KindFloat, Nullable: true}, {Name: "j", Kind: value.KindJSON, Nullable: true}},
	}))
	kinds := msgs.TableName{Project: "p", Scope: "app", Table: "kinds"}
	row := func(k string, f, j value.Value) msgs.Mutation {
		return msgs.WriteRows{Table: kinds, Rows: []value.Row{{value.Text(k), f, j}}}
	}
	field := func(column string, v value.Value) msgs.Mutation {
		return msgs.UpdateFields{Table: kinds, Key: []value.Value{value.Text("k")}, Fields: []msgs.Field{{Column: column, Value: v}}}
	}
	s.must(row("k", value.Float(1), value.JSON("{}")))
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		s.fails(errs.CodeValidation, row("l", value.Float(bad), value.Null()))
		s.fails(errs.CodeValidation, field("f", value.Float(bad)))
	}
	s.fails(errs.CodeValidation, row("l", value.Null(), value.JSON("{")))
	s.fails(errs.CodeValidation, field("j", value.JSON("{")))
	s.fails(errs.CodeLimitExceeded, row(strings.Repeat("k", 255), value.Null(), value.Null()))
	s.fails(errs.CodeLimitExceeded, msgs.DeleteRow{Table: kinds, Key: []value.Value{value.Text(strings.Repeat("k", 255))}})
}

func TestUpdateFieldsChangesOnlyNamedColumnsAndMovesIndexEntries(t *testing.T) {
	s := newStore(t)
	s.must(insert(user(1, "a", 1), user(2, "b", 2)))
	s.must(update(1, msgs.Field{Column: "age", Value: value.Int(9)}))
	require.Equal(t, user(1, "a", 9), s.row(1))
	s.must(update(1, msgs.Field{Column: "name", Value: value.Null()}, msgs.Field{Column: "age", Value: value.Null()}))
	require.Equal(t, user(1, "", -1), s.row(1))
	s.must(update(2, msgs.Field{Column: "name", Value: value.Text("a")}))
	s.fails(errs.CodeUniqueViolation, update(1, msgs.Field{Column: "name", Value: value.Text("a")}))

	s.fails(errs.CodeRowNotFound, update(3, msgs.Field{Column: "age", Value: value.Int(9)}))
	s.fails(errs.CodeValidation, update(1, msgs.Field{Column: "id", Value: value.Int(9)}))
	s.fails(errs.CodeUnknownColumn, update(1, msgs.Field{Column: "no", Value: value.Int(9)}))
	s.fails(errs.CodeTypeMismatch, update(1, msgs.Field{Column: "age", Value: value.Text("x")}))
	s.fails(errs.CodeNotNullViolation, update(1, msgs.Field{Column: "score", Value: value.Null()}))
	s.fails(errs.CodeLimitExceeded, update(1, msgs.Field{Column: "bio", Value: value.Text(strings.Repeat("x", 30<<10+1))}))
	s.fails(errs.CodeValidation, update(1))
	s.fails(errs.CodeValidation, msgs.UpdateFields{Table: users, Key: []value.Value{value.Int(1), value.Int(2)}, Fields: []msgs.Field{{Column: "age"}}})
	s.fails(errs.CodeTypeMismatch, msgs.UpdateFields{Table: users, Key: []value.Value{value.Text("1")}, Fields: []msgs.Field{{Column: "age"}}})
}

func TestDeleteOfAMissingRowSucceeds(t *testing.T) {
	s := newStore(t)
	s.must(insert(user(1, "a", 1)))
	s.must(remove(1))
	require.Nil(t, s.row(1))
	require.Zero(t, s.entries("by_name"))
	require.Zero(t, s.entries("by_age"))
	s.must(remove(1))
	s.fails(errs.CodeValidation, msgs.DeleteRow{Table: users})
	s.fails(errs.CodeNotNullViolation, msgs.DeleteRow{Table: users, Key: []value.Value{value.Null()}})
}

func TestUniqueIndexNamesItselfAndExemptsNull(t *testing.T) {
	s := newStore(t)
	s.must(insert(user(1, "a", 1), user(2, "", 1), user(3, "", 1)))
	err := s.do(insert(user(4, "a", 1)))
	require.ErrorIs(t, err, errs.ErrUniqueViolation)
	require.ErrorContains(t, err, "by_name")
	require.ErrorContains(t, err, "(name)")
	s.fails(errs.CodeUniqueViolation, upsert(user(2, "a", 1)))
	s.must(upsert(user(1, "a", 5)))
	s.must(remove(1), upsert(user(2, "a", 1)))
}

// A key is bounded by what a space can hold, so that no content can break the
// stage that writes it.
func TestIndexedValuesAreBounded(t *testing.T) {
	s := newStore(t)
	long := strings.Repeat("n", maxIndexKey+1)
	for _, m := range []msgs.Mutation{
		insert(user(2, long, 1)), upsert(user(1, long, 1)), update(1, msgs.Field{Column: "name", Value: value.Text(long)}),
	} {
		s.must(upsert(user(1, "a", 1)))
		err := s.do(m)
		require.ErrorIs(t, err, errs.ErrLimitExceeded)
		require.ErrorContains(t, err, "max_index_key_bytes")
	}
	s.must(update(1, msgs.Field{Column: "bio", Value: value.Text(long)}))
	s.fails(errs.CodeLimitExceeded, define(catalog.CreateIndex{
		Project: "p", Scope: "app", Table: "users", Index: catalog.IndexSpec{Name: "by_bio", Columns: []string{"bio"}},
	}))
}

func TestIndexIsBuiltInTheCommitThatMakesIt(t *testing.T) {
	s := newStore(t)
	for i := range int64(100) {
		s.must(insert(user(i, "", i%10)))
	}
	index := func(name string, unique bool, columns ...string) msgs.Mutation {
		return define(catalog.CreateIndex{
			Project: "p", Scope: "app", Table: "users", Index: catalog.IndexSpec{Name: name, Columns: columns, Unique: unique},
		})
	}
	s.must(insert(user(100, "", 3)), index("late", false, "age"), insert(user(101, "", 3)))
	require.Equal(t, 102, s.entries("late"))
	s.fails(errs.CodeUniqueViolation, index("u", true, "age"))
	s.must(index("u", true, "age", "id"))
	s.fails(errs.CodeIndexAlreadyExists, index("u", true, "age"))
	s.must(define(catalog.DropIndex{Project: "p", Scope: "app", Table: "users", Index: "u"}), insert(user(102, "", 3)))
}

func TestEmittedEventsAreRowsOfTheOutbox(t *testing.T) {
	s := newStore(t)
	event := func(topic, key, payload string) msgs.Mutation {
		return msgs.EmitEvent{Scope: app, Topic: topic, Key: key, PayloadJSON: payload}
	}
	s.must(event("orders", "1", `{"a":1}`), event("orders", "2", `2`), set("k", "v"), event("users", "1", `[]`))
	outbox, err := s.w.Catalog().Table(catalog.SystemProject, catalog.DefaultScope, catalog.EventOutbox)
	require.NoError(t, err)
	require.Equal(t, 3, s.w.Len(outbox.ID))
	s.fails(errs.CodeDuplicatePrimaryKey, event("orders", "1", `1`), event("orders", "1", `2`))
	s.must(event("orders", "1", `1`)) // at another commit
	for _, m := range []msgs.Mutation{
		event("", "1", "1"), event("a b", "1", "1"), event(strings.Repeat("t", 129), "1", "1"),
		event("t", " ", "1"), event("t", "\xff", "1"), event("t", "1", ""), event("t", "1", "{"),
		event("t", "1", `"`+strings.Repeat("x", 127)+`"`), event("t", strings.Repeat("x", 129), "1"),
	} {
		require.Equal(t, errs.Validation, errs.ClassOf(s.do(m)), "%v", m)
	}
	s.fails(errs.CodeScopeNotFound, msgs.EmitEvent{Scope: msgs.ScopeName{Project: "p", Scope: "no"}, Topic: "t", Key: "1", PayloadJSON: "1"})
}

func TestSystemTablesAreReadOnly(t *testing.T) {
	s := newStore(t)
	system := msgs.ScopeName{Project: catalog.SystemProject, Scope: catalog.DefaultScope}
	s.fails(errs.CodeValidation, msgs.KvSet{Scope: system, Key: []byte("k")}) // before it is there, too
	s.must(msgs.EmitEvent{Scope: app, Topic: "t", Key: "k", PayloadJSON: "1"})
	outbox := msgs.TableName{Project: catalog.SystemProject, Scope: catalog.DefaultScope, Table: catalog.EventOutbox}
	pk := []value.Value{value.Int(2), value.Text("t"), value.Text("k")}
	for _, m := range []msgs.Mutation{
		msgs.KvSet{Scope: system, Key: []byte("k")}, msgs.KvDel{Scope: system, Key: []byte("k")},
		msgs.DeleteRow{Table: outbox, Key: pk}, msgs.WriteRows{Table: outbox, Rows: []value.Row{{}}},
		msgs.UpdateFields{Table: outbox, Key: pk, Fields: []msgs.Field{{Column: "payload", Value: value.JSON("1")}}},
	} {
		err := s.do(m)
		require.ErrorIs(t, err, errs.ErrValidation)
		require.ErrorContains(t, err, "managed and read-only")
	}
}

// A caller may reuse its buffers as soon as the envelope is submitted, whatever
// has to be bound again later.
func TestARequestSharesNoMemoryWithItsCaller(t *testing.T) {
	for name, between := range map[string]msgs.Mutation{
		"same catalog":    set("other", "x"),
		"another catalog": define(catalog.CreateScope{Project: "p", Scope: "s"}),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			s.must(upsert(user(1, "a", 1)), set("gone", "x"), set("guard", "g"))
			k, v := []byte("key"), []byte("val")
			gone, n, guard, expected := []byte("gone"), []byte("num"), []byte("guard"), []byte("g")
			row, pk, pk2 := user(5, "five", 5), key(1), key(5)
			rows, fields, columns := []value.Row{row}, []msgs.Field{{Column: "age", Value: value.Int(3)}}, []string{"id", "name"}
			named := []value.Row{{value.Int(6), value.Text("six")}}
			inner := []msgs.Assertion{msgs.KeyEquals{Scope: app, Key: guard, Expected: expected}}
			specs := []catalog.ColumnSpec{{Name: "id", Kind: value.KindInteger}}
			env := msgs.Envelope{
				Assertions: []msgs.Assertion{msgs.All(inner), msgs.RowExists{Table: users, Key: pk, Expected: true}},
				Mutations: []msgs.Mutation{
					msgs.KvSet{Scope: app, Key: k, Value: v},
					msgs.KvDel{Scope: app, Key: gone},
					msgs.KvArithmetic{Scope: app, Key: n, Width: msgs.Width64, Amount: number(4)},
					msgs.WriteRows{Table: users, Rows: rows},
					msgs.WriteRows{Table: users, Columns: columns, Rows: named},
					msgs.UpdateFields{Table: users, Key: pk, Fields: fields},
					msgs.PostflightCheck{Assertions: inner},
					msgs.EmitEvent{Scope: app, Topic: "t", Key: "k", PayloadJSON: "1"},
					msgs.DeleteRow{Table: users, Key: pk2},
					msgs.Define{Statement: catalog.CreateTable{Project: "p", Scope: "app", Table: "t", Columns: specs, PrimaryKey: []string{"id"}}},
					msgs.KvSet{Scope: app, Key: guard, Value: v},
				},
			}
			r, err := s.x.Prepare(s.w.Catalog(), &env)
			require.NoError(t, err)
			for _, b := range [][]byte{k, v, gone, n, guard, expected} {
				copy(b, "XXXXX")
			}
			row[0], row[1], named[0][0], rows[0], named[0] = value.Int(99), value.Int(99), value.Int(99), nil, nil
			pk[0], pk2[0], fields[0], columns[0], inner[0] = value.Int(99), value.Int(99), msgs.Field{}, "x", nil
			specs[0].Name = "x"
			clear(env.Mutations)
			clear(env.Assertions)

			s.must(between)
			require.NoError(t, s.run(r))
			got, _, _ := s.kv("key")
			require.Equal(t, "val", got)
			got, _, _ = s.kv("gone")
			require.Empty(t, got)
			got, _, _ = s.kv("num")
			require.Equal(t, "\x00\x00\x00\x00\x00\x00\x00\x04", got)
			got, _, _ = s.kv("guard")
			require.Equal(t, "val", got)
			require.Equal(t, user(1, "a", 3), s.row(1))
			require.Nil(t, s.row(5))
			require.Equal(t, user(6, "six", -1), s.row(6))
			made, err := s.w.Catalog().Table("p", "app", "t")
			require.NoError(t, err)
			require.Equal(t, "id", made.Columns[0].Name)
		})
	}
}

// What was bound before a table was dropped and made anew must not reach the new
// one unchecked.
func TestOperationsAreBoundAgainWhenTheCatalogHasMoved(t *testing.T) {
	s := newStore(t)
	env := msgs.Envelope{Mutations: []msgs.Mutation{insert(user(1, "a", 1))}}
	prepared := func() *msgs.Request {
		r, err := s.x.Prepare(s.w.Catalog(), &env)
		require.NoError(t, err)
		return r
	}
	r, indexed := prepared(), prepared()
	s.must(define(catalog.CreateIndex{Project: "p", Scope: "app", Table: "users", Index: catalog.IndexSpec{Name: "by_score", Columns: []string{"score"}}}))
	require.NoError(t, s.run(indexed), "with an entry in the new index; see invariant")
	require.Equal(t, 1, s.entries("by_score"))
	s.must(define(catalog.DropTable{Project: "p", Scope: "app", Table: "users"}))
	require.ErrorIs(t, s.run(r), errs.ErrTableNotFound)
	s.must(define(catalog.CreateTable{
		Project: "p", Scope: "app", Table: "users", PrimaryKey: []string{"id"},
		Columns: []catalog.ColumnSpec{{Name: "id", Kind: value.KindText}},
	}))
	require.ErrorIs(t, s.run(r), errs.ErrUnknownColumn)
}

func TestLargeKeysAreCopiedWhole(t *testing.T) {
	s := newStore(t)
	k := bytes.Repeat([]byte{0}, 64)
	s.must(msgs.KvSet{Scope: app, Key: k, Value: nil}, msgs.KvSet{Scope: app, Value: []byte("empty key")})
	got, _, version := s.kv(string(k))
	require.Empty(t, got)
	require.NotZero(t, version)
	got, _, _ = s.kv("")
	require.Equal(t, "empty key", got)
}
