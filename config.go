package aedb

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/empyrealapp/aedb-go/applier"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/locks"
	"github.com/empyrealapp/aedb-go/pipeline"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/vfs"
)

// Durability chooses when a commit is acknowledged and when the log is synced.
type Durability = pipeline.Durability

// Durability modes.
const (
	// Full acknowledges a commit when it is on stable storage: a crash loses
	// nothing that was acknowledged.
	Full = pipeline.Full
	// Batch acknowledges a commit when the operating system has it, and syncs by
	// interval and by size: a dead process loses nothing, a power cut at most the
	// unsynced tail.
	Batch = pipeline.Batch
	// OsBuffered acknowledges like Batch, but syncs only when asked (Flush, a
	// wait for durability), at checkpoints and at Close.
	OsBuffered = pipeline.OsBuffered
)

// RecoveryMode chooses what opening a damaged store does.
type RecoveryMode = recovery.Mode

// Recovery modes.
const (
	// Strict refuses a store in which anything that was durable is damaged.
	Strict = recovery.Strict
	// Permissive opens what can be had: the longest undamaged prefix of history.
	// It leaves a permanent mark, and Strict refuses the store from then on.
	Permissive = recovery.Permissive
)

// RecoveryProgress tells how far an opening has come.
type RecoveryProgress = recovery.Progress

// RecoveryReport tells what an opening found, kept on the open store.
type RecoveryReport = recovery.Report

// OnFull chooses what a commit does when the pipeline has no room for it.
type OnFull uint8

// Policies for a full pipeline.
const (
	// Wait waits for room until the context ends.
	Wait OnFull = iota
	// FailFast fails with queue_full at once.
	FailFast
)

// Config is how a store is opened. DefaultConfig returns a complete one, and so do
// the profiles; the zero Config is refused. Sizes are in bytes. The table in
// docs/configuration.md has every knob.
type Config struct {
	// Durability is Full by default.
	Durability Durability
	// BatchInterval is the longest time a commit stays unsynced in Batch mode;
	// 10 ms by default.
	BatchInterval time.Duration
	// BatchBytes of unsynced log cause a sync in Batch mode; 1 MiB by default.
	BatchBytes int64

	// Recovery is Strict by default.
	Recovery RecoveryMode
	// RecoveryParallelism is the number of goroutines that read files at open;
	// by default the number of processors.
	RecoveryParallelism int
	// Keys sign the store, authenticate its log and encrypt its files; none by
	// default.
	Keys KeyConfig
	// OnRecovery, if set, is called now and then during a long opening, by the
	// goroutine that opens.
	OnRecovery func(RecoveryProgress)

	Pipeline PipelineConfig
	// Locks bounds the object locks; see DB.Locks.
	Locks locks.Limits

	// DiskReserve is the room on the disk below which writes are refused with
	// resource_exhausted; 64 MiB by default, 0 switches that off. Reads, flushes and
	// checkpoints go on, and writes do as soon as there is room again. What is on its
	// way then is still written, at most Pipeline.QueueBytes: a disk that is full
	// under the log breaks the pipeline down.
	DiskReserve int64

	// SegmentBytes is the size at which a log segment is sealed; 64 MiB by
	// default. A segment may exceed it by one epoch.
	SegmentBytes int64
	// SegmentAge is the age at which a log segment that holds commits is sealed, however
	// small it is, also if nothing more is written; 0, the default, for any age. It is
	// for those who ship the log as files and take only those that are finished; the
	// archive of Archive does not wait for it.
	SegmentAge time.Duration

	// FollowInterval is the time between two looks of a Reader at the log; 50 ms by
	// default. With 0 it looks only when Refresh or WaitSeq ask for it.
	FollowInterval time.Duration

	// Tuning is what may also be changed later.
	Tuning

	// Logger receives the engine's log. The default, nil, writes warnings and
	// errors to standard error as JSON through zerolog.
	Logger Logger

	// FS and Clock stand in for the operating system, for tests; nil is the real
	// one.
	FS    vfs.FS
	Clock vfs.Clock
}

// Tuning is the part of a Config that DB.Tune can change while the store is open.
type Tuning struct {
	Limits     LimitsConfig
	Checkpoint CheckpointConfig
	Reads      ReadConfig

	// IdempotencyCommits and IdempotencyAge bound how long a request with an
	// idempotency key is remembered: 100,000 commits and 5 minutes by default. A
	// request is forgotten when it is outside either; 0 switches that bound off,
	// and both 0 the feature.
	IdempotencyCommits uint64
	IdempotencyAge     time.Duration

	// UpdateRetries is how often Update runs its closure again after a conflict;
	// 100 by default.
	UpdateRetries int
}

// PipelineConfig sizes the stages. Queues are in messages; a stage whose queue is
// full makes the one before it wait.
type PipelineConfig struct {
	// SequencerQueue is the number of commits that may wait to be ordered; 4,096
	// by default. It is the door: see OnFull.
	SequencerQueue int
	// OnFull is Wait by default.
	OnFull OnFull
	// QueueBytes bounds all commits on their way; 64 MiB by default.
	QueueBytes int64
	// ApplierQueue, WriterQueue and FsyncerQueue are in epochs; 1, 1 and 4 by
	// default. Short queues make epochs grow under load, which shares a sync
	// among more commits; long ones let stages run further apart.
	ApplierQueue, WriterQueue, FsyncerQueue int
	// PublisherQueue is in groups of epochs; 64 by default.
	PublisherQueue int
	// EpochCommits and EpochBytes bound one epoch; 1,024 and 8 MiB by default.
	// Outside Full mode an epoch also has at most a quarter of the requests that are
	// underway, but for 16.
	EpochCommits int
	EpochBytes   int64
}

// LimitsConfig bounds single requests.
type LimitsConfig struct {
	// Mutations per envelope; 16,384 by default.
	Mutations int
	// Assertions per envelope, nested ones included; 32,768 by default.
	Assertions int
	// TransactionBytes per envelope; 16 MiB by default, at most QueueBytes.
	TransactionBytes int
	// BatchRows bounds the rows, or pairs of keys and values, of one mutation; 10,000 by
	// default.
	BatchRows int
	// KVKeyBytes and KVValueBytes; 1,024 and 1 MiB by default.
	KVKeyBytes, KVValueBytes int
	// TableValueBytes per cell; 1 MiB by default.
	TableValueBytes int
	// PrimaryKeyBytes, encoded; 4 KiB by default.
	PrimaryKeyBytes int
	// EventPayloadBytes; 64 KiB by default.
	EventPayloadBytes int
	// ReadBytes is how much the assertions of an envelope and the selections of its
	// mutations may read; 16 MiB by default. The rows that one of them may examine
	// are Reads.MaxScanRows.
	ReadBytes int
}

// CheckpointConfig says when checkpoints are taken and what is kept.
type CheckpointConfig struct {
	// WALBytes of log since the last checkpoint cause one; 256 MiB by default, 0
	// switches the trigger off.
	WALBytes int64
	// Interval is the greatest age of the newest checkpoint while there are
	// commits it lacks; 5 minutes by default, 0 switches the trigger off.
	Interval time.Duration
	// OnClose takes a checkpoint at Close; true by default.
	OnClose bool
	// Kept is the number of checkpoints retained; 2 by default.
	Kept int
}

// ReadConfig bounds reads and what is kept for them.
type ReadConfig struct {
	// MaxScanRows bounds the rows that a query without a limit may look at, and
	// the size of a page; 10,000 by default.
	MaxScanRows int
	// MaxQueryBytes bounds the rows a query holds in memory to sort them; 512 MiB
	// by default.
	MaxQueryBytes int64
	// MaxSnapshots bounds the read transactions that are open at once; 128 by
	// default.
	MaxSnapshots int
	// SnapshotAge is the longest life of a read transaction and of a cursor that
	// is not used; 30 s by default.
	SnapshotAge time.Duration
	// HistoryCommits and HistoryBytes bound the recent past that AtSeq reaches:
	// between half of either and the whole; 1,024 and 16 MiB by default.
	HistoryCommits int
	HistoryBytes   int64
}

// DefaultConfig returns the configuration for a store that loses nothing.
func DefaultConfig() Config {
	return Config{
		Durability:          Full,
		BatchInterval:       10 * time.Millisecond,
		BatchBytes:          1 << 20,
		Recovery:            Strict,
		RecoveryParallelism: runtime.GOMAXPROCS(0),
		Pipeline: PipelineConfig{
			SequencerQueue: 4096, OnFull: Wait, QueueBytes: 64 << 20,
			ApplierQueue: 1, WriterQueue: 1, FsyncerQueue: 4, PublisherQueue: 64,
			EpochCommits: 1024, EpochBytes: 8 << 20,
		},
		Locks:          locks.Limits{Locks: 1 << 20, WaitersPerKey: 1 << 12, Wait: 30 * time.Second},
		SegmentBytes:   64 << 20,
		DiskReserve:    64 << 20,
		FollowInterval: 50 * time.Millisecond,
		Tuning: Tuning{
			Limits: LimitsConfig{
				Mutations: 16384, Assertions: 32768, TransactionBytes: 16 << 20, BatchRows: 10000,
				KVKeyBytes: 1024, KVValueBytes: 1 << 20, TableValueBytes: 1 << 20,
				PrimaryKeyBytes: 4096, EventPayloadBytes: 64 << 10,
				ReadBytes: 16 << 20,
			},
			Checkpoint: CheckpointConfig{
				WALBytes: 256 << 20, Interval: 5 * time.Minute, OnClose: true, Kept: 2,
			},
			Reads: ReadConfig{
				MaxScanRows: 10000, MaxQueryBytes: 512 << 20, MaxSnapshots: 128, SnapshotAge: 30 * time.Second,
				HistoryCommits: 1024, HistoryBytes: 16 << 20,
			},
			IdempotencyCommits: 100_000,
			IdempotencyAge:     5 * time.Minute,
			UpdateRetries:      100,
		},
	}
}

// minSegmentAge keeps a log from falling apart into files of a commit each.
const minSegmentAge = time.Second

// Validate returns an invalid_config error that names every rule the
// configuration breaks, or nil.
func (c *Config) Validate() error {
	var broken []error
	rule := func(ok bool, knob, must string) {
		if !ok {
			broken = append(broken, fmt.Errorf("%s must be %s", knob, must))
		}
	}
	positive := func(n int64, knob string) { rule(n > 0, knob, "positive") }

	rule(c.Durability <= OsBuffered, "Durability", "Full, Batch or OsBuffered")
	rule(c.Durability != Batch || c.BatchInterval > 0, "BatchInterval", "positive in Batch mode")
	rule(c.Durability != Batch || c.BatchBytes > 0, "BatchBytes", "positive in Batch mode")
	rule(c.Recovery <= Permissive, "Recovery", "Strict or Permissive")
	positive(int64(c.RecoveryParallelism), "RecoveryParallelism")

	p := &c.Pipeline
	rule(p.OnFull <= FailFast, "Pipeline.OnFull", "Wait or FailFast")
	positive(int64(p.SequencerQueue), "Pipeline.SequencerQueue")
	positive(p.QueueBytes, "Pipeline.QueueBytes")
	positive(int64(p.ApplierQueue), "Pipeline.ApplierQueue")
	positive(int64(p.WriterQueue), "Pipeline.WriterQueue")
	positive(int64(p.FsyncerQueue), "Pipeline.FsyncerQueue")
	positive(int64(p.PublisherQueue), "Pipeline.PublisherQueue")
	positive(int64(p.EpochCommits), "Pipeline.EpochCommits")
	positive(p.EpochBytes, "Pipeline.EpochBytes")

	positive(int64(c.Locks.Locks), "Locks.Locks")
	positive(int64(c.Locks.WaitersPerKey), "Locks.WaitersPerKey")
	positive(int64(c.Locks.Wait), "Locks.Wait")

	l := &c.Limits
	positive(int64(l.ReadBytes), "Limits.ReadBytes")
	positive(int64(l.Mutations), "Limits.Mutations")
	positive(int64(l.Assertions), "Limits.Assertions")
	rule(l.TransactionBytes > 0 && int64(l.TransactionBytes) <= p.QueueBytes,
		"Limits.TransactionBytes", "positive and at most Pipeline.QueueBytes")
	rule(l.TransactionBytes <= 64<<20, "Limits.TransactionBytes", "at most 64 MiB")
	positive(int64(l.BatchRows), "Limits.BatchRows")
	rule(l.KVKeyBytes > 0 && l.KVKeyBytes <= 16<<10, "Limits.KVKeyBytes", "from 1 to 16,384")
	rule(l.KVValueBytes > 0 && l.KVValueBytes <= 64<<20, "Limits.KVValueBytes", "from 1 to 64 MiB")
	rule(l.TableValueBytes > 0 && l.TableValueBytes <= 64<<20, "Limits.TableValueBytes", "from 1 to 64 MiB")
	rule(l.PrimaryKeyBytes > 0 && l.PrimaryKeyBytes <= 8<<10, "Limits.PrimaryKeyBytes", "from 1 to 8,192")
	positive(int64(l.EventPayloadBytes), "Limits.EventPayloadBytes")

	rule(c.Checkpoint.WALBytes >= 0, "Checkpoint.WALBytes", "0 or positive")
	rule(c.Checkpoint.Interval >= 0, "Checkpoint.Interval", "0 or positive")
	positive(int64(c.Checkpoint.Kept), "Checkpoint.Kept")

	r := &c.Reads
	positive(int64(r.MaxScanRows), "Reads.MaxScanRows")
	positive(r.MaxQueryBytes, "Reads.MaxQueryBytes")
	positive(int64(r.MaxSnapshots), "Reads.MaxSnapshots")
	positive(int64(r.SnapshotAge), "Reads.SnapshotAge")
	positive(int64(r.HistoryCommits), "Reads.HistoryCommits")
	positive(r.HistoryBytes, "Reads.HistoryBytes")

	broken = append(broken, c.Keys.broken()...)
	rule(c.IdempotencyAge >= 0, "IdempotencyAge", "0 or positive")
	rule(c.DiskReserve >= 0, "DiskReserve", "0 or positive")
	positive(c.SegmentBytes, "SegmentBytes")
	rule(c.SegmentAge == 0 || c.SegmentAge >= minSegmentAge, "SegmentAge", "0 or at least 1 s")
	rule(c.FollowInterval >= 0, "FollowInterval", "0 or positive")
	rule(c.UpdateRetries >= 0, "UpdateRetries", "0 or positive")
	if len(broken) > 0 {
		return errs.Wrap(errs.CodeInvalidConfig, errors.Join(broken...), "the configuration cannot be used")
	}
	return nil
}

// pipeline returns the part of the configuration that the pipeline needs.
func (c *Config) pipeline() pipeline.Config {
	return pipeline.Config{
		Limits: executor.Limits{
			MaxMutations: c.Limits.Mutations, MaxAssertions: c.Limits.Assertions,
			MaxTransactionSize: c.Limits.TransactionBytes, MaxBatchRows: c.Limits.BatchRows,
			MaxKVKey: c.Limits.KVKeyBytes, MaxKVValue: c.Limits.KVValueBytes,
			MaxTableValue: c.Limits.TableValueBytes, MaxPrimaryKey: c.Limits.PrimaryKeyBytes,
			MaxEventPayload: c.Limits.EventPayloadBytes,
			MaxScanRows:     c.Reads.MaxScanRows, MaxReadBytes: c.Limits.ReadBytes,
		},
		Window:     applier.Window{Commits: c.IdempotencyCommits, Age: c.IdempotencyAge},
		Durability: c.Durability, BatchInterval: c.BatchInterval, BatchBytes: c.BatchBytes,
		SequencerQueue: c.Pipeline.SequencerQueue, ApplierQueue: c.Pipeline.ApplierQueue,
		WriterQueue: c.Pipeline.WriterQueue, FsyncerQueue: c.Pipeline.FsyncerQueue,
		PublisherQueue: c.Pipeline.PublisherQueue,
		QueueBytes:     c.Pipeline.QueueBytes, FailFast: c.Pipeline.OnFull == FailFast,
		EpochCommits: c.Pipeline.EpochCommits, EpochBytes: c.Pipeline.EpochBytes,
		SegmentBytes: c.SegmentBytes, SegmentAge: c.SegmentAge,
		HistoryCommits: c.Reads.HistoryCommits, HistoryBytes: c.Reads.HistoryBytes,
		CheckpointBytes: c.Checkpoint.WALBytes, CheckpointInterval: c.Checkpoint.Interval,
		CheckpointOnClose: c.Checkpoint.OnClose,
	}
}
