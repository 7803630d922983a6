package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// quiescent checks what holds of the counters when every request has been
// answered, whatever has happened.
func quiescent(t *testing.T, s *store) {
	t.Helper()
	c := s.Counters()
	require.Equal(t, c.Sequenced, c.Processed, "requests in flight")
	require.Equal(t, c.Sequenced, c.EpochRequests)
	require.GreaterOrEqual(t, c.Processed, c.Commits+c.Duplicates)
	require.LessOrEqual(t, c.Processed, c.Commits+c.Duplicates+c.Rejected)
	require.Equal(t, c.Rejected, c.Validation+c.Retryable+c.Conflict+c.Permission+c.Integrity+c.Unavailable)
	require.LessOrEqual(t, c.ReadSetConflicts+c.AssertionFailures, c.Conflict)
	require.LessOrEqual(t, c.QueueFull+c.Timeouts, c.Retryable)
	require.Equal(t, c.Commits+c.Duplicates, c.Commit.Count)
	require.LessOrEqual(t, c.Epochs, c.EpochRequests)
	require.LessOrEqual(t, c.LargestEpoch, c.EpochRequests)
	require.Zero(t, c.AdmittedBytes)
	require.LessOrEqual(t, c.DurableSeq, c.VisibleSeq)
	if s.Cause() == nil {
		require.Equal(t, c.VisibleSeq, c.AppliedSeq)
		require.Equal(t, c.VisibleSeq, c.WrittenSeq)
	}
}

// Random traffic of every kind, counted by those who sent it, adds up with what
// the pipeline counted.
func TestCountersAddUpAfterRandomTraffic(t *testing.T) {
	eachMode(t, func(t *testing.T, d Durability) {
		cfg := narrow(d)
		cfg.FailFast, cfg.QueueBytes, cfg.SegmentBytes, cfg.EpochCommits = true, 2000, 4<<10, 8
		s := open(t, vfs.NewMem(), storeDir, cfg)
		start := s.Counters()
		var mu sync.Mutex
		applied, duplicates, rejected := uint64(0), uint64(0), map[errs.Code]uint64{}
		count := func(r msgs.Result, err error) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				rejected[errs.CodeOf(err)]++
			case r.Outcome == msgs.Duplicate:
				duplicates++
			default:
				applied++
			}
		}
		together(12, func(caller int) {
			rng := rand.New(rand.NewPCG(uint64(caller), 1))
			for i := range 150 {
				key := fmt.Sprint("key-", rng.IntN(20))
				ctx, cancel := context.WithCancel(context.Background())
				env := set(key, "v")
				switch rng.IntN(7) {
				case 0:
					env = keyed(set("same", "v"), uint64(rng.IntN(30)))
				case 1: // fails unless somebody has deleted it
					env.Assertions = []msgs.Assertion{msgs.KeyExists{Scope: demo, Key: []byte(key), Expected: false}}
				case 2: // was it read before the last write?
					env.ReadSet.Keys = []msgs.KeyRead{{Scope: demo, Key: []byte(key), Version: 1}}
				case 3:
					economic(env)
				case 4:
					if _, err := s.Flush(ctx); err != nil {
						t.Error(err)
					}
					cancel()
					continue
				case 5:
					if i%2 == 0 {
						go cancel() // before or after it is sequenced
					}
				}
				ticket, err := s.submit(ctx, env)
				if err != nil {
					count(msgs.Result{}, err)
				} else {
					count(ticket.Wait(context.Background()))
				}
				cancel()
			}
		})
		quiescent(t, s)
		c := s.Counters()
		t.Logf("%d applied, %d duplicates, rejected %v, %d epochs", applied, duplicates, rejected, c.Epochs)
		require.Equal(t, applied, c.Commits-start.Commits)
		require.Equal(t, duplicates, c.Duplicates)
		total := uint64(0)
		for _, n := range rejected {
			total += n
		}
		require.Equal(t, total, c.Rejected)
		require.Equal(t, rejected[errs.CodeQueueFull], c.QueueFull)
		require.Equal(t, rejected[errs.CodeConflict], c.ReadSetConflicts)
		require.Equal(t, rejected[errs.CodeAssertionFailed], c.AssertionFailures)
		require.Equal(t, c.ReadSetConflicts+c.AssertionFailures, c.Conflict)
		// What was refused at the door or withdrawn was never sequenced.
		door := rejected[errs.CodeQueueFull] + rejected[errs.CodeCanceled]
		require.Equal(t, applied+duplicates+total-door, c.Processed-start.Processed)

		require.NoError(t, s.Stop(t.Context()))
		c = s.Counters()
		require.Equal(t, c.VisibleSeq, c.DurableSeq, "nothing is left behind")
		for _, stage := range c.Stages {
			require.Equal(t, stage.Mailbox.Sent, stage.Mailbox.Received, stage.Name)
			require.Equal(t, stage.Mailbox.Sent, stage.Handled, stage.Name)
			require.Zero(t, stage.Mailbox.Depth, stage.Name)
		}
		quiescent(t, s)
	})
}

func TestFlushesAreNotCountedAsRequests(t *testing.T) {
	eachMode(t, func(t *testing.T, d Durability) {
		s := open(t, vfs.NewMem(), storeDir, config(d))
		before := s.Counters()
		for range 3 {
			_, err := s.Flush(t.Context())
			require.NoError(t, err)
		}
		after := s.Counters()
		require.Equal(t, before.Sequenced, after.Sequenced)
		require.Equal(t, before.Processed, after.Processed)
		require.Equal(t, before.Commit.Count, after.Commit.Count)
		require.Equal(t, before.Epochs, after.Epochs)
		quiescent(t, s)
	})
}

func TestRequestIsCountedBeforeItIsAnswered(t *testing.T) {
	s := open(t, vfs.NewMem(), storeDir, config(Full))
	for range 200 {
		before := s.Counters().Commits
		s.mustCommit(set("k", "v"))
		require.Equal(t, before+1, s.Counters().Commits)
	}
}

func TestTimesOfStagesAddUpToNoMoreThanTheCommitTook(t *testing.T) {
	eachMode(t, func(t *testing.T, d Durability) {
		s := open(t, vfs.NewMem(), storeDir, config(d))
		together(8, func(int) {
			for range 100 {
				began := time.Now()
				r, err := s.commit(economic(set("k", "v")))
				took := time.Since(began)
				if err != nil {
					t.Error(err)
				}
				sum, st := time.Duration(0), r.Stages
				for _, d := range []time.Duration{st.Sequence, st.Apply, st.Write, st.Sync, st.Publish} {
					if d < 0 {
						t.Errorf("a stage took less than no time: %+v", st)
					}
					sum += d
				}
				if sum > took {
					t.Errorf("%v of %v: %+v", sum, took, st)
				}
			}
		})
	})
}

func TestLatencyIsSummarised(t *testing.T) {
	var m Metrics
	m.init()
	require.Zero(t, m.syncTime.summary())
	for _, ms := range []int{1, 2, 3, 1000 * 3600} {
		m.syncTime.record(time.Duration(ms) * time.Millisecond)
	}
	sum := m.syncTime.summary()
	require.EqualValues(t, 4, sum.Count)
	require.InDelta(t, 2e6, float64(sum.P50), 1e6/20)
	require.GreaterOrEqual(t, sum.Max, sum.P99)
	require.Greater(t, sum.Mean, 800*time.Second, "the mean is exact, whatever the range of the histogram")
}

func TestClassOfAnUnforeseenErrorIsCounted(t *testing.T) {
	var m Metrics
	m.reject(errors.New("what is this"))
	require.EqualValues(t, 1, m.rejections[errs.Integrity].Load())
}
