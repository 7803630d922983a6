package aedb

import (
	"context"
	"errors"

	"github.com/empyrealapp/aedb-go/actors"
	"github.com/empyrealapp/aedb-go/errs"
)

// Heads are the ends of the visible and of the durable history.
type Heads struct {
	// VisibleSeq is the newest commit that readers see.
	VisibleSeq uint64
	// DurableSeq is the newest commit on stable storage; never above VisibleSeq.
	DurableSeq uint64
}

// Heads returns both heads, without waiting.
func (db *DB) Heads() Heads {
	h := db.pipeline.Heads()
	durable := h.Durable() // first: it can only be behind what is read next
	return Heads{VisibleSeq: h.Moment().Seq, DurableSeq: durable}
}

// Flush waits until everything committed before it is on stable storage and
// returns the durable head.
func (db *DB) Flush(ctx context.Context) (uint64, error) {
	if err := db.alive(); err != nil {
		return 0, err
	}
	return db.pipeline.Flush(ctx)
}

// WaitDurable waits until the commit is on stable storage. A seq above the
// visible head is a validation error. In OsBuffered mode, in which nothing else
// would sync, it causes a sync. For volatile commits that no other has followed
// there is nothing to wait for.
func (db *DB) WaitDurable(ctx context.Context, seq uint64) error {
	if visible := db.Heads().VisibleSeq; seq > visible {
		return errs.New(errs.CodeValidation, "commit %d is above the visible head, %d", seq, visible)
	}
	heads := db.pipeline.Heads()
	if seq = min(seq, heads.Logged()); heads.Durable() >= seq {
		return nil
	}
	if db.cfg.Durability == OsBuffered {
		// A flush that is refused says nothing of the commit, which is visible: the
		// wait tells what becomes of it, and ends with the context or the pipeline.
		_, _ = db.Flush(ctx)
	}
	return heads.WaitDurable(ctx, seq)
}

// Checkpoint writes the visible state to a checkpoint file, without holding up
// commits or reads, and returns the commit seq that the newest checkpoint shows.
// The log before it is released.
func (db *DB) Checkpoint(ctx context.Context) (uint64, error) {
	if err := db.alive(); err != nil {
		return 0, err
	}
	return db.pipeline.Checkpoint(ctx)
}

// Err returns why the store takes no more commits: nil while it does, the cause
// when the pipeline has broken down, unavailable after Close.
func (db *DB) Err() error {
	if cause := db.pipeline.Cause(); cause != nil {
		return errs.Wrap(errs.CodeUnavailable, cause, "the pipeline has broken down; reopen the store")
	}
	return db.alive()
}

func stackOf(err error) string {
	var p *actors.PanicError
	if errors.As(err, &p) {
		return string(p.Stack)
	}
	return ""
}
