package recovery

import (
	"context"
	"errors"
	"io/fs"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/state"
)

// Create makes a new store of an image: a checkpoint, unless the image is at seq 0,
// and a manifest, both read back and compared with the image. The store has an identity
// of its own. EverPermissive is the mark of trust that it begins with.
//
// Options.Dir exists, is locked by the caller and holds nothing of a store. After an
// error it does not either, as far as files can be removed; without the manifest, which
// comes last, nothing opens what is left.
func Create(ctx context.Context, o Options, image *state.Image, everPermissive bool) (manifest.Manifest, error) {
	o.Mode = Strict
	if everPermissive {
		o.Mode = Permissive
	}
	o.Parallelism = max(1, o.Parallelism)
	r := &recoverer{Options: o}
	m := manifest.Manifest{
		Generation: 1, KeyEncoding: keyEncoding, EverPermissive: everPermissive,
		CreatedMicros: o.Clock.Now().UnixMicro(), DurableSeq: image.Seq(), ActiveSegment: 1,
	}
	err := newIncarnation(&m)
	if err == nil {
		err = r.store(ctx, &m, image)
	}
	if err != nil {
		return manifest.Manifest{}, errors.Join(err, r.discard(&m))
	}
	return m, nil
}

func (r *recoverer) store(ctx context.Context, m *manifest.Manifest, image *state.Image) error {
	if image.Seq() > 0 {
		header := checkpoint.Header{
			KeyEncoding: m.KeyEncoding, Incarnation: m.Incarnation, Seq: image.Seq(), Micros: image.Micros(),
		}
		info, err := checkpoint.WriteSealed(ctx, r.FS, r.Dir, header, r.Sealing, r.Parallelism, func(w *checkpoint.Writer) error {
			for id, tree := range image.Spaces() {
				c := tree.Cursor()
				for c.First(); c.Valid(); c.Next() {
					if err := w.Add(id, c.Key(), c.Value(), c.Version()); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		m.Checkpoints = []manifest.Checkpoint{{
			File: info.File, Seq: image.Seq(), Size: info.Size, Digest: info.Digest,
			CreatedMicros: m.CreatedMicros, RawBytes: info.RawBytes,
		}}
	}
	if err := manifest.StoreSigned(r.FS, r.Dir, *m, r.Sealing.Ring); err != nil {
		return err
	}
	read, err := Examine(ctx, r.Options, Passage{})
	if err != nil {
		return err
	}
	if read.Image.Seq() != image.Seq() || read.Image.Digest() != image.Digest() {
		return errs.New(errs.CodeIntegrity, "what was written to %s does not read back as the same state", r.Dir).On(r.Dir)
	}
	return nil
}

// discard removes what store may have written, the manifest first.
func (r *recoverer) discard(m *manifest.Manifest) error {
	var failures []error
	generation, state := manifest.FileName(m.Generation), checkpoint.FileName(m.DurableSeq)
	for _, name := range []string{generation, generation + tempSuffix, state, state + tempSuffix} {
		if err := r.FS.Remove(r.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failures = append(failures, errs.Wrap(errs.CodeIO, err, "remove %s", name).On(name))
		}
	}
	return errors.Join(failures...)
}
