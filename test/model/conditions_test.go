package model

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/big"

	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/value"
)

// condition is one assertion on both sides.
type condition struct {
	engine aedb.Assertion
	bind   func(w *world) *failure
	// holds evaluates it; an error is no failed assertion.
	holds func(w *world) (bool, msgs.Actual, *failure)
}

// holdsSo applies a comparison.
func holdsSo(op aedb.CompareOp, order int) bool {
	switch op {
	case aedb.Eq:
		return order == 0
	case aedb.Ne:
		return order != 0
	case aedb.Gt:
		return order > 0
	case aedb.Gte:
		return order >= 0
	case aedb.Lt:
		return order < 0
	}
	return order <= 0
}

func boolean(b bool) msgs.Actual { return msgs.Actual{Kind: msgs.ActualBool, Bool: b} }

func version(v uint64) msgs.Actual { return msgs.Actual{Kind: msgs.ActualVersion, Version: v} }

func (g *generator) comparison() aedb.CompareOp {
	return pick(g, aedb.Eq, aedb.Ne, aedb.Gt, aedb.Gte, aedb.Lt, aedb.Lte)
}

func (g *generator) condition(w *world, at where, depth int) condition {
	if depth > 0 && g.IntN(4) == 0 {
		return g.composed(w, at, depth)
	}
	if g.IntN(2) == 0 {
		return g.keyCondition(w, at)
	}
	return g.rowCondition(w, at)
}

func (g *generator) composed(w *world, at where, depth int) condition {
	inner := []condition{g.condition(w, at, depth-1), g.condition(w, at, depth-1)}
	list := []aedb.Assertion{inner[0].engine, inner[1].engine}
	bind := func(w *world) *failure {
		if f := inner[0].bind(w); f != nil {
			return f
		}
		return inner[1].bind(w)
	}
	switch g.IntN(3) {
	case 0:
		return condition{aedb.All(list...), bind, func(w *world) (bool, msgs.Actual, *failure) {
			for _, c := range inner {
				if ok, actual, f := c.holds(w); f != nil || !ok {
					return false, actual, f
				}
			}
			return true, msgs.Actual{}, nil
		}}
	case 1:
		return condition{aedb.Any(list...), bind, func(w *world) (bool, msgs.Actual, *failure) {
			var last msgs.Actual
			for _, c := range inner {
				ok, actual, f := c.holds(w)
				if f != nil || ok {
					return ok, msgs.Actual{}, f
				}
				last = actual
			}
			return false, last, nil
		}}
	}
	return condition{aedb.Not(list[0]), inner[0].bind, func(w *world) (bool, msgs.Actual, *failure) {
		ok, _, f := inner[0].holds(w)
		return !ok, boolean(true), f
	}}
}

func (g *generator) keyCondition(w *world, at where) condition {
	key := g.key()
	now := w.scopes[at.name].keys[key]
	get := func(w *world) (entry, bool) {
		e, found := w.scopes[at.name].keys[key]
		return e, found
	}
	actual := func(e entry, found bool) msgs.Actual {
		if !found {
			return msgs.Actual{}
		}
		return msgs.Actual{Kind: msgs.ActualBytes, Bytes: e.val}
	}
	switch g.IntN(5) {
	case 0:
		want := g.bytes()
		if g.IntN(2) == 0 {
			want = now.val
		}
		return condition{at.engine.KeyEquals([]byte(key), want), unbound, func(w *world) (bool, msgs.Actual, *failure) {
			e, found := get(w)
			return found && bytes.Equal(e.val, want), actual(e, found), nil
		}}
	case 1:
		want := g.IntN(2) == 0
		return condition{at.engine.KeyExists([]byte(key), want), unbound, func(w *world) (bool, msgs.Actual, *failure) {
			_, found := get(w)
			return found == want, boolean(found), nil
		}}
	case 2:
		want := now.version
		if g.IntN(3) == 0 {
			want = g.Uint64N(w.seq + 1)
		}
		return condition{at.engine.KeyVersion([]byte(key), want), unbound, func(w *world) (bool, msgs.Actual, *failure) {
			e, _ := get(w)
			return e.version == want, version(e.version), nil
		}}
	case 3:
		op, threshold := g.comparison(), g.bytes()
		return condition{at.engine.KeyCompare([]byte(key), aedb.FormBytes, op, threshold), unbound, func(w *world) (bool, msgs.Actual, *failure) {
			e, found := get(w)
			return found && holdsSo(op, bytes.Compare(e.val, threshold)), actual(e, found), nil
		}}
	}
	op, threshold := g.comparison(), g.Uint64N(30)
	form := pick(g, aedb.FormUnsigned, aedb.FormSigned)
	return condition{
		at.engine.KeyCompare([]byte(key), form, op, binary.BigEndian.AppendUint64(nil, threshold)), unbound,
		func(w *world) (bool, msgs.Actual, *failure) {
			e, found := get(w)
			if !found {
				return false, msgs.Actual{}, nil
			}
			if form == aedb.FormUnsigned && (len(e.val) == 8 || len(e.val) == 32) {
				x := new(uint256.Int).SetBytes(e.val)
				return holdsSo(op, x.Cmp(uint256.NewInt(threshold))), actual(e, found), nil
			}
			if len(e.val) != 8 {
				return false, msgs.Actual{}, fail(validation)
			}
			order := cmp.Compare(int64(binary.BigEndian.Uint64(e.val)), int64(threshold))
			return holdsSo(op, order), actual(e, found), nil
		},
	}
}

func (g *generator) rowCondition(w *world, at where) condition {
	name, key := g.tableName(), g.id()
	bind := func(w *world) *failure {
		if w.scopes[at.name].tables[name] == nil {
			return fail(tableNotFound)
		}
		return nil
	}
	var now row
	if t := w.scopes[at.name].tables[name]; t != nil {
		now = t.rows[key]
	}
	pk := []aedb.Value{aedb.Int(key)}
	on := func(a aedb.Assertion, f func(t *table) (bool, msgs.Actual)) condition {
		return condition{a, bind, func(w *world) (bool, msgs.Actual, *failure) {
			if f := bind(w); f != nil {
				return false, msgs.Actual{}, f
			}
			ok, actual := f(w.scopes[at.name].tables[name])
			return ok, actual, nil
		}}
	}
	switch g.IntN(5) {
	case 0:
		want := g.IntN(2) == 0
		return on(at.engine.RowExists(name, pk, want), func(t *table) (bool, msgs.Actual) {
			_, found := t.rows[key]
			return found == want, boolean(found)
		})
	case 1:
		want := now.version
		if g.IntN(3) == 0 {
			want = g.Uint64N(w.seq + 1)
		}
		return on(at.engine.RowVersion(name, pk, want), func(t *table) (bool, msgs.Actual) {
			return t.rows[key].version == want, version(t.rows[key].version)
		})
	case 2:
		op := g.comparison()
		column, threshold := n, aedb.Int(g.Int64N(10))
		switch g.IntN(3) {
		case 0:
			column, threshold = kind, pick(g, aedb.Null(), aedb.Int(g.Int64N(8)))
		case 1:
			column, threshold = owner, aedb.Text(g.owner())
		}
		return on(at.engine.ColumnCompare(name, pk, columns[column], op, threshold), func(t *table) (bool, msgs.Actual) {
			r, found := t.rows[key]
			if !found {
				return false, msgs.Actual{}
			}
			return holdsSo(op, value.Compare(r.Row[column], threshold)), msgs.Actual{Kind: msgs.ActualValue, Value: r.Row[column]}
		})
	case 3:
		f, op, threshold := g.filter(), g.comparison(), g.Uint64N(8)
		return on(at.engine.CountCompare(name, f.engine, op, threshold), func(t *table) (bool, msgs.Actual) {
			count := uint64(0)
			for _, r := range t.rows {
				count += uint64(one(f.selects(r.Row)))
			}
			return holdsSo(op, cmp.Compare(count, threshold)), msgs.Actual{Kind: msgs.ActualCount, Count: count}
		})
	}
	f, op, threshold, column := g.filter(), g.comparison(), g.Int64N(40), pick(g, n, kind)
	return on(at.engine.SumCompare(name, columns[column], f.engine, op, aedb.Int(threshold)), func(t *table) (bool, msgs.Actual) {
		sum := new(big.Int)
		for _, r := range t.rows {
			if v := r.Row[column]; f.selects(r.Row) && !v.IsNull() {
				sum.Add(sum, big.NewInt(v.AsInt()))
			}
		}
		actual := aedb.Int(sum.Int64())
		if !sum.IsInt64() {
			bits, _ := uint256.FromBig(sum)
			if actual = aedb.U256(bits); sum.Sign() < 0 {
				actual = aedb.I256(bits)
			}
		}
		return holdsSo(op, sum.Cmp(big.NewInt(threshold))), msgs.Actual{Kind: msgs.ActualValue, Value: actual}
	})
}

// check evaluates a list in order.
func check(w *world, list []condition) *failure {
	for i, c := range list {
		ok, actual, f := c.holds(w)
		if f != nil {
			return f
		}
		if !ok {
			return &failure{assertionFailed, &aedb.AssertionError{Index: i, Assertion: c.engine, Actual: actual}}
		}
	}
	return nil
}

func bindAll(w *world, list []condition) *failure {
	for _, c := range list {
		if f := c.bind(w); f != nil {
			return f
		}
	}
	return nil
}
