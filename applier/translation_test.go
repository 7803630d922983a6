package applier

import (
	"fmt"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// This file says the model's requests in the engine's terms.

func scopeOf(name string) msgs.ScopeName { return msgs.ScopeName{Project: "p", Scope: name} }

func tableOf(scope, name string) msgs.TableName {
	return msgs.TableName{Project: "p", Scope: scope, Table: name}
}

func (c cell) value() value.Value {
	if c.null {
		return value.Null()
	}
	return value.Int(c.n)
}

func (o op) mutation() msgs.Mutation {
	pk := []value.Value{value.Int(o.id)}
	switch o.kind {
	case opSet:
		return msgs.KvSet{Scope: scopeOf(o.scope), Key: []byte(o.key), Value: []byte(o.val)}
	case opUnset:
		return msgs.KvDel{Scope: scopeOf(o.scope), Key: []byte(o.key)}
	case opAdd:
		m := msgs.KvArithmetic{
			Scope: scopeOf(o.scope), Key: []byte(o.key), Width: msgs.Width64, Amount: *uint256.NewInt(o.n),
			OnMissing: msgs.MissingPolicy(o.policy & 1),
		}
		if o.flag {
			m.Op = msgs.ArithmeticSub
			if o.policy&2 != 0 {
				m.OnLimit = msgs.LimitNoOp
			}
		}
		return m
	case opWrite:
		m := msgs.WriteRows{Table: tableOf(o.scope, o.table)}
		if o.flag {
			m.Mode = msgs.WriteUpsert
		}
		for _, r := range o.rows {
			row := value.Row{r.id.value(), r.u.value(), r.a.value()}
			if r.mistyped {
				row[1] = value.Text("x")
			}
			m.Rows = append(m.Rows, row)
		}
		if !o.flag {
			m.OnConflict = o.onConflict()
		}
		return m
	case opSelect:
		where := query.IsNull("a")
		if !o.value.null {
			where = query.Gte("a", o.value.n)
		}
		selection := msgs.Selection{Table: tableOf(o.scope, o.table), Where: where, Backward: o.policy&1 != 0, Limit: int(o.n)}
		if o.flag {
			return msgs.DeleteRows{Selection: selection}
		}
		return msgs.UpdateRows{Selection: selection, Set: []query.Assignment{query.Assign(o.column, query.Lit(o.id))}}
	case opCell:
		m := msgs.CellArithmetic{Table: tableOf(o.scope, o.table), Key: pk, Column: o.column, Amount: value.Int(int64(o.n))}
		if o.flag {
			m.Op = msgs.ArithmeticSub
		}
		return m
	case opSigned:
		m := msgs.KvAddSigned{
			Scope: scopeOf(o.scope), Key: []byte(o.key), Delta: o.delta(), OnMissing: msgs.MissingPolicy(o.policy & 1),
		}
		if o.policy&2 != 0 {
			m.Least = new(int64)
		}
		return m
	case opCounter:
		return msgs.CounterAdd{
			Scope: scopeOf(o.scope), Key: []byte(o.key), Amount: o.n, Shards: o.shards(), Hint: uint32(o.id),
		}
	case opGuarded:
		return msgs.Guarded{If: assertions(o.checks), Do: o.inner[0].mutation()}
	case opUpdate:
		return msgs.UpdateFields{
			Table: tableOf(o.scope, o.table), Key: pk, Fields: []msgs.Field{{Column: o.column, Value: o.value.value()}},
		}
	case opDelete:
		return msgs.DeleteRow{Table: tableOf(o.scope, o.table), Key: pk}
	case opEvent:
		return msgs.EmitEvent{Scope: scopeOf(o.scope), Topic: "t", Key: "k" + o.key, PayloadJSON: "1"}
	case opCheck:
		return msgs.PostflightCheck{Assertions: assertions(o.checks)}
	}
	return msgs.Define{Statement: o.statement()}
}

func (o op) onConflict() *msgs.OnConflict {
	switch o.conflict {
	case conflictKeeps:
		return &msgs.OnConflict{}
	case conflictMerges:
		return &msgs.OnConflict{Action: msgs.ConflictMerge, Columns: []string{"id"}}
	case conflictUpdates:
		return &msgs.OnConflict{
			Action: msgs.ConflictUpdate, Set: []query.Assignment{query.Assign(o.column, query.Proposed("a"))},
		}
	}
	return nil
}

func (o op) statement() catalog.Statement {
	switch o.kind {
	case opCreateScope:
		return catalog.CreateScope{Project: "p", Scope: o.scope, MustBeNew: o.flag}
	case opDropScope:
		return catalog.DropScope{Project: "p", Scope: o.scope, MustExist: o.flag}
	case opCreateTable:
		return catalog.CreateTable{
			Project: "p", Scope: o.scope, Table: o.table, IfNotExists: !o.flag, PrimaryKey: []string{"id"},
			Columns: []catalog.ColumnSpec{
				{Name: "id", Kind: value.KindInteger},
				{Name: "u", Kind: value.KindInteger, Nullable: true}, {Name: "a", Kind: value.KindInteger, Nullable: true},
			},
		}
	case opDropTable:
		return catalog.DropTable{Project: "p", Scope: o.scope, Table: o.table, MustExist: o.flag}
	case opDropIndex:
		return catalog.DropIndex{Project: "p", Scope: o.scope, Table: o.table, Index: o.column, MustExist: o.flag}
	}
	return catalog.CreateIndex{
		Project: "p", Scope: o.scope, Table: o.table, IfNotExists: !o.flag,
		Index: catalog.IndexSpec{Name: o.column, Columns: []string{o.column}, Unique: o.column == "u"},
	}
}

func assertions(list []check) (out []msgs.Assertion) {
	for _, c := range list {
		out = append(out, c.assertion())
	}
	return out
}

func (c check) assertion() msgs.Assertion {
	scope, table, key, pk := scopeOf(c.scope), tableOf(c.scope, c.table), []byte(c.key), []value.Value{value.Int(c.id)}
	switch c.kind {
	case checkEquals:
		return msgs.KeyEquals{Scope: scope, Key: key, Expected: []byte(c.val)}
	case checkExists:
		return msgs.KeyExists{Scope: scope, Key: key, Expected: c.expected}
	case checkVersion:
		return msgs.KeyVersion{Scope: scope, Key: key, Seq: c.seq}
	case checkRow:
		return msgs.RowExists{Table: table, Key: pk, Expected: c.expected}
	case checkRowVersion:
		return msgs.RowVersion{Table: table, Key: pk, Seq: c.seq}
	case checkColumn:
		return msgs.RowColumnCompare{Table: table, Key: pk, Column: "a", Op: msgs.Lt, Threshold: c.value.value()}
	case checkNot:
		return msgs.Not{Inner: c.inner[0].assertion()}
	case checkAny:
		return msgs.Any(assertions(c.inner))
	}
	return msgs.All(assertions(c.inner))
}

func (r *rig) envelope(q request) msgs.Envelope {
	env := msgs.Envelope{Assertions: assertions(q.checks)}
	for _, o := range q.ops {
		env.Mutations = append(env.Mutations, o.mutation())
	}
	if q.key > 0 {
		env.IdempotencyKey = &msgs.IdempotencyKey{q.key}
	}
	for _, d := range q.reads {
		version := d.snapshot
		var pk []value.Value
		if d.table != "" {
			var id int64
			_, err := fmt.Sscan(d.key, &id)
			require.NoError(r.t, err)
			pk = []value.Value{value.Int(id)}
		}
		switch {
		case d.ranged && d.table == "":
			k := msgs.KeyRangeRead{Scope: scopeOf(d.scope), Start: []byte(d.start), Version: version}
			if d.end != "" {
				k.End = []byte(d.end)
			}
			env.ReadSet.KeyRanges = append(env.ReadSet.KeyRanges, k)
		case d.ranged:
			k := msgs.RowRangeRead{Table: tableOf(d.scope, d.table), Version: version}
			if d.start != "" {
				k.Prefix = pk
			}
			env.ReadSet.RowRanges = append(env.ReadSet.RowRanges, k)
		default:
			if d.exact {
				version = d.versions(r.history[d.snapshot])[d.key]
			}
			if d.table == "" {
				env.ReadSet.Keys = append(env.ReadSet.Keys, msgs.KeyRead{Scope: scopeOf(d.scope), Key: []byte(d.key), Version: version})
			} else {
				env.ReadSet.Rows = append(env.ReadSet.Rows, msgs.RowRead{Table: tableOf(d.scope, d.table), Key: pk, Version: version})
			}
		}
	}
	return env
}
