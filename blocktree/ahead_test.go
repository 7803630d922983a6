package blocktree

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTouchChangesNothingWhateverTheKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, key := New(), rapid.StringMatching(`[ab]{0,6}`)
		want := map[string]string{}
		for i := range rapid.IntRange(0, 400).Draw(t, "puts") {
			k, v := key.Draw(t, "key"), fmt.Sprintf("%0*d", rapid.SampledFrom([]int{0, 3, 200, largeValue + 1}).Draw(t, "size"), i)
			tree.Put([]byte(k), []byte(v), uint64(i+1))
			want[k] = v
		}
		tree.Touch(nil)
		var keys [][]byte
		for range rapid.IntRange(0, 3*abreast).Draw(t, "touched") {
			keys = append(keys, []byte(rapid.StringMatching(`[abc]{0,8}`).Draw(t, "look for")))
		}
		tree.Touch(keys)
		tree.Snapshot().Touch(keys)
		require.Equal(t, len(want), tree.Len())
		for k, v := range want {
			got, _, found := tree.Get([]byte(k))
			require.True(t, found)
			require.Equal(t, v, string(got))
		}
	})
}

// The race detector tells whether Touch reads what does not belong to it: forks of
// one tree write to free space of the same buffers.
func TestTouchReadsNothingThatAForkMayBeWriting(t *testing.T) {
	tree := New()
	var keys [][]byte
	for i := range 600 {
		keys = append(keys, fmt.Appendf(nil, "key-%03d", i))
		tree.Put(keys[i], keys[i][:i%5], uint64(i+1))
	}
	frozen := tree.Snapshot()
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			fork := frozen.Fork()
			for i, key := range keys {
				fork.Put(key, keys[(i+1)%len(keys)], uint64(1000+i))
			}
		})
		all.Go(func() {
			for range 5 {
				frozen.Touch(keys)
			}
		})
	}
	all.Wait()
	got, version, _ := frozen.Get(keys[4])
	require.Equal(t, "key-", string(got))
	require.EqualValues(t, 5, version)
}
