package state

import (
	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Working is an image under construction. It belongs to one goroutine.
//
// A commit is built between Begin and Commit: every write is applied at once,
// recorded as an effect, and can be undone back to any Mark taken on the way.
// Slices returned by Get and Cursor are valid only until the next write.
type Working struct {
	seq     uint64
	micros  int64
	catalog *catalog.Catalog

	frozen *spaces                             // as of the last Freeze; owned
	live   map[catalog.SpaceID]*blocktree.Tree // writable trees; newer than frozen
	dirty  map[catalog.SpaceID]struct{}        // live spaces changed since the last Freeze

	frozenSeq uint64 // frozen has every entry up to this version, as it is in live

	effects []msgs.Effect // of the commit under construction
	undo    []undo
	arena   []byte // old values, for undo; reused from commit to commit
}

// undo is what it takes to take one write back.
type undo struct {
	space   catalog.SpaceID
	key     []byte
	version uint64           // of the entry before; 0 if there was none
	value   [2]int           // its value, as bounds in the arena, unless frozen still has it
	tree    *blocktree.Tree  // the dropped space, if the write dropped one
	catalog *catalog.Catalog // the catalog before, if the write set one
}

// keptArena bounds the memory for old values that stays allocated.
const keptArena = 1 << 20

// Mark is a point within a commit that can be returned to.
type Mark struct {
	undo, effects, arena int
}

// NewWorking returns an empty database at seq 0.
func NewWorking() *Working {
	return (&Image{catalog: catalog.New(), spaces: new(spaces)}).Fork()
}

// Seq returns the seq of the commit under construction, or of the last one.
func (w *Working) Seq() uint64 { return w.seq }

// Micros returns the time of the commit under construction, or of the last one.
func (w *Working) Micros() int64 { return w.micros }

// Catalog returns the schema, including what the commit under construction
// changed.
func (w *Working) Catalog() *catalog.Catalog { return w.catalog }

// Get returns the value and the version of a key. The value is valid until the
// next write.
func (w *Working) Get(space catalog.SpaceID, key []byte) (val []byte, version uint64, ok bool) {
	return w.tree(space).Get(key)
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

func (w *Working) tree(space catalog.SpaceID) *blocktree.Tree {
	if t, ok := w.live[space]; ok {
		return t
	}
	if t, ok := w.frozen.Get(space); ok {
		return t
	}
	return empty
}

// writable returns the tree of a space for writing and marks the space dirty.
func (w *Working) writable(space catalog.SpaceID) *blocktree.Tree {
	t, ok := w.live[space]
	if !ok {
		if f, ok := w.frozen.Get(space); ok {
			t = f.Fork()
		} else {
			t = blocktree.New()
		}
		w.live[space] = t
	}
	w.dirty[space] = struct{}{}
	return t
}

// Begin starts the commit with the given seq and time.
func (w *Working) Begin(seq uint64, micros int64) {
	w.seq, w.micros = seq, micros
}

// Put sets a key. The slices become part of the changeset and must not be
// modified afterwards.
func (w *Working) Put(space catalog.SpaceID, key, val []byte) {
	t := w.writable(space)
	w.remember(t, space, key)
	t.Put(key, val, w.seq)
	w.effects = append(w.effects, msgs.Effect{Op: msgs.EffectPut, Space: space, Key: key, Value: val})
}

// Delete removes a key and reports whether it was there. The slice must not be
// modified afterwards.
func (w *Working) Delete(space catalog.SpaceID, key []byte) bool {
	if _, _, ok := w.tree(space).Get(key); !ok {
		return false
	}
	t := w.writable(space)
	w.remember(t, space, key)
	t.Delete(key)
	w.effects = append(w.effects, msgs.Effect{Op: msgs.EffectDelete, Space: space, Key: key})
	return true
}

// remember records the state of a key before it is written.
func (w *Working) remember(t *blocktree.Tree, space catalog.SpaceID, key []byte) {
	u := undo{space: space, key: key}
	if old, version, ok := t.Get(key); ok {
		u.version = version
		if version > w.frozenSeq {
			u.value[0] = len(w.arena)
			w.arena = append(w.arena, old...)
			u.value[1] = len(w.arena)
		}
	}
	w.undo = append(w.undo, u)
}

// DropSpace removes a space whole, at a cost that does not depend on its size.
func (w *Working) DropSpace(space catalog.SpaceID) {
	if w.Len(space) == 0 {
		return
	}
	t := w.writable(space)
	w.undo = append(w.undo, undo{space: space, tree: t})
	w.replace(space, blocktree.New())
	w.effects = append(w.effects, msgs.Effect{Op: msgs.EffectDropSpace, Space: space})
}

func (w *Working) replace(space catalog.SpaceID, t *blocktree.Tree) {
	w.live[space] = t
	w.dirty[space] = struct{}{}
}

// SetCatalog replaces the schema. The entries that belong to the change are the
// caller's to write.
func (w *Working) SetCatalog(c *catalog.Catalog) {
	w.undo = append(w.undo, undo{catalog: w.catalog})
	w.catalog = c
}

// Mark returns the present point of the commit under construction.
func (w *Working) Mark() Mark { return Mark{len(w.undo), len(w.effects), len(w.arena)} }

// Rollback takes back everything written since the mark.
func (w *Working) Rollback(m Mark) {
	for i := len(w.undo) - 1; i >= m.undo; i-- {
		switch u := &w.undo[i]; {
		case u.catalog != nil:
			w.catalog = u.catalog
		case u.tree != nil:
			w.replace(u.space, u.tree)
		case u.version > w.frozenSeq:
			w.writable(u.space).Put(u.key, w.arena[u.value[0]:u.value[1]], u.version)
		case u.version > 0:
			f, _ := w.frozen.Get(u.space)
			old, _, _ := f.Get(u.key)
			w.writable(u.space).Put(u.key, old, u.version)
		default:
			w.writable(u.space).Delete(u.key)
		}
	}
	clear(w.undo[m.undo:])
	clear(w.effects[m.effects:])
	w.undo, w.effects, w.arena = w.undo[:m.undo], w.effects[:m.effects], w.arena[:m.arena]
}

// Effects returns the effects recorded since the mark, shared with the Working.
func (w *Working) Effects(m Mark) []msgs.Effect { return w.effects[m.effects:] }

// Commit ends the commit under construction and returns what it changed.
// Nothing before it can be taken back any more.
func (w *Working) Commit() msgs.Changeset {
	cs := msgs.Changeset{Seq: w.seq, Micros: w.micros, Effects: append([]msgs.Effect(nil), w.effects...)}
	clear(w.undo)
	clear(w.effects)
	w.undo, w.effects, w.arena = w.undo[:0], w.effects[:0], w.arena[:0]
	if cap(w.arena) > keptArena {
		w.arena = nil
	}
	return cs
}

// Abandon ends the commit under construction without a trace: everything is
// rolled back and the seq is the previous one again.
func (w *Working) Abandon(seq uint64, micros int64) {
	w.Rollback(Mark{})
	w.seq, w.micros = seq, micros
}

// Replay applies a changeset that was committed before. The catalog is not
// touched: LoadCatalog reads it from its entries when all is replayed.
func (w *Working) Replay(cs *msgs.Changeset) error {
	w.seq, w.micros = cs.Seq, cs.Micros
	for i := range cs.Effects {
		switch e := &cs.Effects[i]; e.Op {
		case msgs.EffectPut:
			if len(e.Key) > blocktree.MaxKeySize {
				return errs.New(errs.CodeDecode, "commit %d has a key of %d bytes", cs.Seq, len(e.Key))
			}
			w.writable(e.Space).Put(e.Key, e.Value, cs.Seq)
		case msgs.EffectDelete:
			w.writable(e.Space).Delete(e.Key)
		case msgs.EffectDropSpace:
			w.replace(e.Space, blocktree.New())
		default:
			return errs.New(errs.CodeDecode, "commit %d has an effect of unknown kind %d", cs.Seq, e.Op)
		}
	}
	return nil
}

// LoadSpace installs a space that was read from a checkpoint.
func (w *Working) LoadSpace(space catalog.SpaceID, t *blocktree.Tree) {
	w.replace(space, t)
	w.frozenSeq = 0
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
	w.catalog = c
	return nil
}

// Freeze returns the image as it is now. It must not be called within a commit.
func (w *Working) Freeze() *Image {
	for id := range w.dirty {
		if t := w.live[id]; t.Len() == 0 {
			w.frozen.Delete(id)
			delete(w.live, id)
		} else {
			w.frozen.Set(id, t.Snapshot())
		}
	}
	clear(w.dirty)
	w.frozenSeq = w.seq
	return &Image{seq: w.seq, micros: w.micros, catalog: w.catalog, spaces: w.frozen.Copy()}
}
