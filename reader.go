package aedb

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/follower"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/state"
)

// Reader reads a store without opening it: one that another process has open, or
// that nobody has. It changes nothing in the directory, takes no lock, and follows
// what is committed meanwhile. All methods are safe for concurrent use.
//
// The newest state is that after the last commit in the log, which is there a moment
// before it is durable, and before the process that made it tells anyone. AtLatest
// shows it. That is safe against the end of that process, after which it is what
// recovery finds; a power cut can undo it, but for one who reads a file system that
// survives it. AtDurable shows the newest kept state that nothing can undo. As the log
// tells of a sync only with the next frame, it stays behind on a store that rests.
//
// Of Volatile commits the log has only the seqs: a reader shows what they wrote once
// it loads a checkpoint made after them.
type Reader struct {
	cfg      Config
	dir      string
	sealing  keys.Sealing
	follower *follower.Follower
	reads    readable
	closed   atomic.Bool
}

// OpenReader opens the store in a directory for reading only, and follows it with
// the distance of Config.FollowInterval. It loads the newest checkpoint and the log
// behind it, as an opening does, but where that would repair, it only passes over
// what is not whole at the end of the log. Of the configuration it uses Recovery,
// RecoveryParallelism, OnRecovery, Reads, FollowInterval, Keys.Ring, FS and Clock.
//
// Errors are those of OpenNoAuthContext; a directory that does not exist or holds no
// store is unavailable, and stays as it is. In Permissive mode a damaged store is
// shown up to the damage, which Health then names; it is not marked.
func OpenReader(ctx context.Context, dir string, cfg Config) (*Reader, error) {
	dir, err := cfg.locate(dir)
	if err != nil {
		return nil, err
	}
	sealing, err := cfg.Keys.sealing()
	if err != nil {
		return nil, err
	}
	cfg.Keys = KeyConfig{} // its secrets are the caller's
	r := &Reader{cfg: cfg, dir: dir, sealing: sealing}
	if err := r.reads.init(r, cfg.Tuning); err != nil {
		sealing.Ring.Wipe()
		return nil, err
	}
	r.follower, err = follower.Open(ctx, follower.Options{
		Store: recovery.Options{
			FS: cfg.FS, Dir: dir, Mode: cfg.Recovery, Parallelism: cfg.RecoveryParallelism,
			Clock: cfg.Clock, OnProgress: cfg.OnRecovery, Sealing: sealing,
		},
		Interval: cfg.FollowInterval,
	})
	if err != nil {
		sealing.Ring.Wipe()
		return nil, err
	}
	return r, nil
}

// Dir returns the directory of the store.
func (r *Reader) Dir() string { return r.dir }

// NoAuth returns the session of the anonymous caller.
func (r *Reader) NoAuth() *ReadSession { return &ReadSession{store: &r.reads} }

// As returns the session of a named caller; see DB.As.
func (r *Reader) As(callerID string) *ReadSession {
	s := r.reads.as(callerID)
	return &s
}

// Heads returns the newest commit that AtLatest shows, and the newest of these that
// is known to be on stable storage; see Reader.
func (r *Reader) Heads() Heads {
	s := r.follower.Shown()
	return Heads{VisibleSeq: s.Image.Seq(), DurableSeq: s.DurableSeq}
}

// Refresh reads the log to its present end and returns the newest commit shown, also
// with an error, which tells why it got no further.
func (r *Reader) Refresh(ctx context.Context) (uint64, error) {
	if err := r.alive(); err != nil {
		return 0, err
	}
	return r.follower.Refresh(ctx)
}

// WaitSeq waits until a commit is shown. It fails as soon as the log cannot be read
// on, when the reader is closed, and, if Config.FollowInterval is 0, with
// seq_not_yet_visible if the commit is not there now. The seq of a Volatile commit is
// in the log with the next one that is not, or with a flush.
func (r *Reader) WaitSeq(ctx context.Context, seq uint64) error {
	if err := r.alive(); err != nil {
		return err
	}
	return r.follower.Wait(ctx, seq)
}

// Health returns how the reader is now. It waits for nothing, and also works after
// Close.
func (r *Reader) Health() ReaderHealth {
	s := r.follower.Shown()
	now := r.cfg.Clock.Now()
	since := func(t time.Time) time.Duration { return max(0, now.Sub(t)) }
	h := ReaderHealth{
		State: HealthOK, Cause: s.Err,
		VisibleSeq: s.Image.Seq(), DurableSeq: s.DurableSeq,
		SinceLook: since(s.Looked), SinceProgress: since(s.Progress), Loads: s.Loads,
	}
	if micros := s.Image.Micros(); micros != 0 {
		h.CommitAge = since(time.UnixMicro(micros))
	}
	var damage *follower.Damage
	if errors.As(s.Err, &damage) {
		h.File, h.Offset = damage.File, damage.Offset
	}
	if h.Cause != nil {
		h.State = HealthDegraded
	}
	if err := r.alive(); err != nil {
		h.State, h.Cause = HealthClosed, err
	}
	h.Reason = reason(h.Cause)
	return h
}

// Digest is DB.Digest of what the reader shows.
func (r *Reader) Digest(c Consistency) (seq uint64, digest [32]byte, err error) {
	image, err := r.image(c)
	if err != nil {
		return 0, digest, err
	}
	return image.Seq(), image.Digest(), nil
}

// Close ends the following and lets all snapshots go. Reads after it are
// unavailable. It may be called more than once.
func (r *Reader) Close() error {
	if r.closed.CompareAndSwap(false, true) {
		r.follower.Close()
		r.reads.close()
		r.sealing.Ring.Wipe()
	}
	return nil
}

// alive returns an unavailable error after Close.
func (r *Reader) alive() error {
	if r.closed.Load() {
		return errs.New(errs.CodeUnavailable, "the reader of %s is closed", r.dir)
	}
	return nil
}

// image returns the state that a read with this consistency sees.
func (r *Reader) image(c Consistency) (*state.Image, error) {
	if err := r.alive(); err != nil {
		return nil, err
	}
	s := r.follower.Shown()
	switch c.kind {
	case durable:
		return s.Durable, nil
	case checkpoint:
		if s.Checkpoint != nil {
			return s.Checkpoint, nil
		}
		return nil, errs.New(errs.CodeUnavailable, "the reader began without a checkpoint")
	case atSeq:
		return r.imageAt(s, c.seq)
	}
	return s.Image, nil
}

// imageAt returns the state right after a commit: one of those shown now, or one
// that a cursor holds on to.
func (r *Reader) imageAt(s *follower.Shown, seq uint64) (*state.Image, error) {
	if seq > s.Image.Seq() {
		return nil, errs.New(errs.CodeSeqNotYetVisible, "commit %d is above the newest one shown, %d", seq, s.Image.Seq())
	}
	for _, image := range []*state.Image{s.Image, r.reads.pins.get(seq), s.Durable, s.Checkpoint} {
		if image != nil && image.Seq() == seq {
			return image, nil
		}
	}
	return nil, errs.New(errs.CodeSeqGarbageCollected, "a reader keeps no past; commit %d is below the newest one shown, %d", seq, s.Image.Seq())
}
