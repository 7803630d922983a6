package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/empyrealapp/aedb-go"
)

func newRepair() *cobra.Command {
	var store storeFlags
	var answer answerFlag
	var plan bool
	var out string
	var checkpoint uint64
	cmd := &cobra.Command{
		Use:   "repair (--plan | --out DIR)",
		Short: "Save what is whole of a damaged store into a new one",
		Long: `repair finds the longest prefix of history that verifies, tells what is lost with what
follows it, and with --out makes a new store of it in a directory that is absent or
empty. The damaged store is only read. The new one has an identity of its own: backups
of the old one do not go on with it.

With --checkpoint the new store is that of an older checkpoint, whole and without the
log behind it; aedb verify lists the checkpoints.`,
		Example: `  aedb repair --data-dir ./data --plan
  aedb repair --data-dir ./data --out ./saved`,
		Args: cobra.NoArgs,
		RunE: operation(func(cmd *cobra.Command, _ []string) error {
			if plan == (out != "") {
				return usagef("repair needs --plan or --out, and not both")
			}
			cfg, err := store.look(cmd)
			if err != nil {
				return err
			}
			end := showRecovery(cmd.ErrOrStderr(), &cfg)
			var report aedb.SalvageReport
			if plan {
				report, err = aedb.PlanSalvage(cmd.Context(), store.dir, cfg, checkpoint)
			} else {
				report, err = aedb.Salvage(cmd.Context(), store.dir, out, cfg, checkpoint)
			}
			end()
			if err != nil {
				return err
			}
			return answer.write(cmd, report, func(w io.Writer) { printSalvage(w, &report, out) })
		}),
	}
	flags := cmd.Flags()
	store.registerReading(flags)
	store.keys.registerWriting(flags)
	answer.register(flags)
	flags.BoolVar(&plan, "plan", false, "only tell what would be saved and what is lost")
	flags.StringVar(&out, "out", "", "directory for the new store")
	flags.Uint64Var(&checkpoint, "checkpoint", 0, "save the state of the checkpoint at this commit; 0 is all that is whole")
	return cmd
}

func printSalvage(w io.Writer, r *aedb.SalvageReport, out string) {
	what := "can be saved"
	if out != "" {
		what = "saved in " + out
	}
	fmt.Fprintf(w, "%s: seq %d, digest %s\n", what, r.Seq, r.Digest)
	if r.Whole {
		fmt.Fprintln(w, "nothing is lost")
	} else {
		fmt.Fprintf(w, "lost: commits from %d on, at least to %d; %d bytes of log in %s\n",
			r.LostFrom, r.LostTo, r.LostBytes, strings.Join(append(r.LostFiles, "no file")[:max(1, len(r.LostFiles))], ", "))
		fmt.Fprintf(w, "reason: %s\n", oneLine(r.Reason))
	}
	if r.Torn != nil {
		fmt.Fprintf(w, "unfinished: %d bytes at offset %d of %s, promised to nobody\n", r.Torn.Bytes, r.Torn.Offset, r.Torn.File)
	}
	for _, rejected := range r.Rejected {
		fmt.Fprintf(w, "not used: %s: %s\n", rejected.File, oneLine(rejected.Reason))
	}
	printViolations(w, r.Violations)
}
