// Package demo is the verb of the command line tool that shows the whole store
// at work on real data: loading and serving through concurrent callers with
// durable commits, queries, transactions, and a proof by killing processes that
// nothing acknowledged is ever lost or half there.
//
// Invariants:
//
//  1. The demo fails, with one line that says why, if anything that it promises
//     on screen does not hold.
//  2. Whatever ends it, no process and, unless asked to keep them, no file stays
//     behind.
package demo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/empyrealapp/aedb-go/errs"
)

// options are the flags.
type options struct {
	dataDir string
	keep    bool
	plain   bool
	quick   bool
	callers int
	kills   int
	serve   time.Duration
}

// Sizes of a quick run.
const (
	quickPackages = 500
	quickServe    = 500 * time.Millisecond
)

// Command returns the verb "demo". It works at any place in a tree of commands:
// to start the program as a child, it uses its own path in the tree. The end of
// the command's context interrupts it.
func Command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the store at work on real data, crashes included",
		Long: `Loads a part of Debian's package catalogue through many concurrent callers with
durable commits, shows the stages of the pipeline meanwhile, answers queries, and
proves that commits survive: it kills processes in the middle of loading and
compares what their stores hold with the source, row by row.

Everything is in a temporary directory that is removed at the end.`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.settle(cmd); err != nil {
				return err
			}
			ctx := cmd.Context()
			s := newScreen(cmd.OutOrStdout(), o.plain)
			err := run(ctx, s, o, strings.Fields(cmd.CommandPath())[1:])
			if ctx.Err() != nil {
				return errs.FromContext(ctx, "before the end of the demo")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dataDir, "data-dir", "", "keep the stores in this directory, which must be empty or new")
	f.BoolVar(&o.keep, "keep", false, "keep the temporary directory and say where it is")
	f.BoolVar(&o.plain, "plain", false, "no colours and no redrawing, as when the output is not a terminal")
	f.BoolVar(&o.quick, "quick", false, "a small part of the data and one crash, in a few seconds")
	f.IntVar(&o.callers, "callers", 32, "concurrent callers")
	f.IntVar(&o.kills, "kills", 5, "how many processes to kill")
	f.DurationVar(&o.serve, "serve", 8*time.Second, "how long the callers download packages")
	cmd.AddCommand(childCommand())
	return cmd
}

// settle checks the flags and fills in what --quick changes, unless it was given.
func (o *options) settle(cmd *cobra.Command) error {
	if o.quick && !cmd.Flags().Changed("kills") {
		o.kills = 1
	}
	if o.quick && !cmd.Flags().Changed("serve") {
		o.serve = quickServe
	}
	switch {
	case o.callers < 1 || o.callers > 4096:
		return errors.New("--callers must be from 1 to 4096")
	case o.kills < 0 || o.kills > 100:
		return errors.New("--kills must be from 0 to 100")
	case o.serve < 0:
		return errors.New("--serve must not be negative")
	}
	return nil
}

// directory returns the directory for the stores, and a function that removes it
// if it is not to be kept.
func (o *options) directory() (dir string, remove func(), err error) {
	keep := func() {}
	if o.dataDir == "" {
		dir, err = os.MkdirTemp("", "aedb-demo-")
		if err != nil || o.keep {
			return dir, keep, err
		}
		return dir, func() { _ = os.RemoveAll(dir) }, nil
	}
	if dir, err = filepath.Abs(o.dataDir); err != nil {
		return "", keep, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", keep, err
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return "", keep, err
	}
	if len(names) > 0 {
		return "", keep, errs.New(errs.CodeValidation, "%s is not empty; give --data-dir a new directory", dir).On(dir)
	}
	return dir, keep, nil
}

// run is the demo. verb are the arguments that lead to it.
func run(ctx context.Context, s *screen, o options, verb []string) error {
	began := time.Now()
	most := 0
	if o.quick {
		most = quickPackages
	}
	d, err := readDataset(most)
	if err != nil {
		return err
	}
	dir, remove, err := o.directory()
	if err != nil {
		return during(err, "make the directory for the stores")
	}
	defer remove()
	out := outcome{callers: o.callers}
	if err := tour(ctx, s, o, d, filepath.Join(dir, "catalogue"), &out); err != nil {
		return err
	}
	if o.kills > 0 {
		s.heading(5, "Crashes")
		s.say("The program now starts itself as a child, which loads a second store and reports each commit over a pipe, " +
			"after its durable acknowledgement. At a random moment the child is killed, with no chance to tidy up. " +
			"The store it leaves is opened and compared with the source, field by field: what was acknowledged has to be " +
			"there; what was not may be there too, but only whole; counters and indexes have to agree with the rows.")
		c := crasher{
			dir: filepath.Join(dir, "crashed"), verb: verb, dataset: d, most: most,
			callers: o.callers, kills: o.kills,
		}
		if out.crashes, err = c.run(ctx, s); err != nil {
			return err
		}
	}
	out.took = time.Since(began)
	s.report(out)
	if o.keep || o.dataDir != "" {
		s.lines("  The stores are in "+dir+".", "")
	}
	return nil
}
