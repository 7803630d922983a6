package backup

import (
	"bytes"
	"context"
	"io"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

// Origin is the store that a backup is taken of, as its manifest tells.
type Origin struct {
	Incarnation    manifest.Incarnation
	KeyEncoding    uint32
	EverPermissive bool
	// Volatile says that the store has had volatile commits since it was opened.
	Volatile bool
	// NowMicros is the time in microseconds since the Unix epoch.
	NowMicros int64
}

func (f *Origin) manifest(kind Kind, seq uint64, sealed bool) Manifest {
	return Manifest{
		ID: newID(kind, seq), Kind: kind, Seq: seq, Sealed: sealed, Volatile: f.Volatile,
		Incarnation: f.Incarnation, KeyEncoding: f.KeyEncoding,
		EverPermissive: f.EverPermissive, CreatedMicros: f.NowMicros,
	}
}

// WriteFull takes a full backup of an image of which all commits are durable. tip
// is the last of them, nil if it is not known.
func WriteFull(ctx context.Context, to Sink, origin Origin, image *state.Image, tip *msgs.Changeset, o Options) (Manifest, error) {
	if err := o.validate(); err != nil {
		return Manifest{}, err
	}
	m := origin.manifest(Full, image.Seq(), o.Seal)
	m.Micros = image.Micros()
	if tip != nil {
		d := DigestOf(tip)
		m.Tip = &d
	}
	header := checkpoint.Header{KeyEncoding: m.KeyEncoding, Incarnation: m.Incarnation, Seq: m.Seq, Micros: m.Micros}
	object, err := putObject(ctx, to, o, m.ID+checkpointSuffix, func(out io.Writer) error {
		_, err := checkpoint.Stream(ctx, out, header, o.Concurrency, func(w *checkpoint.Writer) error {
			return o.Fill(w, image, m.ID)
		})
		return err
	})
	if err != nil {
		return Manifest{}, err
	}
	object.FirstSeq, object.LastSeq = m.Seq, m.Seq
	m.Objects = []Object{object}
	digest := Digest(image.Digest())
	m.State = &digest
	return m, putManifest(ctx, to, &m, o.Keys)
}

// toldEntries is how many entries are written between two calls of OnProgress.
const toldEntries = 1 << 16

// Fill writes all entries of an image to a checkpoint, and tells so as progress of
// a backup.
func (o *Options) Fill(w *checkpoint.Writer, image *state.Image, id string) error {
	total := image.Entries()
	var done int64
	for space, tree := range image.Spaces() {
		cursor := tree.Cursor()
		for cursor.First(); cursor.Valid(); cursor.Next() {
			if done%toldEntries == 0 {
				o.tell(WriteState, id, done, total)
			}
			done++
			if err := w.Add(space, cursor.Key(), cursor.Value(), cursor.Version()); err != nil {
				return err
			}
		}
	}
	o.tell(WriteState, id, done, total)
	return nil
}

// putManifest puts the manifest of a backup whose other objects are there.
func putManifest(ctx context.Context, to Sink, m *Manifest, ring *keys.Ring) error {
	data, err := Encode(m, ring)
	if err != nil {
		return err
	}
	name := m.ID + manifestSuffix
	if err := to.Put(ctx, name, bytes.NewReader(data)); err != nil {
		return failed(err, "put %s", name).On(name)
	}
	return nil
}
