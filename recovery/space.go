package recovery

import (
	"bytes"
	"context"
	"slices"

	"github.com/sourcegraph/conc"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// layeredSpace is a space of a checkpoint: what the files of the chain hold of it.
type layeredSpace struct {
	id     msgs.SpaceID
	layers []*layer
	chunks int
}

// layeredSpaces returns the spaces that a chain has entries of, ascending.
func layeredSpaces(chain checkpoint.Chain) []*layeredSpace {
	spaces := map[msgs.SpaceID]*layeredSpace{}
	for rank, reader := range chain {
		for id := range spaces {
			if reader.Drops(id) {
				delete(spaces, id)
			}
		}
		for _, s := range reader.Spaces() {
			if spaces[s.ID] == nil {
				spaces[s.ID] = &layeredSpace{id: s.ID}
			}
			l := spaces[s.ID]
			l.layers = append(l.layers, &layer{reader: reader, space: s, rank: rank})
			l.chunks += s.Chunks
		}
	}
	all := make([]*layeredSpace, 0, len(spaces))
	for _, s := range spaces {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *layeredSpace) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return all
}

// spaceBuilder makes the tree of one space. It merges the layers: of the entries
// with one key, that of the newest file counts.
type spaceBuilder struct {
	space *layeredSpace
	// ahead has another goroutine decode the chunks of the largest layer, which costs
	// about as much as building.
	ahead  bool
	loaded func(bytes int) // called when a chunk is in the tree

	// heads are the layers that are on an entry, in the order of their keys and, with
	// one key, the newest first.
	heads []*layer
	tree  blocktree.Builder
}

func (b *spaceBuilder) build(ctx context.Context) (*blocktree.Tree, error) {
	ctx, cancel := context.WithCancel(ctx)
	var decoders conc.WaitGroup
	defer decoders.Wait()
	defer cancel()
	if b.ahead {
		largest := slices.MaxFunc(b.space.layers, func(x, y *layer) int { return x.space.Chunks - y.space.Chunks })
		if largest.space.Chunks > 1 {
			largest.decodeAhead(ctx, &decoders)
		}
	}
	for _, l := range b.space.layers {
		b.heads = slices.Insert(b.heads, 0, l)
		if err := b.advance(ctx, 0); err != nil {
			return nil, err
		}
	}
	for len(b.heads) > 0 {
		newest := b.heads[0]
		for len(b.heads) > 1 && bytes.Equal(b.heads[1].key, newest.key) {
			if err := b.advance(ctx, 1); err != nil {
				return nil, err
			}
		}
		if newest.version > 0 || newest.rank == 0 { // no deletion
			if err := b.append(newest); err != nil {
				return nil, err
			}
		}
		if err := b.advance(ctx, 0); err != nil {
			return nil, err
		}
	}
	return b.tree.Finish(), nil
}

// advance moves the layer at place i of the heads to its next entry, and to its
// place among those behind it.
func (b *spaceBuilder) advance(ctx context.Context, i int) error {
	l := b.heads[i]
	ok, passed, err := l.next(ctx)
	if passed > 0 {
		b.loaded(passed)
	}
	if err != nil || !ok {
		b.heads = slices.Delete(b.heads, i, i+1)
		return err
	}
	for ; i+1 < len(b.heads) && l.follows(b.heads[i+1]); i++ {
		b.heads[i], b.heads[i+1] = b.heads[i+1], l
	}
	return nil
}

// follows reports whether the entry of the other layer comes first.
func (l *layer) follows(other *layer) bool {
	order := bytes.Compare(l.key, other.key)
	return order > 0 || order == 0 && l.rank < other.rank
}

func (b *spaceBuilder) append(l *layer) error {
	if len(l.key) > blocktree.MaxKeySize {
		return errs.New(errs.CodeDecode, "space %d has a key of %d bytes", b.space.id, len(l.key))
	}
	if !b.tree.Append(l.key, l.value, l.version) {
		return errs.New(errs.CodeDecode, "the keys of space %d do not ascend", b.space.id)
	}
	return nil
}
