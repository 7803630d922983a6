package pipeline

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// narrow returns a configuration with little room everywhere.
func narrow(d Durability) Config {
	cfg := config(d)
	cfg.SequencerQueue, cfg.ApplierQueue, cfg.WriterQueue, cfg.FsyncerQueue, cfg.PublisherQueue = 4, 1, 1, 1, 1
	cfg.EpochCommits = 2
	return cfg
}

// fill submits requests to a pipeline that is stuck until one is refused.
func fill(t *testing.T, s *store) (accepted []*msgs.Ticket, refusal error) {
	for i := range 1000 {
		ticket, err := s.submit(t.Context(), set(fmt.Sprint("key-", i), "v"))
		if err != nil {
			return accepted, err
		}
		accepted = append(accepted, ticket)
	}
	t.Fatal("nothing was refused")
	return nil, nil
}

func TestFailFastRefusesWhatTheQueueHasNoRoomForAndNothingElse(t *testing.T) {
	for name, limit := range map[string]func(*Config){
		"by count": func(*Config) {},
		"by bytes": func(c *Config) { c.SequencerQueue, c.QueueBytes = 1000, 1000 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := narrow(Full)
			cfg.FailFast = true
			limit(&cfg)
			mem := vfs.NewMem()
			s := open(t, mem, storeDir, cfg)
			stuck := jam(t, mem, vfs.OpWrite)
			before := image(s)
			accepted, err := fill(t, s)
			require.ErrorIs(t, err, errs.ErrQueueFull)
			require.Equal(t, errs.Retryable, errs.ClassOf(err))
			require.NotEmpty(t, accepted)
			c := s.Counters()
			require.EqualValues(t, 1, c.QueueFull)
			require.LessOrEqual(t, c.AdmittedBytes, cfg.QueueBytes)
			require.Positive(t, c.AdmittedBytes)

			stuck.now()
			for _, ticket := range accepted {
				_, err := ticket.Wait(t.Context())
				require.NoError(t, err)
			}
			require.Zero(t, s.Counters().AdmittedBytes)
			require.Equal(t, before+uint64(len(accepted)), image(s))
			s.mustCommit(set("k", "there is room again"))
		})
	}
}

func TestRequestLargerThanTheQueueIsRefusedAtOnce(t *testing.T) {
	for _, failFast := range []bool{false, true} {
		cfg := config(Full)
		cfg.QueueBytes, cfg.FailFast = 1000, failFast
		s := open(t, vfs.NewMem(), storeDir, cfg)
		_, err := s.commit(set("k", string(make([]byte, 1001))))
		require.ErrorIs(t, err, errs.ErrQueueFull)
		var e *errs.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "max_commit_queue_bytes", e.Limit)
		require.EqualValues(t, 1000, e.Max)
		require.EqualValues(t, 1, s.Counters().QueueFull)
		require.Zero(t, s.Counters().AdmittedBytes)
	}
}

func TestWaitingForRoomEndsWithTheContextAndHasNoEffect(t *testing.T) {
	for name, limit := range map[string]func(*Config){
		"by count": func(*Config) {},
		"by bytes": func(c *Config) { c.SequencerQueue, c.QueueBytes = 1000, 1000 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := narrow(Full)
			limit(&cfg)
			mem := vfs.NewMem()
			s := open(t, mem, storeDir, cfg)
			stuck := jam(t, mem, vfs.OpWrite)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			var accepted []*msgs.Ticket
			var refusal error
			for i := 0; refusal == nil; i++ {
				ticket, err := s.submit(ctx, set(fmt.Sprint("key-", i), "v"))
				if refusal = err; err == nil {
					accepted = append(accepted, ticket)
				}
			}
			require.ErrorIs(t, refusal, errs.ErrTimeout)
			require.ErrorIs(t, refusal, context.DeadlineExceeded)
			require.EqualValues(t, 1, s.Counters().Timeouts)

			stuck.now()
			applied := 0
			for _, ticket := range accepted {
				// Those that were not sequenced have gone with their context too.
				_, err := ticket.Wait(t.Context())
				if err == nil {
					applied++
				} else {
					require.ErrorIs(t, err, errs.ErrTimeout)
				}
			}
			c := s.Counters()
			require.Zero(t, c.AdmittedBytes)
			require.EqualValues(t, 1+len(accepted)-applied, c.Timeouts)
			require.EqualValues(t, c.Timeouts, c.Rejected)
			quiescent(t, s)
		})
	}
}

func TestWaitingForRoomIsOverWhenThereIsRoom(t *testing.T) {
	cfg := narrow(Full)
	cfg.QueueBytes = 500
	s := open(t, vfs.NewMem(), storeDir, cfg)
	together(32, func(c int) {
		for i := range 20 {
			ticket, err := s.submit(t.Context(), set(fmt.Sprintf("key-%d-%d", c, i), "v"))
			if err == nil {
				_, err = ticket.Wait(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	c := s.Counters()
	require.EqualValues(t, 32*20, c.Commits-1)
	require.Positive(t, c.AdmissionBlocked)
	require.Positive(t, c.AdmissionBlockedTime)
	quiescent(t, s)
}

func TestRequestWithdrawnBeforeItIsSequencedHasNoEffect(t *testing.T) {
	cfg := narrow(Full)
	cfg.SequencerQueue = 100
	mem := vfs.NewMem()
	s := open(t, mem, storeDir, cfg)
	stuck := jam(t, mem, vfs.OpWrite)
	var kept, gone []*msgs.Ticket
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 50 {
		key := set(fmt.Sprint("key-", i), "v")
		ticket, err := s.submit(t.Context(), key)
		require.NoError(t, err)
		kept = append(kept, ticket)
		ticket, err = s.submit(ctx, set(fmt.Sprint("gone-", i), "v"))
		require.NoError(t, err)
		gone = append(gone, ticket)
	}
	cancel()
	stuck.now()
	for _, ticket := range kept {
		_, err := ticket.Wait(t.Context())
		require.NoError(t, err)
	}
	withdrawn := 0
	for i, ticket := range gone {
		_, err := ticket.Wait(t.Context())
		there := get(t, s.Heads().Visible(), fmt.Sprint("gone-", i)) != ""
		require.Equal(t, err == nil, there)
		if err != nil {
			require.ErrorIs(t, err, errs.ErrCanceled)
			withdrawn++
		}
	}
	require.Greater(t, withdrawn, 30, "most were still waiting")
	require.EqualValues(t, withdrawn, s.Counters().Rejected)
	quiescent(t, s)
}

func TestFlushIsNotHeldUpByAFullQueueOfBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(OsBuffered)
		cfg.FailFast, cfg.QueueBytes = true, 1000
		s := open(t, vfs.NewMem(), storeDir, cfg)
		require.True(t, s.admission.bytes.TryAcquire(1000))
		_, err := s.commit(set("k", "v"))
		require.ErrorIs(t, err, errs.ErrQueueFull)
		_, err = s.Flush(t.Context())
		require.NoError(t, err)
		s.admission.bytes.Release(1000)
	})
}
