package aedb

import (
	"context"
	"errors"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/state"
)

// ArchiveConfig says how commits are archived. DefaultArchiveConfig returns a
// complete one.
type ArchiveConfig struct {
	// Options are the keys, and whether to seal the objects, as in BackupOptions.
	backup.Options
	// Interval is the longest time a durable commit waits to be shipped, while
	// shipping succeeds; 10 s by default. A failure is tried again after as long.
	Interval time.Duration
	// Bytes of log cause a shipment before the interval is over; 16 MiB by default,
	// 0 switches that off.
	Bytes int64
	// FullEvery is the age of the last full backup from which the next shipment ends with
	// another one, at the commit that it has brought the chain to, so that chains do not
	// grow for ever; 24 h by default, 0 switches that off.
	FullEvery time.Duration
	// KeepLog bounds the log, in bytes, that is kept for what is not shipped yet;
	// 1 GiB by default. When it comes to be more, the log is released, and the next
	// shipment is a full backup.
	KeepLog int64
}

// DefaultArchiveConfig returns the configuration of an archive that is ten seconds
// behind.
func DefaultArchiveConfig() ArchiveConfig {
	return ArchiveConfig{Interval: 10 * time.Second, Bytes: 16 << 20, FullEvery: 24 * time.Hour, KeepLog: 1 << 30}
}

// ArchiveStats are the figures of an archive since it was begun.
type ArchiveStats struct {
	// Running is false if there is none, or if it has ended.
	Running bool
	// Seq is the last commit shipped, of whatever opening. Lag is how many durable
	// commits are behind it, and LagTime how long the oldest of them may have waited.
	Seq     uint64
	Lag     uint64
	LagTime time.Duration
	// Shipments count the backups that were shipped, Fulls the full ones among them,
	// Bytes the size of their objects. Failures counts attempts in vain.
	Shipments, Fulls, Failures uint64
	Bytes                      int64
	// Err is why the last attempt failed, nil if it did not.
	Err error
}

// archivePin is the name of the hold on the log for what is to be archived.
const archivePin = "archive"

// Archiver ships the commits of a store, as they become durable, to where backups
// are kept: as incremental backups, on top of a full one that it takes when it has
// to. What it ships is restored like any backup, to any commit or time.
//
// It belongs to its store, and ends with it. Commits never wait for it. All methods
// are safe for concurrent use.
type Archiver struct {
	db   *DB
	to   backup.Store
	cfg  ArchiveConfig
	turn chan struct{} // holds one token; who has it may ship, and use what follows

	parent *backup.Manifest // shipped last; nil if that is not known or there is none
	fullAt time.Time        // when the last full backup was taken

	stop  context.CancelFunc
	ended chan struct{}

	mu      sync.Mutex // guards what follows
	stats   ArchiveStats
	shipped time.Time // up to when all that was durable is shipped
}

// Archive begins to ship the commits of the store, going on from the newest backup
// of it in to. A store has one archive at a time; a second one is a validation
// error.
func (db *DB) Archive(to backup.Store, cfg ArchiveConfig) (*Archiver, error) {
	if cfg.Interval <= 0 || cfg.Bytes < 0 || cfg.FullEvery < 0 || cfg.KeepLog <= 0 {
		return nil, errs.New(errs.CodeInvalidConfig, "the interval of an archive and the log kept for it must be positive, its other bounds 0 or positive")
	}
	if cfg.Options = db.protected(cfg.Options); cfg.Seal && cfg.Keys == nil {
		return nil, errs.New(errs.CodeInvalidConfig, "to seal an archive takes keys")
	}
	ctx, stop := context.WithCancel(context.Background())
	a := &Archiver{
		db: db, to: to, cfg: cfg, stop: stop, ended: make(chan struct{}),
		turn: make(chan struct{}, 1), shipped: time.Now(),
	}
	a.turn <- struct{}{}
	a.stats.Running = true
	db.archiveMu.Lock()
	defer db.archiveMu.Unlock()
	if err := db.alive(); err != nil {
		stop()
		return nil, err
	}
	if db.archiver != nil && db.archiver.Stats().Running {
		stop()
		return nil, errs.New(errs.CodeValidation, "the store in %s is being archived already", db.dir)
	}
	db.archiver = a
	go pprof.Do(ctx, pprof.Labels("actor", "archiver"), a.run)
	return a, nil
}

// run ships until the archiver is stopped.
func (a *Archiver) run(ctx context.Context) {
	defer close(a.ended)
	ticker := time.NewTicker(max(a.cfg.Interval/10, time.Millisecond))
	defer ticker.Stop()
	var tried time.Time
	var bytes uint64 // of log when it was tried
	for {
		written := a.db.pipeline.Counters().AppendBytes
		due := time.Since(tried) >= a.cfg.Interval ||
			a.cfg.Bytes > 0 && written-bytes >= uint64(a.cfg.Bytes) && a.Stats().Err == nil
		if due {
			tried, bytes = time.Now(), written
			if err := a.Ship(ctx); err != nil && ctx.Err() == nil {
				a.failed(err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *Archiver) failed(err error) {
	a.db.logger.Warn("archiving failed; the log is kept and it will be tried again", "dir", a.db.dir, "error", err.Error())
}

// Ship ships at once what was committed before the call, and waits for it.
func (a *Archiver) Ship(ctx context.Context) error {
	image, err := a.db.durableImage(ctx)
	if err != nil {
		return err
	}
	return a.ship(ctx, image)
}

// ship makes the archive hold all up to an image whose commits are durable.
func (a *Archiver) ship(ctx context.Context, image *state.Image) error {
	select {
	case <-a.turn:
	case <-ctx.Done():
		return errs.FromContext(ctx, "wait for an earlier shipment")
	}
	defer func() { a.turn <- struct{}{} }()
	began := time.Now()
	shipped, err := a.next(ctx, image)
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range shipped {
		a.count(&shipped[i])
	}
	a.stats.Err = err
	if err != nil {
		a.stats.Failures++
		a.parent = nil // what is in the store by now, only the store can tell
		return err
	}
	a.shipped = began
	return nil
}

// count takes note of a backup that was shipped. The caller holds mu.
func (a *Archiver) count(m *backup.Manifest) {
	a.parent = m
	a.stats.Seq = m.Seq
	a.stats.Shipments++
	a.stats.Bytes += m.Bytes()
	if m.Kind == backup.Full {
		a.stats.Fulls++
		a.fullAt = time.UnixMicro(m.CreatedMicros)
	}
}

// next ships what the archive lacks, and returns what it has shipped. A chain is brought
// to the commit that the next one begins at, so that no commit between the two is
// missing.
func (a *Archiver) next(ctx context.Context, image *state.Image) (shipped []backup.Manifest, err error) {
	if err := a.find(ctx, image); err != nil {
		return nil, err
	}
	o := BackupOptions{Options: a.cfg.Options, KeepLog: a.cfg.KeepLog, SkipDigest: true}
	if p := a.parent; p != nil {
		var m backup.Manifest
		if image.Seq() == p.Seq {
			a.db.hold(archivePin, p.Seq, a.cfg.KeepLog)
		} else if m, err = a.db.incrementTo(ctx, a.to, image, p, archivePin, o); err == nil {
			shipped = append(shipped, m)
		}
		switch {
		case err == nil && (a.cfg.FullEvery == 0 || a.db.clock.Now().Sub(a.fullAt) < a.cfg.FullEvery):
			return shipped, nil
		case err == nil: // the chain is old enough
		case errors.Is(err, errs.ErrSeqGarbageCollected), errors.Is(err, errs.ErrValidation):
			// The chain has come to its end where the log does not lead on from it.
			a.db.logger.Warn("the archive cannot be continued; a full backup is taken", "dir", a.db.dir, "reason", err.Error())
		default:
			return nil, err
		}
	}
	m, err := a.db.fullOf(ctx, a.to, image, archivePin, o)
	if err != nil {
		return shipped, err
	}
	return append(shipped, m), nil
}

// find looks for the newest backup of this store, if it is not known or not there any
// more. One that has lost an ancestor, or is of another history, is of no use.
func (a *Archiver) find(ctx context.Context, image *state.Image) error {
	if a.parent != nil {
		_, err := backup.Load(ctx, a.to, a.parent.ID, a.cfg.Options)
		if err == nil || !errors.Is(err, errs.ErrValidation) && !errors.Is(err, errs.ErrIntegrity) {
			return err
		}
		a.parent = nil
	}
	l, err := backup.List(ctx, a.to, a.cfg.Options)
	if err != nil {
		return err
	}
	for i := range l.Backups {
		m := &l.Backups[i]
		if m.Incarnation != a.db.identity.Incarnation {
			continue
		}
		if m.Kind == backup.Full {
			a.fullAt = time.UnixMicro(m.CreatedMicros)
		}
		if a.parent == nil || m.Seq >= a.parent.Seq {
			a.parent = m
		}
	}
	if a.parent == nil {
		return nil
	}
	_, err = backup.LoadChain(ctx, a.to, a.parent.ID, a.cfg.Options)
	if err == nil {
		// An incremental backup finds out by itself, but where there is nothing to ship none
		// is taken. Where the log does not tell, there is nothing to compare with.
		err = backup.Continues(a.db.origin(), a.parent, image.Seq(), a.db.commits)
	}
	switch {
	case err == nil, errors.Is(err, errs.ErrSeqGarbageCollected):
	case errors.Is(err, errs.ErrIntegrity), errors.Is(err, errs.ErrValidation):
		a.db.logger.Warn("the archive cannot be continued; a full backup is taken", "dir", a.db.dir, "reason", err.Error())
		a.parent = nil
		return nil
	default:
		a.parent = nil
		return err
	}
	a.mu.Lock()
	a.stats.Seq = a.parent.Seq
	a.mu.Unlock()
	return nil
}

// Stats returns the figures as they are now.
func (a *Archiver) Stats() ArchiveStats {
	durable := a.db.Heads().DurableSeq
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.stats
	if s.Lag = behind(durable, s.Seq); s.Lag > 0 {
		s.LagTime = time.Since(a.shipped)
	}
	return s
}

// Close ships what is left, if the context allows, and ends the archiver. The log
// that is not shipped stays held for whoever goes on. DB.Close closes the archiver
// too.
func (a *Archiver) Close(ctx context.Context) error {
	if !a.Stats().Running {
		return nil
	}
	a.end()
	return a.Ship(ctx)
}

// end ends the goroutine.
func (a *Archiver) end() {
	a.stop()
	<-a.ended
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.Running = false
}

// endArchive ends the archiver of a store whose pipeline has ended, and ships what is
// left if all of it is durable. That it cannot is no failure of the store: the log
// is held, and the next opening goes on with it.
func (db *DB) endArchive(ctx context.Context, ship bool) {
	db.archiveMu.Lock()
	a := db.archiver
	db.archiveMu.Unlock()
	if a == nil || !a.Stats().Running {
		return
	}
	a.end()
	image := db.pipeline.Heads().Visible()
	if !ship || db.pipeline.Heads().Durable() < image.Seq() {
		return
	}
	if err := a.ship(ctx, image); err != nil {
		a.failed(err)
	}
}

// archiveStats returns the figures of the archiver there is.
func (db *DB) archiveStats() ArchiveStats {
	db.archiveMu.Lock()
	a := db.archiver
	db.archiveMu.Unlock()
	if a == nil {
		return ArchiveStats{}
	}
	return a.Stats()
}
