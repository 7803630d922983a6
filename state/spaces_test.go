package state

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
)

// trees are what spaces hold, as a plain map.
type trees = map[catalog.SpaceID]*blocktree.Tree

func contents(s spaces) trees {
	got := trees{}
	s.all(func(id catalog.SpaceID, t *blocktree.Tree) bool {
		got[id] = t
		return true
	})
	return got
}

func TestSpacesAreAMapWhoseValuesNeverChange(t *testing.T) {
	ids := rapid.OneOf(
		rapid.Uint64Range(0, 40), rapid.Uint64Range(0, 5000), rapid.Uint64(), rapid.Just(uint64(1<<64-1)),
	)
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			spaces spaces
			want   trees
		}
		all := []version{{want: trees{}}}
		for range rapid.IntRange(1, 60).Draw(t, "changes") {
			from := all[rapid.IntRange(0, len(all)-1).Draw(t, "from")]
			id := catalog.SpaceID(ids.Draw(t, "id"))
			if len(from.want) > 0 && rapid.Bool().Draw(t, "present") {
				id = rapid.SampledFrom(slices.Sorted(maps.Keys(from.want))).Draw(t, "which")
			}
			next := version{want: maps.Clone(from.want)}
			if rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
				next.spaces = from.spaces.set(id, nil)
				delete(next.want, id)
			} else {
				tree := blocktree.New().Snapshot()
				next.spaces = from.spaces.set(id, tree)
				next.want[id] = tree
			}
			require.True(t, next.want[id] == next.spaces.get(id))
			all = append(all, next)
		}
		for _, v := range all {
			require.Equal(t, len(v.want), len(contents(v.spaces)))
			for id, tree := range v.want {
				require.True(t, tree == v.spaces.get(id))
			}
			if len(v.want) == 0 {
				require.Nil(t, v.spaces.root, "nothing is left of what was taken out")
			}
		}
	})
}

func TestSpacesComeInTheOrderOfTheirIDsUntilNoMoreAreWanted(t *testing.T) {
	var s spaces
	ids := []catalog.SpaceID{0, 1, 15, 16, 64, 255, 256, 4096, 1 << 63}
	for _, i := range []int{5, 0, 8, 2, 7, 1, 6, 3, 4} {
		s = s.set(ids[i], blocktree.New())
	}
	var got []catalog.SpaceID
	require.True(t, s.all(func(id catalog.SpaceID, _ *blocktree.Tree) bool { got = append(got, id); return true }))
	require.Equal(t, ids, got)

	got = nil
	require.False(t, s.all(func(id catalog.SpaceID, _ *blocktree.Tree) bool { got = append(got, id); return id < 16 }))
	require.Equal(t, ids[:4], got)
}
