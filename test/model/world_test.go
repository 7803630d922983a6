// Package model proves what transactions do against a second opinion: a model of
// their semantics in plain maps, written from the rules and not from the engine,
// of which it uses only the vocabulary of values and requests.
//
// Long random envelopes with every kind of mutation, assertion and read, in several
// scopes and under several callers, retried, refused in the middle and cut off by
// crashes, have to come out the same on both sides: the result, what each mutation
// tells, the error with what a failed assertion found, and now and then all of the
// state, with versions, at present and in the recent past.
//
// The seed is printed; AEDB_SEED repeats a run, AEDB_LONG=1 makes it long.
package model

import (
	"cmp"
	"maps"
	"slices"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/value"
)

// world is the database at one commit, as the model has it.
type world struct {
	seq    uint64
	scopes map[string]*scope // by "project/scope"
	// known are the requests that were applied under an idempotency key, by caller
	// and key.
	known map[string]applied
	// floor is where the engine's memory of removals begins: the last opening.
	floor uint64
}

type applied struct {
	request int // identifies what was asked for
	result  aedb.Result
}

type scope struct {
	defined  uint64
	keys     map[string]entry
	removed  map[string]uint64 // seq of the last removal
	counters map[string]*counter
	tables   map[string]*table
}

type entry struct {
	val              []byte
	version, created uint64
}

type counter struct{ shards []uint64 }

// table has the columns id (the primary key), owner, kind, balance, n and note.
type table struct {
	defined uint64
	rows    map[int64]row
	removed map[int64]uint64
	// indexes that are there: by_owner, by_n and the unique one_kind.
	indexes map[string]bool
}

type row struct {
	aedb.Row
	version uint64
}

// Positions of columns.
const (
	id = iota
	owner
	kind
	balance
	n
	note
)

var columns = []string{"id", "owner", "kind", "balance", "n", "note"}

var nullable = []bool{false, false, true, false, false, true}

func newWorld() *world {
	return &world{scopes: map[string]*scope{}, known: map[string]applied{}}
}

func newScope(at uint64) *scope {
	return &scope{
		defined: at, keys: map[string]entry{}, removed: map[string]uint64{},
		counters: map[string]*counter{}, tables: map[string]*table{},
	}
}

// clone returns a world that shares nothing that is changed in place.
func (w *world) clone() *world {
	c := &world{seq: w.seq, floor: w.floor, scopes: map[string]*scope{}, known: maps.Clone(w.known)}
	for name, s := range w.scopes {
		k := &scope{
			defined: s.defined, keys: maps.Clone(s.keys), removed: maps.Clone(s.removed),
			counters: map[string]*counter{}, tables: map[string]*table{},
		}
		for name, n := range s.counters {
			k.counters[name] = &counter{slices.Clone(n.shards)}
		}
		for name, t := range s.tables {
			k.tables[name] = &table{t.defined, maps.Clone(t.rows), maps.Clone(t.removed), maps.Clone(t.indexes)}
		}
		c.scopes[name] = k
	}
	return c
}

// sorted returns the rows by primary key.
func (t *table) sorted() []row {
	rows := make([]row, 0, len(t.rows))
	for _, key := range slices.Sorted(maps.Keys(t.rows)) {
		rows = append(rows, t.rows[key])
	}
	return rows
}

// by returns the rows in the order of an index, "" being the primary key.
func (t *table) by(index string, backward bool) []row {
	rows := t.sorted()
	column := map[string]int{"": id, "by_owner": owner, "by_n": n, "one_kind": kind}[index]
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(value.Compare(a.Row[column], b.Row[column]), value.Compare(a.Row[id], b.Row[id]))
	})
	if backward {
		slices.Reverse(rows)
	}
	return rows
}

// taken reports whether a row other than that with the key has the kind, if kinds
// are unique.
func (t *table) taken(k aedb.Value, except int64) bool {
	if !t.indexes["one_kind"] || k.IsNull() {
		return false
	}
	for key, r := range t.rows {
		if key != except && value.Compare(r.Row[kind], k) == 0 {
			return true
		}
	}
	return false
}

func (t *table) put(w *world, r aedb.Row) {
	t.rows[r[id].AsInt()] = row{slices.Clone(r), w.seq}
}

func (t *table) drop(w *world, key int64) {
	delete(t.rows, key)
	t.removed[key] = w.seq
}

func (s *scope) put(w *world, key string, val []byte) {
	created := w.seq
	if old, found := s.keys[key]; found {
		created = old.created
	}
	s.keys[key] = entry{slices.Clone(val), w.seq, created}
}

func (s *scope) drop(w *world, key string) bool {
	_, found := s.keys[key]
	if found {
		delete(s.keys, key)
		s.removed[key] = w.seq
	}
	return found
}
