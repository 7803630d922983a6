package blocktree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// difference is what Diff has to report, by comparing every entry.
func (m model) difference(old model) (puts, deletions []Entry) {
	for _, e := range m.sorted() {
		if before, ok := old[string(e.Key)]; !ok || before.Version != e.Version {
			puts = append(puts, e)
		}
	}
	for _, e := range old.sorted() {
		if _, ok := m[string(e.Key)]; !ok {
			deletions = append(deletions, e)
		}
	}
	return puts, deletions
}

func requireDiff(t require.TestingT, old, new model, oldTree, newTree *Tree) {
	var puts, deletions []Entry
	var last []byte
	require.NoError(t, Diff(oldTree, newTree, func(e Entry, deleted bool) error {
		require.True(t, len(puts)+len(deletions) == 0 || string(last) < string(e.Key), "the keys do not ascend")
		last = e.Key
		if e.Value == nil {
			e.Value = []byte{}
		}
		if deleted {
			deletions = append(deletions, e)
		} else {
			puts = append(puts, e)
		}
		return nil
	}))
	wantPuts, wantDeletions := new.difference(old)
	require.Equal(t, len(wantPuts), len(puts))
	require.Equal(t, len(wantDeletions), len(deletions))
	for i, want := range wantPuts {
		requireEntry(t, want, puts[i])
	}
	for i, want := range wantDeletions {
		requireEntry(t, want, deletions[i])
	}
}

func requireEntry(t require.TestingT, want, got Entry) {
	require.Equal(t, string(want.Key), string(got.Key))
	require.True(t, bytes.Equal(want.Value, got.Value))
	require.Equal(t, want.Version, got.Version)
}

// Any writes between two snapshots, of trees large enough to split and join leaves
// and nodes, in a fork or in the tree itself.
func TestDiffEqualsThatOfTheModels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SampledFrom([]int{3, 100, 5000}).Draw(t, "keys")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		tree, m, version := New(), model{}, uint64(0)
		change := func(n int) {
			for range n {
				version++
				key := fmt.Appendf(nil, "key-%06d", rng.IntN(keys))
				if rng.IntN(5) == 0 {
					tree.Delete(key)
					delete(m, string(key))
					continue
				}
				value := make([]byte, rng.IntN(200))
				if rng.IntN(50) == 0 {
					value = make([]byte, 3000)
				}
				tree.Put(key, value, version)
				m.put(key, value, version)
			}
		}
		clear := func(from, n int) { // whole leaves and nodes go
			for i := range n {
				key := fmt.Appendf(nil, "key-%06d", from+i)
				tree.Delete(key)
				delete(m, string(key))
			}
		}
		change(rapid.IntRange(0, 4*keys).Draw(t, "before"))
		old, oldTree := m.clone(), tree.Snapshot()
		change(rapid.IntRange(0, keys/2).Draw(t, "after"))
		if rapid.Bool().Draw(t, "clear") {
			clear(rng.IntN(keys), rng.IntN(keys))
		}
		change(rapid.IntRange(0, 3).Draw(t, "at last"))
		requireDiff(t, old, m, oldTree, tree.Snapshot())
		requireDiff(t, m, old, tree.Snapshot(), oldTree)
		requireDiff(t, model{}, m, New(), tree)
		requireDiff(t, m, m, tree, tree.Fork())
		requireDiff(t, m, m, tree, m.built(t))
	})
}

// built returns a tree that shares nothing with any other.
func (m model) built(t require.TestingT) *Tree {
	var b Builder
	for _, e := range m.sorted() {
		require.True(t, b.Append(e.Key, e.Value, e.Version))
	}
	return b.Finish()
}

// leaves calls visit for every leaf of the tree.
func (t *Tree) leaves(visit func(*leaf)) {
	var below func(c child, height int)
	below = func(c child, height int) {
		if height == 0 {
			visit((*leaf)(c))
			return
		}
		n := (*node)(c)
		for i := range int(n.count) {
			below(n.children[i], height-1)
		}
	}
	below(t.root, t.height)
}

// Leaves that both trees have lose their entries here: a look into one would end
// in a panic.
func TestDiffDoesNotLookIntoLeavesThatTheTreesShare(t *testing.T) {
	var b Builder
	for i := range uint64(100_000) {
		b.Append(binary.BigEndian.AppendUint64(nil, 2*i), make([]byte, 100), 1)
	}
	tree := b.Finish()
	old, want := tree.Snapshot(), map[uint64]bool{}
	change := func(key uint64, value []byte) {
		want[key] = true
		tree.Put(binary.BigEndian.AppendUint64(nil, key), value, 2)
	}
	for i := range uint64(30) {
		change(i*4001, []byte("new"))
	}
	for key := uint64(150_001); key < 153_000; key += 2 { // splits leaves and nodes
		change(key, make([]byte, 100))
	}
	for key := uint64(60_000); key < 60_040; key += 2 {
		want[key] = true
		tree.Delete(binary.BigEndian.AppendUint64(nil, key))
	}
	fresh := tree.Snapshot()

	before, shared := map[*leaf]bool{}, 0
	old.leaves(func(l *leaf) { before[l] = true })
	fresh.leaves(func(l *leaf) {
		if before[l] {
			l.buf = nil
			shared++
		}
	})
	require.Greater(t, shared, len(before)*9/10)
	got := map[uint64]bool{}
	require.NoError(t, Diff(old, fresh, func(e Entry, _ bool) error {
		got[binary.BigEndian.Uint64(e.Key)] = true
		return nil
	}))
	require.Equal(t, want, got)
}

func TestDiffEndsWithTheErrorOfVisit(t *testing.T) {
	tree := New()
	old := tree.Snapshot()
	for i := range 10 {
		tree.Put([]byte{byte(i)}, nil, 1)
	}
	enough, calls := errors.New("enough"), 0
	err := Diff(old, tree, func(Entry, bool) error {
		if calls++; calls == 3 {
			return enough
		}
		return nil
	})
	require.Equal(t, enough, err)
	require.Equal(t, 3, calls)
}

// BenchmarkDiff compares a tree of a million entries with one in which a part was
// changed, and with one that shares nothing with it.
func BenchmarkDiff(b *testing.B) {
	const entries = 1_000_000
	for _, changed := range []int{100, 10_000, entries} {
		b.Run(fmt.Sprintf("changed=%d", changed), func(b *testing.B) {
			var builder Builder
			for i := range entries {
				builder.Append(binary.BigEndian.AppendUint64(nil, uint64(i)), make([]byte, 92), 1)
			}
			tree := builder.Finish()
			old := tree.Snapshot()
			for i := range changed {
				tree.Put(binary.BigEndian.AppendUint64(nil, uint64(i*(entries/changed))), make([]byte, 92), 2)
			}
			fresh := tree.Snapshot()
			for b.Loop() {
				n := 0
				_ = Diff(old, fresh, func(Entry, bool) error { n++; return nil })
				require.Equal(b, changed, n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*changed), "ns/change")
		})
	}
}
