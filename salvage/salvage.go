// Package salvage saves what is whole of a damaged store into a new one, and tells what
// is lost.
//
// Invariants:
//
//  1. The damaged store is only listed and read.
//  2. What is saved is a prefix of history, the longest that verifies: the state after
//     some commit, never one with a hole.
//  3. A plan is what the execution does: both come from one examination.
package salvage

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/invariant"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/state"
)

// Report tells what can be, or was, saved of a store. It can be written as JSON.
type Report struct {
	// Whole is true if nothing is lost: every commit that the store is known to have
	// had is there.
	Whole bool `json:"whole"`
	// Incarnation is that of the damaged store.
	Incarnation string `json:"incarnation"`
	// Seq is the last commit that is saved, and Digest that of the state after it, in
	// hexadecimal.
	Seq    uint64 `json:"seq"`
	Digest string `json:"digest"`
	// Checkpoint is what the replay began with, empty for nothing.
	Checkpoint string `json:"checkpoint,omitempty"`
	// Commits were replayed from the log behind it.
	Commits int `json:"commits_replayed"`

	// LostFrom is the first commit that is lost, and LostTo the last that is known to
	// have been durable; later ones may be lost too. Both are 0 if nothing is lost.
	LostFrom uint64 `json:"lost_from_seq,omitempty"`
	LostTo   uint64 `json:"lost_to_seq,omitempty"`
	// LostBytes of log are left out, of LostFiles, because of Reason.
	LostBytes int64    `json:"lost_bytes"`
	LostFiles []string `json:"lost_files"`
	Reason    string   `json:"reason,omitempty"`
	// Torn is the unfinished end of the log, which nobody was promised; nil if there
	// is none.
	Torn *Torn `json:"torn,omitempty"`
	// Rejected are manifests and checkpoints that could not be used.
	Rejected []Rejection `json:"rejected_files"`
	// Violations are rules that the saved state breaks; see invariant.Check.
	Violations []string `json:"violations"`
}

// Torn is the unfinished end of a log.
type Torn struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
}

// Rejection is a file that could not be used, and why.
type Rejection struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

// Rescue is what was found.
type Rescue struct {
	Report Report
	image  *state.Image
	marked bool // the store has the mark of a permissive recovery
}

// Find finds out what can be saved of the store in o.Dir, which should not be open. A
// checkpoint other than 0 passes over those that are newer, and history ends at it: it
// is for a newer state that is whole and wrong.
//
// Errors are those of recovery.Examine: recovery_integrity if nothing can be saved.
func Find(ctx context.Context, o recovery.Options, checkpoint uint64) (*Rescue, error) {
	o.Mode = recovery.Permissive
	found, err := recovery.Examine(ctx, o, recovery.Passage{Checkpoint: checkpoint, Until: checkpoint})
	if err != nil {
		return nil, err
	}
	r := found.Report
	if checkpoint != 0 && r.CheckpointSeq != checkpoint {
		return nil, errs.New(errs.CodeRecoveryIntegrity, "there is no checkpoint of commit %d in %s that can be used", checkpoint, o.Dir).On(o.Dir)
	}
	digest := found.Image.Digest()
	report := Report{
		Incarnation: r.Incarnation.String(), Seq: r.Seq, Digest: hex.EncodeToString(digest[:]),
		Checkpoint: r.CheckpointFile, Commits: r.Commits, LostFiles: []string{}, Rejected: []Rejection{}, Violations: []string{},
	}
	for _, rejected := range append(r.RejectedManifests, r.RejectedCheckpoints...) {
		report.Rejected = append(report.Rejected, Rejection{rejected.File, rejected.Err.Error()})
	}
	if t := r.Torn; t.File != "" {
		report.Torn = &Torn{t.File, t.Offset, t.Bytes}
	}
	if known := max(found.Manifest.DurableSeq, found.LogSeq); r.Seq < known {
		report.LostFrom, report.LostTo = r.Seq+1, known
		report.Reason = fmt.Sprintf("the store is known to have had commit %d, and history ends at %d", known, r.Seq)
		if checkpoint != 0 {
			report.Reason = fmt.Sprintf("the state of commit %d was asked for, and the store is known to have had commit %d", r.Seq, known)
		}
	}
	if d := r.Dropped; d != nil {
		report.LostFrom, report.LostTo = d.FromSeq, max(d.FromSeq, report.LostTo)
		report.LostBytes, report.Reason = d.Bytes, d.Reason.Error()
		report.LostFiles = append(report.LostFiles, d.Files...)
	}
	for _, v := range invariant.Check(found.Image) {
		report.Violations = append(report.Violations, v.String())
	}
	report.Whole = report.LostFrom == 0
	return &Rescue{Report: report, image: found.Image, marked: found.Manifest.EverPermissive}, nil
}

// Save makes a new store of what was found, in to.Dir, as recovery.Create does. It has
// an identity of its own, and the mark of a permissive recovery only if the damaged
// store has it: what is lost was accepted, and is in the report.
func (r *Rescue) Save(ctx context.Context, to recovery.Options) error {
	_, err := recovery.Create(ctx, to, r.image, r.marked)
	return err
}
