package walwriter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/wal"
)

var (
	began  = time.UnixMicro(1_700_000_000_000_000)
	header = wal.Header{Incarnation: [16]byte{7}, Number: 3, Term: 9, FirstSeq: 101, CreatedMicros: began.UnixMicro()}
)

// commits returns an epoch of n commits that put so many bytes each. The seqs
// continue at *seq, which is moved on.
func commits(seq *uint64, n, bytes int) *msgs.Epoch {
	e := &msgs.Epoch{}
	for range n {
		e.Sets = append(e.Sets, msgs.Changeset{Seq: *seq, Micros: int64(*seq), Effects: []msgs.Effect{{
			Op: msgs.EffectPut, Space: 5, Key: fmt.Appendf(nil, "key-%d", *seq), Value: make([]byte, bytes),
		}}})
		*seq++
	}
	return e
}

// replica is what a plan's actions make of an empty disk: the bytes of each
// segment from the first on.
type replica struct{ segments [][]byte }

func newReplica(t require.TestingT) (*replica, *wal.Writer) {
	segment, data, err := wal.NewWriter(header)
	require.NoError(t, err)
	return &replica{segments: [][]byte{data}}, segment
}

func (r *replica) apply(p *Plan) (written int64) {
	for _, a := range p.Actions {
		data := append([]byte(nil), p.Data(a)...)
		written += int64(len(data))
		if a.Begin != nil {
			r.segments = append(r.segments, data)
			continue
		}
		last := &r.segments[len(r.segments)-1]
		*last = append(*last, data...)
	}
	return written
}

// frames scans all segments, checks the chain between them, and returns the
// frames.
func (r *replica) frames(t require.TestingT) (all []wal.Frame) {
	var previous wal.Digest
	for i, data := range r.segments {
		h, end, err := wal.Scan(data, func(f wal.Frame) error { all = append(all, f); return nil })
		require.NoError(t, err)
		require.Equal(t, wal.Clean, end.Verdict)
		require.Equal(t, header.Number+uint64(i), h.Number)
		require.Equal(t, header.Incarnation, h.Incarnation)
		require.Equal(t, header.Term, h.Term)
		require.Equal(t, previous, h.Previous)
		previous = wal.DigestOf(data)
	}
	return all
}

func durableAt(seq uint64) func() uint64 { return func() uint64 { return seq } }

func TestWhatWaitsTogetherIsOneWriteWithOneFramePerEpoch(t *testing.T) {
	disk, segment := newReplica(t)
	w := NewWriter(segment, 1<<20, durableAt(100))
	seq := uint64(101)
	batch := []*msgs.Epoch{commits(&seq, 2, 10), commits(&seq, 1, 10), commits(&seq, 3, 10)}
	plan, err := w.Step(began, batch)
	require.NoError(t, err)

	require.Len(t, plan.Actions, 1)
	require.Nil(t, plan.Actions[0].Begin)
	require.Equal(t, batch, plan.Epochs)
	require.EqualValues(t, 106, plan.LastSeq)
	require.Empty(t, plan.Sealed)
	require.Equal(t, plan.Bytes, disk.apply(plan))
	require.Equal(t, plan.Bytes, batch[0].Bytes+batch[1].Bytes+batch[2].Bytes)

	frames := disk.frames(t)
	require.Len(t, frames, 3)
	for i, f := range frames {
		require.Len(t, f.Sets, len(batch[i].Sets))
		require.EqualValues(t, batch[i].Bytes, f.Size)
		require.EqualValues(t, header.Term, f.Term, "a frame is written under the term of its segment")
	}
}

func TestEpochWithoutCommitsPassesWithoutAWrite(t *testing.T) {
	_, segment := newReplica(t)
	w := NewWriter(segment, 1, durableAt(0)) // any write would rotate
	seq := uint64(101)
	_, err := w.Step(began, []*msgs.Epoch{commits(&seq, 1, 1)})
	require.NoError(t, err)

	flush := &msgs.Epoch{MustSync: true}
	plan, err := w.Step(began, []*msgs.Epoch{flush})
	require.NoError(t, err)
	require.Empty(t, plan.Actions)
	require.Zero(t, plan.Bytes)
	require.True(t, plan.MustSync)
	require.EqualValues(t, 101, plan.LastSeq)
	require.Equal(t, []*msgs.Epoch{flush}, plan.Epochs)
}

func TestFlushSealsASegmentWithCommitsWhenItComesOfAge(t *testing.T) {
	disk, segment := newReplica(t)
	w := NewWriter(segment, 1<<20, durableAt(0))
	w.SealAfter(time.Minute)
	flush := func(at time.Duration) *Plan {
		plan, err := w.Step(began.Add(at), []*msgs.Epoch{{MustSync: true}})
		require.NoError(t, err)
		disk.apply(plan)
		return plan
	}
	_, aging := w.Aging()
	require.False(t, aging)
	require.Empty(t, flush(time.Hour).Sealed, "there is nothing in it")

	seq := uint64(101)
	plan, err := w.Step(began.Add(time.Hour), []*msgs.Epoch{commits(&seq, 1, 1)})
	require.NoError(t, err)
	disk.apply(plan)
	require.Empty(t, plan.Sealed, "a commit that asks for no sync does not pay for it")
	at, aging := w.Aging()
	require.True(t, aging)
	require.True(t, began.Add(time.Minute).Equal(at))
	require.Empty(t, flush(time.Minute-time.Microsecond).Sealed)

	plan = flush(time.Minute)
	require.Len(t, plan.Sealed, 1)
	require.EqualValues(t, 101, plan.Sealed[0].LastSeq)
	require.EqualValues(t, 101, plan.LastSeq)
	_, aging = w.Aging()
	require.False(t, aging)
	require.Empty(t, flush(time.Hour).Sealed, "the next one is empty")

	plan, err = w.Step(began.Add(time.Hour), []*msgs.Epoch{commits(&seq, 1, 1), {MustSync: true}, {MustSync: true}})
	require.NoError(t, err)
	require.Empty(t, plan.Sealed, "what a step adds is not looked at in the same one")
	disk.apply(plan)
	require.Len(t, flush(2*time.Hour).Sealed, 1)
	require.Len(t, disk.frames(t), 2, "the segments are a chain")
	require.Len(t, disk.segments, 3)
}

func TestContinuedSegmentComesOfAgeToo(t *testing.T) {
	disk, segment := newReplica(t)
	seq := uint64(101)
	plan, err := NewWriter(segment, 1<<20, durableAt(0)).Step(began, []*msgs.Epoch{commits(&seq, 1, 1)})
	require.NoError(t, err)
	disk.apply(plan)
	_, end, err := wal.Scan(disk.segments[0], func(wal.Frame) error { return nil })
	require.NoError(t, err)
	segment, err = wal.ContinueWriter(disk.segments[0], end)
	require.NoError(t, err)
	w := NewWriter(segment, 1<<20, durableAt(0))
	w.SealAfter(time.Minute)
	_, aging := w.Aging()
	require.True(t, aging)
	plan, err = w.Step(began.Add(time.Minute), []*msgs.Epoch{{MustSync: true}})
	require.NoError(t, err)
	require.Len(t, plan.Sealed, 1)
}

func TestPlanMustSyncIfOneEpochAsks(t *testing.T) {
	_, segment := newReplica(t)
	w := NewWriter(segment, 1<<20, durableAt(0))
	seq := uint64(101)
	a, b := commits(&seq, 1, 1), commits(&seq, 1, 1)
	a.MustSync = true
	plan, err := w.Step(began, []*msgs.Epoch{a, b})
	require.NoError(t, err)
	require.True(t, plan.MustSync)

	plan, err = w.Step(began, []*msgs.Epoch{commits(&seq, 1, 1)})
	require.NoError(t, err)
	require.False(t, plan.MustSync, "nothing is left of the step before")
}

func TestFrameSaysWhatWasDurableWhenItWasWritten(t *testing.T) {
	disk, segment := newReplica(t)
	durable := uint64(0)
	w := NewWriter(segment, 1<<20, func() uint64 { return durable })
	seq := uint64(101)
	for _, durable = range []uint64{0, 101, 101, 103} {
		plan, err := w.Step(began, []*msgs.Epoch{commits(&seq, 1, 1)})
		require.NoError(t, err)
		disk.apply(plan)
	}
	var got []uint64
	for _, f := range disk.frames(t) {
		got = append(got, f.Durable)
	}
	require.Equal(t, []uint64{0, 101, 101, 103}, got)
}

func TestSegmentIsSealedBeforeTheEpochThatFindsItFull(t *testing.T) {
	disk, segment := newReplica(t)
	w := NewWriter(segment, wal.HeaderSize+150, durableAt(0))
	seq := uint64(101)
	later := began.Add(time.Minute)
	batch := []*msgs.Epoch{commits(&seq, 1, 200), commits(&seq, 2, 10), commits(&seq, 1, 10)}
	plan, err := w.Step(later, batch)
	require.NoError(t, err)

	require.Len(t, plan.Actions, 3, "append, begin, append")
	require.Nil(t, plan.Actions[0].Begin)
	require.Nil(t, plan.Actions[2].Begin)
	next := plan.Actions[1].Begin
	require.NotNil(t, next)
	require.EqualValues(t, 4, next.Number)
	require.EqualValues(t, 102, next.FirstSeq)
	require.Equal(t, later.UnixMicro(), next.CreatedMicros)

	require.Equal(t, plan.Bytes, disk.apply(plan))
	require.Len(t, disk.frames(t), 3)
	require.Equal(t, []msgs.Segment{{
		Number: 3, FirstSeq: 101, LastSeq: 101,
		Size: int64(len(disk.segments[0])), Digest: wal.DigestOf(disk.segments[0]),
	}}, plan.Sealed)
}

func TestSegmentNeverSplitsAnEpochAndExceedsItsSizeByOneAtMost(t *testing.T) {
	disk, segment := newReplica(t)
	w := NewWriter(segment, wal.HeaderSize+1, durableAt(0))
	seq := uint64(101)
	for range 5 {
		plan, err := w.Step(began, []*msgs.Epoch{commits(&seq, 3, 50)})
		require.NoError(t, err)
		disk.apply(plan)
	}
	require.Len(t, disk.segments, 5)
	require.Len(t, disk.frames(t), 5)
}

func TestEpochThatIsNotContiguousIsRefused(t *testing.T) {
	_, segment := newReplica(t)
	w := NewWriter(segment, 1<<20, durableAt(0))
	seq := uint64(102)
	_, err := w.Step(began, []*msgs.Epoch{commits(&seq, 1, 1)})
	require.ErrorIs(t, err, errs.ErrEncode)
}

func TestMemoryOfALargeEpochIsGivenBack(t *testing.T) {
	_, segment := newReplica(t)
	w := NewWriter(segment, 1<<30, durableAt(0))
	seq := uint64(101)
	_, err := w.Step(began, []*msgs.Epoch{commits(&seq, 1, 2*keptBuffer)})
	require.NoError(t, err)
	plan, err := w.Step(began, []*msgs.Epoch{commits(&seq, 1, 1)})
	require.NoError(t, err)
	require.LessOrEqual(t, cap(plan.buf), keptBuffer)
}

// A frame holds a GiB at most: this takes some memory.
func TestEpochTooLargeForOneFrameBecomesSeveral(t *testing.T) {
	if os.Getenv("AEDB_LONG") == "" {
		t.Skip("AEDB_LONG is not set")
	}
	_, segment := newReplica(t)
	w := NewWriter(segment, 1<<40, durableAt(0))
	value := make([]byte, 400<<20) // shared
	e := &msgs.Epoch{}
	for i := range 3 {
		e.Sets = append(e.Sets, msgs.Changeset{Seq: 101 + uint64(i), Effects: []msgs.Effect{
			{Op: msgs.EffectPut, Space: 5, Key: []byte("k"), Value: value},
		}})
	}
	plan, err := w.Step(began, []*msgs.Epoch{e})
	require.NoError(t, err)
	require.EqualValues(t, 103, plan.LastSeq)
	require.Len(t, plan.Actions, 1, "still one write")
	require.Equal(t, e.Bytes, plan.Bytes)

	_, data, err := wal.NewWriter(header)
	require.NoError(t, err)
	data = append(data, plan.Data(plan.Actions[0])...)
	var sizes []int
	_, end, err := wal.Scan(data, func(f wal.Frame) error { sizes = append(sizes, len(f.Sets)); return nil })
	require.NoError(t, err)
	require.Equal(t, wal.Clean, end.Verdict)
	require.Equal(t, []int{1, 2}, sizes)
}

// However epochs come together and wherever segments end, the log holds every
// commit once and in order, and the plan tells its size and its end.
func TestLogHoldsEveryCommitOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		disk, segment := newReplica(t)
		w := NewWriter(segment, wal.HeaderSize+rapid.Int64Range(1, 2000).Draw(t, "segment"), durableAt(0))
		seq := uint64(101)
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			var batch []*msgs.Epoch
			for range rapid.IntRange(1, 5).Draw(t, "epochs") {
				n := rapid.IntRange(0, 4).Draw(t, "commits")
				batch = append(batch, commits(&seq, n, rapid.IntRange(0, 300).Draw(t, "bytes")))
			}
			plan, err := w.Step(began, batch)
			require.NoError(t, err)
			require.Equal(t, seq-1, plan.LastSeq)
			before := len(disk.segments)
			require.Equal(t, plan.Bytes, disk.apply(plan))
			require.Len(t, plan.Sealed, len(disk.segments)-before)
			for i, s := range plan.Sealed {
				require.Equal(t, wal.DigestOf(disk.segments[before-1+i]), wal.Digest(s.Digest))
				require.EqualValues(t, len(disk.segments[before-1+i]), s.Size)
			}
			for i := 1; i < len(plan.Actions); i++ {
				both := plan.Actions[i-1].Begin == nil && plan.Actions[i].Begin == nil
				require.False(t, both, "appends that follow each other are one")
			}
		}
		next := uint64(101)
		for _, f := range disk.frames(t) {
			for _, set := range f.Sets {
				require.Equal(t, next, set.Seq)
				next++
			}
		}
		require.Equal(t, seq, next)
	})
}

func TestAbortLeavesTheOutcomeOpen(t *testing.T) {
	a, b := msgs.NewTicket(nil, 0), msgs.NewTicket(nil, 0)
	a.Resolve(msgs.Result{CommitSeq: 5})
	cause := errors.New("disk on fire")
	Abort(&msgs.Epoch{Answers: []msgs.Answer{{Ticket: a}, {Ticket: b}}}, cause)
	_, err := a.Wait(context.Background())
	require.NoError(t, err, "an answer that was given stands")
	_, err = b.Wait(context.Background())
	require.ErrorIs(t, err, errs.ErrIndeterminate)
	require.ErrorIs(t, err, cause)
}

func BenchmarkWriterStep(b *testing.B) {
	_, segment := newReplica(b)
	w := NewWriter(segment, 1<<40, durableAt(0))
	seq := uint64(101)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		e := commits(&seq, 16, 100)
		b.StartTimer()
		if _, err := w.Step(began, []*msgs.Epoch{e}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestVolatileCommitsAreToldOfWithTheNextFrame(t *testing.T) {
	r, segment := newReplica(t)
	w, seq := NewWriter(segment, 1<<20, durableAt(0)), uint64(101)
	volatile := func(n int) *msgs.Epoch {
		e := commits(&seq, n, 100)
		for i := range e.Sets {
			e.Sets[i].Volatile = true
		}
		return e
	}
	step := func(epochs ...*msgs.Epoch) *Plan {
		p, err := w.Step(began, epochs)
		require.NoError(t, err)
		r.apply(p)
		return p
	}
	require.Empty(t, step(volatile(2)).Actions)
	require.Equal(t, uint64(100), step(volatile(1)).LastSeq, "the log knows nothing of them")

	require.Equal(t, uint64(104), step(commits(&seq, 1, 10)).LastSeq)
	frames := r.frames(t)
	require.Len(t, frames, 1)
	for i, want := range []bool{true, true, true, false} {
		require.Equal(t, want, frames[0].Sets[i].Volatile)
		require.Equal(t, uint64(101+i), frames[0].Sets[i].Seq)
	}

	step(volatile(1))
	require.Equal(t, uint64(105), step(&msgs.Epoch{MustSync: true}).LastSeq, "a flush leaves nothing untold")
	step(volatile(heldMost))
	require.Equal(t, uint64(106+heldMost), step(volatile(1)).LastSeq, "the number that is held is bounded")

	p, err := w.Last(began)
	require.NoError(t, err)
	require.Nil(t, p)
	step(volatile(1))
	p, err = w.Last(began)
	require.NoError(t, err)
	r.apply(p)
	require.Equal(t, seq-1, p.LastSeq)
	require.Empty(t, p.Epochs)
	require.Len(t, r.frames(t), 4)
}
