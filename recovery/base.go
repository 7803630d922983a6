package recovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"

	"github.com/sourcegraph/conc"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/state"
)

// loadBase loads the newest checkpoint that the manifest lists and that verifies.
// Those that do not are taken off the list.
func (r *recoverer) loadBase(ctx context.Context) error {
	if r.Mode == Permissive {
		// What others build on is a checkpoint as well: better a prefix than nothing.
		r.manifest.Retain(r.manifest.Listed())
	}
	r.manifest.Retain(r.examined.upTo(r.manifest.Checkpoints))
	listed := r.manifest.Checkpoints
	for len(r.manifest.Checkpoints) > 0 {
		n := len(r.manifest.Checkpoints) - 1
		c := r.manifest.Checkpoints[n]
		err := r.loadCheckpoint(ctx, c)
		if err == nil {
			r.report.CheckpointFile, r.report.CheckpointSeq = c.File, c.Seq
			return nil
		}
		if ctx.Err() != nil {
			return errs.FromContext(ctx, "load the checkpoint "+c.File)
		}
		if !damaged(err) {
			return err
		}
		r.rejectCheckpoint(c.File, err)
		r.rewrite = true
		r.manifest.Retain(r.manifest.Checkpoints[:n])
	}
	r.baseLost = r.baseLost || len(listed) > 0
	if r.baseLost && r.Mode == Strict {
		reasons := make([]error, len(r.report.RejectedCheckpoints))
		for i, rejected := range r.report.RejectedCheckpoints {
			reasons[i] = fmt.Errorf("%s: %w", rejected.File, rejected.Err)
		}
		return errs.Wrap(errs.CodeRecoveryIntegrity, errors.Join(reasons...), "no checkpoint in %s can be used (%s)", r.Dir, hint).On(r.Dir)
	}
	r.working = state.NewWorking()
	return nil
}

// damaged reports whether an error means that a file is gone or is not what it was.
// A disk that fails for a moment, a key that is not there and a newer format are no
// damage, and a forgery is more: an older file is no answer to them.
func damaged(err error) bool {
	switch errs.CodeOf(err) {
	case errs.CodeUnavailable, errs.CodeIntegrity:
		return false
	case errs.CodeIO:
		return errors.Is(err, fs.ErrNotExist)
	}
	return true
}

func (r *recoverer) rejectCheckpoint(file string, err error) {
	r.report.RejectedCheckpoints = append(r.report.RejectedCheckpoints, Rejection{file, err})
	r.warn(fmt.Sprintf("checkpoint %s cannot be used: %v", file, err))
}

// loadCheckpoint makes a checkpoint the state, or changes nothing.
func (r *recoverer) loadCheckpoint(ctx context.Context, c manifest.Checkpoint) error {
	chain, err := checkpoint.OpenSealedChain(r.FS, r.Dir, c.File, r.Sealing.Ring)
	if err != nil {
		return err
	}
	defer chain.Close()
	listed := r.manifest.Chain(c)
	if len(chain) != len(listed) {
		return errs.New(errs.CodeDecode, "it builds on %d others; the manifest says %d", len(chain)-1, len(listed)-1)
	}
	for i, reader := range chain {
		if err := r.checkListed(reader, &listed[i]); err != nil {
			return err
		}
	}
	r.progress.Done, r.progress.Total = 0, 0
	spaces := layeredSpaces(chain)
	for _, s := range spaces {
		for _, l := range s.layers {
			r.progress.Total += l.rawBytes()
		}
	}
	trees, err := r.loadSpaces(ctx, spaces)
	if err != nil {
		return err
	}
	w, h := state.NewWorking(), chain.Newest().Header()
	w.Begin(h.Seq, h.Micros)
	for i, s := range spaces {
		w.LoadSpace(s.id, trees[i])
	}
	if err := w.LoadCatalog(); err != nil {
		return errs.Wrap(errs.CodeDecode, err, "its catalog cannot be read")
	}
	r.working, r.base = w, w.Freeze()
	r.seq, r.micros = h.Seq, h.Micros
	r.progress.Seq = h.Seq
	return nil
}

// checkListed compares a file with what the manifest says of it.
func (r *recoverer) checkListed(reader *checkpoint.Reader, c *manifest.Checkpoint) error {
	h := reader.Header()
	switch {
	case h.KeyEncoding != r.manifest.KeyEncoding:
		return errs.New(errs.CodeUnavailable, "checkpoint %s has key encoding %d, the store %d", c.File, h.KeyEncoding, r.manifest.KeyEncoding).On(c.File)
	case h.Incarnation != r.manifest.Incarnation:
		return errs.New(errs.CodeDecode, "%s is of another store, %s", c.File, manifest.Incarnation(h.Incarnation))
	case h.Seq != c.Seq || reader.Size() != c.Size:
		return errs.New(errs.CodeDecode, "%s is of commit %d and has %d bytes; the manifest says commit %d, %d bytes", c.File, h.Seq, reader.Size(), c.Seq, c.Size)
	case manifest.Digest(reader.Digest()) != c.Digest:
		return errs.New(errs.CodeDecode, "%s has the digest %s; the manifest says %s", c.File, manifest.Digest(reader.Digest()), c.Digest)
	}
	return nil
}

// loadSpaces builds the tree of each space, several at once and the largest
// first, so that a large one is not left for last. One that is larger than the
// share of a goroutine keeps another busy with decoding its chunks ahead.
func (r *recoverer) loadSpaces(ctx context.Context, spaces []*layeredSpace) ([]*blocktree.Tree, error) {
	order, chunks := make([]int, len(spaces)), 0
	for i := range order {
		order[i] = i
		chunks += spaces[i].chunks
	}
	slices.SortStableFunc(order, func(a, b int) int { return spaces[b].chunks - spaces[a].chunks })

	trees := make([]*blocktree.Tree, len(spaces))
	var next, done atomic.Int64
	loader := func(ctx context.Context, loaded func()) error {
		for {
			at := int(next.Add(1)) - 1
			if at >= len(order) {
				return nil
			}
			s := spaces[order[at]]
			builder := spaceBuilder{space: s, ahead: s.chunks*r.Parallelism > chunks, loaded: func(bytes int) {
				done.Add(int64(bytes))
				loaded()
			}}
			tree, err := builder.build(ctx)
			if err != nil {
				return err
			}
			trees[order[at]] = tree
		}
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var others conc.WaitGroup
	for range min(r.Parallelism, len(spaces)) - 1 {
		others.Go(func() {
			if err := loader(ctx, func() {}); err != nil {
				fail(err)
			}
		})
	}
	// This goroutine takes part, and tells how far all have come.
	if err := loader(ctx, func() { r.advance(done.Load(), r.progress.Seq) }); err != nil {
		fail(err)
	}
	others.Wait()
	r.progress.Done = done.Load()
	return trees, context.Cause(ctx)
}
