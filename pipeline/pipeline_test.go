package pipeline

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var modes = []Durability{Full, Batch, OsBuffered}

// eachMode runs a test in each durability mode.
func eachMode(t *testing.T, f func(t *testing.T, d Durability)) {
	for _, d := range modes {
		t.Run(d.String(), func(t *testing.T) { f(t, d) })
	}
}

func TestConcurrentCommitsGetContiguousSeqsAndAreAllThere(t *testing.T) {
	eachMode(t, func(t *testing.T, d Durability) {
		const callers, each = 10, 100
		cfg := config(d)
		cfg.EpochCommits, cfg.SegmentBytes = 7, 4<<10
		mem := vfs.NewMem()
		s := open(t, mem, storeDir, cfg)
		first := s.Heads().Visible().Seq() + 1

		var mu sync.Mutex
		keys := map[uint64]string{} // by seq
		together(callers, func(c int) {
			last := uint64(0)
			for i := range each {
				key := fmt.Sprintf("key-%d-%d", c, i)
				r, err := s.commit(set(key, key))
				if err != nil || r.CommitSeq <= last {
					t.Errorf("commit %d after %d: %v", r.CommitSeq, last, err)
					return
				}
				last = r.CommitSeq
				if s.Heads().Visible().Seq() < r.CommitSeq {
					t.Errorf("commit %d was answered before it was visible", r.CommitSeq)
				}
				mu.Lock()
				keys[r.CommitSeq] = key
				mu.Unlock()
			}
		})
		require.Len(t, keys, callers*each)
		check := func(s *store) {
			image := s.Heads().Visible()
			require.Equal(t, first+callers*each-1, image.Seq())
			for seq := first; seq <= image.Seq(); seq++ {
				require.Contains(t, keys, seq)
				require.Equal(t, keys[seq], get(t, image, keys[seq]))
			}
		}
		check(s)
		// Each is visible at its own seq and not before.
		for seq := image(s); seq > s.History().Oldest() && seq > image(s)-20; seq-- {
			at, err := s.History().At(seq, s.Heads().Visible())
			require.NoError(t, err)
			require.Equal(t, keys[seq], get(t, at, keys[seq]))
			before, err := s.History().At(seq-1, s.Heads().Visible())
			require.NoError(t, err)
			require.Empty(t, get(t, before, keys[seq]))
		}
		require.NoError(t, s.Stop(t.Context()))
		check(open(t, mem, storeDir, cfg))
	})
}

func image(s *store) uint64 { return s.Heads().Visible().Seq() }

func TestRequestIsAppliedOnceHoweverOftenItIsInFlight(t *testing.T) {
	eachMode(t, func(t *testing.T, d Durability) {
		s := open(t, vfs.NewMem(), storeDir, config(d))
		before := image(s)
		const callers = 20
		var mu sync.Mutex
		outcomes := map[msgs.Outcome]int{}
		together(callers, func(int) {
			for key := range uint64(10) {
				r, err := s.commit(keyed(set(fmt.Sprint("key-", key), "v"), key))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				outcomes[r.Outcome]++
				mu.Unlock()
			}
		})
		require.Equal(t, map[msgs.Outcome]int{msgs.Applied: 10, msgs.Duplicate: 10 * (callers - 1)}, outcomes)
		require.Equal(t, before+10, image(s))
	})
}

func TestAnswerTellsWhatIsDurable(t *testing.T) {
	ctx := context.Background()
	t.Run("full", func(t *testing.T) {
		s := open(t, vfs.NewMem(), storeDir, config(Full))
		r := s.mustCommit(set("k", "v"))
		require.GreaterOrEqual(t, r.DurableSeq, r.CommitSeq)
		require.Equal(t, s.Heads().Visible(), s.Heads().DurableImage())
		require.Positive(t, r.Stages.Sync)
		require.NoError(t, s.Heads().WaitDurable(ctx, r.CommitSeq))
	})
	for _, d := range []Durability{Batch, OsBuffered} {
		t.Run(d.String(), func(t *testing.T) {
			s := open(t, vfs.NewMem(), storeDir, config(d))
			r := s.mustCommit(set("k", "v"))
			require.Less(t, r.DurableSeq, r.CommitSeq)
			require.Zero(t, r.Stages.Sync)
			require.Equal(t, "v", get(t, s.Heads().Visible(), "k"))
			require.Less(t, s.Heads().DurableImage().Seq(), r.CommitSeq)

			waiting := make(chan error, 1)
			go func() { waiting <- s.Heads().WaitDurable(ctx, r.CommitSeq) }()
			durable, err := s.Flush(ctx)
			require.NoError(t, err)
			require.Equal(t, r.CommitSeq, durable)
			require.NoError(t, <-waiting)
			require.Equal(t, "v", get(t, s.Heads().DurableImage(), "k"))

			// A duplicate tells the truth about the commit of the original.
			first := s.mustCommit(keyed(set("k", "w"), 1))
			again := s.mustCommit(keyed(set("k", "w"), 1))
			require.Equal(t, msgs.Duplicate, again.Outcome)
			require.Equal(t, first.CommitSeq, again.CommitSeq)
			require.Less(t, again.DurableSeq, again.CommitSeq)
		})
	}
}

func TestEconomicCommitIsDurableWhenItIsVisible(t *testing.T) {
	for _, d := range []Durability{Batch, OsBuffered} {
		t.Run(d.String(), func(t *testing.T) {
			mem := vfs.NewMem()
			s := open(t, mem, storeDir, config(d))
			s.mustCommit(set("before", "v"))
			r := s.mustCommit(economic(set("money", "100")))
			require.GreaterOrEqual(t, r.DurableSeq, r.CommitSeq)
			require.Positive(t, r.Stages.Sync, "the wait for the sync is told as such")
			require.Equal(t, "100", get(t, s.Heads().DurableImage(), "money"))
			s.mustCommit(set("after", "v"))

			// What was committed before it is durable with it; what came after is not.
			after := open(t, mem.Crash(vfs.AllLost()), storeDir, config(d))
			require.Equal(t, "v", get(t, after.Heads().Visible(), "before"))
			require.Equal(t, "100", get(t, after.Heads().Visible(), "money"))
			require.Empty(t, get(t, after.Heads().Visible(), "after"))
			require.Equal(t, r.CommitSeq, after.Heads().Durable())
		})
	}
}

func TestCommitsBehindAnEconomicOneWaitForItAndComeOutInOrder(t *testing.T) {
	mem := vfs.NewMem()
	s := open(t, mem, storeDir, config(OsBuffered))
	release := jam(t, mem, vfs.OpSync)
	slow, err := s.submit(t.Context(), economic(set("k", "1")))
	require.NoError(t, err)
	<-release.reached
	// The writer is held up too, for the file system does one call at a time: the
	// commits behind are answered when the sync has returned, and not before.
	var behind []*msgs.Ticket
	for i := range 5 {
		ticket, err := s.submit(t.Context(), set("k", strconv.Itoa(i+2)))
		require.NoError(t, err)
		behind = append(behind, ticket)
	}
	for _, ticket := range append(behind, slow) {
		select {
		case <-ticket.Done():
			t.Fatal("answered before the sync")
		default:
		}
	}
	release.now()
	last, err := slow.Wait(t.Context())
	require.NoError(t, err)
	for _, ticket := range behind {
		r, err := ticket.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, last.CommitSeq+1, r.CommitSeq)
		last = r
	}
	require.Equal(t, "6", get(t, s.Heads().Visible(), "k"))
}

func TestBatchSyncsByIntervalWithoutBeingAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(Batch)
		cfg.BatchInterval = 30 * time.Millisecond
		s := open(t, vfs.NewMem(), storeDir, cfg)
		_, err := s.Flush(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		syncs := s.Counters().Sync.Count

		start := time.Now()
		r := s.mustCommit(set("k", "1"))
		require.Less(t, s.Heads().Durable(), r.CommitSeq)
		time.Sleep(20 * time.Millisecond)
		r = s.mustCommit(set("k", "2"))
		time.Sleep(9 * time.Millisecond)
		synctest.Wait()
		require.Less(t, s.Heads().Durable(), r.CommitSeq-1, "29 ms after the first unsynced write")
		require.NoError(t, s.Heads().WaitDurable(t.Context(), r.CommitSeq))
		require.Equal(t, 30*time.Millisecond, time.Since(start))
		require.Equal(t, syncs+1, s.Counters().Sync.Count)
		require.Equal(t, "2", get(t, s.Heads().DurableImage(), "k"))

		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, syncs+1, s.Counters().Sync.Count, "an idle store does not sync")
	})
}

func TestBatchSyncsByBytes(t *testing.T) {
	cfg := config(Batch)
	cfg.BatchBytes = 10_000
	s := open(t, vfs.NewMem(), storeDir, cfg)
	before := s.Counters().Sync.Count
	for i := range 30 {
		r := s.mustCommit(set("k", string(make([]byte, 1000))))
		if i%10 == 9 {
			require.NoError(t, s.Heads().WaitDurable(t.Context(), r.CommitSeq))
		} else {
			require.Less(t, s.Heads().Durable(), r.CommitSeq)
		}
	}
	require.EqualValues(t, 3, s.Counters().Sync.Count-before)
}

func TestOsBufferedNeverSyncsUnasked(t *testing.T) {
	s := open(t, vfs.NewMem(), storeDir, config(OsBuffered))
	for range 50 {
		s.mustCommit(set("k", "v"))
	}
	require.Zero(t, s.Counters().Sync.Count)
	_, err := s.Flush(t.Context())
	require.NoError(t, err)
	_, err = s.Flush(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, s.Counters().Sync.Count, "the second had nothing to sync")
}

func TestCrashInBatchLosesNothingBelowTheDurableHead(t *testing.T) {
	for seed := range uint64(10) {
		mem := vfs.NewMem()
		cfg := config(Batch)
		cfg.BatchBytes, cfg.SegmentBytes = 2000, 3000
		s := open(t, mem, storeDir, cfg)
		together(4, func(c int) {
			for i := range 40 {
				if _, err := s.commit(set(fmt.Sprintf("key-%d-%d", c, i), "v")); err != nil {
					t.Error(err)
				}
			}
		})
		durable, visible := s.Heads().Durable(), image(s)
		after := open(t, mem.Crash(vfs.RandomBlocks(seed, 50)), storeDir, cfg)
		require.GreaterOrEqual(t, image(after), durable, "seed %d", seed)
		require.LessOrEqual(t, image(after), visible, "seed %d", seed)
	}
}

func TestTimeOfCommitsNeverGoesBackWhateverTheClockDoes(t *testing.T) {
	clock := vfs.NewManualClock(time.Unix(1_700_000_000, 0), 0)
	mem := vfs.NewMem()
	withClock := func(start *Start) { start.Clock = clock }
	s := open(t, mem, storeDir, config(Full), withClock)
	s.mustCommit(set("k", "1"))
	then := s.Heads().Visible().Micros()
	clock.Advance(-time.Hour)
	s.mustCommit(set("k", "2"))
	require.Equal(t, then, s.Heads().Visible().Micros())
	require.NoError(t, s.Stop(t.Context()))

	s = open(t, mem, storeDir, config(Full), withClock)
	s.mustCommit(set("k", "3"))
	require.Equal(t, then, s.Heads().Visible().Micros(), "nor when the store is opened again")
}

func TestCheckpointCoversWhatWasVisibleAndIsNeverAheadOfTheLog(t *testing.T) {
	eachMode(t, func(t *testing.T, d Durability) {
		mem := vfs.NewMem()
		cfg := config(d)
		cfg.SegmentBytes = 1 << 10
		s := open(t, mem, storeDir, cfg)
		for i := range 50 {
			s.mustCommit(set(fmt.Sprint("key-", i), "v"))
		}
		visible := image(s)
		seq, err := s.Checkpoint(t.Context())
		require.NoError(t, err)
		require.Equal(t, visible, seq)
		require.GreaterOrEqual(t, s.Heads().Durable(), seq)
		s.mustCommit(set("later", "v"))

		after := open(t, mem.Crash(vfs.AllLost()), storeDir, cfg)
		require.GreaterOrEqual(t, image(after), seq)
		require.Equal(t, "v", get(t, after.Heads().Visible(), "key-49"))
	})
}

func TestCheckpointIsTakenWhenTheLogHasGrown(t *testing.T) {
	taken := make(chan uint64, 100)
	cfg := config(OsBuffered)
	cfg.CheckpointBytes = 10_000
	s := open(t, vfs.NewMem(), storeDir, cfg, onCheckpoint(func(seq uint64, err error) {
		if err == nil {
			taken <- seq
		}
	}))
	for range 30 {
		s.mustCommit(set("k", string(make([]byte, 1000))))
	}
	require.Positive(t, <-taken)
}

func TestErrorOfADoorThatIsShutSaysThatNothingHappened(t *testing.T) {
	s := open(t, vfs.NewMem(), storeDir, config(Full))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.submit(ended, set("k", "v"))
	require.ErrorIs(t, err, errs.ErrCanceled)
	require.NoError(t, s.Stop(t.Context()))
	_, err = s.commit(set("k", "v"))
	require.ErrorIs(t, err, errs.ErrUnavailable)
	_, err = s.Flush(t.Context())
	require.ErrorIs(t, err, errs.ErrUnavailable)
	_, err = s.Checkpoint(t.Context())
	require.ErrorIs(t, err, errs.ErrUnavailable)
}
