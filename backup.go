package aedb

import (
	"context"
	"errors"

	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/feed"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

// BackupOptions say how a backup is taken.
type BackupOptions struct {
	// Options are the keys, and whether to seal the objects. The backups of a store
	// with keys are signed under these if none are given, and those of an encrypted
	// store are always sealed.
	backup.Options
	// KeepLog is how much log, in bytes, may be kept for an incremental backup on
	// top of this one, beyond what the store keeps for itself. When it comes to be
	// more, the log is released, and the next backup has to be a full one. 0 keeps
	// none, and lets go of what an earlier backup has kept.
	KeepLog int64
	// SkipDigest leaves the digest of the state out of an incremental backup. To
	// take it means to read the whole state.
	SkipDigest bool
}

// backupPin is the name of the hold on the log for the next incremental backup.
const backupPin = "backup"

// BackupFull takes a backup of the whole state, while commits and reads go on. It
// shows every commit that was acknowledged before the call, and nothing that is not
// durable.
//
// The backup is in the store when BackupFull returns without an error; else it is
// not, although objects of it may be. See package backup for where it can be kept
// and what else can be done with it, and Restore.
func (db *DB) BackupFull(ctx context.Context, to backup.Sink, o BackupOptions) (backup.Manifest, error) {
	image, err := db.durableImage(ctx)
	if err != nil {
		return backup.Manifest{}, err
	}
	return db.fullOf(ctx, to, image, backupPin, o)
}

// fullOf takes a full backup of an image whose commits are durable.
func (db *DB) fullOf(ctx context.Context, to backup.Sink, image *state.Image, pin string, o BackupOptions) (backup.Manifest, error) {
	o.Options = db.protected(o.Options)
	return db.holding(pin, image.Seq(), o.KeepLog, func() (backup.Manifest, error) {
		var tip *msgs.Changeset
		if seq := image.Seq(); seq > 0 {
			err := db.commits(seq-1, seq, func(c *msgs.Changeset) error {
				last := *c
				tip = &last
				return nil
			})
			// The log begins behind the state after a restore, for one.
			if err != nil && !errors.Is(err, errs.ErrSeqGarbageCollected) {
				return backup.Manifest{}, err
			}
		}
		return backup.WriteFull(ctx, to, db.origin(), image, tip, o.Options)
	})
}

// BackupIncremental takes a backup of the commits behind an earlier backup of this
// store, the parent, whose manifest comes from the call that took it or from
// backup.List or backup.Load. It is otherwise like BackupFull.
//
// It fails with seq_garbage_collected if the log does not reach back to the parent
// any more (see BackupOptions.KeepLog), and with validation if the parent is of
// another store, or of this one before it was restored or set back: then take a
// full one.
func (db *DB) BackupIncremental(ctx context.Context, to backup.Sink, parent backup.Manifest, o BackupOptions) (backup.Manifest, error) {
	image, err := db.durableImage(ctx)
	if err != nil {
		return backup.Manifest{}, err
	}
	return db.incrementTo(ctx, to, image, &parent, backupPin, o)
}

// incrementTo takes an incremental backup up to an image whose commits are durable.
func (db *DB) incrementTo(ctx context.Context, to backup.Sink, image *state.Image, parent *backup.Manifest, pin string, o BackupOptions) (backup.Manifest, error) {
	o.Options = db.protected(o.Options)
	m, err := backup.WriteIncremental(ctx, to, db.origin(), parent, image, db.commits, !o.SkipDigest, o.Options)
	if err == nil {
		db.hold(pin, m.Seq, o.KeepLog)
	}
	return m, err
}

// protected returns options under which a backup is as well protected as the store.
func (db *DB) protected(o backup.Options) backup.Options {
	if o.Keys == nil {
		o.Keys = db.sealing.Ring
	}
	o.Seal = o.Seal || db.sealing.Encrypt
	return o
}

// durableImage returns the state as it is now, when all of it is durable.
func (db *DB) durableImage(ctx context.Context) (*state.Image, error) {
	if err := db.alive(); err != nil {
		return nil, err
	}
	heads := db.pipeline.Heads()
	image := heads.Visible()
	if heads.Durable() < image.Seq() {
		if _, err := db.Flush(ctx); err != nil {
			return nil, err
		}
		if err := heads.WaitDurable(ctx, image.Seq()); err != nil {
			return nil, err
		}
	}
	return image, nil
}

// commits reads commits from memory, or else from the log; see backup.Commits.
func (db *DB) commits(after, last uint64, visit func(*msgs.Changeset) error) error {
	const atOnce = 256
	for after < last {
		sets, err := db.pipeline.History().After(after, atOnce)
		if errors.Is(err, errs.ErrSeqGarbageCollected) {
			return feed.NewLog(db.cfg.FS, db.dir, db.sealing.Ring).Read(after, last, func(c *msgs.Changeset) error {
				if c.Seq > last {
					return feed.ErrEnough
				}
				return visit(c)
			})
		}
		if err != nil {
			return err
		}
		for i := range sets {
			if sets[i].Seq > last {
				return nil
			}
			if err := visit(&sets[i]); err != nil {
				return err
			}
			after = sets[i].Seq
		}
	}
	return nil
}

// origin returns what the manifest of a backup taken now says of the store.
func (db *DB) origin() backup.Origin {
	origin := db.identity
	origin.Volatile = db.pipeline.Heads().HadVolatile()
	origin.NowMicros = db.clock.Now().UnixMicro()
	return origin
}

// hold keeps the log from a commit on, which an incremental backup compares with
// the end of its parent; with no bytes it lets go.
func (db *DB) hold(pin string, seq uint64, maxBytes int64) {
	if maxBytes > 0 {
		db.keeper.Pin(manifest.Pin{Name: pin, Seq: seq, MaxBytes: maxBytes})
	} else {
		db.keeper.Unpin(pin)
	}
}

// underWay is the name of the hold for a backup that is being taken.
func underWay(pin string) string { return pin + " under way" }

// holding takes a backup of a commit. The log behind that is kept from the
// beginning, beside what an earlier backup has kept, until the outcome decides
// which of them counts.
func (db *DB) holding(pin string, seq uint64, maxBytes int64, take func() (backup.Manifest, error)) (backup.Manifest, error) {
	meanwhile := underWay(pin)
	db.hold(meanwhile, seq, maxBytes)
	defer db.keeper.Unpin(meanwhile)
	m, err := take()
	if err == nil {
		db.hold(pin, seq, maxBytes)
	}
	return m, err
}
