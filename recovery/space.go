package recovery

import (
	"context"

	"github.com/sourcegraph/conc"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
)

// decodedAhead is how many decoded chunks may wait for the builder of a space.
const decodedAhead = 2

// spaceBuilder makes the tree of one space of a checkpoint. The builder takes
// entries in order; with ahead, another goroutine decodes the next chunks
// meanwhile, which costs about as much as building.
type spaceBuilder struct {
	reader *checkpoint.Reader
	space  checkpoint.Space
	ahead  bool
	loaded func(bytes int) // called when a chunk is in the tree

	tree blocktree.Builder
}

// decodedChunk holds copies of the entries of a chunk, one after the other.
type decodedChunk struct {
	entries []entryBounds
	bytes   []byte
}

// entryBounds says where the key and the value of an entry end in the bytes.
type entryBounds struct {
	key, value int
	version    uint64
}

func (b *spaceBuilder) build(ctx context.Context) (*blocktree.Tree, error) {
	var err error
	if b.ahead && b.space.Chunks > 1 {
		err = b.buildAhead(ctx)
	} else {
		err = b.buildHere(ctx)
	}
	if err != nil {
		return nil, err
	}
	return b.tree.Finish(), nil
}

func (b *spaceBuilder) append(key, value []byte, version uint64) error {
	if len(key) > blocktree.MaxKeySize {
		return errs.New(errs.CodeDecode, "space %d has a key of %d bytes", b.space.ID, len(key))
	}
	if !b.tree.Append(key, value, version) {
		return errs.New(errs.CodeDecode, "the keys of space %d do not ascend", b.space.ID)
	}
	return nil
}

func (b *spaceBuilder) buildHere(ctx context.Context) error {
	for i := b.space.FirstChunk; i < b.space.FirstChunk+b.space.Chunks; i++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := b.reader.DecodeChunk(i, b.append); err != nil {
			return err
		}
		b.loaded(b.reader.Chunks()[i].RawBytes)
	}
	return nil
}

func (b *spaceBuilder) buildAhead(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	chunks := make(chan *decodedChunk, decodedAhead)
	free := make(chan *decodedChunk, decodedAhead+2) // takes back every chunk there is
	for range cap(free) {
		free <- new(decodedChunk)
	}
	var decodeErr error // read when chunks is closed
	var decoder conc.WaitGroup
	decoder.Go(func() {
		defer close(chunks)
		decodeErr = b.decode(ctx, chunks, free)
	})
	defer decoder.Wait()
	defer cancel()
	i := b.space.FirstChunk
	for c := range chunks {
		at := 0
		for _, e := range c.entries {
			if err := b.append(c.bytes[at:e.key], c.bytes[e.key:e.value], e.version); err != nil {
				return err
			}
			at = e.value
		}
		free <- c
		b.loaded(b.reader.Chunks()[i].RawBytes)
		i++
	}
	return decodeErr
}

func (b *spaceBuilder) decode(ctx context.Context, chunks chan<- *decodedChunk, free <-chan *decodedChunk) error {
	for i := b.space.FirstChunk; i < b.space.FirstChunk+b.space.Chunks; i++ {
		var c *decodedChunk
		select {
		case c = <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
		c.entries, c.bytes = c.entries[:0], c.bytes[:0]
		err := b.reader.DecodeChunk(i, func(key, value []byte, version uint64) error {
			c.bytes = append(c.bytes, key...)
			end := len(c.bytes)
			c.bytes = append(c.bytes, value...)
			c.entries = append(c.entries, entryBounds{end, len(c.bytes), version})
			return nil
		})
		if err != nil {
			return err
		}
		select {
		case chunks <- c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
