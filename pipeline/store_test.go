package pipeline

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/applier"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/checkpointer"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/walwriter"
)

const storeDir = "store"

// config returns what most tests run with: no checkpoint unless asked for.
func config(d Durability) Config {
	return Config{
		Limits: executor.Limits{
			MaxMutations: 1000, MaxAssertions: 1000, MaxTransactionSize: 1 << 20, MaxBatchRows: 1000,
			MaxKVKey: 1 << 10, MaxKVValue: 1 << 20, MaxTableValue: 1 << 20, MaxPrimaryKey: 1 << 10, MaxEventPayload: 1 << 16,
		},
		Window:     applier.Window{Commits: 1 << 20},
		Durability: d, BatchInterval: time.Hour, BatchBytes: 1 << 40,
		SequencerQueue: 1024, ApplierQueue: 2, WriterQueue: 4, FsyncerQueue: 16, PublisherQueue: 64,
		QueueBytes: 64 << 20, EpochCommits: 1024, EpochBytes: 8 << 20,
		SegmentBytes: 64 << 20, HistoryCommits: 1024, HistoryBytes: 16 << 20,
	}
}

// store is a pipeline on a file system.
type store struct {
	*Pipeline
	t     testing.TB
	cfg   Config
	clock vfs.Clock
	// poison receives the cause of a breakdown.
	poison chan error
}

type option func(*Start)

// open recovers the directory and starts a pipeline on it, which is stopped at
// the end of the test if the test has not done so.
func open(t testing.TB, fsys vfs.FS, dir string, cfg Config, options ...option) *store {
	t.Helper()
	require.NoError(t, fsys.MkdirAll(dir))
	clock := vfs.SystemClock()
	found, err := recovery.Open(t.Context(), recovery.Options{FS: fsys, Dir: dir, Clock: clock})
	require.NoError(t, err)
	log, segment, err := walwriter.Storage{FS: fsys, Dir: dir, Syncs: cfg.Rules().Syncs}.CreateLog(found.Next)
	require.NoError(t, err)
	s := &store{t: t, cfg: cfg, clock: clock, poison: make(chan error, 1)}
	start := Start{
		Working: found.Working, Log: log, Segment: segment, File: log.File(), Clock: clock,
		Checkpointer: checkpointer.New(checkpointer.Config{
			FS: fsys, Dir: dir, Clock: clock, Kept: 1, Concurrency: 1,
			Bytes: cfg.CheckpointBytes, Interval: cfg.CheckpointInterval,
		}, found.Manifest, found.Sealed, found.Checkpoint),
		OnPoison: func(cause error) { s.poison <- cause },
	}
	for _, o := range options {
		o(&start)
	}
	s.Pipeline, err = New(cfg, start)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	if s.Heads().Moment().Seq == 0 {
		s.define(catalog.CreateProject{Project: "demo"})
	}
	return s
}

func (s *store) define(statement catalog.Statement) {
	s.t.Helper()
	_, err := s.commit(&msgs.Envelope{Mutations: []msgs.Mutation{msgs.Define{Statement: statement}}})
	require.NoError(s.t, err)
}

var demo = msgs.ScopeName{Project: "demo", Scope: "app"}

// set returns an envelope that sets one key.
func set(key, value string) *msgs.Envelope {
	return &msgs.Envelope{Mutations: []msgs.Mutation{msgs.KvSet{Scope: demo, Key: []byte(key), Value: []byte(value)}}}
}

// keyed gives an envelope an idempotency key.
func keyed(env *msgs.Envelope, key uint64) *msgs.Envelope {
	var k msgs.IdempotencyKey
	binary.BigEndian.PutUint64(k[:], key)
	env.IdempotencyKey = &k
	return env
}

func economic(env *msgs.Envelope) *msgs.Envelope {
	env.WriteClass = msgs.Economic
	return env
}

func (s *store) prepare(env *msgs.Envelope) (*msgs.Request, error) {
	r, err := s.Executor().Prepare(s.Heads().Moment().Catalog, env)
	if err == nil && env.IdempotencyKey != nil {
		r.Idempotency = record.IdempotencyKey("", false, *env.IdempotencyKey)
		r.Fingerprint, err = executor.Fingerprint(env)
	}
	return r, err
}

// submit prepares and submits an envelope with a context.
func (s *store) submit(ctx context.Context, env *msgs.Envelope) (*msgs.Ticket, error) {
	r, err := s.prepare(env)
	if err != nil {
		return nil, err
	}
	return s.Submit(ctx, r)
}

// commit submits an envelope and waits for the answer.
func (s *store) commit(env *msgs.Envelope) (msgs.Result, error) {
	r, err := s.prepare(env)
	if err != nil {
		return msgs.Result{}, err
	}
	t, err := s.Carry(context.Background(), r)
	if err != nil {
		return msgs.Result{}, err
	}
	return t.Wait(context.Background())
}

func (s *store) mustCommit(env *msgs.Envelope) msgs.Result {
	s.t.Helper()
	r, err := s.commit(env)
	require.NoError(s.t, err)
	return r
}

// get returns the value of a key in an image, "" if it is not there.
func get(t testing.TB, image *state.Image, key string) string {
	t.Helper()
	scope, err := image.Catalog().Scope(demo.Project, demo.Scope)
	require.NoError(t, err)
	raw, _, ok := image.Get(scope.ID, []byte(key))
	if !ok {
		return ""
	}
	_, payload, err := record.SplitKV(raw)
	require.NoError(t, err)
	return string(payload)
}

// together runs n functions at once and waits for them.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// onCheckpoint tells a test of every checkpoint.
func onCheckpoint(f func(seq uint64, err error)) option {
	return func(s *Start) { s.OnCheckpoint = func(o checkpointer.Outcome) { f(o.Seq, o.Err) } }
}

// jammed is a file system that is stuck in a call.
type jammed struct {
	reached chan struct{} // closed when the call has been reached
	now     func()        // lets it go on
}

// jam holds the next call of a kind, and with it all calls behind it, at the
// longest until the end of the test.
func jam(t *testing.T, mem *vfs.Mem, kind vfs.OpKind) jammed {
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	mem.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == kind {
			once.Do(func() {
				close(reached)
				<-release
			})
		}
		return vfs.Fault{}
	})
	j := jammed{reached: reached, now: sync.OnceFunc(func() { close(release) })}
	t.Cleanup(j.now)
	return j
}
