package blocktree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is the map that a tree must equal.
type model map[string]Entry

func (m model) put(key, value []byte, version uint64) {
	m[string(key)] = Entry{bytes.Clone(key), bytes.Clone(value), version}
}

func (m model) clone() model {
	c := make(model, len(m))
	for k, e := range m {
		c[k] = e
	}
	return c
}

// sorted returns the entries in key order.
func (m model) sorted() []Entry {
	entries := make([]Entry, 0, len(m))
	for _, e := range m {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return bytes.Compare(a.Key, b.Key) })
	return entries
}

// requireEqual checks that the tree holds the model's entries, read one by one
// and through a cursor in both directions, and keeps its invariants.
func (m model) requireEqual(t require.TestingT, tree *Tree) {
	requireInvariants(t, tree)
	entries := m.sorted()
	require.Equal(t, len(entries), tree.Len())
	for _, e := range entries {
		value, version, ok := tree.Get(e.Key)
		require.True(t, ok, "key %q", e.Key)
		require.NotNil(t, value)
		require.True(t, bytes.Equal(e.Value, value), "value of %q", e.Key)
		require.Equal(t, e.Version, version)
	}
	c := tree.Cursor()
	ok := c.First()
	for _, e := range entries {
		requireAt(t, e, &c, ok)
		ok = c.Next()
	}
	require.False(t, ok)
	require.False(t, c.Valid())
	ok = c.Last()
	for _, e := range slices.Backward(entries) {
		requireAt(t, e, &c, ok)
		ok = c.Prev()
	}
	require.False(t, ok)
}

func requireAt(t require.TestingT, e Entry, c *Cursor, ok bool) {
	require.True(t, ok, "no entry where %q was expected", e.Key)
	require.True(t, c.Valid())
	require.Equal(t, string(e.Key), string(c.Key()))
	require.True(t, bytes.Equal(e.Value, c.Value()), "value of %q", e.Key)
	require.Equal(t, e.Version, c.Version())
}

func requireOld(t require.TestingT, want Entry, old []byte, was uint64) {
	require.True(t, bytes.Equal(want.Value, old))
	require.Equal(t, want.Version, was)
}

func removed(_ []byte, _ uint64, found bool) bool { return found }

// requireInvariants checks what the package comment and the comments on block
// promise of the structure.
func requireInvariants(t require.TestingT, tree *Tree) {
	var count int
	var memory int64
	first, last := true, []byte(nil)
	var visit func(c child, height int, low, high string, bounded bool)
	visit = func(c child, height int, low, high string, bounded bool) {
		if height > 0 {
			n := (*node)(c)
			memory += nodeBytes
			require.Positive(t, n.count)
			require.Empty(t, n.seps[0])
			for i := range int(n.count) {
				from, to, capped := low, high, bounded
				if i > 0 {
					from = n.seps[i]
					require.True(t, strings.HasPrefix(from, n.prefix))
					require.Equal(t, binary.BigEndian.Uint64(append([]byte(n.prefix), make([]byte, 8)...)), n.start)
					require.Equal(t, head([]byte(from[len(n.prefix):])), n.heads[i])
				}
				if i+1 < int(n.count) {
					to, capped = n.seps[i+1], true
				}
				visit(n.children[i], height-1, from, to, capped)
			}
			for i := int(n.count); i < fanout; i++ {
				require.Nil(t, n.children[i])
				require.Empty(t, n.seps[i])
			}
			return
		}
		b := (*leaf)(c)
		require.Positive(t, b.count)
		require.True(t, b.count == 1 || b.live <= leafTarget, "%d bytes in use", b.live)
		require.LessOrEqual(t, int(b.live), len(b.buf))
		require.GreaterOrEqual(t, string(b.key(0)), low)
		var large, held int64
		live := 0
		for i := range int(b.count) {
			e := b.entry(i)
			require.True(t, first || bytes.Compare(last, e.Key) < 0)
			require.True(t, !bounded || string(e.Key) < high)
			require.True(t, bytes.HasPrefix(e.Key, b.key(0)[:b.prefix]))
			require.Equal(t, fingerprint(e.Key[b.prefix:]), b.prints[i])
			require.Equal(t, entrySize(e.Key, e.Value, e.Version), b.size(i))
			require.LessOrEqual(t, e.Version, b.maxVersion)
			live += b.size(i)
			if len(e.Value) > largeValue {
				large++
			}
			first, last = false, e.Key
		}
		require.Equal(t, live, int(b.live))
		if b.large != nil {
			for _, v := range b.large.values {
				held += int64(cap(v))
				if v != nil {
					large--
				}
			}
			require.Equal(t, held, b.large.held)
		}
		require.Zero(t, large, "large values without an entry")
		count += int(b.count)
		memory += b.bytes()
	}
	if tree.root != nil {
		visit(tree.root, tree.height, "", "", false)
	}
	require.Equal(t, count, tree.Len())
	require.Equal(t, memory, tree.MemoryBytes())
}

// source draws keys and values from a seed: evenly, where rapid's own
// generators would favour the small and never fill a second block.
type source struct{ *rand.Rand }

func drawSource(t *rapid.T) source {
	return source{rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))}
}

// key returns a key that collides often, shares prefixes of all lengths with
// others, may be the prefix of others, and is sometimes empty or long.
func (s source) key() []byte {
	heads := []string{"", "a", "user/", "user/000/", "user/000/", "\x00\x00\xff"}
	key := fmt.Appendf(nil, "%s%03d", heads[s.IntN(len(heads))], s.IntN(400))
	switch s.IntN(40) {
	case 0:
		key = key[:s.IntN(len(key)+1)]
	case 1:
		key = append(key, bytes.Repeat([]byte{'k'}, s.IntN(5000))...)
	}
	return key
}

// value returns a value of any size class: empty, small, near the limit of
// what a block keeps inside, large.
func (s source) value() []byte {
	sizes := []int{0, 1 + s.IntN(20), 50 + s.IntN(100), 50 + s.IntN(100), largeValue - 2 + s.IntN(5), 6000}
	return bytes.Repeat([]byte{byte(s.IntN(256))}, sizes[s.IntN(len(sizes))])
}

// fill puts n entries into tree and model, with versions below 200.
func (s source) fill(tree *Tree, m model, n int) {
	for range n {
		key, value, version := s.key(), s.value(), s.Uint64N(200)
		tree.Put(key, value, version)
		m.put(key, value, version)
	}
}

// TestTreeEqualsMapThroughSnapshotsAndForks drives one tree beside a map,
// keeps every snapshot and fork, and checks all of them in the end.
func TestTreeEqualsMapThroughSnapshotsAndForks(t *testing.T) {
	type kept struct {
		tree  *Tree
		model model
	}
	rapid.Check(t, func(t *rapid.T) {
		tree, m := New(), model{}
		random, version := drawSource(t), uint64(0)
		var frozen []kept
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				for range random.IntN(100) {
					key, value := random.key(), random.value()
					version += random.Uint64N(200)
					want, existed := m[string(key)]
					old, was, replaced := tree.Put(key, value, version)
					require.Equal(t, existed, replaced)
					requireOld(t, want, old, was)
					m.put(key, value, version)
				}
			},
			"replace": func(t *rapid.T) {
				for range random.IntN(100) {
					key, value := random.key(), random.value()
					version += random.Uint64N(200)
					want, existed := m[string(key)]
					old, was, replaced := tree.Replace(key, version, func(before []byte, found bool) []byte {
						require.Equal(t, existed, found)
						if found {
							require.Equal(t, want.Value, before)
						}
						return value
					})
					require.Equal(t, existed, replaced)
					requireOld(t, want, old, was)
					m.put(key, value, version)
				}
			},
			"delete": func(t *rapid.T) {
				for range random.IntN(100) {
					key := random.key()
					want, existed := m[string(key)]
					old, was, found := tree.Delete(key)
					require.Equal(t, existed, found)
					requireOld(t, want, old, was)
					delete(m, string(key))
				}
			},
			"delete run": func(t *rapid.T) {
				entries := m.sorted()
				from := random.IntN(len(entries) + 1)
				entries = entries[from:]
				for _, e := range entries[:random.IntN(len(entries)+1)] {
					require.True(t, removed(tree.Delete(e.Key)))
					delete(m, string(e.Key))
				}
			},
			"snapshot": func(t *rapid.T) {
				frozen = append(frozen, kept{tree.Snapshot(), m.clone()})
			},
			"go on from an old snapshot": func(t *rapid.T) {
				if len(frozen) == 0 {
					t.Skip("none yet")
				}
				old := frozen[random.IntN(len(frozen))]
				frozen = append(frozen, kept{tree.Snapshot(), m})
				tree, m = old.tree.Fork(), old.model.clone()
			},
			"": func(t *rapid.T) { requireInvariants(t, tree) },
		})
		m.requireEqual(t, tree)
		for _, k := range frozen {
			k.model.requireEqual(t, k.tree)
		}
	})
}

func TestCursorFindsItsPlaceFromAnySeekPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, m, random := New(), model{}, drawSource(t)
		random.fill(tree, m, random.IntN(200))
		frozen, entries := tree.Snapshot(), m.sorted()
		for range 20 {
			probe := random.key()
			at, found := slices.BinarySearchFunc(entries, probe, func(e Entry, k []byte) int { return bytes.Compare(e.Key, k) })
			ge, lt, le := frozen.Cursor(), frozen.Cursor(), frozen.Cursor()
			okGE, okLT, okLE := ge.SeekGE(probe), lt.SeekLT(probe), le.SeekLE(probe)
			if found {
				requireAt(t, entries[at], &le, okLE)
			} else {
				require.Equal(t, okLT, okLE)
				require.Equal(t, lt.Key(), le.Key())
			}
			for _, e := range entries[at:] {
				requireAt(t, e, &ge, okGE)
				okGE = ge.Next()
			}
			require.False(t, okGE)
			for _, e := range slices.Backward(entries[:at]) {
				requireAt(t, e, &lt, okLT)
				okLT = lt.Prev()
			}
			require.False(t, okLT)
			require.False(t, lt.Next(), "a cursor off the end stays there")
		}
	})
}

func TestCursorTurnsRoundInMidway(t *testing.T) {
	tree := filled(1000, 16, 50)
	c := tree.Cursor()
	require.True(t, c.First())
	for range 500 {
		require.True(t, c.Next())
	}
	mark := c // a copy is a second position
	for range 300 {
		require.True(t, c.Prev())
	}
	for range 300 {
		require.True(t, c.Next())
	}
	require.Equal(t, mark.Key(), c.Key())
}

func TestChangedSinceEqualsFullScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, m, random := New(), model{}, drawSource(t)
		random.fill(tree, m, random.IntN(400))
		for range 100 {
			key := random.key()
			tree.Delete(key)
			delete(m, string(key))
		}
		for range 50 {
			start, end, since := random.key(), random.key(), 150+random.Uint64N(51)
			if random.IntN(3) == 0 {
				end = nil
			}
			key, version, found := tree.ChangedSince(start, end, since)
			entries := m.sorted()
			want := slices.IndexFunc(entries, func(e Entry) bool {
				return e.Version > since && bytes.Compare(e.Key, start) >= 0 && (end == nil || bytes.Compare(e.Key, end) < 0)
			})
			require.Equal(t, want >= 0, found)
			if found {
				require.Equal(t, string(entries[want].Key), string(key))
				require.Equal(t, entries[want].Version, version)
			}
		}
	})
}

func TestBuilderEqualsPuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, random := model{}, drawSource(t)
		random.fill(New(), m, random.IntN(500))
		var builder Builder
		for _, e := range m.sorted() {
			require.True(t, builder.Append(e.Key, e.Value, e.Version))
		}
		tree := builder.Finish()
		m.requireEqual(t, tree)
		tree.Put([]byte("user/more"), nil, 1)
		m.put([]byte("user/more"), nil, 1)
		m.requireEqual(t, tree)
	})
}

func TestBuilderRefusesKeysOutOfOrder(t *testing.T) {
	var builder Builder
	require.True(t, builder.Append([]byte("b"), nil, 1))
	require.False(t, builder.Append([]byte("b"), nil, 1))
	require.False(t, builder.Append([]byte("a"), nil, 1))
	require.True(t, builder.Append([]byte("c"), nil, 1))
	require.Equal(t, 2, builder.Finish().Len())
}

func TestBigKeysAndValuesAreHeldAndReleased(t *testing.T) {
	tree, m := New(), model{}
	put := func(key, value []byte) {
		tree.Put(key, value, 3)
		m.put(key, value, 3)
	}
	put(nil, nil)
	put(bytes.Repeat([]byte{1}, 4<<10), bytes.Repeat([]byte{2}, largeValue))
	put(bytes.Repeat([]byte{1}, 4<<10-1), bytes.Repeat([]byte{3}, largeValue+1))
	put(bytes.Repeat([]byte{9}, MaxKeySize), bytes.Repeat([]byte{4}, 64<<20))
	put([]byte("k"), bytes.Repeat([]byte{5}, 1<<20))
	m.requireEqual(t, tree)
	frozen := tree.Snapshot()
	require.GreaterOrEqual(t, tree.MemoryBytes(), int64(65<<20))
	for key := range m {
		require.True(t, removed(tree.Delete([]byte(key))))
	}
	model{}.requireEqual(t, tree)
	require.Zero(t, tree.MemoryBytes())
	m.requireEqual(t, frozen)
}

func TestFrozenTreeRefusesWrites(t *testing.T) {
	frozen := New().Snapshot()
	require.Same(t, frozen, frozen.Snapshot())
	require.Panics(t, func() { frozen.Put(nil, nil, 1) })
	require.Panics(t, func() { frozen.Delete(nil) })
}

func TestDeletingMostEntriesGivesTheirMemoryBack(t *testing.T) {
	const n = 20000
	tree := filled(n, 16, 100)
	full := tree.MemoryBytes()
	random := rand.New(rand.NewPCG(5, 5))
	for i, k := range random.Perm(n) {
		if i >= n/20 {
			require.True(t, removed(tree.Delete(numbered(k, 16))))
		}
	}
	requireInvariants(t, tree)
	require.Less(t, tree.MemoryBytes(), full/8)
}

// TestMemoryBytesFollowsTheHeap compares the accounting with the heap in use.
func TestMemoryBytesFollowsTheHeap(t *testing.T) {
	for _, c := range []struct{ entries, value int }{{200000, 0}, {200000, 20}, {200000, 100}, {50000, 900}, {20000, 2000}, {2000, 34000}} {
		t.Run(fmt.Sprintf("%d bytes", c.value), func(t *testing.T) {
			before := heapInUse()
			tree, value := New(), make([]byte, c.value)
			for _, i := range rand.New(rand.NewPCG(1, uint64(c.value))).Perm(c.entries) {
				tree.Put(numbered(i, 16), value, uint64(i))
			}
			used := float64(heapInUse() - before)
			ratio := float64(tree.MemoryBytes()) / used
			t.Logf("%.1f bytes per entry, accounted %.3f of them", used/float64(c.entries), ratio)
			require.InDelta(t, 1, ratio, 0.2)
		})
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestSnapshotsAreReadBesideTheWriter is for the race detector: readers check
// that a snapshot holds exactly the round that it was taken after, and fork it,
// while the writer goes on.
func TestSnapshotsAreReadBesideTheWriter(t *testing.T) {
	const n, rounds = 300, 40
	tree := New()
	var readers sync.WaitGroup
	for round := range uint64(rounds) {
		for i := range n {
			tree.Put(numbered(i, 12), binary.BigEndian.AppendUint64(nil, round), round)
		}
		frozen := tree.Snapshot()
		for range 2 {
			readers.Go(func() {
				fork := frozen.Fork()
				for i := range n / 2 {
					fork.Delete(numbered(2*i, 12))
				}
				fork.Put([]byte("extra"), nil, round)
				if fork.Len() != n/2+1 {
					t.Errorf("fork has %d entries", fork.Len())
				}
				seen, c := 0, frozen.Cursor()
				for ok := c.First(); ok; ok = c.Next() {
					if c.Version() != round || binary.BigEndian.Uint64(c.Value()) != round {
						t.Errorf("round %d sees %d", round, c.Version())
					}
					seen++
				}
				if seen != n {
					t.Errorf("round %d sees %d entries", round, seen)
				}
			})
		}
	}
	readers.Wait()
}

func TestReadsDoNotAllocate(t *testing.T) {
	tree := filled(5000, 40, 100).Snapshot()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		var buf [64]byte
		key := append(buf[:0], "key-on-the-stack-longer-than-thirty-two-bytes"...)
		tree.Get(key)
		tree.ChangedSince(key, nil, 1<<60)
		c := tree.Cursor()
		c.SeekLT(key)
		for ok := c.SeekGE(nil); ok; ok = c.Next() {
		}
	}))
}

func TestBlockIsCopiedOncePerSnapshot(t *testing.T) {
	tree, value := filled(5000, 16, 100), make([]byte, 100)
	frozen := tree.Snapshot()
	hot := numbered(2500, 16)
	tree.Put(hot, value, 9000)
	require.Zero(t, testing.AllocsPerRun(100, func() { tree.Put(hot, value, 9000) }))
	_, version, _ := frozen.Get(hot)
	require.Equal(t, uint64(2500), version)
}

// numbered returns a key of the given length that orders as i does.
func numbered(i, length int) []byte {
	return fmt.Appendf(nil, "%0*d", length, i)
}

// filled returns a writable tree with n numbered keys, put in random order.
func filled(n, keyLength, valueLength int) *Tree {
	tree := New()
	for _, i := range rand.New(rand.NewPCG(uint64(n), 1)).Perm(n) {
		tree.Put(numbered(i, keyLength), make([]byte, valueLength), uint64(i))
	}
	return tree
}
