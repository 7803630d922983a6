package manifest

import (
	"encoding/hex"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/errs"
)

// Manifest is one generation. It is a plain value; slices are not shared with
// this package.
type Manifest struct {
	// FeatureFlags are the features that a reader of this store must know.
	FeatureFlags uint64 `json:"feature_flags"`
	// Incarnation identifies the store since its creation or its restore.
	Incarnation Incarnation `json:"incarnation"`
	// Generation is the number of this manifest, from 1.
	Generation uint64 `json:"generation"`
	// KeyEncoding is the version of the encoding of keys in every file.
	KeyEncoding uint32 `json:"key_encoding"`
	// CreatedMicros is when this generation was written, in microseconds since
	// the Unix epoch.
	CreatedMicros int64 `json:"created_micros"`
	// EverPermissive is the mark of trust: it is set for ever once the store was
	// opened in permissive recovery.
	EverPermissive bool `json:"ever_permissive"`
	// DurableSeq is the highest commit seq known to be durable when this was
	// written. A recovery that ends below it has lost something.
	DurableSeq uint64 `json:"durable_seq"`
	// ActiveSegment is the number of the segment that was being written. Later
	// ones may exist.
	ActiveSegment uint64 `json:"active_segment"`
	// Checkpoints are those retained, ascending by seq.
	Checkpoints []Checkpoint `json:"checkpoints"`
	// Bases are those that are not retained themselves, but that retained ones build
	// on; ascending, and all below them.
	Bases []Checkpoint `json:"bases,omitempty"`
	// Segments are the sealed segments, ascending, from the oldest that the
	// oldest checkpoint needs, or a pin holds.
	Segments []Segment `json:"segments"`
	// Pins keep segments on the list that no checkpoint needs.
	Pins []Pin `json:"pins,omitempty"`
}

// Pin is a hold on the log, for what is to be copied from it.
type Pin struct {
	// Name tells whose it is.
	Name string `json:"name"`
	// Seq is the first commit held.
	Seq uint64 `json:"seq"`
	// MaxBytes bounds the log that is kept for this pin alone. Beyond it the pin is
	// given up.
	MaxBytes int64 `json:"max_bytes"`
}

// Checkpoint is one retained checkpoint.
type Checkpoint struct {
	// File is the base name of the file.
	File string `json:"file"`
	// Seq is the commit seq whose state the checkpoint holds.
	Seq uint64 `json:"seq"`
	// Size is the size of the file in bytes.
	Size int64 `json:"size"`
	// Digest is the digest that the checkpoint's reader reports.
	Digest Digest `json:"digest"`
	// CreatedMicros is when it was written, in microseconds since the Unix epoch.
	CreatedMicros int64 `json:"created_micros"`
	// Base is the seq of the checkpoint that it builds on, 0 for a full one.
	Base uint64 `json:"base,omitempty"`
	// RawBytes is the size of its entries before compression; 0 if nobody wrote it
	// down.
	RawBytes int64 `json:"raw_bytes,omitempty"`
}

// Segment is one sealed log segment.
type Segment struct {
	// Number is the number of the segment, which names the file.
	Number uint64 `json:"number"`
	// FirstSeq and LastSeq are its commits. LastSeq is FirstSeq-1 if there are
	// none.
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
	// Size is the size in bytes, without unused space behind the last frame.
	Size int64 `json:"size"`
	// Digest is the BLAKE3 digest of these bytes.
	Digest Digest `json:"digest"`
}

// Vouches reports whether a segment begins with what the manifest lists of it.
func (m *Manifest) Vouches(number uint64, data []byte) bool {
	for _, s := range m.Segments {
		if s.Number == number {
			return s.Size <= int64(len(data)) && Digest(blake3.Sum256(data[:s.Size])) == s.Digest
		}
	}
	return false
}

// Digest is a BLAKE3-256 digest, written in hexadecimal.
type Digest [32]byte

// String returns the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error { return decodeHex(d[:], text) }

// Incarnation is the random identity of a store, written in hexadecimal.
type Incarnation [16]byte

// String returns the incarnation in lower-case hexadecimal.
func (i Incarnation) String() string { return hex.EncodeToString(i[:]) }

// MarshalText implements encoding.TextMarshaler.
func (i Incarnation) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, i[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *Incarnation) UnmarshalText(text []byte) error { return decodeHex(i[:], text) }

func decodeHex(dst, text []byte) error {
	if len(text) != 2*len(dst) {
		return errs.New(errs.CodeDecode, "%d hexadecimal digits where %d are expected", len(text), 2*len(dst))
	}
	if _, err := hex.Decode(dst, text); err != nil {
		return errs.Wrap(errs.CodeDecode, err, "not hexadecimal")
	}
	return nil
}

// validate checks that the lists are in order and that names stay inside the
// directory.
func (m *Manifest) validate() error {
	if m.Generation == 0 {
		return errs.New(errs.CodeValidation, "generation 0")
	}
	listed := m.Listed()
	for i, c := range listed {
		if c.File == "" || c.File[0] == '.' || strings.ContainsAny(c.File, "/\\\x00") {
			return errs.New(errs.CodeValidation, "checkpoint %d has the file name %q", c.Seq, c.File)
		}
		if c.Size < 0 {
			return errs.New(errs.CodeValidation, "checkpoint %s has size %d", c.File, c.Size)
		}
		if i > 0 && c.Seq <= listed[i-1].Seq {
			return errs.New(errs.CodeValidation, "checkpoint %d is listed after %d", c.Seq, listed[i-1].Seq)
		}
	}
	if err := m.validateChains(); err != nil {
		return err
	}
	for i, s := range m.Segments {
		if s.Size < 0 {
			return errs.New(errs.CodeValidation, "segment %d has size %d", s.Number, s.Size)
		}
		if s.FirstSeq == 0 || s.LastSeq < s.FirstSeq-1 {
			return errs.New(errs.CodeValidation, "segment %d holds seqs %d to %d", s.Number, s.FirstSeq, s.LastSeq)
		}
		if s.Number >= m.ActiveSegment {
			return errs.New(errs.CodeValidation, "sealed segment %d is not below the active one, %d", s.Number, m.ActiveSegment)
		}
		if i == 0 {
			continue
		}
		if before := m.Segments[i-1]; s.Number <= before.Number || s.FirstSeq != before.LastSeq+1 {
			return errs.New(errs.CodeValidation, "segment %d from seq %d is listed after segment %d to seq %d",
				s.Number, s.FirstSeq, before.Number, before.LastSeq)
		}
	}
	return nil
}
