package aedb

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/empyrealapp/aedb-go/dump"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/invariant"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/salvage"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/verification"
	"github.com/empyrealapp/aedb-go/vfs"
)

// VerifyReport is what Verify found.
type VerifyReport = verification.Report

// SalvageReport tells what can be, or was, saved of a damaged store.
type SalvageReport = salvage.Report

// DumpHeader describes a dump; see package dump for the format.
type DumpHeader = dump.Header

// Verify proves the store in a directory: it recovers it in memory, replays history
// from every retained checkpoint to the same digest, reads every file, and checks the
// invariants of the state. It only lists and reads, and may run while the store is open
// elsewhere. Of the configuration it uses Recovery, RecoveryParallelism, OnRecovery,
// Keys, FS and Clock.
//
// What is wrong with the store is in the report. An error means that nothing could be
// said: unavailable where there is no store or a key is not there, io for a disk that
// fails, canceled or timeout for the end of the context.
func Verify(ctx context.Context, dir string, cfg Config) (VerifyReport, error) {
	var report VerifyReport
	err := inspect(dir, cfg, func(o recovery.Options) (err error) {
		report, err = verification.Verify(ctx, o)
		return err
	})
	return report, err
}

// PlanSalvage tells what Salvage would save and what is lost, and changes nothing. The
// parameters are those of Salvage.
func PlanSalvage(ctx context.Context, dir string, cfg Config, checkpoint uint64) (SalvageReport, error) {
	var report SalvageReport
	err := inspect(dir, cfg, func(o recovery.Options) error {
		rescue, err := salvage.Find(ctx, o, checkpoint)
		if err == nil {
			report = rescue.Report
		}
		return err
	})
	return report, err
}

// Salvage makes a new store in the directory out, which is absent or empty, of the
// longest prefix of history that is whole in a damaged one, or, if checkpoint is not 0,
// of the state of the checkpoint at that commit. The damaged store is only read, and
// should not be open elsewhere. The new one has an identity of its own, and is protected
// by the same keys.
//
// Errors: recovery_integrity if nothing can be saved; validation for a directory out
// that is not empty; otherwise those of Verify.
func Salvage(ctx context.Context, dir, out string, cfg Config, checkpoint uint64) (SalvageReport, error) {
	var report SalvageReport
	err := inspect(dir, cfg, func(o recovery.Options) error {
		if err := vacant(o.FS, out); err != nil {
			return err
		}
		rescue, err := salvage.Find(ctx, o, checkpoint)
		if err != nil {
			return err
		}
		report = rescue.Report
		return settleIn(out, cfg, func(o recovery.Options) error { return rescue.Save(ctx, o) })
	})
	return report, err
}

// ExportDump writes one snapshot as a portable text, from which ImportDump makes the
// same state. Equal snapshots give equal bytes. Commits and reads go on meanwhile;
// progress may be nil.
func (db *DB) ExportDump(ctx context.Context, out io.Writer, c Consistency, progress dump.Progress) (DumpHeader, error) {
	image, err := db.image(c)
	if err != nil {
		return DumpHeader{}, err
	}
	from := dump.Origin{Incarnation: db.report.Incarnation.String(), Permissive: db.cfg.Recovery == Permissive}
	return dump.Write(ctx, out, image, from, progress)
}

// ExportDump is DB.ExportDump of what the reader shows.
func (r *Reader) ExportDump(ctx context.Context, out io.Writer, c Consistency, progress dump.Progress) (DumpHeader, error) {
	image, err := r.image(c)
	if err != nil {
		return DumpHeader{}, err
	}
	from := dump.Origin{Incarnation: r.follower.Shown().Incarnation.String(), Permissive: r.cfg.Recovery == Permissive}
	return dump.Write(ctx, out, image, from, progress)
}

// CheckInvariants is DB.CheckInvariants of what the reader shows.
func (r *Reader) CheckInvariants(c Consistency) ([]Violation, error) {
	image, err := r.image(c)
	if err != nil {
		return nil, err
	}
	return invariant.Check(image), nil
}

// ImportDump makes a store of a dump in a directory that is absent or empty. The whole
// dump is read and proven first: the digest of the state is that of the header, and the
// invariants hold. The store has an identity of its own, is protected by Config.Keys,
// and bears the mark of a permissive recovery if the dump does. After an error nothing
// is left behind.
//
// Errors: validation for a directory that is not empty, or a state that breaks the
// invariants; those of dump.Read; unavailable for a directory in use; io.
func ImportDump(ctx context.Context, in io.Reader, dir string, cfg Config, progress dump.Progress) (DumpHeader, error) {
	var header DumpHeader
	err := inspect(dir, cfg, func(o recovery.Options) error {
		if err := vacant(o.FS, o.Dir); err != nil {
			return err
		}
		var image *state.Image
		var err error
		if image, header, err = dump.Read(ctx, in, progress); err != nil {
			return err
		}
		if violations := invariant.Check(image); len(violations) > 0 {
			return errs.New(errs.CodeValidation, "the state in the dump is not sound: %s", violations[0])
		}
		return settleIn(dir, cfg, func(o recovery.Options) error {
			_, err := recovery.Create(ctx, o, image, header.Permissive)
			return err
		})
	})
	return header, err
}

// inspect calls use with what it takes to look at a directory without opening it. The
// keys are wiped afterwards.
func inspect(dir string, cfg Config, use func(recovery.Options) error) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if dir == "" {
		return errs.New(errs.CodeValidation, "the name of the directory is empty")
	}
	if cfg.FS == nil {
		cfg.FS = vfs.OS()
		if abs, err := filepath.Abs(dir); err == nil {
			dir = abs
		}
	}
	if cfg.Clock == nil {
		cfg.Clock = vfs.SystemClock()
	}
	sealing, err := cfg.Keys.sealing()
	if err != nil {
		return err
	}
	defer sealing.Ring.Wipe()
	return use(recovery.Options{
		FS: cfg.FS, Dir: dir, Mode: cfg.Recovery, Parallelism: cfg.RecoveryParallelism, Clock: cfg.Clock,
		OnProgress: cfg.OnRecovery, Sealing: sealing, Adopt: cfg.Keys.Adopt, ExpectSeq: cfg.Keys.ExpectSeq,
	})
}

// settleIn makes a new store in a directory, which is locked meanwhile. After an error
// the directory is as empty or as absent as before.
func settleIn(dir string, cfg Config, create func(recovery.Options) error) error {
	cfg.Recovery, cfg.OnRecovery, cfg.Keys.ExpectSeq = Strict, nil, 0
	return inspect(dir, cfg, func(o recovery.Options) error {
		_, err := o.FS.List(o.Dir)
		absent := errors.Is(err, fs.ErrNotExist)
		lock, err := lockDir(o.FS, o.Dir)
		if err != nil {
			return err
		}
		if err = vacant(o.FS, o.Dir); err == nil {
			err = create(o)
		}
		if err != nil {
			// What cannot be removed is no store.
			_ = o.FS.Remove(o.Dir + "/" + lockFile)
			if absent {
				_ = o.FS.Remove(o.Dir)
			}
		}
		return errors.Join(err, lock.Close())
	})
}

// vacant checks that a directory is absent or empty, but for a lock.
func vacant(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "list the directory %s", dir).On(dir)
	}
	for _, name := range names {
		if name != lockFile {
			return errs.New(errs.CodeValidation, "the directory %s is not empty: it holds %s", dir, name).On(dir)
		}
	}
	return nil
}
