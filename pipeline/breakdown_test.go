package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/actors"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// failAt makes the n-th call of a kind from now on, and all later ones, fail.
func failAt(mem *vfs.Mem, kind vfs.OpKind, n int, fault vfs.Fault) {
	mem.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == kind {
			if n--; n <= 0 {
				return fault
			}
		}
		return vfs.Fault{}
	})
}

// broken checks what holds of a pipeline that has broken down.
func broken(t *testing.T, s *store) {
	t.Helper()
	cause := <-s.poison
	require.Equal(t, cause, s.Cause())
	<-s.Poisoned()

	visible, durable := image(s), s.Heads().Durable()
	_, err := s.commit(set("late", "v"))
	require.ErrorIs(t, err, errs.ErrUnavailable)
	require.ErrorIs(t, err, cause)
	_, err = s.Flush(t.Context())
	require.ErrorIs(t, err, errs.ErrUnavailable)
	_, err = s.Checkpoint(t.Context())
	require.ErrorIs(t, err, errs.ErrUnavailable)

	err = s.Stop(t.Context())
	require.ErrorIs(t, err, cause)
	require.Equal(t, visible, image(s), "readers go on where they were")
	require.Empty(t, get(t, s.Heads().Visible(), "late"))
	require.NoError(t, s.Heads().WaitDurable(t.Context(), durable))
	err = s.Heads().WaitDurable(t.Context(), visible+1)
	require.ErrorIs(t, err, errs.ErrIndeterminate)
	require.ErrorIs(t, err, cause)
	quiescent(t, s)
}

func TestBreakdownAnswersEveryRequestAndEndsCommits(t *testing.T) {
	eio := vfs.Fault{Err: syscall.EIO}
	for name, c := range map[string]struct {
		kind  vfs.OpKind
		n     int
		fault vfs.Fault
		modes []Durability
	}{
		"write":                      {vfs.OpWrite, 5, eio, modes},
		"write, in part":             {vfs.OpWrite, 5, vfs.Fault{Err: syscall.ENOSPC, Short: 20}, modes},
		"sync":                       {vfs.OpSync, 3, eio, []Durability{Full, Batch}},
		"sync that forgets":          {vfs.OpSync, 3, vfs.Fault{Err: syscall.EIO, DropUnsynced: true}, []Durability{Full, Batch}},
		"create of the next segment": {vfs.OpCreate, 2, eio, modes},
		"directory of the segment":   {vfs.OpSyncDir, 1, eio, modes},
		"lost power":                 {vfs.OpWrite, 7, vfs.Fault{CrashNow: true}, modes},
	} {
		for _, d := range c.modes {
			t.Run(fmt.Sprint(name, "/", d), func(t *testing.T) {
				cfg := narrow(d)
				cfg.SegmentBytes, cfg.BatchBytes = 2000, 500
				mem := vfs.NewMem()
				s := open(t, mem, storeDir, cfg)
				failAt(mem, c.kind, c.n, c.fault)
				var failed atomic.Int64
				together(16, func(caller int) {
					for i := 0; ; i++ {
						_, err := s.commit(set(fmt.Sprintf("key-%d-%d", caller, i), "v"))
						if err == nil {
							continue
						}
						switch errs.CodeOf(err) {
						case errs.CodeIndeterminate, errs.CodeUnavailable:
							failed.Add(1)
						default:
							t.Error(err)
						}
						return
					}
				})
				require.EqualValues(t, 16, failed.Load())
				require.ErrorIs(t, s.Cause(), errs.ErrIO)
				broken(t, s)
			})
		}
	}
}

// A panic, wherever it comes from, is a breakdown like any other.
func TestPanicInAStageIsABreakdown(t *testing.T) {
	for name, inject := range map[string]func(mem *vfs.Mem) option{
		"writer": func(mem *vfs.Mem) option {
			return func(*Start) { panicAt(mem, vfs.OpWrite) }
		},
		"fsyncer": func(mem *vfs.Mem) option {
			return func(*Start) { panicAt(mem, vfs.OpSync) }
		},
		"sequencer": func(*vfs.Mem) option {
			return func(s *Start) { s.Clock = &panicClock{after: 10} }
		},
		"checkpointer": func(*vfs.Mem) option {
			return func(s *Start) { s.Checkpointer = nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			cfg := config(Full)
			cfg.CheckpointBytes = 0
			s := open(t, mem, storeDir, cfg)
			require.NoError(t, s.Stop(t.Context()))
			s = open(t, mem, storeDir, cfg, inject(mem))
			for i := 0; i < 20 && s.Cause() == nil; i++ {
				_, _ = s.commit(set(fmt.Sprint("key-", i), "v"))
			}
			if name == "checkpointer" {
				_, err := s.Checkpoint(t.Context())
				require.ErrorIs(t, err, errs.ErrUnavailable)
			}
			var p *actors.PanicError
			require.ErrorAs(t, s.Cause(), &p)
			require.Equal(t, name, p.Actor)
			require.NotEmpty(t, p.Stack)
			broken(t, s)
		})
	}
}

func panicAt(mem *vfs.Mem, kind vfs.OpKind) {
	n := 0
	mem.SetInjector(func(op vfs.Op) vfs.Fault {
		if n++; op.Kind == kind && n > 10 {
			panic("injected")
		}
		return vfs.Fault{}
	})
}

type panicClock struct{ after int }

func (c *panicClock) Now() time.Time {
	if c.after--; c.after == 0 {
		panic("injected")
	}
	return time.Now()
}

func TestDuplicateSharesTheFateOfAnOriginalInFlight(t *testing.T) {
	for _, d := range modes {
		t.Run(d.String(), func(t *testing.T) {
			mem := vfs.NewMem()
			cfg := config(d)
			cfg.EpochCommits = 2
			s := open(t, mem, storeDir, cfg)
			stuck := make(chan struct{})
			mem.SetInjector(func(op vfs.Op) vfs.Fault {
				if op.Kind == vfs.OpSync {
					<-stuck
					return vfs.Fault{Err: syscall.EIO}
				}
				return vfs.Fault{}
			})
			// In the same epoch and in later ones; economic, so that every mode syncs.
			var tickets []*msgs.Ticket
			for range 6 {
				ticket, err := s.submit(t.Context(), economic(keyed(set("k", "v"), 1)))
				require.NoError(t, err)
				tickets = append(tickets, ticket)
			}
			close(stuck)
			for i, ticket := range tickets {
				_, err := ticket.Wait(t.Context())
				require.Error(t, err, "request %d", i)
				require.Contains(t, []errs.Code{errs.CodeIndeterminate, errs.CodeUnavailable}, errs.CodeOf(err))
			}
			_, err := tickets[0].Wait(t.Context())
			require.ErrorIs(t, err, errs.ErrIndeterminate)
			require.Empty(t, get(t, s.Heads().Visible(), "k"), "nothing is visible before its sync")
			broken(t, s)
		})
	}
}

// A refusal tells what the request has found. That must not be told before it is
// visible, and not at all if it never will be.
func TestRefusalSharesTheFateOfWhatItHasSeen(t *testing.T) {
	for _, fault := range []error{nil, syscall.EIO} {
		mem := vfs.NewMem()
		s := open(t, mem, storeDir, config(Full))
		reached, stuck := make(chan struct{}), make(chan struct{})
		var once sync.Once
		mem.SetInjector(func(op vfs.Op) vfs.Fault {
			if op.Kind != vfs.OpSync {
				return vfs.Fault{}
			}
			once.Do(func() { close(reached) })
			<-stuck
			return vfs.Fault{Err: fault}
		})
		_, err := s.submit(t.Context(), set("k", "v"))
		require.NoError(t, err)
		<-reached
		absent := set("k", "w")
		absent.Assertions = []msgs.Assertion{msgs.KeyExists{Scope: demo, Key: []byte("k"), Expected: false}}
		refused, err := s.submit(t.Context(), absent)
		require.NoError(t, err)
		for s.Counters().Stages[1].Handled < 3 { // the project, k, and this one
			runtime.Gosched()
		}
		select {
		case <-refused.Done():
			t.Fatal("refused for what nobody can see yet")
		default:
		}
		close(stuck)
		_, err = refused.Wait(t.Context())
		if fault == nil {
			require.ErrorIs(t, err, errs.ErrAssertionFailed)
			require.Equal(t, "v", get(t, s.Heads().Visible(), "k"))
			quiescent(t, s)
			continue
		}
		require.ErrorIs(t, err, errs.ErrUnavailable)
		require.NotErrorIs(t, err, errs.ErrAssertionFailed)
		broken(t, s)
	}
}

func TestWaitForDurabilityFailsWhenTheSyncDoes(t *testing.T) {
	mem := vfs.NewMem()
	s := open(t, mem, storeDir, config(Batch))
	r := s.mustCommit(set("k", "v"))
	waiting := make(chan error, 1)
	go func() { waiting <- s.Heads().WaitDurable(context.Background(), r.CommitSeq) }()
	failAt(mem, vfs.OpSync, 1, vfs.Fault{Err: syscall.EIO})
	_, err := s.Flush(t.Context())
	require.ErrorIs(t, err, errs.ErrIndeterminate)
	require.ErrorIs(t, <-waiting, errs.ErrIndeterminate)
	require.Equal(t, "v", get(t, s.Heads().Visible(), "k"), "it was visible, and stays so")
	broken(t, s)
}

// What each answer says is what a reopened store shows: acknowledged as durable
// means there, "no effect" means not there, whatever broke when, and whatever a
// power loss left.
func TestAnswersAreTrueAfterABreakdown(t *testing.T) {
	runs := 60
	if testing.Short() {
		runs = 15
	}
	seen := map[errs.Code]int{}
	for seed := range uint64(runs) {
		rng := rand.New(rand.NewPCG(seed, 0))
		d := modes[rng.IntN(3)]
		cfg := narrow(d)
		cfg.SequencerQueue, cfg.EpochBytes, cfg.EpochCommits = 64, 200, 64 // one request fills an epoch
		cfg.ApplierQueue = 1 + rng.IntN(4)
		cfg.SegmentBytes, cfg.BatchBytes = 1+rng.Int64N(4000), 1+rng.Int64N(3000)
		mem := vfs.NewMem()
		var options []option
		if rng.IntN(3) == 0 {
			// Breaks down beside the path of commits, which are at every stage then.
			cfg.CheckpointBytes = 2000
			options = append(options, onCheckpoint(func(uint64, error) { panic("injected") }))
		}
		s := open(t, mem, storeDir, cfg, options...)
		if options == nil {
			at, fault := mem.Ops()+1+rng.Int64N(300), vfs.Fault{Err: syscall.EIO, Short: rng.IntN(100), DropUnsynced: rng.IntN(2) == 0}
			mem.SetInjector(func(op vfs.Op) vfs.Fault {
				if op.Kind.Mutates() && op.N == at {
					return fault
				}
				return vfs.Fault{}
			})
		}
		type answer struct {
			result msgs.Result
			err    error
		}
		var mu sync.Mutex
		answers := map[string]answer{}
		together(24, func(caller int) {
			for i := 0; i < 200; i++ {
				key := fmt.Sprintf("key-%d-%d", caller, i)
				r, err := s.commit(set(key, "some value that takes room, a hundred bytes or so: it is the second of an epoch that does not fit"))
				mu.Lock()
				answers[key] = answer{r, err}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
		stopped := s.Stop(t.Context())
		durable := s.Heads().Durable()
		quiescent(t, s)

		fate := []vfs.Fate{vfs.AllKept(), vfs.AllLost(), vfs.RandomBlocks(seed, 50), vfs.TornLastWrite(seed)}[rng.IntN(4)]
		cfg.CheckpointBytes = 0
		after := open(t, mem.Crash(fate), storeDir, cfg)
		what := fmt.Sprintf("seed %d, %v, stopped with %v, %v", seed, d, stopped, fate)
		require.GreaterOrEqual(t, image(after), durable, what)
		for key, a := range answers {
			there := get(t, after.Heads().Visible(), key) != ""
			seen[errs.CodeOf(a.err)]++
			switch {
			case a.err == nil && a.result.CommitSeq <= max(durable, a.result.DurableSeq):
				require.True(t, there, "%s: %s was durable at %d", what, key, a.result.CommitSeq)
			case a.err == nil:
				require.NotEqual(t, Full, d, "%s: %s was acknowledged before it was durable", what, key)
			case errs.CodeOf(a.err) == errs.CodeUnavailable:
				require.False(t, there, "%s: %s was said to have no effect: %v", what, key, a.err)
			default:
				require.ErrorIs(t, a.err, errs.ErrIndeterminate, what)
			}
		}
		require.NoError(t, after.Stop(t.Context()), what)
	}
	t.Log(seen)
	require.Positive(t, seen[errs.CodeUnavailable])
	require.Positive(t, seen[errs.CodeIndeterminate])
}

func TestNoFileStaysOpenWhateverBreaks(t *testing.T) {
	for n := int64(0); n < 60; n++ {
		cfg := narrow(modes[n%3])
		cfg.SegmentBytes = 300
		fsys := &countedFS{Mem: vfs.NewMem()}
		s := open(t, fsys, storeDir, cfg)
		at := fsys.Ops() + 1 + n
		fsys.SetInjector(func(op vfs.Op) vfs.Fault {
			if op.Kind.Mutates() && op.N == at {
				return vfs.Fault{Err: syscall.EIO}
			}
			return vfs.Fault{}
		})
		together(8, func(caller int) {
			for i := range 10 {
				if _, err := s.commit(set(fmt.Sprintf("key-%d-%d", caller, i), "v")); err != nil {
					return
				}
			}
		})
		_ = s.Stop(t.Context())
		require.Zero(t, fsys.opened.Load(), "call %d: %v", n, s.Cause())
		require.Zero(t, fsys.twice.Load(), "call %d: a file was closed twice", n)
	}
}

// countedFS counts the files that are open for writing.
type countedFS struct {
	*vfs.Mem
	opened, twice atomic.Int64
}

type countedFile struct {
	vfs.File
	fs     *countedFS
	closed atomic.Bool
}

func (c *countedFS) Create(name string) (vfs.File, error) {
	f, err := c.Mem.Create(name)
	if err != nil {
		return nil, err
	}
	c.opened.Add(1)
	return &countedFile{File: f, fs: c}, nil
}

func (c *countedFile) Close() error {
	if c.closed.Swap(true) {
		c.fs.twice.Add(1)
	} else {
		c.fs.opened.Add(-1)
	}
	return c.File.Close()
}

func TestStopTellsTheCauseAgain(t *testing.T) {
	mem := vfs.NewMem()
	s := open(t, mem, storeDir, config(Full))
	failAt(mem, vfs.OpWrite, 1, vfs.Fault{Err: syscall.ENOSPC})
	_, err := s.commit(set("k", "v"))
	require.ErrorIs(t, err, errs.ErrIndeterminate)
	for range 3 {
		require.ErrorIs(t, s.Stop(t.Context()), syscall.ENOSPC)
	}
	require.False(t, errors.Is(s.Stop(t.Context()), context.Canceled))
}
