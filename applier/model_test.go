package applier

import (
	"fmt"
	"maps"
	"slices"

	"github.com/empyrealapp/aedb-go/errs"
)

// The model is the database as maps and plain numbers, executed in the obvious
// way. It knows names, not ids, and copies everything before it tries anything.

// cell is an Integer or Null.
type cell struct {
	null bool
	n    int64
}

type modelKey struct {
	val              string
	created, version uint64
}

type modelRow struct {
	u, a    cell
	version uint64
}

type modelTable struct {
	rows    map[int64]modelRow
	indexes map[string]bool // name to unique; the name is that of the column
	defined uint64
}

type modelScope struct {
	keys    map[string]modelKey
	tables  map[string]*modelTable
	defined uint64
}

type model struct {
	seq    uint64
	scopes map[string]*modelScope
	events int
	// touched holds what each commit wrote or deleted, for ever.
	touched map[string]uint64
}

func newModelScope(seq uint64) *modelScope {
	return &modelScope{keys: map[string]modelKey{}, tables: map[string]*modelTable{}, defined: seq}
}

func (m *model) clone() *model {
	c := &model{seq: m.seq, events: m.events, scopes: map[string]*modelScope{}, touched: maps.Clone(m.touched)}
	for name, s := range m.scopes {
		t := &modelScope{keys: maps.Clone(s.keys), tables: map[string]*modelTable{}, defined: s.defined}
		for n, table := range s.tables {
			t.tables[n] = &modelTable{rows: maps.Clone(table.rows), indexes: maps.Clone(table.indexes), defined: table.defined}
		}
		c.scopes[name] = t
	}
	return c
}

// opKind is what a model operation does.
type opKind int

const (
	opSet opKind = iota
	opUnset
	opAdd // or subtract
	opWrite
	opUpdate
	opDelete
	opEvent
	opCheck
	opSelect // update, or delete, rows by a condition
	opCell
	opSigned
	opCounter
	opGuarded
	opCreateScope
	opDropScope
	opCreateTable
	opDropTable
	opCreateIndex
	opDropIndex
	opKinds
)

type inRow struct {
	id, u, a cell
	mistyped bool // u is a text
}

// op is a mutation in the model's terms.
type op struct {
	kind                 opKind
	scope, table, column string
	key, val             string
	id                   int64
	n                    uint64
	value                cell
	rows                 []inRow
	// flag stands for: upsert, subtract, unique, or the intolerant form of a
	// definition.
	flag   bool
	policy int
	checks []check
	// conflict is what an insert does with a row that is there.
	conflict conflictKind
	inner    []op // the one of a guarded
}

type checkKind int

const (
	checkEquals checkKind = iota
	checkExists
	checkVersion
	checkRow
	checkRowVersion
	checkColumn
	checkNot
	checkAny
	checkAll
	checkKinds
)

// check is an assertion in the model's terms.
type check struct {
	kind              checkKind
	scope, table, key string
	val               string
	id                int64
	value             cell
	seq               uint64
	expected          bool
	inner             []check
}

func (m *model) scope(name string) (*modelScope, errs.Code) {
	if s, ok := m.scopes[name]; ok {
		return s, ""
	}
	return nil, errs.CodeScopeNotFound
}

func (m *model) table(scope, name string) (*modelTable, errs.Code) {
	s, code := m.scope(scope)
	if code != "" {
		return nil, code
	}
	if t, ok := s.tables[name]; ok {
		return t, ""
	}
	return nil, errs.CodeTableNotFound
}

// bindCheck returns why a check makes no sense for the schema.
func (m *model) bindCheck(c check) errs.Code {
	switch c.kind {
	case checkRow, checkRowVersion, checkColumn:
		_, code := m.table(c.scope, c.table)
		return code
	}
	return m.bindChecks(c.inner)
}

func (m *model) bindChecks(list []check) errs.Code {
	for _, c := range list {
		if code := m.bindCheck(c); code != "" {
			return code
		}
	}
	return ""
}

// bind returns why an operation makes no sense for the schema, whatever the data.
func (m *model) bind(o op) errs.Code {
	switch o.kind {
	case opSet, opUnset, opAdd, opEvent, opSigned, opCounter:
		_, code := m.scope(o.scope)
		return code
	case opCheck:
		return m.bindChecks(o.checks)
	case opUpdate, opDelete, opSelect, opCell:
		_, code := m.table(o.scope, o.table)
		return code
	case opGuarded:
		if code := m.bindChecks(o.checks); code != "" {
			return code
		}
		return m.bind(o.inner[0])
	case opWrite:
		if _, code := m.table(o.scope, o.table); code != "" {
			return code
		}
		for _, r := range o.rows {
			switch {
			case r.id.null:
				return errs.CodeNotNullViolation
			case r.mistyped:
				return errs.CodeTypeMismatch
			}
		}
	}
	return ""
}

func (o op) definition() bool { return o.kind >= opCreateScope }

// define carries out a definition. With data set, it also minds the rows.
func (m *model) define(o op, data bool) errs.Code {
	already := func(code errs.Code) errs.Code {
		if o.flag {
			return code
		}
		return ""
	}
	switch o.kind {
	case opCreateScope:
		if m.scopes[o.scope] != nil {
			return already(errs.CodeScopeAlreadyExists)
		}
		m.scopes[o.scope] = newModelScope(m.seq)
		return ""
	case opDropScope:
		if m.scopes[o.scope] == nil {
			return already(errs.CodeScopeNotFound)
		}
		delete(m.scopes, o.scope)
		return ""
	}
	s, code := m.scope(o.scope)
	if code != "" {
		if o.kind == opDropTable || o.kind == opDropIndex {
			return already(code)
		}
		return code
	}
	t := s.tables[o.table]
	switch o.kind {
	case opCreateTable:
		if t != nil {
			return already(errs.CodeTableAlreadyExists)
		}
		s.tables[o.table] = &modelTable{rows: map[int64]modelRow{}, indexes: map[string]bool{}, defined: m.seq}
		return ""
	case opDropTable:
		if t == nil {
			return already(errs.CodeTableNotFound)
		}
		delete(s.tables, o.table)
		return ""
	}
	if t == nil {
		if o.kind == opDropIndex {
			return already(errs.CodeTableNotFound)
		}
		return errs.CodeTableNotFound
	}
	_, there := t.indexes[o.column]
	if o.kind == opDropIndex {
		if !there {
			return already(errs.CodeIndexNotFound)
		}
		delete(t.indexes, o.column)
		t.defined = m.seq
		return ""
	}
	unique := o.column == "u" // an index of a name always has one definition
	if there {
		return already(errs.CodeIndexAlreadyExists)
	}
	t.indexes[o.column] = unique
	t.defined = m.seq
	if data && t.duplicate() {
		return errs.CodeUniqueViolation
	}
	return ""
}

// duplicate reports whether two rows share a value that must be unique.
func (t *modelTable) duplicate() bool {
	if !t.indexes["u"] {
		return false
	}
	seen := map[int64]bool{}
	for _, r := range t.rows {
		if !r.u.null && seen[r.u.n] {
			return true
		}
		seen[r.u.n] = seen[r.u.n] || !r.u.null
	}
	return false
}

// apply carries out an operation. The events are those of the envelope so far.
func (m *model) apply(o op, events map[string]bool) errs.Code {
	if code := m.bind(o); code != "" {
		return code
	}
	if o.definition() {
		return m.define(o, true)
	}
	s := m.scopes[o.scope]
	switch o.kind {
	case opSet:
		m.set(o.scope, o.key, o.val)
	case opUnset:
		if _, ok := s.keys[o.key]; ok {
			delete(s.keys, o.key)
			m.touch(o.scope, "", o.key)
		}
	case opAdd:
		return m.arithmetic(o)
	case opWrite:
		t := s.tables[o.table]
		for _, r := range o.rows {
			if old, ok := t.rows[r.id.n]; ok && !o.flag {
				if code := m.resolve(o, r, old); code != "" {
					return code
				}
				continue
			}
			if code := m.put(o, r.id.n, modelRow{r.u, r.a, m.seq}); code != "" {
				return code
			}
		}
	case opUpdate:
		r, ok := s.tables[o.table].rows[o.id]
		if !ok {
			return errs.CodeRowNotFound
		}
		if o.column == "u" {
			r.u = o.value
		} else {
			r.a = o.value
		}
		r.version = m.seq
		return m.put(o, o.id, r)
	case opDelete:
		if _, ok := s.tables[o.table].rows[o.id]; ok {
			delete(s.tables[o.table].rows, o.id)
			m.touch(o.scope, o.table, fmt.Sprint(o.id))
		}
	case opEvent:
		if events[o.key] {
			return errs.CodeDuplicatePrimaryKey
		}
		events[o.key] = true
		m.events++
	case opCheck:
		if !m.holdAll(o.checks) {
			return errs.CodeAssertionFailed
		}
	case opSelect:
		return m.selection(o)
	case opCell:
		return m.cell(o)
	case opSigned:
		return m.signed(o)
	case opCounter:
		return m.counter(o)
	case opGuarded:
		if !m.holdAll(o.checks) {
			return errs.CodeAssertionFailed
		}
		return m.apply(o.inner[0], events)
	}
	return ""
}

func (m *model) touch(scope, table, key string) {
	m.touched[scope+"/"+table+"/"+key] = m.seq
}

func (m *model) set(scope, key, val string) {
	e, ok := m.scopes[scope].keys[key]
	if !ok {
		e.created = m.seq
	}
	e.val, e.version = val, m.seq
	m.scopes[scope].keys[key] = e
	m.touch(scope, "", key)
}

func (m *model) put(o op, id int64, r modelRow) errs.Code {
	t := m.scopes[o.scope].tables[o.table]
	t.rows[id] = r
	m.touch(o.scope, o.table, fmt.Sprint(id))
	if t.duplicate() {
		return errs.CodeUniqueViolation
	}
	return ""
}

func (m *model) holdAll(list []check) bool {
	return !slices.ContainsFunc(list, func(c check) bool { return !m.holds(c) })
}

// checkOnly is what becomes of a request that only checks.
func (m *model) checkOnly(q request) errs.Code {
	if code := m.bindChecks(q.checks); code != "" {
		return code
	}
	if !m.holdAll(q.checks) {
		return errs.CodeAssertionFailed
	}
	for _, o := range q.ops {
		if code := m.apply(o, nil); code != "" {
			return code
		}
	}
	return ""
}

func (m *model) holds(c check) bool {
	var e modelKey
	var r modelRow
	var there, row bool
	if s := m.scopes[c.scope]; s != nil {
		e, there = s.keys[c.key]
		if t := s.tables[c.table]; t != nil {
			r, row = t.rows[c.id]
		}
	}
	switch c.kind {
	case checkEquals:
		return there && e.val == c.val
	case checkExists:
		return there == c.expected
	case checkVersion:
		return e.version == c.seq
	case checkRow:
		return row == c.expected
	case checkRowVersion:
		return r.version == c.seq
	case checkColumn: // a < value, Null lowest
		return row && (r.a.null && !c.value.null || !r.a.null && !c.value.null && r.a.n < c.value.n)
	case checkNot:
		return !m.holds(c.inner[0])
	case checkAny:
		return slices.ContainsFunc(c.inner, m.holds)
	}
	return m.holdAll(c.inner)
}
