package backup

import (
	"github.com/empyrealapp/aedb-go/manifest"

	"github.com/empyrealapp/aedb-go/errs"
)

// Digest is a BLAKE3-256 digest, written in hexadecimal.
type Digest = manifest.Digest

// Manifest says what a backup is of. It is a plain value.
type Manifest struct {
	// FeatureFlags are the features that a reader of this backup must know.
	FeatureFlags uint64 `json:"feature_flags"`
	// ID is the name of the backup, with which the names of its objects begin.
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Parent is the backup that this one follows; nil for a full one.
	Parent *Parent `json:"parent,omitempty"`
	// Incarnation is that of the store: its history since creation or restore.
	Incarnation manifest.Incarnation `json:"incarnation"`
	// KeyEncoding is the version of the encoding of keys.
	KeyEncoding uint32 `json:"key_encoding"`
	// CreatedMicros is when the backup was made, in microseconds since the Unix
	// epoch, by the clock of who made it.
	CreatedMicros int64 `json:"created_micros"`
	// EverPermissive is the mark of trust of the store.
	EverPermissive bool `json:"ever_permissive"`
	// FromSeq is the first commit in an incremental backup, 0 for a full one. Seq is
	// the last; FromSeq-1 if there was none.
	FromSeq uint64 `json:"from_seq"`
	Seq     uint64 `json:"seq"`
	// Micros is the time of commit Seq in microseconds since the Unix epoch.
	Micros int64 `json:"micros"`
	// Tip is the digest of commit Seq, nil where the log did not hold it.
	Tip *Digest `json:"tip,omitempty"`
	// State is the digest of the state at Seq, nil if it was not asked for or cannot
	// be told; see Volatile.
	State *Digest `json:"state,omitempty"`
	// Volatile says that the store has had volatile commits, so that its state held
	// effects that its log does not. A full backup holds them; what builds on it
	// from the log may differ from the state that the store had.
	Volatile bool `json:"volatile"`
	// Sealed says that the objects are sealed streams.
	Sealed bool `json:"sealed"`
	// Objects are the checkpoint of a full backup, or the pieces of log of an
	// incremental one, in order.
	Objects []Object `json:"objects"`

	digest Digest // of the document; set when it was encoded or decoded
}

// Parent names the backup that an incremental one follows.
type Parent struct {
	ID string `json:"id"`
	// Digest is that of the parent's manifest; see Manifest.Digest.
	Digest Digest `json:"digest"`
}

// Object is one object of a backup beside its manifest.
type Object struct {
	Name string `json:"name"`
	// FirstSeq and LastSeq are its commits; for a checkpoint both are the commit
	// that it shows.
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
	// Size and Digest are of the bytes in the store, sealed or not.
	Size   int64  `json:"size"`
	Digest Digest `json:"digest"`
}

// Digest returns the digest of the manifest without its signature: what children
// name it by. It is zero for a manifest that was not read or written.
func (m *Manifest) Digest() Digest { return m.digest }

// Bytes returns the size of all objects but the manifest.
func (m *Manifest) Bytes() int64 {
	var n int64
	for i := range m.Objects {
		n += m.Objects[i].Size
	}
	return n
}

// objectNames returns the names of the objects but the manifest.
func (m *Manifest) objectNames() []string {
	names := make([]string, len(m.Objects))
	for i := range m.Objects {
		names[i] = m.Objects[i].Name
	}
	return names
}

// validate checks that a manifest is in order in itself.
func (m *Manifest) validate() error {
	wrong := func(format string, args ...any) error { return errs.New(errs.CodeValidation, format, args...) }
	kind, seq, ok := parseID(m.ID)
	if !ok || kind != m.Kind || seq != m.Seq {
		return wrong("the id %.100q is not that of a backup of kind %.10q up to commit %d", m.ID, m.Kind, m.Seq)
	}
	for i := range m.Objects {
		if m.Objects[i].Size <= 0 {
			return wrong("object %d has %d bytes", i+1, m.Objects[i].Size)
		}
	}
	if kind == Full {
		if m.Parent != nil || m.FromSeq != 0 {
			return wrong("a full backup has no parent and no first commit")
		}
		if len(m.Objects) != 1 || m.Objects[0].Name != m.ID+checkpointSuffix || m.Objects[0].FirstSeq != m.Seq || m.Objects[0].LastSeq != m.Seq {
			return wrong("a full backup has one object, the checkpoint of its commit")
		}
		return nil
	}
	if m.Parent == nil || m.FromSeq == 0 || m.Seq < m.FromSeq-1 {
		return wrong("an incremental backup has a parent and a first commit, at most one above its last")
	}
	if parentKind, parentSeq, ok := parseID(m.Parent.ID); !ok || parentSeq != m.FromSeq-1 || parentKind == "" {
		return wrong("the parent %.100q does not end at commit %d", m.Parent.ID, m.FromSeq-1)
	}
	next := m.FromSeq
	for i := range m.Objects {
		o := &m.Objects[i]
		if o.Name != logName(m.ID, i+1) || o.FirstSeq != next || o.LastSeq < o.FirstSeq || o.LastSeq > m.Seq {
			return wrong("object %d, %.100q, holds commits %d to %d where %d is expected", i+1, o.Name, o.FirstSeq, o.LastSeq, next)
		}
		next = o.LastSeq + 1
	}
	if next != m.Seq+1 {
		return wrong("the objects end at commit %d of %d", next-1, m.Seq)
	}
	return nil
}
