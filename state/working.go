package state

import (
	"slices"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Working is an image under construction. It belongs to one goroutine.
//
// A commit is built between Begin and Commit: every write is applied at once,
// recorded as an effect, and can be undone back to any Mark taken on the way.
// Slices returned by Get and Cursor never change; cursors are good until the next
// write.
type Working struct {
	// moment is that of the commit under construction, or of the last one.
	moment msgs.Moment

	// unlogged is set when a commit that the log has without its effects has removed
	// something: then what is not there may be there for those who replay the log.
	unlogged bool

	frozen  spaces                     // as of the last Freeze
	live    map[catalog.SpaceID]*space // newer than frozen; nil until the first
	recent  *space                     // of live, the one used last; or nil
	changed []*space                   // of live, those changed since the last Freeze

	// The commit under construction: its effects, what each of them replaced, the
	// spaces and catalogs replaced whole.
	effects  []msgs.Effect
	priors   []msgs.Prior
	dropped  []droppedSpace
	catalogs []*catalog.Catalog
	// Changesets keep what they are given. Small ones share a piece of memory with
	// those before and after them, since they are let go at about the same time.
	piece int    // effects for which the piece in hand was made
	arena []byte // of small values

	expected []expected // and not fetched yet
}

const (
	// firstPiece and largestPiece bound the effects for which memory is taken at
	// once: a fork mostly makes a few, the pipeline goes on for ever.
	firstPiece, largestPiece = 4, 64
	// arenaPiece is the memory taken at once for small values, in bytes.
	arenaPiece = 4 << 10
)

// space is one writable key space.
type space struct {
	id      catalog.SpaceID
	tree    *blocktree.Tree
	changed bool // is in Working.changed
}

// droppedSpace is the content of a space that an effect dropped.
type droppedSpace struct {
	effect int
	tree   *blocktree.Tree
}

// Mark is a point within a commit that can be returned to.
type Mark struct {
	effects, catalogs int
}

// NewWorking returns an empty database at seq 0.
func NewWorking() *Working {
	return (&Image{moment: msgs.Moment{Catalog: catalog.New()}}).Fork()
}

// Seq returns the seq of the commit under construction, or of the last one.
func (w *Working) Seq() uint64 { return w.moment.Seq }

// Micros returns the time of the commit under construction, or of the last one.
func (w *Working) Micros() int64 { return w.moment.Micros }

// Catalog returns the schema, including what the commit under construction
// changed.
func (w *Working) Catalog() *catalog.Catalog { return w.moment.Catalog }

// Moment returns the seq, the time and the schema together.
func (w *Working) Moment() msgs.Moment { return w.moment }

// Get returns the value and the version of a key. The value is shared, must not be
// modified, and never changes.
func (w *Working) Get(space catalog.SpaceID, key []byte) (val []byte, version uint64, ok bool) {
	return w.tree(space).Get(key)
}

// GetMany looks up many keys, as blocktree.Tree.GetMany does.
func (w *Working) GetMany(space catalog.SpaceID, keys [][]byte, found []blocktree.Entry) {
	w.tree(space).GetMany(keys, found)
}

// Cursor returns a cursor over a space, valid until the next write.
func (w *Working) Cursor(space catalog.SpaceID) blocktree.Cursor { return w.tree(space).Cursor() }

// Len returns the number of entries in a space.
func (w *Working) Len(space catalog.SpaceID) int { return w.tree(space).Len() }

// ChangedSince returns the first entry in [start, end) that is newer than
// version. A nil end means no upper bound.
func (w *Working) ChangedSince(space catalog.SpaceID, start, end []byte, version uint64) (key []byte, newer uint64, found bool) {
	return w.tree(space).ChangedSince(start, end, version)
}

func (w *Working) tree(id catalog.SpaceID) *blocktree.Tree {
	if w.recent != nil && w.recent.id == id {
		return w.recent.tree
	}
	if s, ok := w.live[id]; ok {
		w.recent = s
		return s.tree
	}
	if t := w.frozen.get(id); t != nil {
		return t
	}
	return empty
}

// writable returns a space for writing and marks it as changed.
func (w *Working) writable(id catalog.SpaceID) *space {
	s := w.recent
	if s == nil || s.id != id {
		var ok bool
		if s, ok = w.live[id]; !ok {
			s = &space{id: id}
			if f := w.frozen.get(id); f != nil {
				s.tree = f.Fork()
			} else {
				s.tree = blocktree.New()
			}
			if w.live == nil {
				w.live = map[catalog.SpaceID]*space{}
			}
			w.live[id] = s
		}
		w.recent = s
	}
	if !s.changed {
		s.changed = true
		w.changed = append(w.changed, s)
	}
	return s
}

// Begin starts the commit with the given seq and time.
func (w *Working) Begin(seq uint64, micros int64) {
	w.moment.Seq, w.moment.Micros = seq, micros
}

// Put sets a key. The slices become part of the changeset and must not be
// modified afterwards.
func (w *Working) Put(id catalog.SpaceID, key, val []byte) {
	old, was, _ := w.writable(id).tree.Put(key, val, w.moment.Seq)
	e := w.record(old, was)
	e.Op, e.Space, e.Key, e.Value = msgs.EffectPut, id, key, val
}

// Replace is Put of a value that depends on the one before it; see
// blocktree.Tree.Replace.
func (w *Working) Replace(id catalog.SpaceID, key []byte, next func(before []byte, found bool) []byte) {
	var val []byte
	old, was, _ := w.writable(id).tree.Replace(key, w.moment.Seq, func(before []byte, found bool) []byte {
		val = next(before, found)
		return val
	})
	e := w.record(old, was)
	e.Op, e.Space, e.Key, e.Value = msgs.EffectPut, id, key, val
}

// Delete removes a key and reports whether it was there. If it was not, that is part
// of the changeset only after Unlogged. The slice must not be modified afterwards.
func (w *Working) Delete(id catalog.SpaceID, key []byte) bool {
	var old []byte
	var was uint64
	_, _, found := w.tree(id).Get(key)
	switch {
	case found:
		old, was, _ = w.writable(id).tree.Delete(key)
	case !w.unlogged:
		return false
	}
	e := w.record(old, was)
	e.Op, e.Space, e.Key = msgs.EffectDelete, id, key
	return found
}

// record adds an effect, for the caller to fill, that replaces a value of a version;
// 0 if there was none.
func (w *Working) record(old []byte, was uint64) *msgs.Effect {
	n := len(w.effects)
	if n == cap(w.effects) {
		w.Reserve(max(n, 1))
	}
	w.effects, w.priors = w.effects[:n+1], w.priors[:n+1]
	if was > 0 {
		w.priors[n].Value, w.priors[n].Version = w.keep(old), was
	}
	return &w.effects[n]
}

// keep returns a copy of a value of the tree: it may be kept for long, and would keep
// a whole buffer with it.
func (w *Working) keep(old []byte) []byte { return append(w.Room(len(old)), old...) }

// Room returns an empty slice with room for n bytes, for a value that is going to be put.
// Small ones share a piece of memory with other values of commits.
func (w *Working) Room(n int) []byte {
	if cap(w.arena)-len(w.arena) < n {
		if n > arenaPiece/4 {
			return make([]byte, 0, n)
		}
		w.arena = make([]byte, 0, min(arenaPiece, max(2*cap(w.arena), n)))
	}
	from := len(w.arena)
	w.arena = w.arena[:from+n]
	return w.arena[from : from : from+n]
}

// Reserve makes room for so many more effects of the commit under
// construction.
func (w *Working) Reserve(effects int) {
	if cap(w.effects)-len(w.effects) >= effects {
		return
	}
	n := len(w.effects)
	w.piece = min(max(2*w.piece, firstPiece), largestPiece)
	size := n + max(w.piece, effects)
	w.effects = append(make([]msgs.Effect, 0, size), w.effects...)
	w.priors = append(make([]msgs.Prior, 0, size), w.priors...)
}

// DropSpace removes a space whole, at a cost that does not depend on its size. Also
// where there is nothing, it is part of the changeset: replayed without volatile
// commits, the space may hold what one of them had removed.
func (w *Working) DropSpace(id catalog.SpaceID) {
	s := w.writable(id)
	w.dropped = append(w.dropped, droppedSpace{len(w.effects), s.tree})
	e := w.record(nil, 0)
	e.Op, e.Space = msgs.EffectDropSpace, id
	s.tree = blocktree.New()
}

// SetCatalog replaces the schema. The entries that belong to the change are the
// caller's to write.
func (w *Working) SetCatalog(c *catalog.Catalog) {
	w.catalogs = append(w.catalogs, w.moment.Catalog)
	w.moment.Catalog = c
}

// Mark returns the present point of the commit under construction.
func (w *Working) Mark() Mark { return Mark{len(w.effects), len(w.catalogs)} }

// Rollback takes back everything written since the mark.
func (w *Working) Rollback(m Mark) {
	for i := len(w.effects) - 1; i >= m.effects; i-- {
		if w.effects[i].Op == msgs.EffectDropSpace {
			last := len(w.dropped) - 1
			w.writable(w.effects[i].Space).tree = w.dropped[last].tree
			w.dropped = slices.Delete(w.dropped, last, last+1)
			continue
		}
		w.restore(&w.effects[i], w.priors[i])
	}
	if len(w.catalogs) > m.catalogs {
		w.moment.Catalog = w.catalogs[m.catalogs]
		w.catalogs = slices.Delete(w.catalogs, m.catalogs, len(w.catalogs))
	}
	w.effects = slices.Delete(w.effects, m.effects, len(w.effects))
	w.priors = slices.Delete(w.priors, m.effects, len(w.priors))
}

// restore takes back one put or delete.
func (w *Working) restore(e *msgs.Effect, prior msgs.Prior) {
	t := w.writable(e.Space).tree
	if prior.Version > 0 {
		t.Put(e.Key, prior.Value, prior.Version)
	} else {
		t.Delete(e.Key)
	}
}

// Effects returns the effects recorded since the mark, shared with the Working.
func (w *Working) Effects(m Mark) []msgs.Effect { return w.effects[m.effects:] }

// Commit ends the commit under construction and returns what it changed.
// Nothing before it can be taken back any more.
func (w *Working) Commit() msgs.Changeset {
	n := len(w.effects)
	cs := msgs.Changeset{Seq: w.moment.Seq, Micros: w.moment.Micros, Effects: w.effects[:n:n], Catalog: w.moment.Catalog}
	if slices.ContainsFunc(w.priors, func(p msgs.Prior) bool { return p.Version > 0 }) {
		cs.Priors = w.priors[:n:n]
	}
	for _, d := range w.dropped {
		cs.Dropped = append(cs.Dropped, msgs.Dropped{Effect: d.effect, Space: d.tree.Snapshot()})
	}
	w.effects, w.priors = w.effects[n:], w.priors[n:]
	w.clear()
	return cs
}

// Unlogged takes note that the log is not told of the effects of the last commit,
// whose changeset is given.
func (w *Working) Unlogged(cs *msgs.Changeset) {
	w.unlogged = w.unlogged || slices.ContainsFunc(cs.Effects, func(e msgs.Effect) bool { return e.Op == msgs.EffectDelete })
}

func (w *Working) clear() {
	w.effects = slices.Delete(w.effects, 0, len(w.effects))
	w.priors = slices.Delete(w.priors, 0, len(w.priors))
	w.dropped = slices.Delete(w.dropped, 0, len(w.dropped))
	w.catalogs = slices.Delete(w.catalogs, 0, len(w.catalogs))
}

// Abandon ends the commit under construction without a trace: everything is
// rolled back and the seq is the previous one again.
func (w *Working) Abandon(seq uint64, micros int64) {
	w.Rollback(Mark{})
	w.clear()
	w.moment.Seq, w.moment.Micros = seq, micros
}

// Revert takes the last commit back, to the moment before it: what is given must be
// its changeset, as Commit has returned it, and nothing else may have been written
// since.
func (w *Working) Revert(cs *msgs.Changeset, before msgs.Moment) {
	dropped := len(cs.Dropped)
	for i := len(cs.Effects) - 1; i >= 0; i-- {
		e := &cs.Effects[i]
		if e.Op == msgs.EffectDropSpace {
			dropped--
			w.writable(e.Space).tree = cs.Dropped[dropped].Space.(*blocktree.Tree).Fork()
			continue
		}
		w.restore(e, cs.Prior(i))
	}
	w.moment = before
}

// Replay applies a changeset that was committed before. The catalog is not
// touched: LoadCatalog reads it from its entries when all is replayed.
func (w *Working) Replay(cs *msgs.Changeset) error {
	w.moment.Seq, w.moment.Micros = cs.Seq, cs.Micros
	for i := range cs.Effects {
		switch e := &cs.Effects[i]; e.Op {
		case msgs.EffectPut:
			if len(e.Key) > blocktree.MaxKeySize {
				return errs.New(errs.CodeDecode, "commit %d has a key of %d bytes", cs.Seq, len(e.Key))
			}
			w.writable(e.Space).tree.Put(e.Key, e.Value, cs.Seq)
		case msgs.EffectDelete:
			w.writable(e.Space).tree.Delete(e.Key)
		case msgs.EffectDropSpace:
			w.writable(e.Space).tree = blocktree.New()
		default:
			return errs.New(errs.CodeDecode, "commit %d has an effect of unknown kind %d", cs.Seq, e.Op)
		}
	}
	return nil
}

// LoadSpace installs a space that was read from a checkpoint.
func (w *Working) LoadSpace(space catalog.SpaceID, t *blocktree.Tree) {
	w.writable(space).tree = t
}

// LoadCatalog rebuilds the schema from its entries.
func (w *Working) LoadCatalog() error {
	c, err := catalog.Load(func(yield func(key, val []byte) bool) {
		cur := w.Cursor(catalog.SpaceCatalog)
		for cur.First(); cur.Valid(); cur.Next() {
			if !yield(cur.Key(), cur.Value()) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	w.moment.Catalog = c
	return nil
}

// Freeze returns the image as it is now. It must not be called within a commit.
func (w *Working) Freeze() *Image {
	for _, s := range w.changed {
		s.changed = false
		if s.tree.Len() == 0 {
			w.frozen = w.frozen.set(s.id, nil)
			delete(w.live, s.id)
			if w.recent == s {
				w.recent = nil
			}
		} else {
			w.frozen = w.frozen.set(s.id, s.tree.Snapshot())
		}
	}
	w.changed = slices.Delete(w.changed, 0, len(w.changed))
	return &Image{moment: w.moment, spaces: w.frozen}
}
