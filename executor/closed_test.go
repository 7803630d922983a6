package executor

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// variants returns the names of the types that a closed set of package msgs has
// in one of its files: those with the marker method.
func variants(t *testing.T, file, marker string) (names []string) {
	f, err := parser.ParseFile(token.NewFileSet(), "../msgs/"+file, nil, 0)
	require.NoError(t, err)
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv == nil || fn.Name.Name != marker {
			continue
		}
		receiver := fn.Recv.List[0].Type
		if pointer, ok := receiver.(*ast.StarExpr); ok {
			receiver = pointer.X
		}
		names = append(names, receiver.(*ast.Ident).Name)
	}
	slices.Sort(names)
	return names
}

func nameOfVariant(v any) string {
	return strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", v), "*"), "msgs.")
}

// everyMutation has one of each kind, all of which succeed one after another in a
// new store.
func everyMutation() []msgs.Mutation {
	older := []query.Assignment{query.Assign("age", query.Add(query.Col("age"), query.Lit(1)))}
	return []msgs.Mutation{
		define(catalog.CreateScope{Project: "p", Scope: "other"}),
		insert(user(1, "a", 1)),
		insertOr(msgs.OnConflict{
			Columns: []string{"name"}, Action: msgs.ConflictUpdate, Where: query.Gt("age", 0),
			Set: []query.Assignment{query.Assign("age", query.Proposed("age"))},
		}, user(2, "a", 5)),
		update(1, msgs.Field{Column: "bio", Value: value.Text("x")}),
		msgs.UpdateRows{Selection: from(query.Eq("name", "a")), Set: older, Return: true},
		msgs.CellArithmetic{Table: users, Key: key(1), Column: "age", Amount: value.Int(1)},
		msgs.DeleteRows{Selection: from(query.Eq("id", 7))},
		remove(8),
		set("k", "v"),
		msgs.KvSetMany{Scope: app, Pairs: []msgs.KvPair{{Key: []byte("many 1"), Value: []byte("1")}, {Key: []byte("many 2")}}},
		unset("l"),
		u64(msgs.ArithmeticAdd, 3),
		msgs.KvAddSigned{Scope: app, Key: []byte("i"), Delta: -1},
		counter(1, 4, 2),
		msgs.Guarded{If: []msgs.Assertion{msgs.KeyExists{Scope: app, Key: []byte("k"), Expected: true}}, Do: unset("k")},
		msgs.EmitEvent{Scope: app, Topic: "t", Key: "k", PayloadJSON: "1"},
		msgs.PostflightCheck{Assertions: everyAssertion()},
	}
}

// everyAssertion has one of each kind, all of which hold after everyMutation.
func everyAssertion() []msgs.Assertion {
	k := []byte("absent")
	absent := msgs.KeyExists{Scope: app, Key: k}
	return []msgs.Assertion{
		absent, msgs.KeyVersion{Scope: app, Key: k}, msgs.Not{Inner: msgs.KeyEquals{Scope: app, Key: k}},
		msgs.Not{Inner: msgs.KeyCompare{Scope: app, Key: k}}, msgs.RowExists{Table: users, Key: key(1), Expected: true},
		msgs.RowVersion{Table: users, Key: key(9)},
		msgs.RowColumnCompare{Table: users, Key: key(1), Column: "age", Op: msgs.Gt, Threshold: value.Int(0)},
		msgs.CountCompare{Table: users, Where: query.Eq("id", 1), Threshold: 1},
		msgs.SumCompare{Table: users, Column: "age", Op: msgs.Gt, Threshold: value.Int(0)},
		msgs.All{absent}, msgs.Any{absent},
	}
}

type nothing struct{}

func (nothing) Point(catalog.SpaceID, []byte)         {}
func (nothing) Range(catalog.SpaceID, []byte, []byte) {}

// Whatever names the kinds of mutation has to name all of them: binding,
// performing, size, fingerprint, and restating for another catalog.
func TestNoKindOfMutationIsForgotten(t *testing.T) {
	s := newStore(t)
	var mutations, operations []string
	for _, m := range everyMutation() {
		op, err := s.x.Bind(s.w.Catalog(), m)
		require.NoError(t, err, "%T", m)
		mutations, operations = append(mutations, nameOfVariant(m)), append(operations, nameOfVariant(op))
		_, err = Fingerprint(&msgs.Envelope{Mutations: []msgs.Mutation{m}})
		require.NoError(t, err, "%T", m)
		Observe(s.w.Catalog(), op, nothing{})

		again := restate(m, op)
		require.IsType(t, m, again)
		rebound, err := s.x.Bind(s.w.Catalog(), again)
		require.NoError(t, err, "%T", m)
		require.Equal(t, sizeOf(op), sizeOf(rebound), "%T", m)
		require.Equal(t, restate(again, rebound), again, "%T", m)
		switch m.(type) {
		case msgs.Define, msgs.Guarded:
		default:
			require.Greater(t, sizeOf(op), int64(mutationOverhead), "%T", m)
		}
		s.must(m)
	}
	require.Equal(t, variants(t, "mutation.go", "mutation"), distinct(mutations))
	require.Equal(t, variants(t, "operation.go", "operation"), distinct(operations))
}

func TestNoKindOfAssertionIsForgotten(t *testing.T) {
	s := newStore(t)
	s.must(everyMutation()...)
	var names []string
	for _, a := range everyAssertion() {
		if n, ok := a.(msgs.Not); ok {
			names = append(names, nameOfVariant(n.Inner))
		}
		names = append(names, nameOfVariant(a))
		s.holds(a)
		_, err := Fingerprint(&msgs.Envelope{Assertions: []msgs.Assertion{a}})
		require.NoError(t, err, "%T", a)
	}
	require.Equal(t, variants(t, "assertion.go", "assertion"), distinct(names))
}

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// The applier may meet a catalog that is not the one a request was bound to.
func TestEveryKindIsBoundAgainToAnotherCatalog(t *testing.T) {
	s := newStore(t)
	s.must(everyMutation()[:1]...)
	r, err := s.x.Prepare(s.w.Catalog(), &msgs.Envelope{Mutations: everyMutation()[1:]})
	require.NoError(t, err)
	s.must(define(catalog.CreateIndex{
		Project: "p", Scope: "app", Table: "users", Index: catalog.IndexSpec{Name: "by_score", Columns: []string{"score"}},
	}))
	require.NoError(t, s.run(r))
	require.Equal(t, 1, s.entries("by_score"))
	require.Equal(t, value.Int(7), s.row(1)[2])
	s.must(define(catalog.DropTable{Project: "p", Scope: "app", Table: "users"}))
	for _, m := range everyMutation() {
		before := s.w.Seq()
		if err := s.do(m); err != nil {
			require.Equal(t, before, s.w.Seq())
		}
	}
}

// What a caller does with its slices after Prepare is nobody's concern.
func TestARequestSharesNothingWithItsEnvelope(t *testing.T) {
	s := newStore(t)
	least := int64(-5)
	pk, k, name := key(1), []byte("k"), []string{"name"}
	pairs := []msgs.KvPair{{Key: []byte("p"), Value: []byte("1")}}
	set := []query.Assignment{query.Assign("age", query.Lit(3))}
	env := msgs.Envelope{Mutations: []msgs.Mutation{
		insert(user(1, "a", 1)),
		msgs.WriteRows{Table: users, Rows: []value.Row{user(2, "a", 1)}, OnConflict: &msgs.OnConflict{Columns: name, Action: msgs.ConflictUpdate, Set: set}},
		msgs.UpdateRows{Selection: from(query.Eq("id", 1)), Set: set},
		msgs.CellArithmetic{Table: users, Key: pk, Column: "age", Amount: value.Int(1)},
		msgs.KvAddSigned{Scope: app, Key: k, Delta: -5, Least: &least},
		msgs.CounterAdd{Scope: app, Key: k, Amount: 1, Shards: 1},
		msgs.KvSetMany{Scope: app, Pairs: pairs},
	}}
	r, err := s.x.Prepare(s.w.Catalog(), &env)
	require.NoError(t, err)
	s.must(define(catalog.CreateScope{Project: "p", Scope: "other"})) // so that all is bound again
	pk[0], k[0], name[0], set[0], least = value.Int(9), 'x', "no", query.Assign("no", query.Lit(1)), 100
	pairs[0].Key[0], pairs[0].Value[0] = 'q', '2'
	require.NoError(t, s.run(r))
	pair, _, _ := s.kv("p")
	require.Equal(t, "1", string(pair))
	require.Equal(t, user(1, "a", 4), s.row(1))
	got, _, _ := s.kv("k")
	require.Len(t, got, 8)
}
