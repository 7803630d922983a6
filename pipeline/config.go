package pipeline

import (
	"time"

	"github.com/empyrealapp/aedb-go/applier"
	"github.com/empyrealapp/aedb-go/executor"
)

// Durability chooses when a commit is acknowledged and when the log is synced.
type Durability uint8

// Durability modes.
const (
	// Full acknowledges a commit when it is on stable storage. A crash loses
	// nothing acknowledged.
	Full Durability = iota
	// Batch acknowledges a commit when it is in the log, and syncs the log by
	// interval and by size. Losing power loses at most the unsynced tail; losing
	// the process loses nothing.
	Batch
	// OsBuffered acknowledges a commit when it is in the log and syncs only when
	// asked, at checkpoints and at the end.
	OsBuffered
)

// String returns the name of the mode as it is spelled in configuration.
func (d Durability) String() string {
	switch d {
	case Full:
		return "full"
	case Batch:
		return "batch"
	}
	return "os_buffered"
}

// Config is what the pipeline is made from. Every field must be set; the engine's
// front door holds the defaults.
type Config struct {
	Limits executor.Limits
	Window applier.Window

	Durability    Durability
	BatchInterval time.Duration
	BatchBytes    int64

	// Capacities of the mailboxes, in messages.
	SequencerQueue, ApplierQueue, WriterQueue, FsyncerQueue, PublisherQueue int
	// QueueBytes bounds the bytes of all requests that are admitted and not yet
	// answered.
	QueueBytes int64
	// FailFast refuses with queue_full what cannot be admitted at once; else
	// admission waits until the caller's context ends.
	FailFast bool

	// An epoch closes at so many requests or bytes.
	EpochCommits int
	EpochBytes   int64

	SegmentBytes int64
	// SegmentAge is when a flush seals a segment with commits; 0 for never.
	SegmentAge time.Duration

	// History bounds what reads at a past seq can reach.
	HistoryCommits int
	HistoryBytes   int64

	// A checkpoint is taken when the log has grown by so many bytes, or after so
	// long; 0 switches either off.
	CheckpointBytes    int64
	CheckpointInterval time.Duration
	CheckpointOnClose  bool
}
