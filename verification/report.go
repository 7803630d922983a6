// Package verification proves a store, or finds out what is wrong with it: it replays
// all of its history from every checkpoint, reads every file, and checks the state that
// comes out against its own rules.
//
// Invariants:
//
//  1. It only lists and reads. No state of a directory makes it change anything.
//  2. What is wrong with the store is a result. An error means that nothing can be
//     said: there is no store, a key is not there, a disk fails, the context ended.
//  3. Files that come and go because the store is open elsewhere are not damage.
package verification

import "github.com/empyrealapp/aedb-go/recovery"

// Names of checks. They are stable.
const (
	// CheckRecovery: manifest, newest checkpoint and log make a state.
	CheckRecovery = "wal_checkpoint_manifest_integrity"
	// CheckManifests: every generation of the manifest verifies.
	CheckManifests = "manifest_generations"
	// CheckCheckpoints: every retained checkpoint decodes, and the log behind it leads
	// to the same digest.
	CheckCheckpoints = "checkpoint_generations_agree"
	// CheckSegments: every segment in the directory reads to its end.
	CheckSegments = "wal_segments"
	// CheckInvariants: schema, rows, indexes and keys agree.
	CheckInvariants = "catalog_index_referential_consistency"
)

// Report is what a verification found. It can be written as JSON.
type Report struct {
	// OK is true if every check has passed.
	OK bool `json:"ok"`
	// Incarnation identifies the store; Seq and Digest are its last commit and the
	// digest of the state there, in hexadecimal. Empty if no state could be recovered.
	Incarnation string `json:"incarnation"`
	Seq         uint64 `json:"current_seq"`
	Digest      string `json:"digest"`
	// Counts are those of the state.
	Counts
	Checks []Check `json:"checks"`
	// Violations are what is wrong, one line each: of the invariants those of
	// invariant.Check, at most invariant.MaxViolations.
	Violations []string `json:"violations"`

	Manifests   []Manifest   `json:"manifests"`
	Checkpoints []Checkpoint `json:"checkpoints"`
	Segments    []Segment    `json:"segments"`
	// Recovery is the report of the examination; zero if it failed.
	Recovery recovery.Report `json:"-"`
}

// Counts say how much a state holds.
type Counts struct {
	Tables int `json:"tables"`
	Rows   int `json:"rows"`
	Keys   int `json:"kv_entries"`
}

// Check is one check and how it ended.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Manifest is one generation on disk.
type Manifest struct {
	File string `json:"file"`
	// Problem is why it was rejected, empty if it was not.
	Problem string `json:"problem,omitempty"`
}

// Checkpoint is one that the manifest retains.
type Checkpoint struct {
	File string `json:"file"`
	Seq  uint64 `json:"seq"`
	// Digest is that of the state at Report.Seq, replayed from this checkpoint.
	Digest  string `json:"digest,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// Segment is one segment of the log on disk.
type Segment struct {
	File     string `json:"file"`
	Bytes    int64  `json:"bytes"`
	Frames   int    `json:"frames"`
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
	// Unfinished is true for the last segment if it ends in what a crash leaves, or a
	// write that is under way: that is no damage.
	Unfinished bool   `json:"unfinished,omitempty"`
	Problem    string `json:"problem,omitempty"`
}

// Find returns the check with a name, and false if it was not made.
func (r *Report) Find(name string) (Check, bool) {
	for _, c := range r.Checks {
		if c.Name == name {
			return c, true
		}
	}
	return Check{}, false
}
