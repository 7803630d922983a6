package aedb

import (
	"time"

	"github.com/empyrealapp/aedb-go/feed"
	"github.com/empyrealapp/aedb-go/locks"
	"github.com/empyrealapp/aedb-go/pipeline"
)

// Latency summarises a distribution of times since the store was opened.
type Latency = pipeline.Latency

// OperationalMetrics is what an operator watches. Counters run from the opening
// of the store; a commit waits for a reader of them no longer than it takes to
// sum up one distribution. The comment of each field gives its stable name for
// exporters.
type OperationalMetrics struct {
	// commits_total: requests that went through the pipeline, accepted or not.
	CommitsTotal uint64
	// commits_applied: commits made. duplicates_total: requests answered by an
	// earlier commit with the same idempotency key, most of them before the pipeline.
	CommitsApplied, DuplicatesTotal uint64
	// commit_errors: requests refused anywhere, and by class or cause.
	CommitErrors          uint64
	PermissionRejections  uint64 // permission_rejections
	ValidationRejections  uint64 // validation_rejections
	QueueFullRejections   uint64 // queue_full_rejections
	TimeoutRejections     uint64 // timeout_rejections
	ConflictRejections    uint64 // conflict_rejections: class conflict, assertions included
	ReadSetConflicts      uint64 // read_set_conflicts
	AssertionRejections   uint64 // assertion_rejections
	UnavailableRejections uint64 // unavailable_rejections
	// conflict_rate: conflict rejections per request that went through; 0 to 1.
	ConflictRate float64

	// commit_latency: admission to publication.
	CommitLatency Latency
	// wal_append_ops, wal_append_bytes, wal_append_latency: writes to the log.
	WALAppendOps, WALAppendBytes uint64
	WALAppendLatency             Latency
	// wal_sync_ops, wal_sync_latency: syncs of the log.
	WALSyncOps     uint64
	WALSyncLatency Latency
	// image_waits, image_wait_latency: reads that had to wait until the image they are
	// of was made, since nobody had read for a while.
	ImageWaits       uint64
	ImageWaitLatency Latency
	// epochs_total, epoch_size_mean and epoch_size_max, in requests.
	EpochsTotal   uint64
	EpochSizeMean float64
	EpochSizeMax  uint64

	// queue_depth: requests admitted and not yet answered, in the sequencer's
	// queue or behind it. inflight_commits: those behind it. queued_bytes: bytes
	// of all of them.
	QueueDepth, InflightCommits int
	QueuedBytes                 int64
	// admission_blocked_ops and admission_blocked_time: waits for room in bytes.
	AdmissionBlockedOps  uint64
	AdmissionBlockedTime time.Duration

	// visible_head_seq, durable_head_seq and durable_head_lag, their difference.
	VisibleHeadSeq, DurableHeadSeq, DurableHeadLag uint64

	// Locks has the figures of the object locks: lock_keys, locks_held,
	// lock_waiting, lock_acquired, lock_waited, lock_wait_time, lock_timeouts,
	// lock_canceled and lock_refused.
	Locks locks.Stats
	// Feed has the figures of the change feed: feed_subscribers, feed_delivered,
	// feed_missed, and feed_lag, that of the slowest.
	Feed feed.Stats

	// startup_recovery_time and startup_recovered_seq: the last opening.
	StartupRecoveryTime time.Duration
	StartupRecoveredSeq uint64

	// active_snapshots: read transactions that are open.
	ActiveSnapshots int
	// keyspace_resident_bytes: heap that the published image occupies.
	// keyspace_entries: entries of all spaces, indexes included.
	KeyspaceResidentBytes, KeyspaceEntries int64

	// last_checkpoint_seq, checkpoint_failures and wal_bytes_since_checkpoint.
	LastCheckpointSeq       uint64
	CheckpointFailures      uint64
	WALBytesSinceCheckpoint int64
	// checkpoint_entries_written of checkpoint_entries_total are in the checkpoint
	// that is being taken; both are 0 while there is none.
	CheckpointEntriesWritten, CheckpointEntriesTotal int64

	// disk_free_bytes: room on the disk when it was last looked at, -1 if that is not
	// known. writes_refused: it is below Config.DiskReserve.
	DiskFreeBytes int64
	WritesRefused bool
	// last_checkpoint_age, 0 if there is none. wal_last_sync: when the log was last
	// synced, zero if not since the opening.
	LastCheckpointAge time.Duration
	WALLastSync       time.Time

	// backup_log_bytes: log that the last checkpoint kept only for the next
	// incremental backup. backup_log_released: how often it was given up for having
	// become too much.
	BackupLogBytes    int64
	BackupLogReleased uint64
	// Archive has the figures of the archiver: archive_seq, archive_lag,
	// archive_lag_time, archive_shipments, archive_fulls, archive_bytes and
	// archive_failures.
	Archive ArchiveStats

	// wal_poisoned: the pipeline has broken down; see DB.Err.
	WALPoisoned bool

	// Stages, in the order of the pipeline: sequencer, applier, writer, fsyncer,
	// publisher, checkpointer.
	Stages []StageMetrics
}

// StageMetrics are the figures of one stage.
type StageMetrics struct {
	Name string
	// Depth, Capacity and HighWater of the stage's queue, in messages: requests
	// for the sequencer, epochs or groups of epochs for the others.
	Depth, Capacity, HighWater int
	// Blocked is the time that senders have waited for room in the queue, and
	// BlockedSends how often.
	Blocked      time.Duration
	BlockedSends uint64
	// Messages handled, in so many Batches of at most LargestBatch.
	Messages, Batches uint64
	LargestBatch      int
	// Busy is the time spent at work, waits for the next stage included. Syncs that
	// overlap are added up.
	Busy time.Duration
	// Lag is how far the stage is behind the one before it, in commits (for the
	// applier, in requests). The sequencer and the checkpointer have none.
	Lag uint64
}

// OperationalMetrics returns the figures as they are now.
func (db *DB) OperationalMetrics() OperationalMetrics {
	c := db.pipeline.Counters()
	image := db.pipeline.Heads().Visible()
	keeper := db.keeper.Stats()
	m := OperationalMetrics{
		Locks: db.locks.Stats(),
		Feed:  db.feed.Stats(),

		CommitsTotal: c.Processed, CommitsApplied: c.Commits, DuplicatesTotal: c.Duplicates,
		CommitErrors: c.Rejected, PermissionRejections: c.Permission, ValidationRejections: c.Validation,
		QueueFullRejections: c.QueueFull, TimeoutRejections: c.Timeouts,
		ConflictRejections: c.Conflict, ReadSetConflicts: c.ReadSetConflicts,
		AssertionRejections: c.AssertionFailures, UnavailableRejections: c.Unavailable,
		CommitLatency: c.Commit,
		WALAppendOps:  c.Appends, WALAppendBytes: c.AppendBytes, WALAppendLatency: c.Append,
		WALSyncOps: c.Sync.Count, WALSyncLatency: c.Sync,
		ImageWaits: c.Image.Count, ImageWaitLatency: c.Image,
		EpochsTotal: c.Epochs, EpochSizeMax: c.LargestEpoch,
		QueuedBytes:         c.AdmittedBytes,
		AdmissionBlockedOps: c.AdmissionBlocked, AdmissionBlockedTime: c.AdmissionBlockedTime,
		VisibleHeadSeq: c.VisibleSeq, DurableHeadSeq: c.DurableSeq, DurableHeadLag: c.VisibleSeq - c.DurableSeq,
		StartupRecoveryTime: db.opened, StartupRecoveredSeq: db.report.Seq,
		ActiveSnapshots:       db.reads.snapshots.count(),
		KeyspaceResidentBytes: image.MemoryBytes(), KeyspaceEntries: image.Entries(),
		LastCheckpointSeq: keeper.Seq, CheckpointFailures: keeper.Failures, WALBytesSinceCheckpoint: keeper.BytesSince,
		CheckpointEntriesWritten: keeper.Written, CheckpointEntriesTotal: keeper.Total,
		DiskFreeBytes: db.disk.free.Load(), WritesRefused: db.pipeline.Held() != nil,
		WALLastSync: c.LastSync, WALPoisoned: db.pipeline.Cause() != nil,
		Archive:        db.archiveStats(),
		BackupLogBytes: keeper.PinnedBytes, BackupLogReleased: keeper.PinsBroken,
	}
	if !keeper.At.IsZero() {
		m.LastCheckpointAge = max(0, db.clock.Now().Sub(keeper.At))
	}
	if c.Processed > 0 {
		m.ConflictRate = float64(c.Conflict) / float64(c.Processed)
	}
	if c.Epochs > 0 {
		m.EpochSizeMean = float64(c.EpochRequests) / float64(c.Epochs)
	}
	m.InflightCommits = int(behind(c.Sequenced, c.Processed))
	lags := map[string]uint64{
		"applier":   behind(c.Sequenced, c.Processed),
		"writer":    behind(c.AppliedSeq, c.WrittenSeq),
		"fsyncer":   behind(c.WrittenSeq, c.DurableSeq),
		"publisher": behind(c.WrittenSeq, c.VisibleSeq),
	}
	for _, s := range c.Stages {
		m.Stages = append(m.Stages, StageMetrics{
			Name: s.Name, Depth: s.Mailbox.Depth, Capacity: s.Mailbox.Capacity, HighWater: s.Mailbox.HighWater,
			Blocked: s.Mailbox.Blocked, BlockedSends: s.Mailbox.BlockedSends,
			Messages: s.Handled, Batches: s.Batches, LargestBatch: s.LargestBatch, Busy: s.Busy,
			Lag: lags[s.Name],
		})
	}
	m.QueueDepth = m.InflightCommits + m.Stages[0].Depth
	return m
}

// behind is a - b for counters that are read one after the other, so that b may
// have overtaken a.
func behind(a, b uint64) uint64 { return a - min(a, b) }

// FailedAssertion tells of a request that was refused by an assertion.
type FailedAssertion = pipeline.FailedAssertion

// FailedAssertions returns the newest requests that were refused by an assertion,
// up to 256, the oldest of them first. They are kept in memory only: a refusal
// leaves nothing in the store. AssertionRejections counts all of them.
func (db *DB) FailedAssertions() []FailedAssertion { return db.pipeline.FailedAssertions() }
