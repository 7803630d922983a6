package state

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

type place struct {
	space catalog.SpaceID
	key   string
}

type held struct {
	value   string
	version uint64
}

// model is what an image must hold.
type model struct {
	seq     uint64
	micros  int64
	catalog *catalog.Catalog
	entries map[place]held
}

func (m model) clone() model {
	m.entries = maps.Clone(m.entries)
	return m
}

// reads is what a Working and an Image have in common.
type reads interface {
	Seq() uint64
	Micros() int64
	Catalog() *catalog.Catalog
	Get(space catalog.SpaceID, key []byte) (val []byte, version uint64, ok bool)
	Cursor(space catalog.SpaceID) blocktree.Cursor
	Len(space catalog.SpaceID) int
}

const spacesUsed = 4

// requireEqual compares everything that can be read.
func (m model) requireEqual(t require.TestingT, r reads) {
	require.Equal(t, m.seq, r.Seq())
	require.Equal(t, m.micros, r.Micros())
	require.Same(t, m.catalog, r.Catalog())
	for space := catalog.SpaceID(1); space <= spacesUsed; space++ {
		var keys []string
		for p := range m.entries {
			if p.space == space {
				keys = append(keys, p.key)
			}
		}
		slices.Sort(keys)
		require.Equal(t, len(keys), r.Len(space))
		c := r.Cursor(space)
		c.First()
		for _, k := range keys {
			want := m.entries[place{space, k}]
			require.True(t, c.Valid())
			require.Equal(t, k, string(c.Key()))
			require.Equal(t, want, held{string(c.Value()), c.Version()})
			val, version, ok := r.Get(space, []byte(k))
			require.True(t, ok)
			require.Equal(t, want, held{string(val), version})
			c.Next()
		}
		require.False(t, c.Valid())
	}
}

// rig drives a Working and its model with random commits.
type rig struct {
	*rand.Rand
	w      *Working
	m      model
	images []*Image
	models []model
	log    []msgs.Changeset
}

func newRig(seed uint64) *rig {
	w := NewWorking()
	return &rig{
		Rand: rand.New(rand.NewPCG(seed, 1)), w: w,
		m: model{catalog: w.Catalog(), entries: map[place]held{}},
	}
}

func (r *rig) space() catalog.SpaceID { return catalog.SpaceID(1 + r.IntN(spacesUsed)) }

func (r *rig) key() []byte { return fmt.Appendf(nil, "%0*d", 1+r.IntN(30), r.IntN(60)) }

func (r *rig) val() []byte {
	n := r.IntN(40)
	if r.IntN(10) == 0 {
		n = r.IntN(5000) // some stand beside their block
	}
	return bytes.Repeat([]byte{byte('a' + r.IntN(26))}, n)
}

// change does one random change to both.
func (r *rig) change(t require.TestingT) {
	space := r.space()
	switch r.IntN(16) {
	case 0:
		r.w.DropSpace(space)
		maps.DeleteFunc(r.m.entries, func(p place, _ held) bool { return p.space == space })
	case 1:
		c, _, err := r.w.Catalog().Apply(catalog.CreateProject{Project: fmt.Sprint("p", r.IntN(1e9))}, 1)
		require.NoError(t, err)
		r.w.SetCatalog(c)
		r.m.catalog = c
	case 2, 3, 4:
		key := r.key()
		_, there := r.m.entries[place{space, string(key)}]
		require.Equal(t, there, r.w.Delete(space, key))
		delete(r.m.entries, place{space, string(key)})
	default:
		key, val := r.key(), r.val()
		r.w.Put(space, key, val)
		r.m.entries[place{space, string(key)}] = held{string(val), r.w.Seq()}
	}
}

// changes does some changes, with marks and rollbacks among them.
func (r *rig) changes(t require.TestingT) {
	type point struct {
		mark Mark
		m    model
	}
	var points []point
	for range r.IntN(30) {
		switch {
		case r.IntN(8) == 0:
			points = append(points, point{r.w.Mark(), r.m.clone()})
		case r.IntN(12) == 0 && len(points) > 0:
			i := r.IntN(len(points))
			r.w.Rollback(points[i].mark)
			r.m = points[i].m.clone()
			points = points[:i+1]
			r.m.requireEqual(t, r.w)
			require.Empty(t, r.w.Effects(points[i].mark))
		default:
			r.change(t)
		}
	}
}

// commit makes one commit, or abandons it.
func (r *rig) commit(t require.TestingT) {
	before := r.m.clone()
	r.m.seq, r.m.micros = r.m.seq+1, r.m.micros+int64(r.IntN(3))
	r.w.Begin(r.m.seq, r.m.micros)
	r.changes(t)
	if r.IntN(4) == 0 {
		r.w.Abandon(before.seq, before.micros)
		r.m = before
		r.m.requireEqual(t, r.w)
		return
	}
	cs := r.w.Commit()
	require.Equal(t, r.m.seq, cs.Seq)
	require.Equal(t, r.m.micros, cs.Micros)
	r.log = append(r.log, cs)
}

func (r *rig) freeze() {
	r.images = append(r.images, r.w.Freeze())
	r.models = append(r.models, r.m.clone())
}

func (r *rig) run(t require.TestingT, commits int) {
	for range commits {
		r.commit(t)
		if r.IntN(4) == 0 {
			r.freeze()
		}
	}
	r.freeze()
	for i, image := range r.images {
		r.models[i].requireEqual(t, image)
	}
}

func TestWorkingAndItsImagesEqualTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(rapid.Uint64().Draw(t, "seed"))
		r.run(t, rapid.IntRange(1, 40).Draw(t, "commits"))

		replayed := NewWorking()
		for i := range r.log {
			require.NoError(t, replayed.Replay(&r.log[i]))
		}
		replayed.Begin(r.w.Seq(), r.w.Micros())
		last := r.images[len(r.images)-1]
		require.Equal(t, last.Digest(), replayed.Freeze().Digest(), "the effects are the database")

		// A fork goes its own way from any image, and the image does not notice.
		i := r.IntN(len(r.images))
		fork := &rig{Rand: r.Rand, w: r.images[i].Fork(), m: r.models[i].clone()}
		fork.m.requireEqual(t, fork.w)
		fork.run(t, 5)
		r.models[i].requireEqual(t, r.images[i])
		r.m.requireEqual(t, r.w)
	})
}

func TestReplayRefusesWhatNoCommitWrites(t *testing.T) {
	w := NewWorking()
	err := w.Replay(&msgs.Changeset{Seq: 1, Effects: []msgs.Effect{{Op: 9, Space: 70}}})
	require.ErrorIs(t, err, errs.ErrDecode)
	err = w.Replay(&msgs.Changeset{Seq: 1, Effects: []msgs.Effect{{Op: msgs.EffectPut, Space: 70, Key: make([]byte, blocktree.MaxKeySize+1)}}})
	require.ErrorIs(t, err, errs.ErrDecode)
}

func TestDigestTellsImagesApart(t *testing.T) {
	image := func(seq uint64, space catalog.SpaceID, key, val string) [32]byte {
		w := NewWorking()
		w.Begin(seq, 1)
		w.Put(space, []byte(key), []byte(val))
		w.Commit()
		return w.Freeze().Digest()
	}
	seen := map[[32]byte]bool{NewWorking().Freeze().Digest(): true}
	for _, d := range [][32]byte{
		image(1, 70, "k", "v"), image(2, 70, "k", "v"), image(1, 71, "k", "v"),
		image(1, 70, "kv", ""), image(1, 70, "", "kv"), image(1, 70, "k", "w"),
	} {
		require.False(t, seen[d])
		seen[d] = true
	}
	require.True(t, seen[image(1, 70, "k", "v")], "the same again")
}

func TestCatalogIsLoadedFromItsEntries(t *testing.T) {
	w := NewWorking()
	w.Begin(1, 5)
	c, ch, err := w.Catalog().Apply(catalog.CreateProject{Project: "p"}, 5)
	require.NoError(t, err)
	for _, e := range ch.Entries {
		w.Put(catalog.SpaceCatalog, e.Key, e.Value)
	}
	require.NoError(t, w.LoadCatalog())
	require.Equal(t, c.Entries(), w.Catalog().Entries())
	w.Put(catalog.SpaceCatalog, []byte("x"), nil)
	require.ErrorIs(t, w.LoadCatalog(), errs.ErrDecode)
}

// A space from a checkpoint is not in the frozen part yet: what is overwritten
// in it has to be kept for the rollback.
func TestRollbackRestoresALoadedSpace(t *testing.T) {
	var b blocktree.Builder
	require.True(t, b.Append([]byte("k"), []byte("old"), 3))
	w := NewWorking()
	w.Begin(9, 0)
	w.Commit()
	w.Freeze()
	w.LoadSpace(70, b.Finish())
	w.Begin(10, 0)
	w.Put(70, []byte("k"), []byte("new"))
	w.Abandon(9, 0)
	val, version, ok := w.Get(70, []byte("k"))
	require.True(t, ok)
	require.Equal(t, "old", string(val))
	require.Equal(t, uint64(3), version)
}

func TestImagesCountTheirEntries(t *testing.T) {
	w := NewWorking()
	w.Begin(1, 0)
	w.Put(70, []byte("a"), []byte("1"))
	w.Put(71, []byte("b"), []byte("2"))
	w.Put(72, []byte("c"), []byte("3"))
	w.Delete(72, []byte("c"))
	w.Commit()
	image := w.Freeze()
	require.EqualValues(t, 2, image.Entries())
	require.Positive(t, image.MemoryBytes())
	var ids []catalog.SpaceID
	for id := range image.Spaces() {
		ids = append(ids, id)
	}
	require.Equal(t, []catalog.SpaceID{70, 71}, ids)
	require.Zero(t, NewWorking().Freeze().MemoryBytes())
}

func TestChangedSinceFindsWhatIsNewer(t *testing.T) {
	w := NewWorking()
	for seq := range uint64(3) {
		w.Begin(seq+1, 0)
		w.Put(70, []byte{byte('a' + seq)}, nil)
		w.Commit()
	}
	key, version, found := w.ChangedSince(70, nil, nil, 1)
	require.True(t, found)
	require.Equal(t, "b", string(key))
	require.Equal(t, uint64(2), version)
	_, _, found = w.ChangedSince(70, nil, []byte("c"), 2)
	require.False(t, found)
	_, _, found = w.ChangedSince(71, nil, nil, 0)
	require.False(t, found)
}

// Run with -race: images are read and forked while the owner goes on.
func TestReadersAndForksShareAnImageWithTheOwner(t *testing.T) {
	r := newRig(1)
	r.run(t, 50)
	image, want := r.images[len(r.images)-1], r.m.clone()
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			for range 5 {
				want.requireEqual(t, image)
				fork := &rig{Rand: rand.New(rand.NewPCG(g, 3)), w: image.Fork(), m: want.clone()}
				for range 5 {
					fork.commit(t)
				}
				fork.freeze()
				fork.m.requireEqual(t, fork.images[0])
			}
		})
	}
	for range 30 {
		r.commit(t)
		r.freeze()
	}
	wg.Wait()
	want.requireEqual(t, image)
}

// Memory that is handed out belongs to one value only, whatever its size.
func TestRoomsAreApart(t *testing.T) {
	w := NewWorking()
	rng := rand.New(rand.NewPCG(1, 2))
	var rooms [][]byte
	for i := range 500 {
		n := rng.IntN(2 * arenaPiece / (1 + i%50))
		r := w.Room(n)
		require.Empty(t, r)
		require.Equal(t, n, cap(r))
		rooms = append(rooms, append(r, bytes.Repeat([]byte{byte(i)}, n)...))
	}
	for i, r := range rooms {
		require.Equal(t, bytes.Repeat([]byte{byte(i)}, len(r)), r)
	}
}
