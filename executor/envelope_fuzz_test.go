package executor

import (
	"errors"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// bits deals out the bytes of a fuzz input; when they are used up it gives zeros.
type bits []byte

func (b *bits) byte() byte {
	if len(*b) == 0 {
		return 0
	}
	c := (*b)[0]
	*b = (*b)[1:]
	return c
}

func (b *bits) below(n int) int { return int(b.byte()) % n }

func (b *bits) bytes() []byte { return make([]byte, b.below(41)) }

func (b *bits) name(of ...string) string { return of[b.below(len(of))] }

func (b *bits) column() string { return b.name("id", "name", "age", "bio", "score", "nope", "") }

func (b *bits) table() msgs.TableName {
	return msgs.TableName{Project: b.name("p", "p", "p", "q", ""), Scope: b.name("app", "app", "none"), Table: b.name("users", "users", "none", "")}
}

func (b *bits) scope() msgs.ScopeName {
	t := b.table()
	return msgs.ScopeName{Project: t.Project, Scope: t.Scope}
}

func (b *bits) value() value.Value {
	n := int64(int8(b.byte()))
	switch b.below(7) {
	case 0:
		return value.Null()
	case 1:
		return value.Text(b.name("a", "b", ""))
	case 2:
		return value.U256(uint256.NewInt(uint64(n)))
	case 3:
		return value.Float(float64(n) / 0.5)
	}
	return value.Int(n)
}

func (b *bits) values() []value.Value {
	out := make([]value.Value, b.below(7))
	for i := range out {
		out[i] = b.value()
	}
	return out
}

func (b *bits) expr(depth int) query.Expr {
	switch op := b.below(9); {
	case depth > 40, op == 0:
		return query.Expr{}
	case op == 1:
		return query.Not(b.expr(depth + 1))
	case op == 2:
		return query.And(b.expr(depth+1), b.expr(depth+1))
	case op == 3:
		return query.Or(b.expr(depth+1), b.expr(depth+1))
	case op == 4:
		return query.Like(b.column(), b.name("%", "_", `\`, "a%"))
	case op == 5:
		return query.In(b.column(), b.values()...)
	case op == 6:
		return query.IsNull(b.column())
	case op == 7:
		return query.Between(b.column(), b.value(), b.value())
	}
	return query.Gte(b.column(), b.value())
}

func (b *bits) term(depth int) query.Term {
	switch op := b.below(7); {
	case depth > 40, op == 0:
		return query.Term{}
	case op == 1:
		return query.Add(b.term(depth+1), b.term(depth+1))
	case op == 2:
		return query.Sub(b.term(depth+1), b.term(depth+1))
	case op == 3:
		return query.Coalesce(b.term(depth+1), b.term(depth+1))
	case op == 4:
		return query.Proposed(b.column())
	case op == 5:
		return query.Col(b.column())
	}
	return query.Lit(b.value())
}

func (b *bits) set() []query.Assignment {
	out := make([]query.Assignment, b.below(3))
	for i := range out {
		out[i] = query.Assign(b.column(), b.term(0))
	}
	return out
}

func (b *bits) selection() msgs.Selection {
	return msgs.Selection{
		Table: b.table(), Where: b.expr(0), Index: b.name("", "by_name", "by_age", "none"),
		Backward: b.below(2) == 1, Limit: b.below(4) - 1,
	}
}

func (b *bits) assertions(depth int) []msgs.Assertion {
	out := make([]msgs.Assertion, b.below(4))
	for i := range out {
		out[i] = b.assertion(depth)
	}
	return out
}

func (b *bits) assertion(depth int) msgs.Assertion {
	key, op := []byte(b.name("a", "b")), msgs.CompareOp(b.below(8))
	switch kind := b.below(13); {
	case depth > 20, kind == 0:
		return nil
	case kind == 1:
		return msgs.All(b.assertions(depth + 1))
	case kind == 2:
		return msgs.Any(b.assertions(depth + 1))
	case kind == 3:
		return msgs.Not{Inner: b.assertion(depth + 1)}
	case kind == 4:
		return msgs.KeyEquals{Scope: b.scope(), Key: key, Expected: b.bytes()}
	case kind == 5:
		return msgs.KeyCompare{Scope: b.scope(), Key: key, Form: msgs.KeyForm(b.below(5)), Op: op, Threshold: b.bytes()}
	case kind == 6:
		return msgs.KeyExists{Scope: b.scope(), Key: key, Expected: true}
	case kind == 7:
		return msgs.KeyVersion{Scope: b.scope(), Key: key, Seq: uint64(b.byte())}
	case kind == 8:
		return msgs.RowExists{Table: b.table(), Key: b.values(), Expected: true}
	case kind == 9:
		return msgs.RowVersion{Table: b.table(), Key: b.values(), Seq: uint64(b.byte())}
	case kind == 10:
		return msgs.RowColumnCompare{Table: b.table(), Key: b.values(), Column: b.column(), Op: op, Threshold: b.value()}
	case kind == 11:
		return msgs.CountCompare{Table: b.table(), Where: b.expr(0), Op: op, Threshold: uint64(b.byte())}
	}
	return msgs.SumCompare{Table: b.table(), Column: b.column(), Where: b.expr(0), Op: op, Threshold: b.value()}
}

func (b *bits) mutation(depth int) msgs.Mutation {
	key, op, limit := []byte(b.name("a", "b", "")), msgs.ArithmeticOp(b.below(7)), msgs.LimitPolicy(b.below(5))
	switch kind := b.below(17); {
	case depth > 3, kind == 0:
		return nil
	case kind == 1:
		m := msgs.WriteRows{Table: b.table(), Mode: msgs.WriteMode(b.below(3)), Rows: []value.Row{b.values(), b.values()}}
		if b.below(2) == 1 {
			m.Columns = []string{b.column(), b.column()}
		}
		if b.below(2) == 1 {
			m.OnConflict = &msgs.OnConflict{Index: b.name("", "by_name"), Action: msgs.ConflictAction(b.below(4)), Set: b.set(), Where: b.expr(0)}
		}
		return m
	case kind == 2:
		return msgs.UpdateFields{Table: b.table(), Key: b.values(), Fields: []msgs.Field{{Column: b.column(), Value: b.value()}}}
	case kind == 3:
		return msgs.UpdateRows{Selection: b.selection(), Set: b.set(), Return: true}
	case kind == 4:
		return msgs.DeleteRow{Table: b.table(), Key: b.values()}
	case kind == 5:
		return msgs.DeleteRows{Selection: b.selection(), Return: true}
	case kind == 6:
		return msgs.CellArithmetic{Table: b.table(), Key: b.values(), Column: b.column(), Op: op, Amount: b.value(), OnLimit: limit}
	case kind == 7:
		return msgs.KvSet{Scope: b.scope(), Key: key, Value: b.bytes()}
	case kind == 16:
		return msgs.KvSetMany{Scope: b.scope(), Pairs: []msgs.KvPair{{Key: key, Value: b.bytes()}, {Key: b.bytes(), Value: key}}[:b.below(3)]}
	case kind == 8:
		return msgs.KvDel{Scope: b.scope(), Key: key}
	case kind == 9:
		return msgs.KvArithmetic{
			Scope: b.scope(), Key: key, Op: op, Width: msgs.NumberWidth(b.name("\x08", "\x20", "\x07")[0]),
			Amount: *uint256.NewInt(uint64(b.byte())), OnMissing: msgs.MissingPolicy(b.below(3)), OnLimit: limit,
		}
	case kind == 10:
		return msgs.KvAddSigned{Scope: b.scope(), Key: key, Delta: int64(int8(b.byte())) << 56, OnMissing: msgs.MissingPolicy(b.below(3))}
	case kind == 11:
		return msgs.CounterAdd{Scope: b.scope(), Key: key, Amount: uint64(b.byte()), Shards: b.below(4) - 1, Hint: uint32(b.byte())}
	case kind == 12:
		return msgs.Guarded{If: b.assertions(0), Do: b.mutation(depth + 1)}
	case kind == 13:
		return msgs.EmitEvent{Scope: b.scope(), Topic: b.name("t", ""), Key: b.name("k", " "), PayloadJSON: b.name("{}", "{")}
	case kind == 14:
		return msgs.PostflightCheck{Assertions: b.assertions(0)}
	}
	t := b.table()
	switch b.below(4) {
	case 0:
		return msgs.Define{Statement: catalog.DropTable{Project: t.Project, Scope: t.Scope, Table: t.Table}}
	case 1:
		return msgs.Define{Statement: catalog.CreateIndex{Project: t.Project, Scope: t.Scope, Table: t.Table, Index: catalog.IndexSpec{Name: b.name("x", ""), Columns: []string{b.column()}, Unique: true}}}
	case 2:
		return msgs.Define{Statement: catalog.CreateTable{Project: t.Project, Scope: t.Scope, Table: b.name("new", t.Table), Columns: []catalog.ColumnSpec{{Name: b.column(), Kind: value.Kind(b.below(14))}}, PrimaryKey: []string{b.column()}}}
	}
	return msgs.Define{}
}

// FuzzEnvelope binds and runs arbitrary envelopes. None panics, each failure is the
// engine's own error and blames the caller, and it leaves no trace.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 5, 0, 0, 7, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Add([]byte("\x02\x00\x01\x00\x00\x01\x00\x00\x00\x05\x01\x04\x02\x01\x07\x00\x00\x00\x05\x05\x04\x01"))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, b := newStore(t), bits(in)
		s.must(insert(user(1, "a", 1), user(2, "b", 2), user(3, "", -1)), set("a", "12345678"))
		for n := 0; n < 16 && len(b) > 0; n++ {
			env := msgs.Envelope{WriteClass: msgs.WriteClass(b.below(4)), Assertions: b.assertions(0)}
			for n := b.below(4); n >= 0; n-- {
				env.Mutations = append(env.Mutations, b.mutation(0))
			}
			err := s.commit(env)
			var own *errs.Error
			if err == nil {
				continue
			}
			require.True(t, errors.As(err, &own), "%v", err)
			require.NotEqual(t, errs.Integrity, errs.ClassOf(err), "%v", err)
		}
	})
}
