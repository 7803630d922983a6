package publisher

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

// random makes a commit of puts, deletes and now and then a dropped space.
func random(t *rapid.T) func(w *state.Working) {
	return func(w *state.Working) {
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			space := space + msgs.SpaceID(rapid.IntRange(0, 2).Draw(t, "space"))
			key := fmt.Appendf(nil, "k%d", rapid.IntRange(0, 9).Draw(t, "key"))
			switch rapid.IntRange(0, 9).Draw(t, "op") {
			case 0:
				w.DropSpace(space)
			case 1, 2, 3:
				w.Delete(space, key)
			default:
				w.Put(space, key, rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "value"))
			}
		}
	}
}

// History.At gives what the applier had after each commit, though only images of
// whole epochs were published, for every seq from Oldest on, and refuses those
// below.
func TestHistoryIsWhatTheStateWasAfterEachCommit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 12).Draw(t, "limit")
		bytes := rapid.Int64Range(100, 3000).Draw(t, "bytes")
		chain := newChain()
		history := NewHistory(chain.image.Moment(), limit, bytes)
		for range rapid.IntRange(1, 15).Draw(t, "epochs") {
			var sets []msgs.Changeset
			for range rapid.IntRange(1, 5).Draw(t, "commits") {
				sets = append(sets, chain.commit(random(t)))
			}
			chain.image = chain.images[chain.working.Seq()]
			history.Add(sets)

			oldest, newest := history.Oldest(), chain.image.Seq()
			require.LessOrEqual(t, newest-oldest, uint64(limit))
			for seq := range newest + 1 {
				image, err := history.At(seq, chain.image)
				if seq < oldest {
					require.ErrorIs(t, err, errs.ErrSeqGarbageCollected)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, seq, image.Seq())
				require.Equal(t, chain.images[seq].Micros(), image.Micros())
				require.Equal(t, chain.images[seq].Digest(), image.Digest(), "seq %d", seq)
			}
		}
	})
}

func TestHistoryReachesAsFarAsItsLimit(t *testing.T) {
	chain := newChain()
	history := NewHistory(chain.image.Moment(), 10, 1<<30)
	for range 100 {
		e := chain.epoch(1)
		history.Add(e.Sets)
		newest := chain.image.Seq()
		require.Equal(t, min(newest, 10), newest-history.Oldest())
	}
}

func TestHistoryIsBoundedInBytes(t *testing.T) {
	const limit = 100_000
	chain := newChain()
	history := NewHistory(chain.image.Moment(), 1<<30, limit)
	for range 1000 {
		set := chain.commit(func(w *state.Working) { w.Put(space, []byte("k"), make([]byte, 1000)) })
		chain.image = chain.images[set.Seq]
		history.Add([]msgs.Changeset{set})
		require.LessOrEqual(t, history.bytes, int64(limit))
	}
	require.InDelta(t, 1000-limit/2200, float64(history.Oldest()), 5, "new and old value of each")
}

// Commits without much content count too.
func TestHistoryCountsWhatManySmallChangesTake(t *testing.T) {
	chain := newChain()
	history := NewHistory(chain.image.Moment(), 1<<30, 64_000)
	for range 2 {
		set := chain.commit(func(w *state.Working) {
			for i := range 400 {
				w.Put(space, fmt.Appendf(nil, "%d", i), nil)
			}
		})
		history.Add([]msgs.Changeset{set})
	}
	require.EqualValues(t, 1, history.Oldest(), "no room for 800 effects of some 100 bytes")
}

func TestHistoryHasTheCatalogOfItsTime(t *testing.T) {
	chain := newChain()
	history := NewHistory(chain.image.Moment(), 100, 1<<20)
	for i := range 4 {
		set := chain.commit(func(w *state.Working) {
			changed, change, err := w.Catalog().Apply(catalog.CreateProject{Project: fmt.Sprintf("p%d", i)}, w.Micros())
			require.NoError(t, err)
			for _, e := range change.Entries {
				w.Put(catalog.SpaceCatalog, e.Key, e.Value)
			}
			w.SetCatalog(changed)
		})
		chain.image = chain.images[set.Seq]
		history.Add([]msgs.Changeset{set})
	}
	for seq := range uint64(5) {
		image, err := history.At(seq, chain.image)
		require.NoError(t, err)
		for i := range uint64(4) {
			_, err := image.Catalog().Project(fmt.Sprintf("p%d", i))
			require.Equal(t, i < seq, err == nil, "project %d at %d", i, seq)
		}
	}
}

func TestHistoryReachesAcrossADroppedSpaceAndIntoItsEpoch(t *testing.T) {
	chain := newChain()
	history := NewHistory(chain.image.Moment(), 100, 1<<20)
	put := func(key string) func(*state.Working) {
		return func(w *state.Working) { w.Put(space, []byte(key), []byte("v")) }
	}
	add := func(changes ...func(*state.Working)) {
		var sets []msgs.Changeset
		for _, change := range changes {
			sets = append(sets, chain.commit(change))
		}
		chain.image = chain.images[chain.working.Seq()]
		history.Add(sets)
	}
	drop := func(w *state.Working) { w.DropSpace(space) }
	add(put("a"))
	add(put("b"), put("a"))
	add(put("c"), drop, put("d"), put("e"))
	add(put("f"))
	add(drop)
	add(put("g"))
	for seq := range chain.image.Seq() + 1 {
		image, err := history.At(seq, chain.image)
		require.NoError(t, err)
		require.Equal(t, chain.images[seq].Digest(), image.Digest(), "seq %d", seq)
	}
}

func TestHistoryGivesTheCommitsThatFollow(t *testing.T) {
	chain := newChain()
	history := NewHistory(chain.image.Moment(), 5, 1<<20)
	for range 4 {
		history.Add(chain.epoch(2).Sets)
	}
	seqs := func(after uint64, limit int) (out []uint64) {
		sets, err := history.After(after, limit)
		require.NoError(t, err)
		for i := range sets {
			require.NotNil(t, sets[i].Catalog)
			out = append(out, sets[i].Seq)
		}
		return out
	}
	require.Equal(t, []uint64{4, 5, 6, 7, 8}, seqs(3, 100))
	require.Equal(t, []uint64{6, 7}, seqs(5, 2))
	require.Empty(t, seqs(8, 100))
	require.Empty(t, seqs(100, 100))
	_, err := history.After(2, 1)
	require.ErrorIs(t, err, errs.ErrSeqGarbageCollected)
	require.ErrorContains(t, err, "the oldest is 4")
}

func TestHistoryIsReadWhileItGrows(t *testing.T) {
	chain := newChain()
	heads, history := NewHeads(chain.image), NewHistory(chain.image.Moment(), 40, 1<<20)
	p := New(Rule{}, 0)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for r := range 4 {
		readers.Go(func() {
			for n := uint64(r); ; n++ {
				newest := heads.Visible()
				seq := newest.Seq() - min(newest.Seq(), n%30)
				image, err := history.At(seq, newest)
				switch {
				case err == nil:
					// The newest commit wrote its own seq under its key.
					key := fmt.Appendf(nil, "key-%d", seq%7)
					if _, version, _ := image.Get(space, key); image.Seq() != seq || version != seq {
						t.Errorf("asked for %d, got %d with version %d", seq, image.Seq(), version)
						return
					}
				case errs.CodeOf(err) != errs.CodeSeqGarbageCollected:
					t.Error(err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 1000 {
		heads.Publish(p.Step([]*msgs.Publication{written(chain.epoch(2))}), history)
	}
	close(done)
	readers.Wait()
}

func BenchmarkHistoryAt(b *testing.B) {
	chain := newChain()
	history := NewHistory(chain.image.Moment(), 1024, 16<<20)
	for range 600 {
		e := chain.epoch(1)
		history.Add(e.Sets)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := history.At(550, chain.image); err != nil {
			b.Fatal(err)
		}
	}
}
