package model

import (
	"math"
	"slices"

	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

func (g *generator) tableName() string { return pick(g, "t", "t", "t", "u") }

func (g *generator) id() int64 { return g.Int64N(8) }

func (g *generator) row() aedb.Row {
	r := aedb.Row{
		aedb.Int(g.id()), aedb.Text(g.owner()), aedb.Null(), aedb.U256(uint256.NewInt(g.Uint64N(100))),
		aedb.Int(g.Int64N(10)), aedb.Null(),
	}
	if g.IntN(2) == 0 {
		r[kind] = aedb.Int(g.Int64N(8))
	}
	if g.IntN(2) == 0 {
		r[note] = aedb.Text(pick(g, "x", "y"))
	}
	return r
}

// rows returns a few rows with different keys, unless told otherwise.
func (g *generator) rows(repeat bool) []aedb.Row {
	var rows []aedb.Row
	for range 1 + g.IntN(3) {
		r := g.row()
		if repeat || !slices.ContainsFunc(rows, func(o aedb.Row) bool { return o[id] == r[id] }) {
			rows = append(rows, r)
		}
	}
	return rows
}

// onTable makes the two sides of a change of a table that has to exist.
func onTable(at where, name, label string, m aedb.Mutation, run func(w *world, t *table) (*aedb.Reply, *failure)) change {
	bind := func(w *world) *failure {
		if w.scopes[at.name].tables[name] == nil {
			return fail(tableNotFound)
		}
		return nil
	}
	return change{label + " " + name, m, bind, func(w *world) (*aedb.Reply, *failure) {
		if f := bind(w); f != nil {
			return nil, f
		}
		return run(w, w.scopes[at.name].tables[name])
	}, false}
}

// insert is what each way to insert does with one row.
func (t *table) insert(w *world, r aedb.Row) *failure {
	if _, found := t.rows[r[id].AsInt()]; found {
		return fail(duplicateKey)
	}
	if t.taken(r[kind], r[id].AsInt()) {
		return fail(uniqueViolation)
	}
	t.put(w, r)
	return nil
}

// rewrite replaces rows at once. Unique values may move among them.
func (t *table) rewrite(w *world, rows []aedb.Row) *failure {
	for _, r := range rows {
		t.put(w, r)
	}
	for _, r := range rows {
		if t.taken(r[kind], r[id].AsInt()) {
			return fail(uniqueViolation)
		}
	}
	return nil
}

func (g *generator) rowChange(at where) change {
	name := g.tableName()
	switch g.IntN(11) {
	case 0, 1:
		rows := g.rows(g.IntN(5) == 0)
		return onTable(at, name, "Insert", at.engine.InsertBatch(name, rows), func(w *world, t *table) (*aedb.Reply, *failure) {
			for _, r := range rows {
				if f := t.insert(w, r); f != nil {
					return nil, f
				}
			}
			return nil, nil
		})
	case 2:
		rows := g.rows(false)
		return onTable(at, name, "Upsert", at.engine.UpsertBatch(name, rows), func(w *world, t *table) (*aedb.Reply, *failure) {
			for _, r := range rows {
				if t.taken(r[kind], r[id].AsInt()) {
					return nil, fail(uniqueViolation)
				}
				t.put(w, r)
			}
			return nil, nil
		})
	case 3, 4:
		return g.insertOr(at, name)
	case 5:
		key := g.id()
		return onTable(at, name, "Delete", at.engine.Delete(name, aedb.Int(key)), func(w *world, t *table) (*aedb.Reply, *failure) {
			_, found := t.rows[key]
			if found {
				t.drop(w, key)
			}
			return &aedb.Reply{Affected: one(found)}, nil
		})
	case 6:
		key, k, who := g.id(), g.Int64N(8), g.owner()
		fields := []aedb.Field{aedb.Set("owner", aedb.Text(who)), aedb.Set("kind", aedb.Int(k))}
		return onTable(at, name, "UpdateFields", at.engine.UpdateFields(name, []aedb.Value{aedb.Int(key)}, fields...),
			func(w *world, t *table) (*aedb.Reply, *failure) {
				old, found := t.rows[key]
				if !found {
					return nil, fail(rowNotFound)
				}
				r := slices.Clone(old.Row)
				r[owner], r[kind] = aedb.Text(who), aedb.Int(k)
				return nil, t.rewrite(w, []aedb.Row{r})
			})
	case 7, 8:
		return g.updateRows(at, name)
	case 9:
		return g.deleteRows(at, name)
	}
	return g.cell(at, name)
}

// assignment is one on both sides: given the row as it was, and one that was
// proposed.
type assignment struct {
	engine query.Assignment
	column int
	value  func(old, proposed aedb.Row) (aedb.Value, *failure)
}

func (g *generator) assignments(proposed bool) (all []assignment) {
	add := func(column int, term query.Term, v func(old, proposed aedb.Row) (aedb.Value, *failure)) {
		if slices.ContainsFunc(all, func(a assignment) bool { return a.column == column }) {
			return
		}
		all = append(all, assignment{query.Assign(columns[column], term), column, v})
	}
	sum := func(a, b int64) (aedb.Value, *failure) {
		switch {
		case b > 0 && a > math.MaxInt64-b:
			return aedb.Null(), fail(overflow)
		case b < 0 && a < math.MinInt64-b:
			return aedb.Null(), fail(underflow)
		}
		return aedb.Int(a + b), nil
	}
	for range 1 + g.IntN(3) {
		delta, who, k := g.Int64N(7)-3, g.owner(), g.Int64N(8)
		switch g.IntN(8) {
		case 0:
			add(n, query.Lit(k), func(_, _ aedb.Row) (aedb.Value, *failure) { return aedb.Int(k), nil })
		case 1:
			if g.IntN(15) == 0 {
				delta = math.MaxInt64
			}
			add(n, query.Add(query.Col("n"), query.Lit(delta)), func(old, _ aedb.Row) (aedb.Value, *failure) {
				return sum(old[n].AsInt(), delta)
			})
		case 2:
			add(owner, query.Lit(who), func(_, _ aedb.Row) (aedb.Value, *failure) { return aedb.Text(who), nil })
		case 3:
			add(kind, query.Term{}, func(_, _ aedb.Row) (aedb.Value, *failure) { return aedb.Null(), nil })
		case 4:
			add(kind, query.Col("id"), func(old, _ aedb.Row) (aedb.Value, *failure) { return old[id], nil })
		case 5:
			add(note, query.Coalesce(query.Col("note"), query.Lit("z")), func(old, _ aedb.Row) (aedb.Value, *failure) {
				if old[note].IsNull() {
					return aedb.Text("z"), nil
				}
				return old[note], nil
			})
		case 6:
			add(kind, query.Add(query.Col("kind"), query.Lit(k)), func(old, _ aedb.Row) (aedb.Value, *failure) {
				if old[kind].IsNull() {
					return aedb.Null(), nil
				}
				return sum(old[kind].AsInt(), k)
			})
		case 7:
			if proposed {
				add(n, query.Add(query.Col("n"), query.Proposed("n")), func(old, p aedb.Row) (aedb.Value, *failure) {
					return sum(old[n].AsInt(), p[n].AsInt())
				})
			} else {
				add(note, query.Col("owner"), func(old, _ aedb.Row) (aedb.Value, *failure) { return old[owner], nil })
			}
		}
	}
	return all
}

func terms(all []assignment) (set []query.Assignment) {
	for _, a := range all {
		set = append(set, a.engine)
	}
	return set
}

// assign returns what assignments make of a row: all see it as it was.
func assign(all []assignment, old, proposed aedb.Row) (aedb.Row, *failure) {
	r := slices.Clone(old)
	for _, a := range all {
		v, f := a.value(old, proposed)
		if f != nil {
			return nil, f
		}
		if v.IsNull() && !nullable[a.column] {
			return nil, fail(notNull)
		}
		r[a.column] = v
	}
	return r, nil
}

func (g *generator) insertOr(at where, name string) change {
	rows := g.rows(true)
	c := aedb.OnConflict{Action: pick(g, aedb.KeepRow, aedb.MergeRow, aedb.UpdateRow)}
	unique := false
	switch g.IntN(4) {
	case 0:
		c.Index, unique = "one_kind", true
	case 1:
		c.Columns, unique = []string{"kind"}, true
	case 2:
		c.Columns = []string{"id"}
	}
	var set []assignment
	if c.Action == aedb.UpdateRow {
		set = g.assignments(true)
		c.Set = terms(set)
	}
	only := filter{holds: func(aedb.Row) truth { return yes }}
	if g.IntN(3) == 0 {
		only = g.filter()
		c.Where = only.engine
	}
	missing := func(t *table) *failure {
		if unique && !t.indexes["one_kind"] {
			if c.Index != "" {
				return fail(indexNotFound)
			}
			return fail(validation)
		}
		return nil
	}
	out := onTable(at, name, "InsertOr", at.engine.InsertOr(name, c, rows...), func(w *world, t *table) (*aedb.Reply, *failure) {
		if f := missing(t); f != nil {
			return nil, f
		}
		affected := 0
		for _, r := range rows {
			old, found := t.rows[r[id].AsInt()]
			if unique {
				found = false
				for _, other := range t.sorted() {
					if !r[kind].IsNull() && other.Row[kind] == r[kind] {
						old, found = other, true
					}
				}
			}
			if !found {
				if f := t.insert(w, r); f != nil {
					return nil, f
				}
				affected++
				continue
			}
			if c.Action == aedb.KeepRow || !only.selects(old.Row) {
				continue
			}
			next := slices.Clone(old.Row)
			if c.Action == aedb.MergeRow {
				for i := range next {
					if i != id && !r[i].IsNull() {
						next[i] = r[i]
					}
				}
			} else {
				var f *failure
				if next, f = assign(set, old.Row, r); f != nil {
					return nil, f
				}
			}
			if f := t.rewrite(w, []aedb.Row{next}); f != nil {
				return nil, f
			}
			affected++
		}
		return &aedb.Reply{Affected: affected}, nil
	})
	bind := out.bind
	out.bind = func(w *world) *failure {
		if f := bind(w); f != nil {
			return f
		}
		return missing(w.scopes[at.name].tables[name])
	}
	return out
}

// selection is one on both sides.
type selection struct {
	engine aedb.Selection
	filter filter
}

func (g *generator) selection(at where, name string) selection {
	s := selection{filter: filter{holds: func(aedb.Row) truth { return yes }}}
	if g.IntN(5) > 0 {
		s.filter = g.filter()
	}
	s.engine = at.engine.Select(name, s.filter.engine)
	s.engine.Index = pick(g, "", "", "by_owner", "by_n", "one_kind")
	s.engine.Backward = g.IntN(3) == 0
	s.engine.Limit = pick(g, 0, 0, 1, 2)
	return s
}

func (s *selection) missing(t *table) *failure {
	if s.engine.Index != "" && !t.indexes[s.engine.Index] {
		return fail(indexNotFound)
	}
	return nil
}

func (s *selection) of(t *table) (rows []aedb.Row) {
	for _, r := range t.by(s.engine.Index, s.engine.Backward) {
		if s.filter.selects(r.Row) && (s.engine.Limit == 0 || len(rows) < s.engine.Limit) {
			rows = append(rows, r.Row)
		}
	}
	return rows
}

// onSelection is onTable with a selection, whose index has to exist.
func onSelection(at where, name, label string, s selection, m aedb.Mutation, run func(w *world, t *table, rows []aedb.Row) (*aedb.Reply, *failure)) change {
	c := onTable(at, name, label, m, func(w *world, t *table) (*aedb.Reply, *failure) {
		if f := s.missing(t); f != nil {
			return nil, f
		}
		return run(w, t, s.of(t))
	})
	bind := c.bind
	c.bind = func(w *world) *failure {
		if f := bind(w); f != nil {
			return f
		}
		return s.missing(w.scopes[at.name].tables[name])
	}
	return c
}

func (g *generator) updateRows(at where, name string) change {
	s, set, back := g.selection(at, name), g.assignments(false), g.IntN(2) == 0
	m := aedb.UpdateRows{Selection: s.engine, Set: terms(set), Return: back}
	return onSelection(at, name, "UpdateRows", s, m, func(w *world, t *table, rows []aedb.Row) (*aedb.Reply, *failure) {
		reply := &aedb.Reply{Affected: len(rows)}
		var next []aedb.Row
		for _, old := range rows {
			r, f := assign(set, old, nil)
			if f != nil {
				return nil, f
			}
			next = append(next, r)
			if back {
				reply.Rows = append(reply.Rows, aedb.RowChange{Before: old, After: r})
			}
		}
		return reply, t.rewrite(w, next)
	})
}

func (g *generator) deleteRows(at where, name string) change {
	s, back := g.selection(at, name), g.IntN(2) == 0
	m := aedb.DeleteRows{Selection: s.engine, Return: back}
	return onSelection(at, name, "DeleteRows", s, m, func(w *world, t *table, rows []aedb.Row) (*aedb.Reply, *failure) {
		reply := &aedb.Reply{Affected: len(rows)}
		for _, old := range rows {
			t.drop(w, old[id].AsInt())
			if back {
				reply.Rows = append(reply.Rows, aedb.RowChange{Before: old})
			}
		}
		return reply, nil
	})
}

// cell makes arithmetic on the 256-bit balance of a row.
func (g *generator) cell(at where, name string) change {
	key, amount := g.id(), uint256.NewInt(g.Uint64N(60))
	if g.IntN(15) == 0 {
		amount.SetAllOne()
	}
	if g.IntN(4) == 0 { // Null or not, that is the question
		k := g.Int64N(5)
		return onTable(at, name, "CellAdd kind", at.engine.CellAdd(name, []aedb.Value{aedb.Int(key)}, "kind", aedb.Int(k), aedb.RejectLimit),
			func(w *world, t *table) (*aedb.Reply, *failure) {
				old, found := t.rows[key]
				switch {
				case !found:
					return nil, fail(rowNotFound)
				case old.Row[kind].IsNull():
					return nil, fail(validation)
				}
				r := slices.Clone(old.Row)
				r[kind] = aedb.Int(r[kind].AsInt() + k)
				return &aedb.Reply{Affected: 1, Value: r[kind], Version: w.seq}, t.rewrite(w, []aedb.Row{r})
			})
	}
	sub, limit := g.IntN(2) == 0, aedb.RejectLimit
	m := msgs.CellArithmetic{}
	if sub {
		limit = pick(g, aedb.RejectLimit, aedb.NoOp)
		m = at.engine.CellSub(name, []aedb.Value{aedb.Int(key)}, "balance", aedb.U256(amount), limit).(msgs.CellArithmetic)
	} else {
		limit = pick(g, aedb.RejectLimit, aedb.Saturate)
		m = at.engine.CellAdd(name, []aedb.Value{aedb.Int(key)}, "balance", aedb.U256(amount), limit).(msgs.CellArithmetic)
	}
	return onTable(at, name, "Cell balance", m, func(w *world, t *table) (*aedb.Reply, *failure) {
		old, found := t.rows[key]
		if !found {
			return nil, fail(rowNotFound)
		}
		now, next := old.Row[balance].AsUint256(), new(uint256.Int)
		switch {
		case sub && now.Lt(amount):
			if limit == aedb.NoOp {
				return &aedb.Reply{Value: old.Row[balance], Version: old.version}, nil
			}
			return nil, fail(underflow)
		case sub:
			next.Sub(now, amount)
		default:
			if next.Add(now, amount); next.Lt(now) {
				if limit != aedb.Saturate {
					return nil, fail(overflow)
				}
				next.SetAllOne()
			}
		}
		r := slices.Clone(old.Row)
		r[balance] = aedb.U256(next)
		return &aedb.Reply{Affected: 1, Value: r[balance], Version: w.seq}, t.rewrite(w, []aedb.Row{r})
	})
}

// definition makes or drops a table or an index.
func (g *generator) definition(at where) change {
	name := pick(g, "u", "u", "t")
	index := pick(g, "by_owner", "by_n", "one_kind")
	withUnique := g.IntN(2) == 0
	switch g.IntN(4) {
	case 0:
		return g.createTable(at, name, withUnique)
	case 1:
		run := func(w *world) (*aedb.Reply, *failure) {
			delete(w.scopes[at.name].tables, name)
			return nil, nil
		}
		return change{"DropTable " + name, at.engine.DropTable(name), unbound, run, true}
	case 2:
		spec := aedb.IndexSpec{Name: index, Columns: []string{map[string]string{"by_owner": "owner", "by_n": "n", "one_kind": "kind"}[index]}, Unique: index == "one_kind"}
		there := func(w *world) *failure {
			t := w.scopes[at.name].tables[name]
			switch {
			case t == nil:
				return fail(tableNotFound)
			case t.indexes[index]:
				return fail(indexExists)
			}
			return nil
		}
		return change{"CreateIndex " + index + " on " + name, at.engine.CreateIndex(name, spec), there, func(w *world) (*aedb.Reply, *failure) {
			if f := there(w); f != nil {
				return nil, f
			}
			t := w.scopes[at.name].tables[name]
			t.indexes[index], t.defined = true, w.seq
			for key, r := range t.rows {
				if index == "one_kind" && t.taken(r.Row[kind], key) {
					return nil, fail(uniqueViolation)
				}
			}
			return nil, nil
		}, true}
	}
	return change{"DropIndex " + index + " on " + name, at.engine.DropIndex(name, index), unbound, func(w *world) (*aedb.Reply, *failure) {
		if t := w.scopes[at.name].tables[name]; t != nil && t.indexes[index] {
			delete(t.indexes, index)
			t.defined = w.seq
		}
		return nil, nil
	}, true}
}

func (g *generator) createTable(at where, name string, withUnique bool) change {
	spec := aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("id", aedb.TypeInteger), aedb.Column("owner", aedb.TypeText), aedb.NullableColumn("kind", aedb.TypeInteger),
			aedb.Column("balance", aedb.TypeU256), aedb.Column("n", aedb.TypeInteger), aedb.NullableColumn("note", aedb.TypeText),
		},
		PrimaryKey: []string{"id"},
		Indexes:    []aedb.IndexSpec{{Name: "by_owner", Columns: []string{"owner"}}},
	}
	if withUnique {
		spec.Indexes = append(spec.Indexes, aedb.IndexSpec{Name: "one_kind", Columns: []string{"kind"}, Unique: true})
	}
	absent := func(w *world) *failure {
		if w.scopes[at.name].tables[name] != nil {
			return fail(tableExists)
		}
		return nil
	}
	return change{"CreateTable " + name, at.engine.CreateTable(name, spec), absent, func(w *world) (*aedb.Reply, *failure) {
		if f := absent(w); f != nil {
			return nil, f
		}
		w.scopes[at.name].tables[name] = &table{
			defined: w.seq, rows: map[int64]row{}, removed: map[int64]uint64{},
			indexes: map[string]bool{"by_owner": true, "one_kind": withUnique},
		}
		return nil, nil
	}, true}
}

// sameRow compares rows by value.
func sameRow(a, b aedb.Row) bool {
	return slices.EqualFunc(a, b, func(x, y aedb.Value) bool { return value.Compare(x, y) == 0 })
}
