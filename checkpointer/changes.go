package checkpointer

import (
	"iter"
	"sync/atomic"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

const (
	// deltaShare bounds the deltas on a full checkpoint, all together, to one part in
	// so many of its bytes. A recovery so reads at most half as much again as a full
	// one has; and a full one is written for a change of that much at least, so that
	// what is written is in proportion to what is changed.
	deltaShare = 2
	// maxDeltas bounds how many files a recovery opens, and merges.
	maxDeltas = 32
)

// changes takes what makes one image of another, in the order of a checkpoint.
type changes interface {
	Add(space msgs.SpaceID, key, value []byte, version uint64) error
	Delete(space msgs.SpaceID, key []byte) error
	Drop(space msgs.SpaceID) error
}

// compare tells the changes that make the new image of the old one. The cost
// follows what has changed where the one came from the other.
func compare(old, new *state.Image, to changes) error {
	nextOld, stop := iter.Pull2(old.Spaces())
	defer stop()
	id, before, more := nextOld()
	for space, tree := range new.Spaces() {
		for ; more && id < space; id, before, more = nextOld() {
			if err := to.Drop(id); err != nil {
				return err
			}
		}
		from := nothing
		if more && id == space {
			from = before
			id, before, more = nextOld()
		}
		err := blocktree.Diff(from, tree, func(e blocktree.Entry, deleted bool) error {
			if deleted {
				return to.Delete(space, e.Key)
			}
			return to.Add(space, e.Key, e.Value, e.Version)
		})
		if err != nil {
			return err
		}
	}
	for ; more; id, _, more = nextOld() {
		if err := to.Drop(id); err != nil {
			return err
		}
	}
	return nil
}

var (
	nothing = blocktree.New().Snapshot()
	empty   = state.NewWorking().Freeze()
)

// measure counts changes, up to a limit.
type measure struct {
	entries      int64
	bytes, limit int64
}

var errAboveLimit = errs.New(errs.CodeLimitExceeded, "more has changed than a delta may hold")

func (m *measure) Add(_ msgs.SpaceID, key, value []byte, _ uint64) error {
	const lengths = 8 // about what they take, with the version
	m.entries++
	if m.bytes += int64(len(key)) + int64(len(value)) + lengths; m.bytes > m.limit {
		return errAboveLimit
	}
	return nil
}

func (m *measure) Delete(space msgs.SpaceID, key []byte) error { return m.Add(space, key, nil, 0) }

func (m *measure) Drop(msgs.SpaceID) error { return nil }

// plan is what a checkpoint is going to be.
type plan struct {
	// base is the checkpoint to build on, and from its image; the zero Base and an
	// empty image for a full one.
	base    checkpoint.Base
	from    *state.Image
	entries int64
}

// plan decides whether a checkpoint is a full one. It depends on nothing but the
// images and the manifest, so that an attempt that is repeated writes the same.
func (c *Checkpointer) plan(image *state.Image) plan {
	full := plan{from: empty, entries: image.Entries()}
	latest, n := c.latest.Load(), len(c.manifest.Checkpoints)
	if latest == nil || n == 0 || c.manifest.Checkpoints[n-1].Seq != latest.Seq() {
		return full
	}
	newest := c.manifest.Checkpoints[n-1]
	chain := c.manifest.Chain(newest)
	changed := measure{limit: rawBytes(&chain[0]) / deltaShare}
	for i := range chain[1:] {
		changed.limit -= rawBytes(&chain[i+1])
	}
	if len(chain) > maxDeltas || compare(latest, image, &changed) != nil {
		return full
	}
	return plan{checkpoint.Base{Seq: newest.Seq, Digest: newest.Digest}, latest, changed.entries}
}

// rawBytes returns the size of the entries of a checkpoint. Older manifests do not
// tell it; that of the file then stands for it, which makes a chain shorter.
func rawBytes(c *manifest.Checkpoint) int64 {
	if c.RawBytes == 0 {
		return c.Size
	}
	return c.RawBytes
}

// counted writes changes to a checkpoint and counts them.
type counted struct {
	*checkpoint.Writer
	written *atomic.Int64
}

func (w counted) Add(space msgs.SpaceID, key, value []byte, version uint64) error {
	w.written.Add(1)
	return w.Writer.Add(space, key, value, version)
}

func (w counted) Delete(space msgs.SpaceID, key []byte) error {
	w.written.Add(1)
	return w.Writer.Delete(space, key)
}
