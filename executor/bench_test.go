package executor

import (
	"fmt"
	"testing"

	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// BenchmarkKinds prepares and runs one mutation of each kind as a commit of its
// own, in a store that stays as large as it is. KvSet and Upsert of the same size
// are what the others are measured by.
func BenchmarkKinds(b *testing.B) {
	eight := make([]byte, 8)
	row := func(i int) value.Row { return user(int64(i%100), fmt.Sprint("u", i%100), int64(i%100)) }
	at := func(i int) []value.Value { return key(int64(i % 100)) }
	older := []query.Assignment{query.Assign("score", query.Add(query.Col("score"), query.Lit(1)))}
	n := []byte("n")
	wide := func(op msgs.ArithmeticOp) func(int) msgs.Mutation {
		return func(i int) msgs.Mutation {
			return msgs.KvArithmetic{Scope: app, Key: []byte("w"), Op: op, Width: msgs.Width256, Amount: *uint256.NewInt(uint64(i))}
		}
	}
	narrow := func(op msgs.ArithmeticOp) func(int) msgs.Mutation {
		return func(i int) msgs.Mutation { return u64(op, uint64(i)) }
	}
	for _, kind := range []struct {
		name string
		of   func(i int) msgs.Mutation
	}{
		{"KvSet", func(int) msgs.Mutation { return msgs.KvSet{Scope: app, Key: n, Value: eight} }},
		{"KvDel of a missing key", func(int) msgs.Mutation { return msgs.KvDel{Scope: app, Key: []byte("no")} }},
		{"add 64", narrow(msgs.ArithmeticAdd)},
		{"max 64", narrow(msgs.ArithmeticMax)},
		{"add 256", wide(msgs.ArithmeticAdd)},
		{"add signed", func(int) msgs.Mutation { return msgs.KvAddSigned{Scope: app, Key: n, Delta: 1} }},
		{"counter", func(i int) msgs.Mutation { return counter(1, 8, uint32(i)) }},
		{"set under a guard", func(int) msgs.Mutation {
			return msgs.Guarded{If: []msgs.Assertion{msgs.KeyExists{Scope: app, Key: n, Expected: true}}, Do: msgs.KvSet{Scope: app, Key: n, Value: eight}}
		}},
		{"Upsert", func(i int) msgs.Mutation { return upsert(row(i)) }},
		{"DoNothing", func(i int) msgs.Mutation { return insertOr(msgs.OnConflict{}, row(i)) }},
		{"DoMerge", func(i int) msgs.Mutation { return insertOr(msgs.OnConflict{Action: msgs.ConflictMerge}, row(i)) }},
		{"DoUpdate by an index", func(i int) msgs.Mutation {
			return insertOr(msgs.OnConflict{Index: "by_name", Action: msgs.ConflictUpdate, Set: older}, row(i))
		}},
		{"UpdateFields", func(i int) msgs.Mutation {
			return msgs.UpdateFields{Table: users, Key: at(i), Fields: []msgs.Field{{Column: "score", Value: value.Int(int64(i))}}}
		}},
		{"cell", func(i int) msgs.Mutation {
			return msgs.CellArithmetic{Table: users, Key: at(i), Column: "score", Amount: value.Int(1)}
		}},
		{"UpdateWhere of one key", func(i int) msgs.Mutation {
			return msgs.UpdateRows{Selection: from(query.Eq("id", i%100)), Set: older}
		}},
		{"ClaimOne by an index", func(i int) msgs.Mutation {
			return msgs.UpdateRows{Selection: msgs.Selection{Table: users, Where: query.Gte("age", i%100), Index: "by_age", Limit: 1}, Set: older, Return: true}
		}},
		{"UpdateWhere of 100 rows", func(i int) msgs.Mutation { return msgs.UpdateRows{Selection: from(query.Expr{}), Set: older} }},
	} {
		b.Run(kind.name, func(b *testing.B) {
			s := newStore(b)
			s.x.Limits.MaxBatchRows = 100
			var rows []value.Row
			for i := range 100 {
				rows = append(rows, row(i))
			}
			s.must(insert(rows...), msgs.KvSet{Scope: app, Key: n, Value: eight})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r, err := s.x.Prepare(s.w.Catalog(), &msgs.Envelope{Mutations: []msgs.Mutation{kind.of(i)}})
				if err != nil {
					b.Fatal(err)
				}
				s.w.Begin(s.w.Seq()+1, 0)
				if err := s.x.Run(s.w, r); err != nil {
					b.Fatal(err)
				}
				s.w.Commit()
			}
		})
	}
}
