package aedb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/empyrealapp/aedb-go/actors"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/checkpointer"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/feed"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/locks"
	"github.com/empyrealapp/aedb-go/pipeline"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/walwriter"
)

// lockFile is locked for as long as a store is open, and names the holder.
const lockFile = "LOCK"

// DB is an open store. All methods are safe for concurrent use.
type DB struct {
	cfg      Config // as it was opened; what can change is in reads.tuning
	dir      string
	logger   Logger
	clock    vfs.Clock
	lock     io.Closer
	sealing  keys.Sealing
	pipeline *pipeline.Pipeline
	keeper   *checkpointer.Checkpointer
	report   RecoveryReport
	identity backup.Origin // of the store, for the manifests of backups
	opened   time.Duration // how long opening took

	reads    readable
	locks    *locks.Manager
	feed     *feed.Feed
	disk     diskWatch
	watchers *actors.System // what runs beside the pipeline

	archiveMu sync.Mutex // guards archiver
	archiver  *Archiver  // the last one begun

	tuneMu   sync.Mutex // held by Tune
	closing  atomic.Bool
	closed   chan struct{} // closed when Close has finished
	closeErr error
}

// OpenNoAuth opens the store in a directory, and makes both if they are not
// there. Anyone who has the DB may do anything with it.
//
// After any crash it just works: what was acknowledged as durable is there, and
// what a crash cut off is gone. A directory in use is unavailable, and the error
// names the holder. A damaged store is refused with the file named; see
// Config.Recovery.
func OpenNoAuth(dir string, cfg Config) (*DB, error) {
	return OpenNoAuthContext(context.Background(), dir, cfg)
}

// OpenNoAuthContext is OpenNoAuth with a context, which can end a long recovery
// without harm.
func OpenNoAuthContext(ctx context.Context, dir string, cfg Config) (*DB, error) {
	dir, err := cfg.locate(dir)
	if err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = defaultLogger()
	}
	lock, err := lockDir(cfg.FS, dir)
	if err != nil {
		return nil, err
	}
	db := &DB{cfg: cfg, dir: dir, logger: cfg.Logger, clock: cfg.Clock, lock: lock, closed: make(chan struct{})}
	if err := db.start(ctx); err != nil {
		db.sealing.Ring.Wipe()
		return nil, errors.Join(err, db.unlock())
	}
	return db, nil
}

// locate checks the configuration and completes it for a store in a directory, whose
// full name it returns.
func (c *Config) locate(dir string) (string, error) {
	if err := c.Validate(); err != nil {
		return "", err
	}
	if dir == "" {
		return "", errs.New(errs.CodeValidation, "the name of the directory is empty")
	}
	if c.FS == nil {
		c.FS = vfs.OS()
		if abs, err := filepath.Abs(dir); err == nil {
			dir = abs
		}
	}
	if c.Clock == nil {
		c.Clock = vfs.SystemClock()
	}
	return dir, nil
}

// lockDir makes the directory and takes its lock.
func lockDir(fsys vfs.FS, dir string) (io.Closer, error) {
	if err := fsys.MkdirAll(dir); err != nil {
		if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrExist) {
			return nil, errs.Wrap(errs.CodeValidation, err, "%s is not a directory", dir).On(dir)
		}
		return nil, errs.Wrap(errs.CodeIO, err, "create the directory %s", dir).On(dir)
	}
	host, _ := os.Hostname() // a name for people; the lock does not depend on it
	owner := fmt.Sprintf("pid %d on %s since %s", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	lock, err := fsys.Lock(dir+"/"+lockFile, owner)
	var held *vfs.LockedError
	switch {
	case errors.As(err, &held):
		return nil, errs.Wrap(errs.CodeUnavailable, err, "the store in %s is open elsewhere", dir).On(dir)
	case err != nil:
		return nil, errs.Wrap(errs.CodeIO, err, "lock the store in %s", dir).On(dir)
	}
	return lock, nil
}

// start recovers the store and starts the pipeline.
func (db *DB) start(ctx context.Context) error {
	began := time.Now()
	cfg := &db.cfg
	given := cfg.Keys
	cfg.Keys = KeyConfig{} // its secrets are the caller's
	var err error
	if db.sealing, err = given.sealing(); err != nil {
		return err
	}
	found, err := recovery.Open(ctx, recovery.Options{
		FS: cfg.FS, Dir: db.dir, Mode: cfg.Recovery, Parallelism: cfg.RecoveryParallelism, Continue: true,
		Clock: cfg.Clock, OnProgress: cfg.OnRecovery,
		Sealing: db.sealing, Adopt: given.Adopt, ExpectSeq: given.ExpectSeq,
	})
	if err != nil {
		return err
	}
	db.report = found.Report
	db.identity = backup.Origin{
		Incarnation: found.Manifest.Incarnation, KeyEncoding: found.Manifest.KeyEncoding,
		EverPermissive: found.Manifest.EverPermissive,
	}
	for _, w := range found.Report.Warnings {
		db.logger.Warn("recovery", "dir", db.dir, "warning", w)
	}
	if err := db.reads.init(db, cfg.Tuning); err != nil {
		return err
	}
	storage := walwriter.Storage{FS: cfg.FS, Dir: db.dir, SegmentBytes: cfg.SegmentBytes, Sealing: db.sealing}
	pipelined := cfg.pipeline()
	storage.Syncs = pipelined.Rules().Syncs
	if cfg.Durability == Full {
		storage.Prezero = prezero
	}
	log, segment, unsynced, err := pipeline.OpenLog(found, storage, cfg.Durability)
	if err != nil {
		return err
	}
	db.locks = locks.New(cfg.Locks, lockFloor(max(cfg.Clock.Now().UnixMicro(), found.Working.Micros())))
	db.keeper = checkpointer.New(checkpointer.Config{
		FS: cfg.FS, Dir: db.dir, Clock: cfg.Clock, Kept: cfg.Checkpoint.Kept,
		Bytes: cfg.Checkpoint.WALBytes, Interval: cfg.Checkpoint.Interval, Sealing: db.sealing,
		Concurrency: cfg.RecoveryParallelism / 2, // the other half of the processors is for commits
	}, found.Manifest, found.Sealed, found.Checkpoint)
	for _, pin := range []string{backupPin, archivePin} {
		db.keeper.Unpin(underWay(pin)) // of a process that has ended
	}
	if found.Active != nil {
		db.keeper.Resume(segment.Size())
	}
	db.pipeline, err = pipeline.New(pipelined, pipeline.Start{
		Working: found.Working, Unsynced: unsynced, Log: log, Segment: segment, File: log.File(),
		Checkpointer: db.keeper, Clock: cfg.Clock,
		OnPoison:     db.poisoned,
		OnCheckpoint: db.checkpointed,
	})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	db.feed = db.newFeed()
	if err := db.watch(); err != nil {
		return errors.Join(err, db.pipeline.Stop(ctx))
	}
	db.opened = time.Since(began)
	db.logger.Info("store opened", "dir", db.dir, "seq", db.pipeline.Heads().Durable(),
		"durability", cfg.Durability.String(), "took", db.opened.String())
	return nil
}

// watch starts what runs beside the pipeline.
func (db *DB) watch() (err error) {
	w := &db.disk
	w.fsys, w.dir, w.reserve, w.logger, w.hold = db.cfg.FS, db.dir, db.cfg.DiskReserve, db.logger, db.pipeline.Hold
	w.free.Store(-1)
	var workers []actors.Actor
	if w.reserve > 0 {
		w.look() // what is opened on a full disk does not begin with a write
		workers = append(workers, &actors.Worker{Name: "disk watch", Run: w.run})
	}
	if db.cfg.SegmentAge > 0 {
		s := &segmentWatch{age: db.cfg.SegmentAge, log: db.pipeline}
		workers = append(workers, &actors.Worker{Name: "segment watch", Run: s.run})
	}
	db.watchers, err = actors.Start(func(cause error) {
		db.logger.Error("disk and segments are no longer watched", "dir", db.dir, "cause", cause.Error(), "stack", stackOf(cause))
	}, workers...)
	return err
}

// prezero is how far ahead of the frames zeros are written in Full mode, in which
// each sync gains from them.
const prezero = 1 << 20

func (db *DB) poisoned(cause error) {
	db.logger.Error("the pipeline has broken down; reads go on, commits are refused until the store is reopened",
		"dir", db.dir, "cause", cause.Error(), "stack", stackOf(cause))
}

func (db *DB) checkpointed(o checkpointer.Outcome) {
	if o.Err != nil {
		db.logger.Warn("checkpoint failed; the log still holds everything", "dir", db.dir, "error", o.Err.Error())
		return
	}
	if o.Unchanged {
		return
	}
	db.logger.Info("checkpoint", "dir", db.dir, "seq", o.Seq, "base", o.Base, "bytes", o.Bytes, "took", o.Duration.String())
}

// Recovery returns what opening the store found.
func (db *DB) Recovery() RecoveryReport { return db.report }

// Dir returns the directory of the store.
func (db *DB) Dir() string { return db.dir }

// Close refuses new commits, finishes those that were admitted, syncs the log,
// takes a checkpoint if Config.Checkpoint.OnClose, lets the manifest vouch for every
// byte of the log, ends every goroutine, wipes the keys and releases the directory. If the context ends first, the rest is given up with
// the same outcome as a crash: nothing durable is lost. Later calls wait for the
// first and return its result. Reads and commits after Close are unavailable.
func (db *DB) Close(ctx context.Context) error {
	if db.closing.CompareAndSwap(false, true) {
		db.locks.Close()
		// Watchers end at once, and a failure of theirs has been logged.
		_ = db.watchers.Stop(context.Background())
		err := db.pipeline.Stop(ctx)
		db.endArchive(ctx, err == nil)
		db.reads.close()
		db.sealing.Ring.Wipe()
		db.closeErr = errors.Join(err, db.unlock())
		close(db.closed)
		return db.closeErr
	}
	select {
	case <-db.closed:
		return db.closeErr
	default:
	}
	select {
	case <-db.closed:
		return db.closeErr
	case <-ctx.Done():
		return errs.FromContext(ctx, "waiting for another Close to finish")
	}
}

// unlock releases the directory.
func (db *DB) unlock() error {
	if err := db.lock.Close(); err != nil {
		return errs.Wrap(errs.CodeIO, err, "release the lock of %s", db.dir).On(db.dir)
	}
	return nil
}

// alive returns an unavailable error after Close.
func (db *DB) alive() error {
	if db.closing.Load() {
		return errs.New(errs.CodeUnavailable, "the store in %s is closed", db.dir)
	}
	return nil
}
