package recovery

import (
	"time"

	"github.com/empyrealapp/aedb-go/manifest"
)

// Phase is a part of an opening.
type Phase uint8

// Phases, in order.
const (
	// PhaseManifest finds the manifest and lists the directory.
	PhaseManifest Phase = iota
	// PhaseCheckpoint loads the newest usable checkpoint.
	PhaseCheckpoint
	// PhaseLog replays the log.
	PhaseLog
	// PhaseRepair makes durable what has to be changed.
	PhaseRepair

	phases = int(PhaseRepair) + 1
)

// String returns the name of the phase in lower case.
func (p Phase) String() string {
	switch p {
	case PhaseManifest:
		return "manifest"
	case PhaseCheckpoint:
		return "checkpoint"
	case PhaseLog:
		return "log"
	case PhaseRepair:
		return "repair"
	}
	return "unknown"
}

// Progress tells how far an opening has come.
type Progress struct {
	Phase Phase
	// Done and Total are bytes of the phase's files; Total is 0 where the phase
	// reads none.
	Done, Total int64
	// Seq is the last commit that the state contains so far.
	Seq uint64
}

// Report tells what an opening found and did.
type Report struct {
	Mode Mode
	// Incarnation identifies the store since its creation or its restore.
	Incarnation manifest.Incarnation
	// Created is true for a directory that held no store.
	Created bool

	// Generation is the manifest that was used, 0 if there was none to use.
	Generation uint64
	// RejectedManifests are newer generations that could not be used.
	RejectedManifests []Rejection

	// CheckpointFile and CheckpointSeq are the base of the recovery; the name is
	// empty if it began with nothing.
	CheckpointFile string
	CheckpointSeq  uint64
	// RejectedCheckpoints are newer ones that could not be used.
	RejectedCheckpoints []Rejection

	// Segments on disk, those that were replayed, and those that were passed over
	// because the checkpoint covers them.
	Segments, SegmentsReplayed, SegmentsSkipped int
	// Frames, Commits and Bytes of log that were replayed.
	Frames, Commits int
	Bytes           int64
	// FirstSeq and LastSeq are the first and the last commit that were replayed
	// from the log; 0 if there was none.
	FirstSeq, LastSeq uint64
	// Seq is the last commit that the store contains.
	Seq uint64

	// Torn is what a crash left behind the last whole frame and was cut off;
	// nobody was ever promised it.
	Torn Torn
	// Dropped is what a permissive recovery left out; nil if nothing.
	Dropped *Dropped
	// KeysInUse are the keys that the store still needs, each with the files under it,
	// after the opening and in alphabetical order: the manifests that count, the
	// checkpoints and the segments. A key that is not listed can leave the ring.
	KeysInUse []KeyUse
	// Warnings are everything out of the ordinary, for people.
	Warnings []string

	// Durations are the times spent, by Phase.
	Durations [phases]time.Duration
}

// KeyUse is a key and the base names of the files that are signed, sealed or
// encrypted under it, ascending.
type KeyUse struct {
	Key   string
	Files []string
}

// Rejection is a file that could not be used, and why.
type Rejection struct {
	// File is its base name.
	File string
	Err  error
}

// Torn describes the unfinished end of a log.
type Torn struct {
	// File is the base name of the segment, empty if there was nothing to cut.
	File string
	// Offset is where the segment ends now; 0 if it was removed because it held
	// no commit.
	Offset int64
	// Bytes were cut off.
	Bytes int64
}

// Dropped describes the part of history that a permissive recovery gave up.
type Dropped struct {
	// Reason is the damage; see Diagnostic.
	Reason error
	// FromSeq is the first commit that is lost.
	FromSeq uint64
	// Files are the base names of the segments that were left out, wholly or
	// from some place on. Each is kept under its name with a suffix.
	Files []string
	// Bytes of log that were left out.
	Bytes int64
}
