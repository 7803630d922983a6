package recovery

import (
	"context"

	"github.com/sourcegraph/conc"

	"github.com/empyrealapp/aedb-go/checkpoint"
)

// decodedAhead is how many decoded chunks may wait for the builder of a space.
const decodedAhead = 2

// layer is what one file of a chain holds of a space, as a position among its
// entries, before the first of them to begin with.
type layer struct {
	reader *checkpoint.Reader
	space  checkpoint.Space
	rank   int // of the file in the chain: a higher one is newer

	// The entry that the layer is on; version 0 stands for a deletion. The slices
	// are good until the layer moves.
	key, value []byte
	version    uint64

	chunk   *decodedChunk // that the entry is in
	at      int           // entries of it that were passed
	start   int           // where the next one begins
	fetched int           // chunks that were decoded

	// ahead are chunks that another goroutine has decoded, nil if there is none. It
	// takes back those that were passed through free; its error is read when ahead
	// is closed.
	ahead, free chan *decodedChunk
	err         error
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

// rawBytes returns the size of the layer before compression.
func (l *layer) rawBytes() (n int64) {
	for _, c := range l.reader.Chunks()[l.space.FirstChunk:][:l.space.Chunks] {
		n += int64(c.RawBytes)
	}
	return n
}

// next moves to the next entry and reports whether there is one. It returns the
// size of a chunk that is behind it now, or 0.
func (l *layer) next(ctx context.Context) (ok bool, passed int, err error) {
	if l.chunk == nil || l.at == len(l.chunk.entries) {
		if l.chunk != nil {
			passed = l.reader.Chunks()[l.space.FirstChunk+l.fetched-1].RawBytes
		}
		if l.fetched == l.space.Chunks {
			return false, passed, nil
		}
		if err := l.fetch(ctx); err != nil {
			return false, passed, err
		}
	}
	e := l.chunk.entries[l.at]
	l.key, l.value, l.version = l.chunk.bytes[l.start:e.key], l.chunk.bytes[e.key:e.value], e.version
	l.start = e.value
	l.at++
	return true, passed, nil
}

// fetch makes the next chunk the present one.
func (l *layer) fetch(ctx context.Context) error {
	l.at, l.start = 0, 0
	if l.ahead == nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if l.chunk == nil {
			l.chunk = new(decodedChunk)
		}
		l.fetched++
		return l.decode(l.fetched-1, l.chunk)
	}
	if l.chunk != nil {
		l.free <- l.chunk
	}
	var ok bool
	if l.chunk, ok = <-l.ahead; !ok {
		return l.err
	}
	l.fetched++
	return nil
}

// decodeAhead has another goroutine decode chunks before they are asked for.
func (l *layer) decodeAhead(ctx context.Context, decoders *conc.WaitGroup) {
	l.ahead = make(chan *decodedChunk, decodedAhead)
	l.free = make(chan *decodedChunk, decodedAhead+2) // takes back every chunk there is
	for range cap(l.free) {
		l.free <- new(decodedChunk)
	}
	decoders.Go(func() {
		defer close(l.ahead)
		for i := range l.space.Chunks {
			var c *decodedChunk
			select {
			case c = <-l.free:
			case <-ctx.Done():
				l.err = ctx.Err()
				return
			}
			if l.err = l.decode(i, c); l.err != nil {
				return
			}
			select {
			case l.ahead <- c:
			case <-ctx.Done():
				l.err = ctx.Err()
				return
			}
		}
	})
}

// decode fills c with chunk i of the layer.
func (l *layer) decode(i int, c *decodedChunk) error {
	c.entries, c.bytes = c.entries[:0], c.bytes[:0]
	return l.reader.DecodeChunk(l.space.FirstChunk+i, func(key, value []byte, version uint64) error {
		c.bytes = append(c.bytes, key...)
		end := len(c.bytes)
		c.bytes = append(c.bytes, value...)
		c.entries = append(c.entries, entryBounds{end, len(c.bytes), version})
		return nil
	})
}
