package blocktree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

const benchEntries = 1 << 20

// scrambled returns the i-th key of a pseudo-random sequence of 16-byte keys
// without repetition.
func scrambled(i int) []byte {
	key := make([]byte, 16)
	binary.BigEndian.PutUint64(key, uint64(i)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(key[8:], uint64(i))
	return key
}

// benchTree returns a tree of scrambled keys with values of 100 bytes, put in
// no order, and the keys.
func benchTree() (*Tree, [][]byte) {
	tree, keys, value := New(), make([][]byte, benchEntries), make([]byte, 100)
	for i := range keys {
		keys[i] = scrambled(i)
		tree.Put(keys[i], value, uint64(i))
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return tree, keys
}

// reportMemory reports the size of a tree that a benchmark is done with, as
// the tree accounts it and TestMemoryBytesFollowsTheHeap checks it.
func reportMemory(b *testing.B, tree *Tree) {
	b.ReportMetric(float64(tree.MemoryBytes())/float64(tree.Len()), "heap-B/entry")
}

func BenchmarkGet(b *testing.B) {
	tree, keys := benchTree()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, _, ok := tree.Get(keys[i%benchEntries]); !ok {
			b.Fatal("missing")
		}
	}
	reportMemory(b, tree)
}

func BenchmarkScan100(b *testing.B) {
	tree, keys := benchTree()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c := tree.Cursor()
		n := 0
		for ok := c.SeekGE(keys[i%benchEntries]); ok && n < 100; ok = c.Next() {
			n++
		}
	}
}

// BenchmarkPut changes existing and adds new entries of a tree of a million,
// with a snapshot after every so many puts.
func BenchmarkPut(b *testing.B) {
	for _, every := range []int{1, 64, 1 << 30} {
		name := fmt.Sprintf("snapshot every %d", every)
		if every == 1<<30 {
			name = "no snapshots"
		}
		b.Run("update/"+name, func(b *testing.B) {
			tree, keys := benchTree()
			value := make([]byte, 100)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tree.Put(keys[i%benchEntries], value, uint64(benchEntries+i))
				if i%every == every-1 {
					tree.Snapshot()
				}
			}
		})
		b.Run("insert/"+name, func(b *testing.B) {
			tree, _ := benchTree()
			value := make([]byte, 100)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tree.Put(scrambled(benchEntries+i), value, uint64(benchEntries+i))
				if i%every == every-1 {
					tree.Snapshot()
				}
			}
		})
		b.Run("ascending/"+name, func(b *testing.B) {
			tree, value, key := New(), make([]byte, 100), make([]byte, 16)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				binary.BigEndian.PutUint64(key[8:], uint64(i))
				tree.Put(key, value, uint64(i))
				if i%every == every-1 {
					tree.Snapshot()
				}
			}
			reportMemory(b, tree)
		})
	}
}

// BenchmarkReadThenPut reads every key before it is changed, as a commit does.
func BenchmarkReadThenPut(b *testing.B) {
	tree, keys := benchTree()
	value := make([]byte, 100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		key := keys[i%benchEntries]
		tree.Get(key)
		tree.Put(key, value, uint64(benchEntries+i))
	}
}

// BenchmarkTouch changes scattered entries, sixteen of which are touched before.
func BenchmarkTouch(b *testing.B) {
	tree, keys := benchTree()
	value := make([]byte, 100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%abreast == 0 {
			tree.Touch(keys[i%benchEntries:][:abreast])
		}
		tree.Put(keys[i%benchEntries], value, uint64(benchEntries+i))
	}
}

// BenchmarkEpoch puts a thousand scattered keys in key order and takes a
// snapshot, as a large group of commits does.
func BenchmarkEpoch(b *testing.B) {
	const size = 1000
	tree, keys := benchTree()
	for batch := range slices.Chunk(keys[:benchEntries/size*size], size) {
		slices.SortFunc(batch, bytes.Compare)
	}
	value := make([]byte, 100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		from := i % (benchEntries / size) * size
		for _, key := range keys[from : from+size] {
			tree.Put(key, value, uint64(benchEntries+i))
		}
		tree.Snapshot()
	}
}

// BenchmarkFork forks a snapshot, and reads and changes two keys there, as a
// small interactive transaction does.
func BenchmarkFork(b *testing.B) {
	tree, keys := benchTree()
	frozen, value := tree.Snapshot(), make([]byte, 100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		fork := frozen.Fork()
		for j := range 2 {
			key := keys[(2*i+j)%benchEntries]
			fork.Get(key)
			fork.Put(key, value, uint64(benchEntries+i))
		}
	}
}

func BenchmarkDelete(b *testing.B) {
	tree, keys := benchTree()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tree.Delete(keys[i%benchEntries])
		if tree.Len() == 0 {
			b.StopTimer()
			tree, keys = benchTree()
			b.StartTimer()
		}
	}
}

func BenchmarkBuilder1M(b *testing.B) {
	value, key := make([]byte, 100), make([]byte, 16)
	var tree *Tree
	for b.Loop() {
		var builder Builder
		for i := range uint64(1_000_000) {
			binary.BigEndian.PutUint64(key[8:], i)
			builder.Append(key, value, i)
		}
		tree = builder.Finish()
	}
	reportMemory(b, tree)
}
