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
}

func (f *storeFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.dir, "data-dir", "", "directory of the store (required)")
	flags.StringVar(&f.durability, "durability", "full", "when commits are synced: full, batch or os_buffered")
	flags.BoolVar(&f.permissive, "permissive", false, "open a damaged store as far as it is whole, and mark it so for ever")
	flags.StringVar(&f.logLevel, "log-level", "warn", "least level to log on standard error: debug, info, warn, error or disabled")
}

// scopeFlags say which scope a verb is about.
type scopeFlags struct{ project, scope string }

func (f *scopeFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.project, "project", "demo", "project")
	flags.StringVar(&f.scope, "scope", "app", "scope in the project")
}

func (f *scopeFlags) of(db *aedb.DB) *aedb.Scope { return db.NoAuth().Scope(f.project, f.scope) }

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

// read is write for verbs that only read: they make no store and no checkpoint.
func (f *storeFlags) read(cmd *cobra.Command, use func(context.Context, *aedb.DB) error) error {
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
