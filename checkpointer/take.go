package checkpointer

import (
	"context"
	"path"
	"slices"
	"time"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/wal"
)

// Outcome is what became of an attempt to take a checkpoint.
type Outcome struct {
	// Seq is what the newest checkpoint shows after the attempt.
	Seq uint64
	// Err is why the attempt failed, nil if it did not.
	Err error
	// Unchanged is true if there was nothing new, and so nothing was written.
	Unchanged bool
	// Base is the seq of the checkpoint that this one builds on, 0 for a full one.
	Base uint64
	// Bytes is the size of the file, Entries what it holds, deletions included.
	Bytes    int64
	Entries  uint64
	Duration time.Duration
	// CheckpointsRemoved and SegmentsRemoved count the files released by it.
	CheckpointsRemoved, SegmentsRemoved int
}

// Take writes a checkpoint of an image whose commits are all on stable storage.
// When it returns without an error the checkpoint is in force. An image that is
// not newer than the last checkpoint is no work and no error.
func (c *Checkpointer) Take(ctx context.Context, image *state.Image) Outcome {
	began := c.cfg.Clock.Now()
	out := Outcome{Unchanged: image.Seq() <= c.stats.Seq}
	if !out.Unchanged {
		out.Err = c.take(ctx, image, began, &out)
	}
	ended := c.cfg.Clock.Now()
	out.Duration = ended.Sub(began)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Err = out.Err
	if out.Err != nil {
		c.stats.Failures++
		out.Seq = c.stats.Seq
		return out
	}
	c.bytes, c.last, c.retryAt = 0, c.asked, time.Time{}
	c.stats.BytesSince = 0
	if !out.Unchanged {
		c.stats.Taken++
		c.stats.Seq, c.stats.At, c.stats.Bytes, c.stats.Duration = image.Seq(), ended, out.Bytes, out.Duration
	}
	out.Seq = c.stats.Seq
	return out
}

func (c *Checkpointer) take(ctx context.Context, image *state.Image, now time.Time, out *Outcome) error {
	w, err := c.write(ctx, image)
	if err != nil {
		return err
	}
	fallback, next := c.manifest, c.next(manifest.Checkpoint{
		File: w.File, Seq: w.seq, Size: w.Size, Digest: w.Digest, CreatedMicros: now.UnixMicro(),
		Base: w.base, RawBytes: w.RawBytes,
	})
	alone := len(fallback.Checkpoints) == 0 && c.needed(image.Seq()) > 0
	if alone {
		if err := c.verify(ctx, w.File); err != nil {
			return err
		}
	}
	if err := manifest.StoreSigned(c.cfg.FS, c.cfg.Dir, next, c.cfg.Sealing.Ring); err != nil {
		c.undecided = w
		return err
	}
	c.manifest, c.undecided = next, nil
	c.latest.Store(image)
	out.Bytes, out.Entries, out.Base = w.Size, w.Entries, w.base
	if alone {
		fallback = c.settle(fallback)
	}
	c.release(&fallback, out)
	return nil
}

// written is a checkpoint on disk.
type written struct {
	checkpoint.Info
	seq, base uint64
}

// write makes a checkpoint durable that no manifest names, unless that was done before.
func (c *Checkpointer) write(ctx context.Context, image *state.Image) (*written, error) {
	if c.undecided != nil && c.undecided.seq == image.Seq() {
		return c.undecided, nil
	}
	p := c.plan(image)
	c.written.Store(0)
	c.total.Store(p.entries)
	defer c.total.Store(0)
	// The time in the file is that of the commit, so that equal images give
	// equal files, and a recovery knows where the time of commits stands.
	header := checkpoint.Header{
		KeyEncoding: c.manifest.KeyEncoding, Incarnation: c.manifest.Incarnation,
		Seq: image.Seq(), Micros: image.Micros(), Base: p.base,
	}
	info, err := checkpoint.WriteSealed(ctx, c.cfg.FS, c.cfg.Dir, header, c.cfg.Sealing, c.cfg.Concurrency, func(w *checkpoint.Writer) error {
		return compare(p.from, image, counted{w, &c.written})
	})
	if err != nil {
		return nil, err
	}
	return &written{info, image.Seq(), p.base.Seq}, nil
}

// verify reads a checkpoint that is about to take the place of the whole log.
func (c *Checkpointer) verify(ctx context.Context, file string) error {
	r, err := checkpoint.OpenSealed(c.cfg.FS, path.Join(c.cfg.Dir, file), c.cfg.Sealing.Ring)
	if err != nil {
		return err
	}
	defer r.Close() // it was only read
	return r.Verify(ctx)
}

// settle writes the manifest in force once more, so that a recovery that has to
// fall back finds the checkpoint too, and the log before the first checkpoint can
// go. It returns the generation that a recovery can fall back to: still the one
// given if that fails, which does no harm.
func (c *Checkpointer) settle(fallback manifest.Manifest) manifest.Manifest {
	again := c.manifest
	again.Generation++
	if manifest.StoreSigned(c.cfg.FS, c.cfg.Dir, again, c.cfg.Sealing.Ring) != nil {
		return fallback
	}
	c.manifest = again
	return again
}

// next returns the generation that follows with a new checkpoint.
func (c *Checkpointer) next(added manifest.Checkpoint) manifest.Manifest {
	m := c.manifest
	m.Generation++
	m.CreatedMicros = added.CreatedMicros
	m.DurableSeq = max(m.DurableSeq, added.Seq)
	m.ActiveSegment = c.active
	all := append(slices.Clone(m.Checkpoints), added)
	m.Retain(all[max(0, len(all)-c.cfg.Kept):])
	m.Pins = c.hold(m.Checkpoints[0].Seq)
	m.Segments = c.listed(m.Checkpoints[0].Seq, m.Pins)
	return m
}

// listed returns what a manifest says of the sealed segments that a recovery from a
// checkpoint of the given seq reads, or a pin holds.
func (c *Checkpointer) listed(seq uint64, pins []manifest.Pin) []manifest.Segment {
	var segments []manifest.Segment
	for _, s := range c.sealed[c.firstKept(seq, pins):] {
		segments = append(segments, manifest.Segment{
			Number: s.Number, FirstSeq: s.FirstSeq, LastSeq: s.LastSeq, Size: s.Size, Digest: s.Digest,
		})
	}
	return segments
}

// needed returns the index of the first sealed segment that a recovery from a
// checkpoint of the given seq reads.
func (c *Checkpointer) needed(seq uint64) int {
	i := slices.IndexFunc(c.sealed, func(s msgs.Segment) bool { return s.LastSeq > seq })
	if i < 0 {
		return len(c.sealed)
	}
	return i
}

// release removes the files that are needed neither by the manifest in force nor
// to fall back: that takes the newest checkpoint of the generation before with what
// it builds on, and the log from there on, or from where a pin holds it. It goes by
// what is in the directory, and so also removes what earlier attempts and recoveries
// have left. A file that cannot be removed does no harm; the next checkpoint tries
// again.
func (c *Checkpointer) release(fallback *manifest.Manifest, out *Outcome) {
	needed := map[uint64]bool{}
	for _, listed := range c.manifest.Listed() {
		needed[listed.Seq] = true
	}
	floor := c.manifest.Checkpoints[0].Seq
	if n := len(fallback.Checkpoints); n > 0 {
		newest := fallback.Checkpoints[n-1]
		for _, part := range fallback.Chain(newest) {
			needed[part.Seq] = true
		}
		floor = min(floor, newest.Seq)
	} else {
		floor = 0 // it begins with nothing and reads the whole log
	}
	c.sealed = slices.Clone(c.sealed[c.firstKept(floor, c.manifest.Pins):])
	first := c.active
	if len(c.sealed) > 0 {
		first = c.sealed[0].Number
	}
	names, err := c.cfg.FS.List(c.cfg.Dir)
	if err != nil {
		return
	}
	newest := c.manifest.Checkpoints[len(c.manifest.Checkpoints)-1].Seq
	for _, name := range names {
		if seq, ok := checkpoint.ParseFileName(name); ok && seq < newest && !needed[seq] {
			if c.cfg.FS.Remove(path.Join(c.cfg.Dir, name)) == nil {
				out.CheckpointsRemoved++
			}
		}
		if number, ok := wal.ParseSegmentName(name); ok && number < first {
			if c.cfg.FS.Remove(path.Join(c.cfg.Dir, name)) == nil {
				out.SegmentsRemoved++
			}
		}
	}
}
