package aedb

import (
	"errors"
	"time"

	"github.com/empyrealapp/aedb-go/errs"
)

// HealthState sums up how a store or a reader is.
type HealthState string

// States, from good to bad.
const (
	// HealthOK: it does all that it should.
	HealthOK HealthState = "ok"
	// HealthDegraded: it works in part, and somebody should see to the cause. A
	// store refuses writes for lack of room on the disk, or cannot take checkpoints; a
	// reader shows what it showed last.
	HealthDegraded HealthState = "degraded"
	// HealthPoisoned: the pipeline has broken down. Reads go on; it has to be opened
	// again.
	HealthPoisoned HealthState = "poisoned"
	// HealthClosed: it was closed.
	HealthClosed HealthState = "closed"
)

// Health tells how an open store is. It can be written as JSON; durations are in
// nanoseconds, sizes in bytes.
type Health struct {
	State HealthState `json:"state"`
	// Cause is why the state is not ok, nil if it is; Reason is its text.
	Cause  error  `json:"-"`
	Reason string `json:"reason,omitempty"`

	// VisibleSeq and DurableSeq are the heads.
	VisibleSeq uint64 `json:"visible_head_seq"`
	DurableSeq uint64 `json:"durable_head_seq"`
	// Pending is the number of requests that were admitted and not yet answered.
	Pending int `json:"queue_depth"`
	// LastSync is when the log was last synced; zero if not since the opening.
	LastSync time.Time `json:"last_sync,omitzero"`

	// CheckpointSeq is what the newest checkpoint shows, CheckpointAge its age; both
	// are 0 if there is none.
	CheckpointSeq uint64        `json:"last_checkpoint_seq"`
	CheckpointAge time.Duration `json:"last_checkpoint_age_ns"`
	// CheckpointFailures counts since the opening, WALBytes is what the log has grown
	// by since the newest checkpoint.
	CheckpointFailures uint64 `json:"checkpoint_failures"`
	WALBytes           int64  `json:"wal_bytes_since_checkpoint"`

	// DiskFree is the room on the disk when it was last looked at, -1 if that is not
	// known. WritesRefused is true while it is below Config.DiskReserve.
	DiskFree      int64 `json:"disk_free_bytes"`
	WritesRefused bool  `json:"writes_refused"`
}

// Health returns how the store is now. It waits for nothing, and also works after a
// breakdown and after Close.
func (db *DB) Health() Health {
	c, keeper := db.pipeline.Counters(), db.keeper.Stats()
	h := Health{
		State:      HealthOK,
		VisibleSeq: c.VisibleSeq, DurableSeq: c.DurableSeq,
		Pending: int(behind(c.Sequenced, c.Processed)) + c.Stages[0].Mailbox.Depth, LastSync: c.LastSync,
		CheckpointSeq: keeper.Seq, CheckpointFailures: keeper.Failures, WALBytes: keeper.BytesSince,
		DiskFree: db.disk.free.Load(),
	}
	if !keeper.At.IsZero() {
		h.CheckpointAge = max(0, db.clock.Now().Sub(keeper.At))
	}
	full := db.pipeline.Held()
	h.WritesRefused = full != nil
	h.Cause = full
	if keeper.Err != nil {
		h.Cause = errors.Join(full, errs.Wrap(errs.CodeOf(keeper.Err), keeper.Err, "the last checkpoint failed"))
	}
	if h.Cause != nil {
		h.State = HealthDegraded
	}
	if err := db.Err(); err != nil {
		h.State, h.Cause = HealthPoisoned, err
	}
	if err := db.alive(); err != nil {
		h.State, h.Cause = HealthClosed, err
	}
	h.Reason = reason(h.Cause)
	return h
}

// reason is the text of a cause, empty without one.
func reason(cause error) string {
	if cause == nil {
		return ""
	}
	return cause.Error()
}

// ReaderHealth tells how a reader is. It can be written as JSON; durations are in
// nanoseconds.
type ReaderHealth struct {
	State HealthState `json:"state"`
	// Cause is why the log cannot be read on, nil if it can; Reason is its text.
	// Where it is damage, File and Offset say where.
	Cause  error  `json:"-"`
	Reason string `json:"reason,omitempty"`
	File   string `json:"file,omitempty"`
	Offset int64  `json:"offset,omitempty"`

	// VisibleSeq and DurableSeq are those of Reader.Heads.
	VisibleSeq uint64 `json:"visible_head_seq"`
	DurableSeq uint64 `json:"durable_head_seq"`
	// CommitAge is how long ago the newest commit shown was made, by the clock of the
	// process that made it; 0 before the first.
	CommitAge time.Duration `json:"newest_commit_age_ns"`
	// SinceLook is how long ago the log was last read to its end, SinceProgress how
	// long ago there was something new in it.
	SinceLook     time.Duration `json:"since_look_ns"`
	SinceProgress time.Duration `json:"since_progress_ns"`
	// Loads counts how often a checkpoint was loaded: once at the opening, and each
	// time that the log behind it was no longer there to be followed.
	Loads uint64 `json:"checkpoint_loads"`
}
