package applier

import (
	"bytes"
	"slices"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

// maxRemovals bounds how many removals are remembered: enough for transactions
// that are a good deal behind the head, at some 100 bytes each.
const maxRemovals = 1 << 16

// removals remembers when entries were removed, which the image cannot tell: it
// shows a removed entry as one that never was. Without this, a request decided
// on a row would not notice that the row has gone.
//
// The memory is bounded. Everything removed after floor is known; a read older
// than that is taken to be in conflict wherever a removal could matter.
//
// Spaces that were dropped need no memory: they are not in the catalog, and their
// ids do not come back.
type removals struct {
	floor uint64
	// bySpace holds the removed keys of each space, with the seq of the removal as
	// their version. An entry may have come back since.
	bySpace map[catalog.SpaceID]*blocktree.Tree
	queue   []removal // in seq order; the oldest is at head
	head    int
}

type removal struct {
	space catalog.SpaceID
	key   []byte
	seq   uint64
}

func newRemovals(floor uint64) *removals {
	return &removals{floor: floor, bySpace: map[catalog.SpaceID]*blocktree.Tree{}}
}

// record takes note of what a commit removed.
func (r *removals) record(set *msgs.Changeset) {
	for i := range set.Effects {
		e := &set.Effects[i]
		switch {
		case e.Space < catalog.FirstUserSpace: // nobody's read set can name it
		case e.Op == msgs.EffectDelete && set.Prior(i).Version != 0: // it was there
			r.add(removal{e.Space, bytes.Clone(e.Key), set.Seq}) // it may be a small part of a request
		case e.Op == msgs.EffectDropSpace:
			delete(r.bySpace, e.Space)
		}
	}
}

func (r *removals) add(n removal) {
	t := r.bySpace[n.space]
	if t == nil {
		t = blocktree.New()
		r.bySpace[n.space] = t
	}
	t.Put(n.key, nil, n.seq)
	r.queue = append(r.queue, n)
	if len(r.queue)-r.head > maxRemovals {
		r.forget()
	}
}

// forget lets go of the oldest removal.
func (r *removals) forget() {
	old := r.queue[r.head]
	r.head++
	r.floor = old.seq
	if t := r.bySpace[old.space]; t != nil {
		if _, seq, _ := t.Get(old.key); seq == old.seq {
			t.Delete(old.key)
		}
		if t.Len() == 0 {
			delete(r.bySpace, old.space)
		}
	}
	if r.head == maxRemovals {
		r.queue = slices.Delete(r.queue, 0, r.head)
		r.head = 0
	}
}

// check fails with conflict if anything that a request read has changed since.
func (r *removals) check(w *state.Working, q *msgs.Request) error {
	for i := range q.Reads.Points {
		p := &q.Reads.Points[i]
		if err := checkSpace(w, q, p.Space, p.Version); err != nil {
			return err
		}
		if err := r.checkPoint(w, p); err != nil {
			return err
		}
	}
	for i := range q.Reads.Ranges {
		g := &q.Reads.Ranges[i]
		if err := checkSpace(w, q, g.Space, g.Version); err != nil {
			return err
		}
		if err := r.checkRange(w, g); err != nil {
			return err
		}
	}
	return nil
}

func conflict(what string, read, changed uint64) error {
	return errs.New(errs.CodeConflict, "%s: read at %d, changed at %d", what, read, changed)
}

// checkSpace fails if a space that was read is no more, or was read at a commit
// that is not there yet.
func checkSpace(w *state.Working, q *msgs.Request, space catalog.SpaceID, read uint64) error {
	if read > w.Seq() {
		return errs.New(errs.CodeValidation, "the read set has version %d, the last commit is %d", read, w.Seq())
	}
	if w.Catalog() == q.Catalog {
		return nil
	}
	if _, ok := w.Catalog().Definition(space); !ok {
		return errs.New(errs.CodeConflict, "read set conflict: read at %d, dropped since", read)
	}
	return nil
}

// definedAt returns the commit that made a space, or changed its definition
// later. Who read it by name before that may have read another of that name.
func definedAt(w *state.Working, space catalog.SpaceID) uint64 {
	key, ok := w.Catalog().Definition(space)
	if !ok {
		return 0
	}
	_, version, _ := w.Get(catalog.SpaceCatalog, key)
	return version
}

func (r *removals) checkPoint(w *state.Working, p *msgs.PointRead) error {
	const what = "read set conflict"
	if _, version, found := w.Get(p.Space, p.Key); found {
		if version > p.Version {
			return conflict(what, p.Version, version)
		}
		return nil
	}
	if p.Version == 0 {
		return nil // absent then, absent now
	}
	if t := r.bySpace[p.Space]; t != nil {
		if _, seq, _ := t.Get(p.Key); seq > p.Version {
			return conflict(what, p.Version, seq)
		}
	}
	return r.checkAge(w, what, p.Space, p.Version)
}

func (r *removals) checkRange(w *state.Working, g *msgs.RangeRead) error {
	const what = "range read set conflict"
	if _, version, found := w.ChangedSince(g.Space, g.Start, g.End, g.Version); found {
		return conflict(what, g.Version, version)
	}
	if t := r.bySpace[g.Space]; t != nil {
		if _, seq, found := t.ChangedSince(g.Start, g.End, g.Version); found {
			return conflict(what, g.Version, seq)
		}
	}
	return r.checkAge(w, what, g.Space, g.Version)
}

// checkAge fails if a read that depends on absence is too old to be judged.
func (r *removals) checkAge(w *state.Working, what string, space catalog.SpaceID, version uint64) error {
	if version < r.floor {
		return conflict(what+": removals are known from a later commit on", version, r.floor)
	}
	if at := definedAt(w, space); at > version {
		return conflict(what+": defined since", version, at)
	}
	return nil
}
