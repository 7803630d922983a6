package model

import (
	"github.com/empyrealapp/aedb-go"
)

// read is one entry of a read set on both sides.
type read struct {
	add   func(*aedb.ReadSet)
	bind  func(w *world) *failure
	stale func(w *world) bool
}

// past returns a seq at which something may have been read: mostly of late.
func (g *generator) past(w *world) uint64 { return w.seq - min(w.seq, g.Uint64N(4)) }

// pointStale tells whether an entry that was read has changed since. One that was
// found missing at 0 was missing then, and a removal is remembered back to the
// floor.
func pointStale(w *world, found bool, version, read, removed, defined uint64) bool {
	switch {
	case found:
		return version > read
	case read == 0:
		return false
	}
	return removed > read || read < w.floor || defined > read
}

func (g *generator) read(w *world, at where) read {
	key, name, row, seq := g.key(), g.tableName(), g.id(), g.past(w)
	needsTable := func(w *world) *failure {
		if w.scopes[at.name].tables[name] == nil {
			return fail(tableNotFound)
		}
		return nil
	}
	switch g.IntN(4) {
	case 0:
		if g.IntN(2) == 0 {
			seq = w.scopes[at.name].keys[key].version
		}
		return read{
			func(r *aedb.ReadSet) { r.Keys = append(r.Keys, at.engine.KeyRead([]byte(key), seq)) }, unbound,
			func(w *world) bool {
				s := w.scopes[at.name]
				e, found := s.keys[key]
				return pointStale(w, found, e.version, seq, s.removed[key], s.defined)
			},
		}
	case 1:
		if t := w.scopes[at.name].tables[name]; t != nil && g.IntN(2) == 0 {
			seq = t.rows[row].version
		}
		return read{
			func(r *aedb.ReadSet) {
				r.Rows = append(r.Rows, at.engine.RowRead(name, []aedb.Value{aedb.Int(row)}, seq))
			}, needsTable,
			func(w *world) bool {
				t := w.scopes[at.name].tables[name]
				r, found := t.rows[row]
				return pointStale(w, found, r.version, seq, t.removed[row], t.defined)
			},
		}
	case 2:
		// Within the keys with a number, so that no counter lies in between.
		end := pick(g, "k2", "n1", "o", "x")
		return read{
			func(r *aedb.ReadSet) {
				r.KeyRanges = append(r.KeyRanges, at.engine.KeyRangeRead([]byte("k"), []byte(end), seq))
			}, unbound,
			func(w *world) bool {
				s := w.scopes[at.name]
				for k, e := range s.keys {
					if k < end && e.version > seq {
						return true
					}
				}
				for k, at := range s.removed {
					if k < end && at > seq {
						return true
					}
				}
				return seq < w.floor || s.defined > seq
			},
		}
	}
	return read{
		func(r *aedb.ReadSet) { r.RowRanges = append(r.RowRanges, at.engine.RowRangeRead(name, nil, seq)) }, needsTable,
		func(w *world) bool {
			t := w.scopes[at.name].tables[name]
			for _, r := range t.rows {
				if r.version > seq {
					return true
				}
			}
			for _, at := range t.removed {
				if at > seq {
					return true
				}
			}
			return seq < w.floor || t.defined > seq
		},
	}
}
