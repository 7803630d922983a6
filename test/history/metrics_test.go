package history

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// TestFiguresAddUpAfterTraffic counts what callers were answered and compares.
func TestFiguresAddUpAfterTraffic(t *testing.T) {
	forEachMode(t, func(t *testing.T, mode aedb.Durability) {
		db, app := openApp(t, vfs.NewMem(), durability(mode), func(c *aedb.Config) { c.BatchInterval = time.Millisecond })
		ctx := t.Context()
		var commits, duplicates, assertions, conflicts, validations, total atomic.Uint64
		var wg sync.WaitGroup
		requests := []func(id, i int) aedb.Envelope{
			func(_, _ int) aedb.Envelope { return aedb.Envelope{Mutations: []aedb.Mutation{add(app, key("n"), 1)}} },
			func(_, i int) aedb.Envelope { return keyed(app, byte(i), 1) },
			func(_, _ int) aedb.Envelope {
				return aedb.Envelope{
					Mutations:  []aedb.Mutation{app.KvSet(key("x"), nil)},
					Assertions: []aedb.Assertion{app.KeyExists(key("never"), true)},
				}
			},
			func(_, _ int) aedb.Envelope {
				return aedb.Envelope{
					Mutations: []aedb.Mutation{app.KvSet(key("x"), nil)},
					ReadSet:   readOf(app.KeyRead(key("set"), 0)),
				}
			},
			func(_, _ int) aedb.Envelope {
				return aedb.Envelope{Mutations: []aedb.Mutation{app.KvSubU64(key("zero"), 1, aedb.TreatAsZero, aedb.RejectLimit)}}
			},
		}
		_, err := app.Commit(ctx, app.KvSet(key("set"), nil))
		require.NoError(t, err)
		before := db.OperationalMetrics()
		for id := range 16 {
			wg.Go(func() {
				for i := range scale(50) {
					r, err := app.CommitEnvelope(ctx, requests[(id+i)%len(requests)](id, i), aedb.Visible)
					total.Add(1)
					switch {
					case err == nil && r.Outcome == aedb.Duplicate:
						duplicates.Add(1)
					case err == nil:
						commits.Add(1)
						s := r.Stages
						if s.Sequence < 0 || s.Apply < 0 || s.Write < 0 || s.Sync < 0 || s.Publish < 0 {
							t.Errorf("times %+v", s)
						}
					case errors.Is(err, aedb.ErrAssertionFailed):
						assertions.Add(1)
					case errors.Is(err, aedb.ErrConflict):
						conflicts.Add(1)
					case errors.Is(err, aedb.ErrUnderflow):
						validations.Add(1)
					default:
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		// Duplicates that the published image shows do not go through the pipeline. A
		// stage counts a batch when it has done with it, which is after the answer.
		through := db.OperationalMetrics().CommitsTotal
		for stage(db, "sequencer").Messages < through {
			runtime.Gosched()
		}
		m := db.OperationalMetrics()
		require.Equal(t, commits.Load(), m.CommitsApplied-before.CommitsApplied)
		require.Equal(t, duplicates.Load(), m.DuplicatesTotal-before.DuplicatesTotal)
		require.Equal(t, assertions.Load(), m.AssertionRejections)
		require.Equal(t, conflicts.Load(), m.ReadSetConflicts)
		require.Equal(t, assertions.Load()+conflicts.Load(), m.ConflictRejections)
		require.Equal(t, validations.Load(), m.ValidationRejections)
		require.Equal(t, assertions.Load()+conflicts.Load()+validations.Load(), m.CommitErrors)
		require.Equal(t, through, m.CommitsTotal)
		refused := assertions.Load() + conflicts.Load() + validations.Load()
		require.LessOrEqual(t, through-before.CommitsTotal, total.Load())
		require.GreaterOrEqual(t, through-before.CommitsTotal, total.Load()-duplicates.Load())
		require.InDelta(t, float64(m.ConflictRejections)/float64(m.CommitsTotal), m.ConflictRate, 1e-9)
		require.NotZero(t, assertions.Load()*conflicts.Load()*validations.Load()*duplicates.Load(), "all kinds occurred")

		require.Equal(t, before.VisibleHeadSeq+commits.Load(), m.VisibleHeadSeq)
		require.LessOrEqual(t, m.DurableHeadSeq, m.VisibleHeadSeq)
		require.Equal(t, m.VisibleHeadSeq-m.DurableHeadSeq, m.DurableHeadLag)
		require.Equal(t, through-before.CommitsTotal-refused, m.CommitLatency.Count-before.CommitLatency.Count)
		require.LessOrEqual(t, m.EpochsTotal, m.CommitsTotal)
		require.LessOrEqual(t, m.WALAppendOps, m.EpochsTotal)
		require.NotZero(t, m.WALAppendBytes)

		// Nothing is on its way any more.
		require.Zero(t, m.QueueDepth)
		require.Zero(t, m.InflightCommits)
		require.Zero(t, m.QueuedBytes)
		names := []string{}
		for _, s := range m.Stages {
			names = append(names, s.Name)
			require.LessOrEqual(t, s.HighWater, s.Capacity, s.Name)
			require.GreaterOrEqual(t, s.Messages, s.Batches, s.Name)
		}
		require.Equal(t, []string{"sequencer", "applier", "writer", "fsyncer", "publisher", "checkpointer"}, names)
		require.Equal(t, m.CommitsTotal, m.Stages[0].Messages)

		seq, err := db.Flush(ctx)
		require.NoError(t, err)
		require.Equal(t, m.VisibleHeadSeq, seq)
		m = db.OperationalMetrics()
		require.Zero(t, m.DurableHeadLag)
		for _, s := range m.Stages {
			require.Zero(t, s.Lag, s.Name)
		}
		require.NotZero(t, m.WALSyncOps)
	})
}

// TestRefusalsBeforeThePipelineAreCounted: commit_errors counts requests refused
// anywhere, and those that never came in leave nothing in flight.
func TestRefusalsBeforeThePipelineAreCounted(t *testing.T) {
	db, app := openApp(t, vfs.NewMem())
	ctx := t.Context()
	_, err := app.Commit(ctx, app.Insert("nowhere", nil))
	require.ErrorIs(t, err, aedb.ErrTableNotFound)
	m := db.OperationalMetrics()
	require.EqualValues(t, 1, m.CommitErrors)
	require.EqualValues(t, 1, m.ValidationRejections)
	require.Zero(t, m.InflightCommits)
}

func readOf(keys ...msgs.KeyRead) aedb.ReadSet { return aedb.ReadSet{Keys: keys} }
