package pipeline

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestStopFinishesWhatWasAdmittedAndSyncsIt(t *testing.T) {
	eachMode(t, func(t *testing.T, d Durability) {
		mem := vfs.NewMem()
		cfg := config(d)
		cfg.EpochCommits = 3
		s := open(t, mem, storeDir, cfg)
		var tickets []*msgs.Ticket
		for i := range 200 {
			ticket, err := s.submit(t.Context(), set(fmt.Sprint("key-", i), "v"))
			require.NoError(t, err)
			tickets = append(tickets, ticket)
		}
		require.NoError(t, s.Stop(t.Context()))
		for _, ticket := range tickets {
			select {
			case <-ticket.Done():
			default:
				t.Fatal("a ticket is unanswered")
			}
			r, err := ticket.Wait(t.Context())
			require.NoError(t, err)
			require.NoError(t, s.Heads().WaitDurable(t.Context(), r.CommitSeq))
		}
		require.Equal(t, s.Heads().Visible(), s.Heads().DurableImage())
		quiescent(t, s)

		after := open(t, mem.Crash(vfs.AllLost()), storeDir, cfg)
		require.Equal(t, image(s), image(after))
	})
}

func TestStopIsIdempotentAndSafeBesideItself(t *testing.T) {
	s := open(t, vfs.NewMem(), storeDir, config(Full))
	s.mustCommit(set("k", "v"))
	together(4, func(int) {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Stop(ended), "what is done is done")
	require.NoError(t, s.Cause())
	require.Equal(t, "v", get(t, s.Heads().Visible(), "k"), "readers go on")
}

func TestCommitsBesideStopAreDoneOrRefused(t *testing.T) {
	eachMode(t, func(t *testing.T, d Durability) {
		for range 10 {
			mem := vfs.NewMem()
			cfg := narrow(d)
			cfg.QueueBytes = 1000
			s := open(t, mem, storeDir, cfg)
			var mu sync.Mutex
			answers := map[string]error{}
			stopped := make(chan error, 1)
			answered := make(chan struct{}) // twenty commits were
			together(9, func(caller int) {
				if caller == 8 {
					<-answered
					stopped <- s.Stop(context.Background())
					return
				}
				for i := 0; ; i++ {
					key := fmt.Sprintf("key-%d-%d", caller, i)
					_, err := s.commit(set(key, "v"))
					mu.Lock()
					answers[key] = err
					if len(answers) == 20 {
						close(answered)
					}
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
			require.NoError(t, <-stopped)
			quiescent(t, s)
			after := open(t, mem.Crash(vfs.AllLost()), storeDir, cfg)
			for key, err := range answers {
				if err != nil {
					require.ErrorIs(t, err, errs.ErrUnavailable)
				}
				require.Equal(t, err == nil, get(t, after.Heads().Visible(), key) != "", key)
			}
		}
	})
}

func TestStopThatRunsOutOfTimeIsACrash(t *testing.T) {
	eachMode(t, func(t *testing.T, d Durability) {
		mem := vfs.NewMem()
		s := open(t, mem, storeDir, config(d))
		s.mustCommit(economic(set("safe", "v")))
		stuck := jam(t, mem, vfs.OpSync)
		ticket, err := s.submit(t.Context(), economic(set("k", "v")))
		require.NoError(t, err)
		<-stuck.reached

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		stopped := make(chan error, 1)
		go func() { stopped <- s.Stop(ctx) }()
		<-s.Poisoned()
		select {
		case <-stopped:
			t.Fatal("Stop returned while a stage was using a file")
		default:
		}
		stuck.now()
		err = <-stopped
		require.ErrorIs(t, err, errs.ErrTimeout)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = ticket.Wait(t.Context())
		require.ErrorIs(t, err, errs.ErrIndeterminate)
		quiescent(t, s)

		after := open(t, mem.Crash(vfs.AllLost()), storeDir, config(d))
		require.Equal(t, "v", get(t, after.Heads().Visible(), "safe"))
	})
}

func TestCheckpointThatABreakdownInterruptsIsUnavailable(t *testing.T) {
	mem := vfs.NewMem()
	s := open(t, mem, storeDir, config(Full))
	s.mustCommit(set("k", "v"))
	stuck := jam(t, mem, vfs.OpCreate)
	failed := make(chan error, 1)
	go func() {
		_, err := s.Checkpoint(context.Background())
		failed <- err
	}()
	<-stuck.reached

	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(ctx) }()
	cancel()
	<-s.Poisoned()
	stuck.now()
	require.Error(t, <-stopped)
	require.ErrorIs(t, <-failed, errs.ErrUnavailable, "the context of who asked has not ended")
	quiescent(t, s)
}

func TestLastCheckpointHoldsEverythingAndReleasesTheLog(t *testing.T) {
	eachMode(t, func(t *testing.T, d Durability) {
		mem := vfs.NewMem()
		cfg := config(d)
		cfg.SegmentBytes, cfg.CheckpointOnClose, cfg.PublisherQueue = 400, true, 1
		var last uint64
		s := open(t, mem, storeDir, cfg, onCheckpoint(func(seq uint64, err error) {
			if err != nil {
				t.Error(err)
			}
			last = seq
		}))
		together(8, func(c int) {
			for i := range 50 {
				if _, err := s.commit(set(fmt.Sprintf("key-%d-%d", c, i), "v")); err != nil {
					t.Error(err)
				}
			}
		})
		visible := image(s)
		require.NoError(t, s.Stop(t.Context()))
		require.Equal(t, visible, last)

		// Every file of the log is one that the manifest knows: opening again, and
		// taking another checkpoint, finds nothing that is too much or missing.
		mem = mem.Crash(vfs.AllLost())
		s = open(t, mem, storeDir, cfg)
		require.Equal(t, visible, image(s))
		s.mustCommit(set("k", "v"))
		require.NoError(t, s.Stop(t.Context()))
		s = open(t, mem.Crash(vfs.AllLost()), storeDir, cfg)
		require.Equal(t, visible+1, image(s))
	})
}

// The publisher does not wait for a checkpointer that is busy. What it could not
// tell meanwhile it tells at the end.
func TestSealedSegmentsAreToldThoughTheCheckpointerIsBusy(t *testing.T) {
	mem := vfs.NewMem()
	cfg := config(OsBuffered)
	cfg.SegmentBytes, cfg.CheckpointOnClose = 1, true
	busy, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := open(t, mem, storeDir, cfg, onCheckpoint(func(uint64, error) {
		once.Do(func() {
			close(busy)
			<-release
		})
	}))
	asked := make(chan error, 1)
	go func() {
		_, err := s.Checkpoint(context.Background())
		asked <- err
	}()
	<-busy
	require.NoError(t, <-asked)
	for i := range 3 * progressQueue { // each seals a segment
		s.mustCommit(set(fmt.Sprint("key-", i), "v"))
	}
	require.Positive(t, s.Counters().Stages[5].Mailbox.Rejected)
	close(release)
	require.NoError(t, s.Stop(t.Context()))
	visible := image(s)
	require.Equal(t, visible, s.checkpointer.Stats().Seq)

	s = open(t, mem.Crash(vfs.AllLost()), storeDir, cfg)
	require.Equal(t, visible, image(s))
}
