package backup

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
)

// Scratch is a file that a checkpoint is copied to before it is read. Its directory
// exists.
type Scratch struct {
	FS   vfs.FS
	Name string
}

// Rebuild returns the state that a plan leads to, with the digest that was recorded
// for it, if one was. The scratch file is gone when it returns, as far as it can be
// removed.
//
// Anything that is not what the manifests say is errs.CodeIntegrity.
func Rebuild(ctx context.Context, from Store, p *Plan, scratch Scratch, o Options) (*state.Image, error) {
	r := rebuilding{Options: o, ctx: ctx, from: from, plan: p}
	base := p.Chain.Base()
	if err := r.copyTo(scratch); err != nil {
		return nil, err
	}
	working, err := r.load(scratch)
	if removeErr := scratch.FS.Remove(scratch.Name); err == nil && removeErr != nil {
		err = errs.Wrap(errs.CodeIO, removeErr, "remove %s", scratch.Name)
	}
	if err != nil {
		return nil, failed(err, "load backup %s", base.ID).On(base.ID)
	}
	for i := 1; i < len(p.Chain); i++ {
		if err := r.replay(working, &p.Chain[i]); err != nil {
			return nil, err
		}
	}
	if working.Seq() != p.Seq {
		return nil, errs.New(errs.CodeIntegrity, "the backups lead to commit %d, not to %d", working.Seq(), p.Seq)
	}
	if err := working.LoadCatalog(); err != nil {
		return nil, errs.Wrap(errs.CodeIntegrity, err, "the catalog at commit %d cannot be read", p.Seq)
	}
	image := working.Freeze()
	if p.State != nil {
		if digest := Digest(image.Digest()); digest != *p.State {
			return nil, errs.New(errs.CodeIntegrity, "the state at commit %d has digest %s; the backup says %s", p.Seq, digest, *p.State)
		}
	}
	return image, nil
}

type rebuilding struct {
	Options
	ctx  context.Context
	from Store
	plan *Plan
	done int64 // bytes read
}

func (r *rebuilding) advance(phase Phase, m *Manifest, bytes int64) {
	r.done += bytes
	r.tell(phase, m.ID, r.done, r.plan.Bytes)
}

// copyTo copies the checkpoint of the full backup into a file of its own.
func (r *rebuilding) copyTo(scratch Scratch) error {
	base := r.plan.Chain.Base()
	if err := scratch.FS.Remove(scratch.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errs.Wrap(errs.CodeIO, err, "remove the left-over %s", scratch.Name)
	}
	f, err := scratch.FS.Create(scratch.Name)
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "create %s", scratch.Name)
	}
	r.advance(ReadState, base, 0)
	err = readObject(r.ctx, r.from, r.Options, base.Sealed, &base.Objects[0], func(in io.Reader) error {
		_, err := io.CopyBuffer(onlyWriter{io.NewOffsetWriter(f, 0)}, in, make([]byte, copyBytes))
		return err
	})
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = errs.Wrap(errs.CodeIO, closeErr, "close %s", scratch.Name)
	}
	if err != nil {
		_ = scratch.FS.Remove(scratch.Name) // it means nothing, also if it stays
	}
	return err
}

// load reads the copied checkpoint.
func (r *rebuilding) load(scratch Scratch) (*state.Working, error) {
	base := r.plan.Chain.Base()
	reader, err := checkpoint.Open(scratch.FS, scratch.Name)
	if err != nil {
		return nil, err
	}
	defer reader.Close() // it was only read
	h := reader.Header()
	if h.Base.Seq != 0 || h.Seq != base.Seq || h.Micros != base.Micros || h.KeyEncoding != base.KeyEncoding || base.Incarnation != h.Incarnation {
		return nil, errs.New(errs.CodeIntegrity, "its checkpoint is not the whole state of the commit and the store that its manifest says")
	}
	w := state.NewWorking()
	w.Begin(h.Seq, h.Micros)
	for _, space := range reader.Spaces() {
		var tree blocktree.Builder
		for i := space.FirstChunk; i < space.FirstChunk+space.Chunks; i++ {
			if r.ctx.Err() != nil {
				return nil, errs.FromContext(r.ctx, "load a checkpoint")
			}
			if err := reader.DecodeChunk(i, func(key, value []byte, version uint64) error {
				if len(key) > blocktree.MaxKeySize || !tree.Append(key, value, version) {
					return errs.New(errs.CodeIntegrity, "space %d has a key that is too long or out of order", space.ID)
				}
				return nil
			}); err != nil {
				return nil, err
			}
		}
		w.LoadSpace(space.ID, tree.Finish())
	}
	r.advance(ReadState, base, base.Objects[0].Size)
	return w, nil
}

// replay applies the commits of an incremental backup, as far as the target.
func (r *rebuilding) replay(w *state.Working, m *Manifest) error {
	for i := range m.Objects {
		if m.Objects[i].FirstSeq > r.plan.Seq {
			return nil
		}
		bulk := state.NewBulk(w)
		last := w.Micros()
		err := readLog(r.ctx, r.from, r.Options, m, i, func(c *msgs.Changeset) error {
			if c.Seq > r.plan.Seq {
				return errEnough
			}
			if c.Micros < last {
				return errs.New(errs.CodeIntegrity, "commit %d is of an earlier time than the one before it", c.Seq)
			}
			last = c.Micros
			if c.Seq == m.Seq && (m.Tip == nil || DigestOf(c) != *m.Tip) {
				return errs.New(errs.CodeIntegrity, "commit %d is not the one that the manifest names", c.Seq)
			}
			return bulk.Add(c, nil)
		})
		if err != nil && !errors.Is(err, errEnough) {
			return failed(err, "replay backup %s", m.ID).On(m.ID)
		}
		bulk.Flush()
		r.advance(ReadLog, m, m.Objects[i].Size)
	}
	return nil
}
