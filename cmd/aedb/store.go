package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/wal"
)

// storeFlags are the flags by which a verb finds and opens the store.
type storeFlags struct {
	dir        string
	durability string
	permissive bool
	logLevel   string
	keys       keyFlags
}

// register adds the flags of a verb that writes, or that writes and reads.
func (f *storeFlags) register(flags *pflag.FlagSet) {
	f.registerReading(flags)
	flags.Lookup("permissive").Usage = "open a damaged store as far as it is whole; a verb that writes marks it so for ever"
	flags.StringVar(&f.durability, "durability", "full", "when commits are synced: full, batch or os_buffered")
	flags.StringVar(&f.logLevel, "log-level", "warn", "least level to log on standard error: debug, info, warn, error or disabled")
	f.keys.registerWriting(flags)
}

// registerReading adds the flags of a verb that only reads.
func (f *storeFlags) registerReading(flags *pflag.FlagSet) {
	f.durability, f.logLevel = "full", "warn"
	flags.StringVar(&f.dir, "data-dir", "", "directory of the store (required)")
	flags.BoolVar(&f.permissive, "permissive", false, "show a damaged store as far as it is whole")
	f.keys.register(flags)
}

// scopeFlags say which scope a verb is about.
type scopeFlags struct{ project, scope string }

func (f *scopeFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.project, "project", "demo", "project")
	flags.StringVar(&f.scope, "scope", "app", "scope in the project")
}

func (f *scopeFlags) of(db *aedb.DB) *aedb.Scope { return db.NoAuth().Scope(f.project, f.scope) }

func (f *scopeFlags) in(r *aedb.Reader) *aedb.ReadScope { return r.NoAuth().Scope(f.project, f.scope) }

// ensure makes the project and the scope if they are not there.
func (f *scopeFlags) ensure(ctx context.Context, db *aedb.DB) error {
	if _, err := db.NoAuth().Scope(f.project, f.scope).Tables(); err == nil {
		return nil
	}
	if _, err := db.NoAuth().CreateProject(ctx, f.project); err != nil {
		return err
	}
	_, err := db.NoAuth().CreateScope(ctx, f.project, f.scope)
	return err
}

// write opens the store, which is made if it is not there, calls use and closes
// the store, also after an interruption.
func (f *storeFlags) write(cmd *cobra.Command, use func(context.Context, *aedb.DB) error) error {
	cfg, err := f.config(cmd)
	if err != nil {
		return err
	}
	return f.with(cmd.Context(), cfg, use)
}

// read calls use with a reader of the store, which another process may have open.
// Nothing in the directory is changed, made or locked.
func (f *storeFlags) read(cmd *cobra.Command, use func(context.Context, *aedb.Reader) error) error {
	cfg, err := f.look(cmd)
	if err != nil {
		return err
	}
	end := showRecovery(cmd.ErrOrStderr(), &cfg)
	r, err := aedb.OpenReader(cmd.Context(), f.dir, cfg)
	end()
	if err != nil {
		return err
	}
	return errors.Join(use(cmd.Context(), r), r.Close())
}

// look returns the configuration for looking at a store that is there, without
// following it.
func (f *storeFlags) look(cmd *cobra.Command) (aedb.Config, error) {
	cfg, err := f.config(cmd)
	if err != nil {
		return cfg, err
	}
	cfg.FollowInterval = 0
	return cfg, f.exists()
}

// existing is write for a store that has to be there.
func (f *storeFlags) existing(cmd *cobra.Command, use func(context.Context, *aedb.DB) error) error {
	cfg, err := f.config(cmd)
	if err != nil {
		return err
	}
	if err := f.exists(); err != nil {
		return err
	}
	cfg.Checkpoint.OnClose, cfg.Checkpoint.Interval, cfg.Checkpoint.WALBytes = false, 0, 0
	return f.with(cmd.Context(), cfg, use)
}

func (f *storeFlags) with(ctx context.Context, cfg aedb.Config, use func(context.Context, *aedb.DB) error) error {
	db, err := aedb.OpenNoAuthContext(ctx, f.dir, cfg)
	if err != nil {
		return err
	}
	err = use(ctx, db)
	return errors.Join(err, db.Close(context.WithoutCancel(ctx)))
}

// config returns the configuration that the flags ask for.
func (f *storeFlags) config(cmd *cobra.Command) (aedb.Config, error) {
	cfg := aedb.DefaultConfig()
	if f.dir == "" {
		return cfg, usagef("--data-dir is required")
	}
	found := false
	for _, d := range []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered} {
		if d.String() == f.durability {
			cfg.Durability, found = d, true
		}
	}
	if !found {
		return cfg, usagef("--durability %q is not full, batch or os_buffered", f.durability)
	}
	if f.permissive {
		cfg.Recovery = aedb.Permissive
	}
	level, err := zerolog.ParseLevel(f.logLevel)
	if err != nil || f.logLevel == "" {
		return cfg, usagef("--log-level %q is not debug, info, warn, error or disabled", f.logLevel)
	}
	if cfg.Keys, err = f.keys.config(); err != nil {
		return cfg, err
	}
	cfg.Logger = aedb.Zerolog(zerolog.New(cmd.ErrOrStderr()).Level(level).With().Timestamp().Logger())
	return cfg, nil
}

// exists checks that the directory holds a store, so that opening it makes none.
func (f *storeFlags) exists() error {
	entries, err := os.ReadDir(f.dir)
	why := "the directory holds no files of one"
	switch {
	case slices.ContainsFunc(entries, belongsToStore):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		why = "the directory does not exist"
	case err != nil:
		why = err.Error()
	}
	return &failure{
		exit: exitUnavailable, code: "no_store", what: fmt.Sprintf("there is no store in %s: %s", f.dir, why),
		hint: "check --data-dir; aedb import --create makes a store",
	}
}

// belongsToStore reports whether a file is one that a store consists of.
func belongsToStore(e fs.DirEntry) bool {
	_, isManifest := manifest.ParseFileName(e.Name())
	_, isCheckpoint := checkpoint.ParseFileName(e.Name())
	_, isSegment := wal.ParseSegmentName(e.Name())
	return isManifest || isCheckpoint || isSegment
}
