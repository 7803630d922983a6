package walwriter

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// file is a file whose syncs and closes are counted, and can fail.
type file struct {
	name          string
	syncs, closes int
	err           error
}

func (f *file) Sync() error  { f.syncs++; return f.err }
func (f *file) Close() error { f.closes++; return nil }

// after returns the moment so many milliseconds from the beginning.
func after(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }

// do steps and performs, as the shell does.
func do(t require.TestingT, f *Fsyncer, now time.Time, batch ...*msgs.Written) *msgs.Publication {
	o := f.Step(now, batch)
	require.NoError(t, o.Perform())
	return land(t, f, o)
}

// land lands an order and returns what goes out then.
func land(t require.TestingT, f *Fsyncer, o *Order) (out *msgs.Publication) {
	require.NoError(t, f.Land(o, after(1), func(p *msgs.Publication) error {
		require.Nil(t, out)
		out = p
		return nil
	}))
	return out
}

func TestFsyncerSyncsWhenItsPolicySays(t *testing.T) {
	type event struct {
		at      int // milliseconds
		bytes   int64
		must    bool
		synced  uint64 // afterwards
		wake    int    // milliseconds, afterwards; 0 for never
		unasked bool   // the deadline has come, no message
	}
	for name, c := range map[string]struct {
		policy Policy
		events []event
	}{
		"always, after every write": {Policy{Always: true}, []event{
			{at: 0, bytes: 10, synced: 1},
			{at: 1, bytes: 10, synced: 2},
		}},
		"never, unless asked": {Policy{}, []event{
			{at: 0, bytes: 1 << 40, synced: 0},
			{at: 1_000_000, bytes: 1, synced: 0},
			{at: 1_000_001, bytes: 1, must: true, synced: 3},
			{at: 1_000_002, bytes: 1, synced: 3},
			{at: 1_000_003, must: true, synced: 5}, // a flush writes nothing itself
		}},
		"by interval, from the first byte that is not synced": {Policy{Interval: 10 * time.Millisecond}, []event{
			{at: 3, bytes: 1, synced: 0, wake: 13},
			{at: 9, bytes: 1, synced: 0, wake: 13},
			{at: 13, unasked: true, synced: 2},
			{at: 100, bytes: 1, synced: 2, wake: 110},
			{at: 109, unasked: true, synced: 2, wake: 110}, // woken too early
			{at: 111, bytes: 1, synced: 4},                 // messages kept coming
		}},
		"by interval, restarted by a sync for another reason": {Policy{Interval: 10 * time.Millisecond}, []event{
			{at: 0, bytes: 1, synced: 0, wake: 10},
			{at: 5, bytes: 1, must: true, synced: 2},
			{at: 10, unasked: true, synced: 2},
			{at: 12, bytes: 1, synced: 2, wake: 22},
		}},
		"by bytes": {Policy{Bytes: 100}, []event{
			{at: 0, bytes: 60, synced: 0},
			{at: 1, bytes: 39, synced: 0},
			{at: 2, bytes: 1, synced: 3},
			{at: 3, bytes: 99, synced: 3},
			{at: 4, bytes: 500, synced: 5},
		}},
		"by bytes or interval": {Policy{Interval: 10 * time.Millisecond, Bytes: 100}, []event{
			{at: 0, bytes: 100, synced: 1},
			{at: 20, bytes: 1, synced: 1, wake: 30},
			{at: 30, unasked: true, synced: 2},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			log := &file{}
			f := NewFsyncer(c.policy, 0, log)
			seq := uint64(0)
			for _, e := range c.events {
				before, was := log.syncs, f.Synced()
				var said *msgs.Publication
				if e.unasked {
					said = do(t, f, after(e.at))
				} else {
					seq++
					said = do(t, f, after(e.at), &msgs.Written{LastSeq: seq, Bytes: e.bytes, MustSync: e.must, File: log})
				}
				require.Equal(t, e.synced, f.Synced(), "at %d", e.at)
				if f.Synced() > was {
					require.Equal(t, before+1, log.syncs, "one sync at %d", e.at)
					require.Equal(t, e.synced, said.Durable)
				} else {
					require.Equal(t, before, log.syncs, "no sync at %d", e.at)
					require.Nil(t, said, "nothing to say at %d", e.at)
				}
				at, ok := f.Wake()
				require.Equal(t, e.wake != 0, ok, "at %d", e.at)
				if ok {
					require.Equal(t, after(e.wake), at)
				}
			}
		})
	}
}

func TestOneSyncServesAllThatWait(t *testing.T) {
	log := &file{}
	f := NewFsyncer(Policy{Always: true}, 100, log)
	a, b, c := &msgs.Epoch{Number: 1}, &msgs.Epoch{Number: 2}, &msgs.Epoch{Number: 3}
	said := do(t, f, began,
		&msgs.Written{LastSeq: 105, Bytes: 10, Epochs: []*msgs.Epoch{a, b}, File: log},
		&msgs.Written{LastSeq: 106, Bytes: 10, Epochs: []*msgs.Epoch{c}, File: log})
	require.Equal(t, 1, log.syncs)
	require.Equal(t, &msgs.Publication{Epochs: []*msgs.Epoch{a, b, c}, Durable: 106}, said)
	require.EqualValues(t, 106, f.Synced())
}

func TestEpochsThatWroteNothingPassWithoutASync(t *testing.T) {
	log := &file{}
	f := NewFsyncer(Policy{Always: true}, 100, log)
	duplicates := &msgs.Epoch{}
	said := do(t, f, began, &msgs.Written{LastSeq: 100, Epochs: []*msgs.Epoch{duplicates}, File: log})
	require.Zero(t, log.syncs)
	require.Equal(t, &msgs.Publication{Epochs: []*msgs.Epoch{duplicates}}, said)
}

func TestFlushOfAnEmptyStoreIsPublished(t *testing.T) {
	log := &file{}
	f := NewFsyncer(Policy{Always: true}, 0, log)
	said := do(t, f, began, &msgs.Written{MustSync: true, Epochs: []*msgs.Epoch{{MustSync: true}}, File: log})
	require.Zero(t, log.syncs)
	require.Len(t, said.Epochs, 1)
}

func TestNothingIsDurableBeforeItsSyncHasReturned(t *testing.T) {
	log := &file{err: errors.New("EIO")}
	f := NewFsyncer(Policy{Always: true}, 100, log)
	o := f.Step(began, []*msgs.Written{{LastSeq: 101, Bytes: 10, File: log}})
	require.EqualValues(t, 100, f.Synced(), "only decided")
	err := o.Perform()
	require.ErrorIs(t, err, errs.ErrIO)
	require.ErrorIs(t, err, log.err)
	require.EqualValues(t, 100, f.Synced(), "failed")
}

func TestSyncIsOfTheNewestFileAndRetiredFilesAreClosedOnce(t *testing.T) {
	for _, failing := range []bool{false, true} {
		a, b, c := &file{name: "a"}, &file{name: "b"}, &file{name: "c"}
		if failing {
			c.err = errors.New("EIO")
		}
		f := NewFsyncer(Policy{Always: true}, 0, a)
		batch := []*msgs.Written{
			{LastSeq: 1, Bytes: 10, File: a},
			{LastSeq: 2, Bytes: 10, File: b, Retired: a, Sealed: []msgs.Segment{{Number: 1}}},
			{LastSeq: 3, Bytes: 10, File: c, Retired: b, Sealed: []msgs.Segment{{Number: 2}}},
		}
		o := f.Step(began, batch)
		require.Equal(t, failing, o.Perform() != nil)
		require.Equal(t, []int{0, 0, 1}, []int{a.syncs, b.syncs, c.syncs}, "the writer has synced what it left")
		require.Zero(t, a.closes+b.closes, "an order before may still be about to sync them")
		if failing {
			require.Empty(t, f.Abandon())
		} else {
			require.Equal(t, []msgs.Segment{{Number: 1}, {Number: 2}}, land(t, f, o).Sealed)
		}
		require.Equal(t, []int{1, 1, 0}, []int{a.closes, b.closes, c.closes}, "failing %v", failing)
		for _, w := range batch {
			require.Nil(t, w.Retired, "what the fsyncer closes nobody else may close")
		}
	}
}

func TestSealedSegmentsAreToldWithoutASync(t *testing.T) {
	a, b := &file{}, &file{}
	f := NewFsyncer(Policy{}, 0, a)
	said := do(t, f, began, &msgs.Written{LastSeq: 2, Bytes: 10, File: b, Retired: a, Sealed: []msgs.Segment{{Number: 1}}})
	require.Equal(t, &msgs.Publication{Sealed: []msgs.Segment{{Number: 1}}}, said)
	require.Equal(t, 1, a.closes)
	require.Zero(t, b.syncs)
}

func TestLastOrderLeavesNothingUnsynced(t *testing.T) {
	log := &file{}
	f := NewFsyncer(Policy{Interval: time.Hour}, 100, log)
	require.Nil(t, land(t, f, f.Last()), "nothing was written")
	do(t, f, began, &msgs.Written{LastSeq: 105, Bytes: 10, File: log})
	o := f.Last()
	require.NoError(t, o.Perform())
	require.EqualValues(t, 105, land(t, f, o).Durable)
	require.Equal(t, 1, log.syncs)
	require.EqualValues(t, 105, f.Synced())
	require.Nil(t, land(t, f, f.Last()))
	require.Equal(t, 1, log.syncs)
}

// Orders that are under way at once come to their end in the order in which they
// were given: epochs go out once and in the order of the log, never before their
// own sync has returned, and a file is not closed while an order before is about to
// sync it.
func TestOrdersUnderWayAtOnceEndInOrder(t *testing.T) {
	a, b := &file{}, &file{}
	f := NewFsyncer(Policy{Always: true}, 0, a)
	epoch := func(n uint64) []*msgs.Epoch { return []*msgs.Epoch{{Number: n}} }
	first := f.Step(began, []*msgs.Written{{LastSeq: 1, Bytes: 10, File: a, Epochs: epoch(1)}})
	second := f.Step(began, []*msgs.Written{{
		LastSeq: 2, Bytes: 10, File: b, Retired: a, Epochs: epoch(2), Sealed: []msgs.Segment{{Number: 1}},
	}})
	third := f.Step(began, []*msgs.Written{{LastSeq: 2, File: b, Epochs: epoch(3)}}) // has nothing to sync
	require.NoError(t, third.Perform())
	require.Nil(t, land(t, f, third))
	require.NoError(t, second.Perform())
	require.Nil(t, land(t, f, second))
	require.Zero(t, f.Synced())
	require.Zero(t, a.closes)
	require.NoError(t, first.Perform())
	require.Equal(t, &msgs.Publication{
		Epochs: []*msgs.Epoch{{Number: 1}, {Number: 2}, {Number: 3}}, Durable: 2, Sealed: []msgs.Segment{{Number: 1}},
	}, land(t, f, first))
	require.EqualValues(t, 2, f.Synced())
	require.Equal(t, 1, a.closes)
	require.Empty(t, f.Abandon())
}

func TestWhatWaitsForOrdersThatNeverEndIsAbandonedOnce(t *testing.T) {
	a, b := &file{}, &file{err: errors.New("EIO")}
	f := NewFsyncer(Policy{Always: true}, 0, a)
	first := f.Step(began, []*msgs.Written{{LastSeq: 1, Bytes: 10, File: b, Retired: a, Epochs: []*msgs.Epoch{{Number: 1}}}})
	second := f.Step(began, []*msgs.Written{{LastSeq: 2, Bytes: 10, File: b, Epochs: []*msgs.Epoch{{Number: 2}}}})
	require.Error(t, first.Perform())
	require.Nil(t, land(t, f, second), "its own sync has not been followed by the one before it")
	require.Len(t, f.Abandon(), 2)
	require.Equal(t, 1, a.closes)
	require.Empty(t, f.Abandon())
	require.Nil(t, land(t, f, second))
	require.Zero(t, f.Synced())
}

func TestPublicationThatIsRefusedStaysToBeAbandoned(t *testing.T) {
	log, refusal := &file{}, errors.New("the publisher is gone")
	f := NewFsyncer(Policy{Always: true}, 0, log)
	o := f.Step(began, []*msgs.Written{{LastSeq: 1, Bytes: 10, File: log, Epochs: []*msgs.Epoch{{Number: 1}}}})
	require.NoError(t, o.Perform())
	require.ErrorIs(t, f.Land(o, after(1), func(*msgs.Publication) error { return refusal }), refusal)
	require.Len(t, f.Abandon(), 1)
}

func TestBatchBehindASyncGathersForAWhileThoseWhoWereHereLately(t *testing.T) {
	log := &file{}
	f := NewFsyncer(Policy{Always: true}, 0, log)
	batch := func(requests int) []*msgs.Written {
		return []*msgs.Written{{LastSeq: 1, Bytes: 10, File: log, Epochs: []*msgs.Epoch{{Answers: make([]msgs.Answer, requests)}}}}
	}
	require.False(t, f.Gather(after(1), batch(1), 8), "there was no sync")
	do(t, f, began, batch(1)...) // and lands after 1 ms
	require.True(t, f.Gather(after(1), batch(6), 8))
	require.False(t, f.Gather(after(1), batch(7), 8), "most are there")
	require.False(t, f.Gather(after(2), batch(1), 8), "long after the sync")
	require.False(t, f.Gather(after(1), batch(1), 1), "a lone caller")
	require.False(t, f.Gather(after(1), batch(0), 8), "nobody waits for it")
}

func TestPatienceFollowsWhatSyncsUsuallyTake(t *testing.T) {
	log := &file{}
	f := NewFsyncer(Policy{Always: true}, 0, log)
	sync := func(took time.Duration) {
		o := f.Step(began, []*msgs.Written{{LastSeq: 1, Bytes: 10, File: log}})
		require.NoError(t, o.Perform())
		require.NoError(t, f.Land(o, began.Add(took), func(*msgs.Publication) error { return nil }))
	}
	for range 50 {
		sync(100 * time.Microsecond)
	}
	require.Equal(t, 4*100*time.Microsecond, f.Patience())
	sync(10 * time.Millisecond)
	require.Less(t, f.Patience(), 4*time.Millisecond, "one that is slow is not usual")
	for range 50 {
		sync(100 * time.Microsecond)
	}
	require.Less(t, f.Patience(), 410*time.Microsecond)
}

// Whatever arrives when, and whatever the policy: the durable head is never above
// what a sync has covered, epochs come out once and in order, and every retired
// file is closed once.
func TestDurableHeadIsNeverAboveWhatWasSynced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := Policy{
			Always:   rapid.Bool().Draw(t, "always"),
			Interval: time.Duration(rapid.IntRange(0, 20).Draw(t, "interval")) * time.Millisecond,
			Bytes:    rapid.Int64Range(0, 100).Draw(t, "limit"),
		}
		files := []*file{{}}
		f := NewFsyncer(policy, 0, files[0])
		var seq, covered, number uint64
		var in, out []*msgs.Epoch
		ms := 0
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			ms += rapid.IntRange(0, 15).Draw(t, "pause")
			var batch []*msgs.Written
			for range rapid.IntRange(0, 3).Draw(t, "messages") {
				w := &msgs.Written{Bytes: rapid.Int64Range(0, 60).Draw(t, "bytes"), MustSync: rapid.IntRange(0, 5).Draw(t, "must") == 0}
				if w.Bytes > 0 {
					seq++
				}
				if w.Bytes > 0 && rapid.IntRange(0, 4).Draw(t, "rotate") == 0 {
					old := files[len(files)-1]
					files = append(files, &file{})
					w.Retired = old
				}
				number++
				w.Epochs = []*msgs.Epoch{{Number: number}}
				in = append(in, w.Epochs...)
				w.LastSeq, w.File = seq, files[len(files)-1]
				batch = append(batch, w)
			}
			newest := files[len(files)-1]
			before := newest.syncs
			said := do(t, f, after(ms), batch...)
			if newest.syncs > before {
				covered = seq
			}
			require.LessOrEqual(t, f.Synced(), covered)
			if said != nil {
				require.LessOrEqual(t, said.Durable, covered)
				out = append(out, said.Epochs...)
			}
			if at, ok := f.Wake(); ok {
				require.True(t, at.After(after(ms)), "a deadline in the past keeps the stage spinning")
			}
		}
		o := f.Last()
		require.NoError(t, o.Perform())
		land(t, f, o)
		require.Equal(t, seq, f.Synced())
		require.Equal(t, in, out)
		for i, file := range files {
			require.Equal(t, i < len(files)-1, file.closes == 1)
		}
	})
}
