package blocktree

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestManyAreFoundAsOneIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, m, random := New(), model{}, drawSource(t)
		random.fill(tree, m, random.IntN(1500))
		for _, tree := range []*Tree{tree, tree.Snapshot()} {
			keys := make([][]byte, random.IntN(3*abreast))
			for i := range keys {
				keys[i] = random.key() // some twice, some not there
			}
			found := make([]Entry, len(keys))
			for i := range found {
				found[i] = Entry{Value: []byte("from before")}
			}
			tree.GetMany(keys, found)
			for i, key := range keys {
				value, version, ok := tree.Get(key)
				require.Equal(t, ok, found[i].Value != nil)
				require.True(t, bytes.Equal(value, found[i].Value))
				require.Equal(t, version, found[i].Version)
				if ok {
					require.True(t, bytes.Equal(key, found[i].Key))
				} else {
					require.Nil(t, found[i].Key)
				}
			}
		}
	})
}

func TestARunEndsWhereItsRangeDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, m, random := New(), model{}, drawSource(t)
		random.fill(tree, m, random.IntN(400))
		entries := m.sorted()
		c := tree.Cursor()
		for range 5 {
			start, end := random.key(), random.key()
			if random.IntN(4) == 0 {
				end = nil
			}
			var want []Entry
			for _, e := range entries {
				if bytes.Compare(e.Key, start) >= 0 && (end == nil || bytes.Compare(e.Key, end) < 0) {
					want = append(want, e)
				}
			}
			ok := c.SeekGE(start) && (end == nil || bytes.Compare(c.Key(), end) < 0)
			for i, e := range want {
				requireAt(t, e, &c, ok)
				if random.IntN(20) == 0 && i > 0 { // a step back begins another run
					require.True(t, c.Prev())
					requireAt(t, want[i-1], &c, c.NextBelow(end) && bytes.Equal(c.Key(), e.Key) && c.Prev())
					require.True(t, c.NextBelow(end))
				}
				ok = c.NextBelow(end)
			}
			require.False(t, ok)
			if len(want) > 0 && c.Valid() {
				require.GreaterOrEqual(t, bytes.Compare(c.Key(), end), 0, "the cursor is on the entry behind")
			}
		}
	})
}

func TestEntriesHoldVersionsOfEveryLength(t *testing.T) {
	for bits := range 65 {
		version := uint64(1)<<bits - 1 // of no bits, then one more each
		for _, length := range []int{0, 1, 7, 8, 100, largeValue, largeValue + 1} {
			key, value := []byte("key"), bytes.Repeat([]byte{0xff}, length)
			size := entrySize(key, value, version)
			p := bytes.Repeat([]byte{0xaa}, size+16)
			putEntry(p[:size], key, value, 0x1234, version)
			require.Equal(t, bytes.Repeat([]byte{0xaa}, 16), p[size:])
			from, to, large := entryTail(p)
			require.Equal(t, size, to)
			require.Equal(t, version, entryVersion(p))
			require.Equal(t, key, entryKey(p))
			require.Equal(t, length > largeValue, large)
			if large {
				require.Equal(t, []byte{0x34, 0x12}, p[from:to])
			} else {
				require.Equal(t, value, p[from:to])
			}
		}
	}
}
