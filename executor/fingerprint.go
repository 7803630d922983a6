package executor

import (
	"encoding/binary"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// Fingerprint identifies what an envelope asks: its write class, assertions and
// mutations, by names. It depends on no catalog, and leaves out the read set and
// the base seq: a request that is rebuilt on a newer snapshot, or sent again when
// what it names is no more, is still the same request. It fails with what binding
// would fail with: an element of no closed set, or nesting without end.
func Fingerprint(env *msgs.Envelope) ([32]byte, error) {
	c := canon{}
	c.num(uint64(env.WriteClass))
	c.assertions(env.Assertions)
	c.num(uint64(len(env.Mutations)))
	for _, m := range env.Mutations {
		c.mutation(m)
	}
	return blake3.Sum256(c.b), c.err
}

// canon writes a request as bytes such that two requests have the same bytes
// only if they ask the same. Every variant starts with its own number, every
// list and string with its length.
type canon struct {
	b     []byte
	depth int   // of nested assertions and mutations
	count int   // of assertions
	err   error // the first element that has no fingerprint
}

func (c *canon) num(n uint64) { c.b = binary.AppendUvarint(c.b, n) }

func (c *canon) flag(f bool) {
	if f {
		c.num(1)
	} else {
		c.num(0)
	}
}

func (c *canon) bytes(b []byte) {
	c.num(uint64(len(b)))
	c.b = append(c.b, b...)
}

func (c *canon) text(ss ...string) {
	for _, s := range ss {
		c.num(uint64(len(s)))
		c.b = append(c.b, s...)
	}
}

func (c *canon) texts(ss []string) {
	c.flag(ss != nil)
	c.num(uint64(len(ss)))
	c.text(ss...)
}

func (c *canon) values(vs []value.Value) {
	c.num(uint64(len(vs)))
	c.b = value.AppendKeyRow(c.b, vs...)
}

func (c *canon) scope(s msgs.ScopeName) { c.text(s.Project, s.Scope) }
func (c *canon) table(t msgs.TableName) { c.text(t.Project, t.Scope, t.Table) }

func (c *canon) mutation(m msgs.Mutation) {
	switch m := m.(type) {
	case msgs.WriteRows:
		c.num(1)
		c.table(m.Table)
		c.num(uint64(m.Mode))
		c.texts(m.Columns)
		c.num(uint64(len(m.Rows)))
		for _, r := range m.Rows {
			c.values(r)
		}
		c.flag(m.OnConflict != nil)
		if o := m.OnConflict; o != nil {
			c.text(o.Index)
			c.texts(o.Columns)
			c.num(uint64(o.Action))
			c.assignments(o.Set)
			c.condition(o.Where)
		}
	case msgs.UpdateFields:
		c.num(2)
		c.table(m.Table)
		c.values(m.Key)
		c.num(uint64(len(m.Fields)))
		for _, f := range m.Fields {
			c.text(f.Column)
			c.values([]value.Value{f.Value})
		}
	case msgs.DeleteRow:
		c.num(3)
		c.table(m.Table)
		c.values(m.Key)
	case msgs.KvSet:
		c.num(4)
		c.scope(m.Scope)
		c.bytes(m.Key)
		c.bytes(m.Value)
	case msgs.KvDel:
		c.num(5)
		c.scope(m.Scope)
		c.bytes(m.Key)
	case msgs.KvArithmetic:
		c.num(6)
		c.scope(m.Scope)
		c.bytes(m.Key)
		c.num(uint64(m.Op))
		c.num(uint64(m.Width))
		c.bytes(m.Amount.Bytes())
		c.num(uint64(m.OnMissing))
		c.num(uint64(m.OnLimit))
	case msgs.EmitEvent:
		c.num(7)
		c.scope(m.Scope)
		c.text(m.Topic, m.Key, m.PayloadJSON)
	case msgs.PostflightCheck:
		c.num(8)
		c.assertions(m.Assertions)
	case msgs.Define:
		c.num(9)
		c.statement(m.Statement)
	case msgs.UpdateRows:
		c.num(10)
		c.selection(m.Selection)
		c.assignments(m.Set)
		c.flag(m.Return)
	case msgs.DeleteRows:
		c.num(11)
		c.selection(m.Selection)
		c.flag(m.Return)
	case msgs.CellArithmetic:
		c.num(12)
		c.table(m.Table)
		c.values(m.Key)
		c.text(m.Column)
		c.num(uint64(m.Op))
		c.values([]value.Value{m.Amount})
		c.num(uint64(m.OnLimit))
	case msgs.KvAddSigned:
		c.num(13)
		c.scope(m.Scope)
		c.bytes(m.Key)
		c.num(uint64(m.Delta))
		c.num(uint64(m.OnMissing))
		c.bound(m.Least)
		c.bound(m.Greatest)
	case msgs.CounterAdd:
		c.num(14)
		c.scope(m.Scope)
		c.bytes(m.Key)
		c.num(m.Amount)
		c.num(uint64(m.Shards))
		c.num(uint64(m.Hint))
	case msgs.Guarded:
		c.num(15)
		c.assertions(m.If)
		c.nested(func() { c.mutation(m.Do) })
	case msgs.KvSetMany:
		c.num(16)
		c.scope(m.Scope)
		c.num(uint64(len(m.Pairs)))
		for _, p := range m.Pairs {
			c.bytes(p.Key)
			c.bytes(p.Value)
		}
	default:
		c.refuse(unknown(m))
	}
}

// refuse takes note of an element that cannot be part of a request. Without an
// error, different requests would be taken for the same.
func (c *canon) refuse(err error) {
	if c.err == nil {
		c.err = err
	}
}

// nested writes what is inside an assertion or mutation, if that is not too deep.
func (c *canon) nested(write func()) {
	if c.depth++; c.depth > msgs.MaxAssertionDepth {
		c.refuse(tooDeep(c.depth))
	} else {
		write()
	}
	c.depth--
}

func (c *canon) selection(s msgs.Selection) {
	c.table(s.Table)
	c.condition(s.Where)
	c.text(s.Index)
	c.flag(s.Backward)
	c.num(uint64(s.Limit))
}

func (c *canon) condition(e query.Expr) {
	if err := e.Check(); err != nil {
		c.refuse(err)
		return
	}
	c.b = e.AppendCanonical(c.b)
}

func (c *canon) assignments(set []query.Assignment) {
	c.num(uint64(len(set)))
	for _, a := range set {
		c.text(a.Column)
		if err := a.To.Check(); err != nil {
			c.refuse(err)
			continue
		}
		c.b = a.To.AppendCanonical(c.b)
	}
}

func (c *canon) bound(n *int64) {
	c.flag(n != nil)
	if n != nil {
		c.num(uint64(*n))
	}
}

func (c *canon) assertions(list []msgs.Assertion) {
	c.num(uint64(len(list)))
	c.nested(func() {
		for _, a := range list {
			if c.err == nil {
				c.assertion(a)
			}
		}
	})
}

// mostAssertions bounds the assertions of an envelope that has a fingerprint, above
// any limit that a store should have: lists may share what they hold, so that little
// memory can stand for very many.
const mostAssertions = 1 << 20

func (c *canon) assertion(a msgs.Assertion) {
	if c.count++; c.count > mostAssertions {
		c.refuse(tooManyAssertions(c.count, mostAssertions))
		return
	}
	switch a := a.(type) {
	case msgs.KeyEquals:
		c.num(1)
		c.scope(a.Scope)
		c.bytes(a.Key)
		c.bytes(a.Expected)
	case msgs.KeyExists:
		c.num(2)
		c.scope(a.Scope)
		c.bytes(a.Key)
		c.flag(a.Expected)
	case msgs.KeyVersion:
		c.num(3)
		c.scope(a.Scope)
		c.bytes(a.Key)
		c.num(a.Seq)
	case msgs.RowExists:
		c.num(4)
		c.table(a.Table)
		c.values(a.Key)
		c.flag(a.Expected)
	case msgs.RowVersion:
		c.num(5)
		c.table(a.Table)
		c.values(a.Key)
		c.num(a.Seq)
	case msgs.RowColumnCompare:
		c.num(6)
		c.table(a.Table)
		c.values(a.Key)
		c.text(a.Column)
		c.num(uint64(a.Op))
		c.values([]value.Value{a.Threshold})
	case msgs.All:
		c.num(7)
		c.assertions(a)
	case msgs.Any:
		c.num(8)
		c.assertions(a)
	case msgs.Not:
		c.num(9)
		c.nested(func() { c.assertion(a.Inner) })
	case msgs.KeyCompare:
		c.num(10)
		c.scope(a.Scope)
		c.bytes(a.Key)
		c.num(uint64(a.Form))
		c.num(uint64(a.Op))
		c.bytes(a.Threshold)
	case msgs.CountCompare:
		c.num(11)
		c.table(a.Table)
		c.condition(a.Where)
		c.num(uint64(a.Op))
		c.num(a.Threshold)
	case msgs.SumCompare:
		c.num(12)
		c.table(a.Table)
		c.text(a.Column)
		c.condition(a.Where)
		c.num(uint64(a.Op))
		c.values([]value.Value{a.Threshold})
	default:
		c.refuse(unknown(a))
	}
}

func (c *canon) statement(s catalog.Statement) {
	switch s := s.(type) {
	case catalog.CreateProject:
		c.num(1)
		c.text(s.Project)
		c.flag(s.MustBeNew)
	case catalog.DropProject:
		c.num(2)
		c.text(s.Project)
		c.flag(s.MustExist)
	case catalog.CreateScope:
		c.num(3)
		c.text(s.Project, s.Scope)
		c.flag(s.MustBeNew)
	case catalog.DropScope:
		c.num(4)
		c.text(s.Project, s.Scope)
		c.flag(s.MustExist)
	case catalog.CreateTable:
		c.num(5)
		c.text(s.Project, s.Scope, s.Table)
		c.num(uint64(len(s.Columns)))
		for _, col := range s.Columns {
			c.text(col.Name)
			c.num(uint64(col.Kind))
			c.flag(col.Nullable)
			c.flag(col.Default != nil)
			if col.Default != nil {
				c.values([]value.Value{*col.Default})
			}
		}
		c.texts(s.PrimaryKey)
		c.num(uint64(len(s.Indexes)))
		for _, x := range s.Indexes {
			c.index(x)
		}
		c.flag(s.IfNotExists)
	case catalog.DropTable:
		c.num(6)
		c.text(s.Project, s.Scope, s.Table)
		c.flag(s.MustExist)
	case catalog.CreateIndex:
		c.num(7)
		c.text(s.Project, s.Scope, s.Table)
		c.index(s.Index)
		c.flag(s.IfNotExists)
	case catalog.DropIndex:
		c.num(8)
		c.text(s.Project, s.Scope, s.Table, s.Index)
		c.flag(s.MustExist)
	case catalog.CreateSystem:
		c.num(9)
	default:
		c.refuse(unknown(s))
	}
}

func (c *canon) index(x catalog.IndexSpec) {
	c.text(x.Name)
	c.texts(x.Columns)
	c.flag(x.Unique)
}
