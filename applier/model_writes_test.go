package applier

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/record"
)

// This file has the model's numbers, selections and conflicts.

// number is the stored form of a number.
func number(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

func (m *model) arithmetic(o op) errs.Code {
	e, ok := m.scopes[o.scope].keys[o.key]
	var current uint64
	switch {
	case !ok && o.policy&1 != 0, ok && len(e.val) != 8:
		return errs.CodeValidation
	case ok:
		current = binary.BigEndian.Uint64([]byte(e.val))
	}
	switch {
	case !o.flag && o.n > math.MaxUint64-current:
		return errs.CodeOverflow
	case !o.flag:
		m.set(o.scope, o.key, number(current+o.n))
	case o.n <= current:
		m.set(o.scope, o.key, number(current-o.n))
	case o.policy&2 == 0:
		return errs.CodeUnderflow
	}
	return ""
}

// signed adds to a signed number, whose least is 0 under some policies.
func (m *model) signed(o op) errs.Code {
	e, ok := m.scopes[o.scope].keys[o.key]
	var current int64
	switch {
	case !ok && o.policy&1 != 0, ok && len(e.val) != 8:
		return errs.CodeValidation
	case ok:
		current = int64(binary.BigEndian.Uint64([]byte(e.val)))
	}
	next := current + o.delta()
	if o.policy&2 != 0 && next < 0 {
		return errs.CodeValidation
	}
	m.set(o.scope, o.key, number(uint64(next)))
	return ""
}

func (o op) delta() int64 { return o.id - 2 }
func (o op) shards() int  { return 1 + o.policy }

// counter adds to a counter, whose entries are keys of the scope.
func (m *model) counter(o op) errs.Code {
	keys := m.scopes[o.scope].keys
	head := record.CounterPrefix + string(binary.BigEndian.AppendUint32(nil, uint32(len(o.key)))) + o.key
	shards := string(binary.BigEndian.AppendUint32(nil, uint32(o.shards())))
	if e, ok := keys[head]; !ok {
		m.set(o.scope, head, shards)
	} else if e.val != shards {
		return errs.CodeValidation
	}
	shard := head + string(binary.BigEndian.AppendUint16(nil, uint16(int(o.id)%o.shards())))
	sum := o.n
	if e, ok := keys[shard]; ok {
		sum += binary.BigEndian.Uint64([]byte(e.val))
	}
	m.set(o.scope, shard, number(sum))
	return ""
}

// cell adds to a cell of a row, or subtracts from it.
func (m *model) cell(o op) errs.Code {
	r, ok := m.scopes[o.scope].tables[o.table].rows[o.id]
	if !ok {
		return errs.CodeRowNotFound
	}
	c := r.column(o.column)
	if c.null {
		return errs.CodeValidation
	}
	if o.flag {
		c.n -= int64(o.n)
	} else {
		c.n += int64(o.n)
	}
	r.version = m.seq
	return m.put(o, o.id, r)
}

func (r *modelRow) column(name string) *cell {
	if name == "u" {
		return &r.u
	}
	return &r.a
}

// selected returns the rows that a selection chooses: those whose a is Null, or at
// least a number, from one end of the table, up to a limit.
func (t *modelTable) selected(o op) (ids []int64) {
	all := slices.Sorted(maps.Keys(t.rows))
	if o.policy&1 != 0 {
		slices.Reverse(all)
	}
	for _, id := range all {
		a := t.rows[id].a
		if a.null != o.value.null || !a.null && a.n < o.value.n {
			continue
		}
		if ids = append(ids, id); len(ids) == int(o.n) {
			break
		}
	}
	return ids
}

func (m *model) selection(o op) errs.Code {
	t := m.scopes[o.scope].tables[o.table]
	for _, id := range t.selected(o) {
		m.touch(o.scope, o.table, fmt.Sprint(id))
		if o.flag {
			delete(t.rows, id)
			continue
		}
		r := t.rows[id]
		*r.column(o.column) = cell{n: o.id}
		r.version = m.seq
		t.rows[id] = r
	}
	if t.duplicate() {
		return errs.CodeUniqueViolation
	}
	return ""
}

// conflictKind is what an insert does with a row that is there.
type conflictKind int

const (
	conflictFails conflictKind = iota
	conflictKeeps
	conflictMerges
	conflictUpdates
)

// resolve does to a row that is there what the insert of another says.
func (m *model) resolve(o op, proposed inRow, old modelRow) errs.Code {
	switch o.conflict {
	case conflictFails:
		return errs.CodeDuplicatePrimaryKey
	case conflictKeeps:
		return ""
	case conflictMerges:
		if !proposed.u.null {
			old.u = proposed.u
		}
		if !proposed.a.null {
			old.a = proposed.a
		}
	case conflictUpdates:
		*old.column(o.column) = proposed.a
	}
	old.version = m.seq
	return m.put(o, proposed.id.n, old)
}
