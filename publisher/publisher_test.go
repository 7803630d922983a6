package publisher

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

func TestEpochIsPublishedWhenItsRuleIsMet(t *testing.T) {
	full, batch := Rule{SyncFirst: true}, Rule{Images: 32}
	// Three epochs of one commit each; the second may have to be synced.
	type step struct {
		written []int // epochs that arrive, by index
		durable uint64
		out     []int
	}
	for name, c := range map[string]struct {
		rule   Rule
		second bool
		steps  []step
	}{
		"full: with the sync": {full, false, []step{
			{written: []int{0}, durable: 1, out: []int{0}},
			{written: []int{1, 2}, durable: 3, out: []int{1, 2}},
		}},
		"full: as far as the sync went": {full, false, []step{
			{written: []int{0, 1, 2}, durable: 2, out: []int{0, 1}},
			{durable: 3, out: []int{2}},
		}},
		"batch: when written": {batch, false, []step{
			{written: []int{0, 1}, out: []int{0, 1}},
			{durable: 1},
			{written: []int{2}, out: []int{2}},
		}},
		"batch: an epoch that must be synced holds back those behind it": {batch, true, []step{
			{written: []int{0, 1}, out: []int{0}},
			{written: []int{2}},
			{durable: 1},
			{durable: 3, out: []int{1, 2}},
		}},
		"batch: a sync of just that epoch lets the next out too": {batch, true, []step{
			{written: []int{0, 1, 2}, out: []int{0}},
			{durable: 2, out: []int{1, 2}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			chain := newChain()
			epochs := []*msgs.Epoch{chain.epoch(1), chain.epoch(1), chain.epoch(1)}
			epochs[1].MustSync = c.second
			p := New(c.rule, 0)
			for i, s := range c.steps {
				m := &msgs.Publication{Durable: s.durable}
				for _, at := range s.written {
					m.Epochs = append(m.Epochs, epochs[at])
				}
				var want []*msgs.Epoch
				for _, at := range s.out {
					want = append(want, epochs[at])
				}
				out := p.Step([]*msgs.Publication{m})
				require.Equal(t, want, append([]*msgs.Epoch(nil), out.Epochs...), "step %d", i)
			}
			require.Empty(t, p.Waiting())
		})
	}
}

func TestRefusalBehindAVolatileCommitWaitsOnlyForWhatIsLogged(t *testing.T) {
	chain := newChain()
	first, volatile, refused := chain.epoch(1), chain.epoch(1), chain.epoch(0)
	volatile.Sets[0].Volatile = true
	p := New(Rule{SyncFirst: true}, 0)
	require.Empty(t, p.Step([]*msgs.Publication{{Epochs: []*msgs.Epoch{first, volatile, refused}}}).Epochs)
	require.Equal(t, []*msgs.Epoch{first, volatile, refused}, p.Step([]*msgs.Publication{{Durable: 1}}).Epochs)
}

func TestVolatileEpochWaitsOnlyForThoseBeforeIt(t *testing.T) {
	chain := newChain()
	first, volatile, flushed := chain.epoch(1), chain.epoch(1), chain.epoch(1)
	for _, e := range []*msgs.Epoch{volatile, flushed} {
		e.Sets[0].Volatile = true
	}
	flushed.MustSync = true
	p := New(Rule{SyncFirst: true}, 0)
	require.Empty(t, p.Step([]*msgs.Publication{{Epochs: []*msgs.Epoch{first, volatile, flushed}}}).Epochs)
	out := p.Step([]*msgs.Publication{{Durable: 1}})
	require.Equal(t, []*msgs.Epoch{first, volatile}, out.Epochs)
	require.Equal(t, uint64(1), out.Durable)
	require.Equal(t, []*msgs.Epoch{flushed}, p.Step([]*msgs.Publication{{Durable: 3}}).Epochs)
}

func TestEpochWithoutCommitsWaitsForThoseItRefersTo(t *testing.T) {
	chain := newChain()
	original := chain.epoch(1)
	duplicate := &msgs.Epoch{Image: chain.image, Answers: []msgs.Answer{{Ticket: msgs.NewTicket(nil, 0), Seq: 1, Outcome: msgs.Duplicate}}}
	p := New(Rule{SyncFirst: true}, 0)
	require.Empty(t, p.Step([]*msgs.Publication{written(original), written(duplicate)}).Epochs)
	require.Equal(t, []*msgs.Epoch{original, duplicate}, p.Waiting())
	require.Len(t, p.Step([]*msgs.Publication{synced(1)}).Epochs, 2)
}

func TestFlushWithNothingToSyncIsPublishedAtOnce(t *testing.T) {
	chain := newChain()
	flush := mustSync(&msgs.Epoch{Image: chain.image})
	require.Len(t, New(Rule{}, 0).Step([]*msgs.Publication{written(flush)}).Epochs, 1)
}

func TestImageAtTheDurableHeadIsThatOfTheEpochThatWasSynced(t *testing.T) {
	for name, rule := range map[string]Rule{"full": {SyncFirst: true}, "batch": {Images: 32}, "os_buffered": {}} {
		t.Run(name, func(t *testing.T) {
			chain := newChain()
			heads, history := NewHeads(chain.image), NewHistory(chain.image.Moment(), 1000, 1<<20)
			p := New(rule, 0)
			step := func(batch ...*msgs.Publication) { heads.Publish(p.Step(batch), history) }
			for range 300 { // more than are kept
				step(written(chain.epoch(2)))
			}
			flush := mustSync(chain.epoch(1))
			step(written(flush), written(chain.epoch(1)), written(chain.epoch(1)))
			step(synced(flush.LastSeq()))
			require.EqualValues(t, 601, heads.Durable())
			require.EqualValues(t, 601, heads.DurableImage().Seq())

			step(synced(603)) // the end: nobody waited for it
			require.EqualValues(t, 603, heads.DurableImage().Seq())
			require.Equal(t, heads.Visible(), heads.DurableImage())

			// A flush that finds everything synced still brings its image.
			step(written(mustSync(&msgs.Epoch{Image: chain.image})))
			require.EqualValues(t, 603, heads.DurableImage().Seq())
		})
	}
}

func TestImagesKeptForTheDurableHeadAreBounded(t *testing.T) {
	for _, images := range []int{0, 1, 2, 7, 32} {
		chain := newChain()
		p := New(Rule{Images: images}, 0)
		for range 500 {
			p.Step([]*msgs.Publication{written(chain.epoch(1))})
			require.LessOrEqual(t, len(p.undurable), max(images, 1))
			require.Equal(t, chain.image, p.undurable[len(p.undurable)-1], "the newest is never let go")
		}
		if images == 32 {
			out := p.Step([]*msgs.Publication{synced(480)})
			require.EqualValues(t, 480, out.Durable)
			require.LessOrEqual(t, out.DurableImage.Seq(), uint64(480))
			require.Greater(t, out.DurableImage.Seq(), uint64(400))
		}
	}
}

func TestNothingIsHeldOfWhatHasGoneOut(t *testing.T) {
	chain := newChain()
	p := New(Rule{}, 0)
	for range 10 {
		p.Step([]*msgs.Publication{written(mustSync(chain.epoch(1))), written(chain.epoch(1))})
	}
	p.Step([]*msgs.Publication{synced(20)})
	p.Step(nil)
	for _, held := range [][]*msgs.Epoch{p.waiting, p.released} {
		for _, e := range held[:cap(held)] {
			require.Nil(t, e)
		}
	}
	for _, image := range p.undurable[:cap(p.undurable)] {
		require.Nil(t, image)
	}
}

func TestCheckpointerIsToldWhenItIsWorthIt(t *testing.T) {
	chain := newChain()
	p := New(Rule{}, 0)
	step := func(m *msgs.Publication) { p.Step([]*msgs.Publication{m}) }
	require.Nil(t, p.Report(1), "nothing was written")
	step(written(chain.epoch(1))) // 100 bytes
	require.Nil(t, p.Report(200))
	step(written(mustSync(chain.epoch(5))))
	require.Nil(t, p.Report(200), "what is not published is not in the next checkpoint")
	step(synced(6))
	require.Equal(t, &msgs.Progress{Bytes: 600}, p.Report(200))
	require.Equal(t, &msgs.Progress{Bytes: 600}, p.Report(200), "until it is told")
	p.Told()
	require.Nil(t, p.Report(200))

	step(&msgs.Publication{Sealed: []msgs.Segment{{Number: 1}}})
	step(&msgs.Publication{Sealed: []msgs.Segment{{Number: 2}}})
	require.Equal(t, &msgs.Progress{Sealed: []msgs.Segment{{Number: 1}, {Number: 2}}}, p.Report(200))
}

func TestAnswerTellsTheDurableHeadAndTheTimeInEachStage(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(1_700_000_000_000 + int64(ms)) }
	e := &msgs.Epoch{
		Answers: []msgs.Answer{
			{Ticket: msgs.NewTicket(nil, 0), Seq: 7, Admitted: at(0)},
			{Ticket: msgs.NewTicket(nil, 0), Seq: 3, Outcome: msgs.Duplicate, Admitted: at(1)},
		},
		Passage: msgs.Passage{Sequenced: at(2), Applied: at(5), Written: at(9), Synced: at(20), Published: at(22)},
	}
	Answer([]*msgs.Epoch{e}, 6)
	ms := time.Millisecond
	r, err := e.Answers[0].Ticket.Wait(context.Background())
	require.NoError(t, err)
	require.Equal(t, msgs.Result{
		CommitSeq: 7, DurableSeq: 6,
		Stages: msgs.StageTimes{Sequence: 2 * ms, Apply: 3 * ms, Write: 4 * ms, Sync: 11 * ms, Publish: 2 * ms},
	}, r)
	r, err = e.Answers[1].Ticket.Wait(context.Background())
	require.NoError(t, err)
	require.Equal(t, msgs.Duplicate, r.Outcome)
	require.Equal(t, ms, r.Stages.Sequence)

	e.Answers[0].Ticket, e.Passage.Synced = msgs.NewTicket(nil, 0), time.Time{}
	Answer([]*msgs.Epoch{e}, 6)
	r, err = e.Answers[0].Ticket.Wait(context.Background())
	require.NoError(t, err)
	require.Zero(t, r.Stages.Sync, "it did not wait for that")
	require.Equal(t, 13*ms, r.Stages.Publish)
}

func TestCommitIsVisibleBeforeItIsAnswered(t *testing.T) {
	chain := newChain()
	heads, history := NewHeads(chain.image), NewHistory(chain.image.Moment(), 10, 1<<20)
	e := chain.epoch(1)
	heads.Publish(New(Rule{}, 0).Step([]*msgs.Publication{written(e)}), history)
	require.Equal(t, chain.image, heads.Visible())
	require.False(t, answered(e))
	Answer([]*msgs.Epoch{e}, 0)
	require.True(t, answered(e))
}

// Whatever is written and synced in whatever pieces: epochs come out once, in
// order, never before their rule is met, and never later than that.
func TestEpochsComeOutInOrderAndNeverTooEarlyOrTooLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := Rule{SyncFirst: rapid.Bool().Draw(t, "syncFirst"), Images: rapid.IntRange(0, 4).Draw(t, "images")}
		chain := newChain()
		heads, history := NewHeads(chain.image), NewHistory(chain.image.Moment(), 1000, 1<<20)
		p := New(rule, 0)
		var all []*msgs.Epoch
		var durable uint64
		published := 0
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			var batch []*msgs.Publication
			for range rapid.IntRange(0, 3).Draw(t, "messages") {
				m := &msgs.Publication{}
				for range rapid.IntRange(0, 2).Draw(t, "epochs") {
					e := chain.epoch(rapid.IntRange(1, 2).Draw(t, "commits"))
					e.MustSync = rapid.IntRange(0, 3).Draw(t, "mustSync") == 0
					m.Epochs, all = append(m.Epochs, e), append(all, e)
				}
				if rapid.Bool().Draw(t, "synced") {
					durable = max(durable, rapid.Uint64Range(durable, chain.image.Seq()).Draw(t, "durable"))
					m.Durable = durable
				}
				batch = append(batch, m)
			}
			out := p.Step(batch)
			for _, e := range out.Epochs {
				require.Same(t, all[published], e)
				require.True(t, e.LastSeq() <= durable || !rule.SyncFirst && !e.MustSync, "too early")
				published++
			}
			if published < len(all) {
				e := all[published]
				require.True(t, e.LastSeq() > durable && (rule.SyncFirst || e.MustSync), "too late")
			}
			heads.Publish(out, history)
			require.LessOrEqual(t, heads.DurableImage().Seq(), durable)
			require.Equal(t, durable, heads.Durable())
			if published > 0 {
				require.Equal(t, all[published-1].LastSeq(), heads.Visible().Seq())
			}
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	chain := newChain()
	heads, history := NewHeads(chain.image), NewHistory(chain.image.Moment(), 1024, 16<<20)
	p := New(Rule{SyncFirst: true}, 0)
	e := chain.epoch(16)
	image := e.Image.(*state.Image)
	b.ReportAllocs()
	for b.Loop() {
		heads.Publish(p.Step([]*msgs.Publication{synced(image.Seq(), e)}), history)
	}
}

func TestAStageThatDatesAMessageTooEarlyTakesNoLessThanNoTime(t *testing.T) {
	at := func(us int) time.Time { return time.Unix(1, int64(us)*1000) }
	us := time.Microsecond
	for name, c := range map[string]struct {
		passage msgs.Passage
		want    msgs.StageTimes
	}{
		"in order": {
			msgs.Passage{Sequenced: at(1), Applied: at(3), Written: at(6), Synced: at(10), Published: at(15)},
			msgs.StageTimes{Sequence: 1 * us, Apply: 2 * us, Write: 3 * us, Sync: 4 * us, Publish: 5 * us},
		},
		"without a sync": {
			msgs.Passage{Sequenced: at(1), Applied: at(3), Written: at(6), Published: at(15)},
			msgs.StageTimes{Sequence: 1 * us, Apply: 2 * us, Write: 3 * us, Publish: 9 * us},
		},
		"sequenced before it was admitted": {
			msgs.Passage{Sequenced: at(-4), Applied: at(3), Written: at(6), Published: at(7)},
			msgs.StageTimes{Apply: 3 * us, Write: 3 * us, Publish: 1 * us},
		},
		"applied before it was sequenced": {
			msgs.Passage{Sequenced: at(5), Applied: at(3), Written: at(6), Published: at(7)},
			msgs.StageTimes{Sequence: 5 * us, Write: 1 * us, Publish: 1 * us},
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, stages(at(0), &c.passage)) })
	}
}
