package feed_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/feed"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
	"github.com/empyrealapp/aedb-go/wal"
)

// filled returns a store with a project, and a commit of a key-value entry for
// each seq after that, in segments of four commits.
func filled(t testing.TB, last uint64) *store {
	s := newStore(t)
	s.commit(define(catalog.CreateProject{Project: "p"}))
	for s.working.Seq() < last {
		if s.working.Seq()%4 == 0 {
			s.rotate()
		}
		s.commit(set("app", fmt.Sprintf("key-%03d", s.working.Seq()+1), "v"))
	}
	return s
}

func seqs(deltas []feed.Delta) []uint64 {
	var out []uint64
	for _, d := range deltas {
		out = append(out, d.Seq)
	}
	return out
}

func span(first, last uint64) []uint64 {
	var out []uint64
	for ; first <= last; first++ {
		out = append(out, first)
	}
	return out
}

func TestEveryCommitBehindTheStartIsToldOnceWhereverItIs(t *testing.T) {
	s := filled(t, 14)
	for floor := range uint64(14) {
		s.forget(floor)
		for from := range uint64(14) {
			deltas := s.collect(from, feed.Options{})
			require.Equal(t, span(from+1, 14), seqs(deltas))
			for _, d := range deltas {
				require.Equal(t, d.Seq > floor || from >= floor, d.BeforeKnown, "commit %d, memory from %d", d.Seq, floor)
			}
		}
	}
}

func TestCommitsMadeWhileItWaitsAreTold(t *testing.T) {
	s := filled(t, 3)
	next := uint64(4)
	made := make(chan struct{})
	go func() {
		defer close(made)
		for range 20 {
			s.commit(set("app", "k", "v"))
		}
	}()
	for d, err := range s.feed().Changes(t.Context(), 3, feed.Options{}) {
		require.NoError(t, err)
		require.Equal(t, next, d.Seq)
		if next++; next > 23 {
			break
		}
	}
	<-made
}

func TestConsumerThatFallsBehindReadsTheLogAndComesBack(t *testing.T) {
	s := filled(t, 3)
	next, known := uint64(1), []uint64(nil)
	for d, err := range s.feed().Changes(t.Context(), 0, feed.Options{}) {
		require.NoError(t, err)
		require.Equal(t, next, d.Seq)
		if d.BeforeKnown {
			known = append(known, d.Seq)
		}
		if next == 2 { // memory goes past it by more than a page
			for range 300 {
				s.commit(set("app", "k", "v"))
			}
			s.forget(280)
		}
		if next == 303 {
			break
		}
		next++
	}
	require.Contains(t, known, uint64(1))
	require.NotContains(t, known, uint64(200))
	require.Contains(t, known, uint64(300))
}

func TestSeqThatIsNotRetainedIsAnErrorThatNamesTheOldest(t *testing.T) {
	s := filled(t, 9)
	s.checkpoint()
	for range 8 {
		s.commit(set("app", "k", "v"))
		s.rotate()
	}
	s.checkpoint() // releases what is below 9, which a recovery may fall back to
	s.forget(16)
	for from := range uint64(9) {
		for d, err := range s.feed().Changes(t.Context(), from, feed.Options{}) {
			require.ErrorIs(t, err, errs.ErrSeqGarbageCollected)
			require.ErrorContains(t, err, "the oldest seq to go on from is 9")
			require.Zero(t, d)
		}
		deltas := s.collect(from, feed.Options{SkipMissed: true})
		require.Equal(t, feed.Delta{Seq: 9, Missed: 9 - from}, deltas[0])
		require.Equal(t, span(10, 17), seqs(deltas[1:]))
	}
	require.Equal(t, span(10, 17), seqs(s.collect(9, feed.Options{})))
	require.Equal(t, span(13, 17), seqs(s.collect(12, feed.Options{})))
}

func TestSegmentRemovedBeforeItIsReadEndsExplicitly(t *testing.T) {
	s := filled(t, 14)
	s.forget(13)
	for _, skip := range []bool{false, true} {
		var got []uint64
		var missed uint64
		var end error
		for d, err := range s.feed().Changes(t.Context(), 0, feed.Options{SkipMissed: skip}) {
			if end = err; err != nil {
				break
			}
			got, missed = append(got, d.Seq), missed+d.Missed
			if d.Seq == 2 { // in the first segment, of four
				_ = s.fsys.Remove(path.Join(dir, wal.SegmentName(2)))
			}
			if d.Seq == 14 {
				break
			}
		}
		if skip {
			require.NoError(t, end)
			require.Equal(t, []uint64{1, 2, 3, 4, 13, 14}, got)
			require.EqualValues(t, 9, missed)
		} else {
			require.ErrorIs(t, end, errs.ErrSeqGarbageCollected)
			require.Equal(t, span(1, 4), got)
		}
		if !skip { // put it back for the second run
			s = filled(t, 14)
			s.forget(13)
		}
	}
}

func TestWhatIsWrittenButNotVisibleIsNotTold(t *testing.T) {
	s := filled(t, 7)
	s.forget(6)
	s.mu.Lock()
	s.visible = 6
	s.mu.Unlock()
	// A frame that is still being written.
	_, err := s.file.WriteAt([]byte("half a frame"), s.writer.Size())
	require.NoError(t, err)
	require.Equal(t, span(3, 6), seqs(collect(t, s.feed(), 2, 6, feed.Options{})))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.feed().Changes(ctx, 6, feed.Options{}) {
		require.ErrorIs(t, err, errs.ErrCanceled)
	}
}

func TestDamageInTheLogIsNotPassedOver(t *testing.T) {
	s := filled(t, 7)
	s.forget(7)
	name := path.Join(dir, wal.SegmentName(2))
	f, err := s.fsys.OpenReadWrite(name)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{0xff, 0xff}, wal.HeaderSize+20)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	var got []uint64
	for d, err := range s.feed().Changes(t.Context(), 0, feed.Options{SkipMissed: true}) {
		if err != nil {
			require.Equal(t, errs.CodeIntegrity, errs.CodeOf(err))
			break
		}
		got = append(got, d.Seq)
	}
	require.Equal(t, span(1, 4), got)
}

func TestStartAboveTheNewestCommitIsRefused(t *testing.T) {
	s := filled(t, 2)
	for _, err := range s.feed().Changes(t.Context(), 3, feed.Options{}) {
		require.ErrorIs(t, err, errs.ErrSeqNotYetVisible)
	}
}

func TestSubscriptionEndsWithContextAndStore(t *testing.T) {
	wait := func(s *store, ctx context.Context) (end error) {
		for d, err := range s.feed().Changes(ctx, 0, feed.Options{}) {
			if end = err; err == nil && d.Seq == 2 {
				close(s.broken)
			}
		}
		return end
	}
	// What is visible comes before the end.
	require.ErrorIs(t, wait(filled(t, 5), t.Context()), errs.ErrUnavailable)

	closed := filled(t, 5)
	close(closed.closed)
	require.ErrorIs(t, wait(closed, t.Context()), errs.ErrUnavailable)

	behind := filled(t, 5)
	behind.forget(4)
	close(behind.closed) // the log is no longer there to be read
	for d, err := range behind.feed().Changes(t.Context(), 0, feed.Options{}) {
		require.Zero(t, d)
		require.ErrorIs(t, err, errs.ErrUnavailable)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	require.ErrorIs(t, wait(filled(t, 5), ctx), context.Canceled)
}

func TestStatsShowTheSlowestSubscriber(t *testing.T) {
	s := filled(t, 5)
	f := s.feed()
	for range f.Changes(t.Context(), 3, feed.Options{}) {
		for range f.Changes(t.Context(), 1, feed.Options{}) {
			require.Equal(t, feed.Stats{Subscribers: 2, Delivered: 2, Lag: 4}, f.Stats())
			break
		}
		break
	}
	require.Equal(t, feed.Stats{Delivered: 2}, f.Stats())
}

// entries returns what a state holds of users' data, as a consumer would.
func entries(image *state.Image) map[string]string {
	out := map[string]string{}
	for p := range image.Catalog().Projects() {
		for sc := range image.Catalog().Scopes(p) {
			cursor := image.Cursor(sc.ID)
			for cursor.First(); cursor.Valid(); cursor.Next() {
				_, payload, err := record.SplitKV(cursor.Value())
				if err != nil {
					panic(err)
				}
				out[sc.Name+"//"+string(cursor.Key())] = string(payload)
			}
			for t := range image.Catalog().Tables(sc) {
				cursor := image.Cursor(t.ID)
				for cursor.First(); cursor.Valid(); cursor.Next() {
					r := record.Row{Table: t, Key: cursor.Key(), Data: cursor.Value()}
					row := r.Values(nil)
					out[sc.Name+"/"+t.Name+"/"+fmt.Sprint(t.KeyOf(row))] = fmt.Sprint(row)
				}
			}
		}
	}
	return out
}

// apply makes a change to such a map, and checks what it says of the state before.
func apply(t require.TestingT, m map[string]string, d *feed.Delta) {
	for _, c := range d.Changes {
		place, after, before := c.Scope+"/"+c.Table+"/", "", ""
		switch {
		case c.Table != "":
			after, before = fmt.Sprint(c.After.Row), fmt.Sprint(c.Before.Row)
		default:
			after, before = string(c.After.Value), string(c.Before.Value)
		}
		if c.PrimaryKey != nil {
			place += fmt.Sprint(c.PrimaryKey)
		} else {
			place += string(c.Key)
		}
		old, existed := m[place]
		switch c.Kind {
		case feed.Insert, feed.Update, feed.Put:
			m[place] = after
		case feed.Delete:
			delete(m, place)
		case feed.DropTable, feed.DropScope:
			maps.DeleteFunc(m, func(key, _ string) bool { return len(key) >= len(place) && key[:len(place)] == place })
		}
		if d.BeforeKnown && c.Kind <= feed.Delete {
			require.Equal(t, c.Kind != feed.Insert, existed)
			if existed {
				require.Equal(t, old, before)
			}
		}
	}
}

func TestDeltasAppliedInOrderGiveTheStateAtEverySeq(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newStore(t)
		s.commit(define(catalog.CreateProject{Project: "p"}, catalog.CreateScope{Project: "p", Scope: "s"}))
		states := map[uint64]map[string]string{1: {}}
		kinds := []value.Kind{value.KindInteger, value.KindText}
		random := func(w *state.Working) {
			name := rapid.SampledFrom([]string{"t", "u"}).Draw(rt, "table")
			scope := rapid.SampledFrom([]string{"app", "s"}).Draw(rt, "scope")
			tab, _ := w.Catalog().Table("p", "app", name)
			_, missing := w.Catalog().Scope("p", scope)
			n := rapid.Int64Range(0, 3).Draw(rt, "n")
			key := value.Int(n)
			if tab != nil && tab.Columns[0].Kind == value.KindText {
				key = value.Text(fmt.Sprint("k", n))
			}
			switch op := rapid.IntRange(0, 9).Draw(rt, "op"); {
			case missing != nil:
				define(catalog.CreateScope{Project: "p", Scope: scope})(w)
			case op == 0 && scope == "s":
				define(catalog.DropScope{Project: "p", Scope: scope})(w)
			case op <= 3:
				set(scope, fmt.Sprint(n), fmt.Sprint(w.Seq()))(w)
			case op == 4:
				unset(scope, fmt.Sprint(n))(w)
			case tab == nil:
				define(table(name, rapid.SampledFrom(kinds).Draw(rt, "kind"), value.KindU64,
					catalog.IndexSpec{Name: "by_v", Columns: []string{"v"}}))(w)
			case op == 5:
				define(catalog.DropTable{Project: "p", Scope: "app", Table: name})(w)
			case op == 6:
				remove(name, key)(w)
			default:
				put(name, key, value.U64(w.Seq()))(w)
			}
		}
		for range rapid.IntRange(1, 12).Draw(rt, "commits") {
			changes := rapid.IntRange(1, 6).Draw(rt, "changes")
			seq := s.commit(func(w *state.Working) {
				for range changes {
					random(w)
				}
			})
			states[seq] = entries(s.working.Freeze())
			switch rapid.IntRange(0, 5).Draw(rt, "files") {
			case 0:
				s.rotate()
			case 1:
				s.checkpoint()
			}
		}
		last := s.working.Seq()
		s.forget(rapid.Uint64Range(0, last).Draw(rt, "floor"))
		from := rapid.Uint64Range(1, last).Draw(rt, "from")
		seq := from
		m := maps.Clone(states[from])
		for _, d := range s.collect(from, feed.Options{AllCommits: true, SkipMissed: true}) {
			if d.Missed > 0 {
				m = maps.Clone(states[d.Seq])
			} else {
				require.Equal(rt, seq+1, d.Seq)
				apply(rt, m, &d)
			}
			seq = d.Seq
			require.Equal(rt, states[seq], m, "commit %d", seq)
		}
		require.Equal(rt, last, seq)
	})
}
