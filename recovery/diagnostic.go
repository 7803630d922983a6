package recovery

import (
	"fmt"
	"strconv"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/wal"
)

// Kind names a disagreement. The strings are stable.
type Kind string

// Kinds of disagreement between the log and the manifest.
const (
	KindSegmentMissing     Kind = "manifest_wal_segment_missing"
	KindMissingSize        Kind = "manifest_wal_segment_missing_size_metadata"
	KindMissingChecksum    Kind = "manifest_wal_segment_missing_checksum_metadata"
	KindChecksumMismatch   Kind = "manifest_wal_segment_checksum_mismatch"
	KindSegmentTruncated   Kind = "manifest_wal_segment_truncated"
	KindSegmentTooLong     Kind = "manifest_wal_segment_size_mismatch"
	KindDurableSeqNotFound Kind = "manifest_durable_seq_not_reached"
)

// Kinds of disagreement within the log.
const (
	// KindSegmentCorrupt is damage to bytes that were durable.
	KindSegmentCorrupt Kind = "wal_segment_corrupt"
	// KindChainBroken is a segment that does not belong where it is.
	KindChainBroken Kind = "wal_chain_broken"
	// KindCheckpointNotReached is a log that ends below the checkpoint.
	KindCheckpointNotReached Kind = "wal_checkpoint_not_reached"
)

// hint is what an operator can do about a store that strict recovery refuses.
const hint = "restore the store from a known-good backup, or repair it by opening it once in permissive recovery, " +
	"which keeps the undamaged prefix of history and marks the store for ever"

// Diagnostic describes one disagreement. It is the cause of a
// recovery_integrity error, for errors.As, and can be written as JSON.
type Diagnostic struct {
	Kind Kind `json:"kind"`
	// Detail says it in words.
	Detail string `json:"detail"`
	// Segment and File are the segment concerned, Offset where in it; 0 and ""
	// if it is the log as a whole.
	Segment uint64 `json:"segment_seq"`
	File    string `json:"segment_filename"`
	Offset  int64  `json:"offset,omitempty"`

	Dir      string `json:"wal_dir"`
	Manifest string `json:"manifest_path"`
	Mode     string `json:"recovery_mode"`
	// DurableSeq and ActiveSegment are what the manifest says.
	DurableSeq    uint64 `json:"durable_seq"`
	ActiveSegment uint64 `json:"active_segment_seq"`
	// CheckpointSeq is the checkpoint that the recovery began with.
	CheckpointSeq *uint64 `json:"latest_checkpoint_seq,omitempty"`

	// Sizes are in bytes, digests in hexadecimal; both where they are known.
	ExpectedSize   *int64 `json:"expected_size_bytes,omitempty"`
	ActualSize     *int64 `json:"actual_size_bytes,omitempty"`
	ExpectedDigest string `json:"expected_blake3_hex,omitempty"`
	ActualDigest   string `json:"actual_blake3_hex,omitempty"`

	// Hint says what an operator can do.
	Hint string `json:"operator_hint"`

	cause error
}

// Error implements error.
func (d *Diagnostic) Error() string {
	s := string(d.Kind)
	if d.File != "" {
		s += ": " + d.File
		if d.Offset > 0 {
			s += " at offset " + strconv.FormatInt(d.Offset, 10)
		}
	}
	if d.Detail != "" {
		s += ": " + d.Detail
	}
	if d.cause != nil {
		s += ": " + d.cause.Error()
	}
	return s + " (" + d.Hint + ")"
}

// Unwrap returns what was found wrong with the bytes, or nil.
func (d *Diagnostic) Unwrap() error { return d.cause }

// diagnose returns a diagnostic about a segment, or about the log as a whole if
// the number is 0.
func (r *recoverer) diagnose(kind Kind, number uint64, format string, args ...any) *Diagnostic {
	d := &Diagnostic{
		Kind: kind, Detail: fmt.Sprintf(format, args...), Segment: number,
		Dir: r.Dir, Mode: r.Mode.String(),
		DurableSeq: r.manifest.DurableSeq, ActiveSegment: r.manifest.ActiveSegment,
		Hint: hint,
	}
	if number != 0 {
		d.File = wal.SegmentName(number)
	}
	if r.report.Generation != 0 {
		d.Manifest = r.path(manifest.FileName(r.report.Generation))
	}
	if r.base != nil {
		seq := r.base.Seq()
		d.CheckpointSeq = &seq
	}
	return d
}

// compared adds what the manifest says of a segment and what was found. An
// actual digest of zero is not known.
func (d *Diagnostic) compared(listed *manifest.Segment, size int64, actual wal.Digest) *Diagnostic {
	d.ExpectedSize, d.ActualSize = &listed.Size, &size
	d.ExpectedDigest = listed.Digest.String()
	if actual != (wal.Digest{}) {
		d.ActualDigest = manifest.Digest(actual).String()
	}
	return d
}

// refuse makes a diagnostic the error that Open returns.
func (d *Diagnostic) refuse() error {
	return errs.Wrap(errs.CodeRecoveryIntegrity, d, "the log cannot be recovered").On(d.File)
}
