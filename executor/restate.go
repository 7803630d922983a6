package executor

import (
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// restate returns the mutation that an operation was bound from, for binding it
// to another catalog. Of m it uses no more than names: the slices in m are the
// caller's, who may have modified them since, while the operation has copies. For
// an operation it does not know it returns nil, which no catalog binds.
func restate(m msgs.Mutation, op msgs.Operation) msgs.Mutation {
	switch op := op.(type) {
	case *msgs.PutKey:
		return msgs.KvSet{Scope: m.(msgs.KvSet).Scope, Key: op.Key, Value: op.Value[record.KVRoom:]}
	case *msgs.PutKeys:
		pairs := make([]msgs.KvPair, len(op.Pairs))
		for i, p := range op.Pairs {
			pairs[i] = msgs.KvPair{Key: p.Key, Value: p.Value[record.KVRoom:]}
		}
		return msgs.KvSetMany{Scope: m.(msgs.KvSetMany).Scope, Pairs: pairs}
	case *msgs.RemoveKey:
		return msgs.KvDel{Scope: m.(msgs.KvDel).Scope, Key: op.Key}
	case *msgs.Compute:
		return op.KvArithmetic
	case *msgs.PutRows:
		var onConflict *msgs.OnConflict
		if op.Conflict != nil {
			onConflict = &op.Conflict.Source
		}
		rows := make([]value.Row, len(op.Rows))
		for i, r := range op.Rows {
			rows[i] = record.Row{Table: op.Table, Key: r.Key, Data: r.Data}.Values(nil)
		}
		return msgs.WriteRows{Table: nameOf(op.Table), Mode: op.Mode, Columns: op.Table.ColumnNames(), Rows: rows, OnConflict: onConflict}
	case *msgs.SetFields:
		fields := make([]msgs.Field, len(op.Fields))
		for i, f := range op.Fields {
			fields[i] = msgs.Field{Column: op.Table.Columns[f.Position].Name, Value: f.Value}
		}
		return msgs.UpdateFields{Table: nameOf(op.Table), Key: keyValues(op.Table, op.Key), Fields: fields}
	case *msgs.RemoveRow:
		return msgs.DeleteRow{Table: nameOf(op.Table), Key: keyValues(op.Table, op.Key)}
	case *msgs.SetRows:
		return op.Source
	case *msgs.RemoveRows:
		return op.Source
	case *msgs.ComputeCell:
		return op.Source
	case *msgs.AddSigned:
		return op.KvAddSigned
	case *msgs.Count:
		return op.CounterAdd
	case *msgs.Guard:
		return msgs.Guarded{If: assertionsOf(op.Conditions), Do: restate(m.(msgs.Guarded).Do, op.Operation)}
	case *msgs.Emit:
		return op.EmitEvent
	case *msgs.Check:
		return msgs.PostflightCheck{Assertions: assertionsOf(op.Conditions)}
	case *msgs.Alter:
		return msgs.Define{Statement: op.Statement}
	}
	return nil
}

func nameOf(t *catalog.Table) msgs.TableName {
	return msgs.TableName{Project: t.Project, Scope: t.Scope, Table: t.Name}
}

// keyValues returns the values that a row's key was encoded from.
func keyValues(t *catalog.Table, key []byte) []value.Value {
	row := record.Row{Table: t, Key: key}
	out := make([]value.Value, len(t.PrimaryKey))
	for i, p := range t.PrimaryKey {
		out[i] = row.Column(p)
	}
	return out
}
