package model

import (
	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// truth is three-valued.
type truth int

const (
	no truth = iota
	unknown
	yes
)

func known(b bool) truth { return truth(2 * one(b)) }

// filter is a condition on rows on both sides.
type filter struct {
	engine query.Expr
	holds  func(r aedb.Row) truth
}

func (f filter) selects(r aedb.Row) bool { return f.holds(r) == yes }

// compared is a comparison with a column: unknown where that is Null.
func compared(column int, with aedb.Value, is func(order int) bool) func(aedb.Row) truth {
	return func(r aedb.Row) truth {
		if r[column].IsNull() {
			return unknown
		}
		return known(is(value.Compare(r[column], with)))
	}
}

func (g *generator) filter() filter { return g.nested(2) }

func (g *generator) nested(depth int) filter {
	if depth > 0 && g.IntN(3) == 0 {
		a, b := g.nested(depth-1), g.nested(depth-1)
		switch g.IntN(3) {
		case 0:
			return filter{query.And(a.engine, b.engine), func(r aedb.Row) truth { return min(a.holds(r), b.holds(r)) }}
		case 1:
			return filter{query.Or(a.engine, b.engine), func(r aedb.Row) truth { return max(a.holds(r), b.holds(r)) }}
		}
		return filter{query.Not(a.engine), func(r aedb.Row) truth { return yes - a.holds(r) }}
	}
	name, k := g.owner(), g.Int64N(8)
	switch g.IntN(9) {
	case 0:
		return filter{query.Eq("owner", name), compared(owner, aedb.Text(name), func(o int) bool { return o == 0 })}
	case 1:
		return filter{query.Gt("n", k), compared(n, aedb.Int(k), func(o int) bool { return o > 0 })}
	case 2:
		return filter{query.IsNull("kind"), func(r aedb.Row) truth { return known(r[kind].IsNull()) }}
	case 3:
		return filter{query.Eq("kind", k), compared(kind, aedb.Int(k), func(o int) bool { return o == 0 })}
	case 4:
		return filter{query.Ne("kind", k), compared(kind, aedb.Int(k), func(o int) bool { return o != 0 })}
	case 5:
		return filter{query.Lte("id", k), compared(id, aedb.Int(k), func(o int) bool { return o <= 0 })}
	case 6:
		return filter{query.IsNotNull("note"), func(r aedb.Row) truth { return known(!r[note].IsNull()) }}
	case 7:
		high := k + g.Int64N(3)
		return filter{query.Between("n", k, high), func(r aedb.Row) truth {
			return known(r[n].AsInt() >= k && r[n].AsInt() <= high)
		}}
	}
	other := g.owner()
	return filter{query.In("owner", name, other), func(r aedb.Row) truth {
		return known(r[owner].AsText() == name || r[owner].AsText() == other)
	}}
}

func (g *generator) owner() string { return pick(g, "ann", "bob", "cyd", "") }
