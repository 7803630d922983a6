package main

import (
	"context"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/verification"
)

func newVerify() *cobra.Command {
	var store storeFlags
	var answer answerFlag
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove a store: recovery, checkpoints, log, manifests, invariants",
		Long: `verify recovers the store in memory, replays history from every retained checkpoint to
the same digest, reads every manifest and segment to its end, and checks that schema,
rows, indexes and keys agree. Nothing is changed, and the store may be open elsewhere.

The exit code is 0 if all checks pass and 1 if one fails.`,
		Args: cobra.NoArgs,
		RunE: operation(func(cmd *cobra.Command, _ []string) error {
			cfg, err := store.look(cmd)
			if err != nil {
				return err
			}
			end := showRecovery(cmd.ErrOrStderr(), &cfg)
			report, err := aedb.Verify(cmd.Context(), store.dir, cfg)
			end()
			if err != nil {
				return err
			}
			if err := answer.write(cmd, report, func(out io.Writer) { printVerification(out, &report) }); err != nil {
				return err
			}
			if !report.OK {
				return checkFailed(fmt.Sprintf("the store in %s did not pass", store.dir), "aedb repair --plan tells what can be saved")
			}
			return nil
		}),
	}
	store.registerReading(cmd.Flags())
	answer.register(cmd.Flags())
	return cmd
}

func printVerification(out io.Writer, r *aedb.VerifyReport) {
	fmt.Fprintf(out, "%s  seq %d  tables %d  rows %d  keys %d\n", passed(r.OK), r.Seq, r.Tables, r.Rows, r.Keys)
	if r.Digest != "" {
		fmt.Fprintf(out, "digest %s\n", r.Digest)
	}
	var rows []table.Row
	for _, c := range r.Checks {
		rows = append(rows, table.Row{passed(c.OK), c.Name, shortened(c.Detail)})
	}
	printTable(out, table.Row{"", "check", "detail"}, rows)
	printFiles(out, r)
	printViolations(out, r.Violations)
}

// printFiles lists the files of the store and what is wrong with each.
func printFiles(out io.Writer, r *aedb.VerifyReport) {
	var rows []table.Row
	for _, m := range r.Manifests {
		rows = append(rows, table.Row{m.File, "", shortened(m.Problem)})
	}
	for _, c := range r.Checkpoints {
		rows = append(rows, table.Row{c.File, fmt.Sprintf("commit %d", c.Seq), shortened(c.Problem)})
	}
	for _, s := range r.Segments {
		note := s.Problem
		if s.Unfinished {
			note = "its end is unfinished, which is no damage"
		}
		rows = append(rows, table.Row{s.File, fmt.Sprintf("%d frames, commits %d to %d", s.Frames, s.FirstSeq, s.LastSeq), shortened(note)})
	}
	printTable(out, table.Row{"file", "content", "problem"}, rows)
}

func printViolations(out io.Writer, violations []string) {
	for _, v := range violations {
		fmt.Fprintf(out, "violation: %s\n", oneLine(v))
	}
}

// maxProblem is the width at which what is wrong with a file is cut off.
const maxProblem = 100

// shortened makes a text fit a cell; the whole of it stands elsewhere.
func shortened(s string) string {
	s = oneLine(s)
	if r := []rune(s); len(r) > maxProblem {
		return string(r[:maxProblem-3]) + "..."
	}
	return s
}

// invariantsAnswer is the answer of check invariants.
type invariantsAnswer struct {
	OK  bool   `json:"ok"`
	Seq uint64 `json:"seq"`
	verification.Counts
	Violations []string `json:"violations"`
}

func newCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Check a store", Args: cobra.NoArgs,
		RunE: operation(func(*cobra.Command, []string) error { return usagef("check needs: invariants") }),
	}
	cmd.AddCommand(newCheckInvariants())
	return cmd
}

func newCheckInvariants() *cobra.Command {
	e := &explorer{}
	return e.command(&cobra.Command{
		Use: "invariants", Short: "Check that schema, rows, indexes and keys of the newest state agree",
		Long: "check invariants is a part of verify: it checks one state, and not how it came about.\nThe exit code is 1 if there is a violation.",
	}, func(_ context.Context, cmd *cobra.Command, r *aedb.Reader) error {
		violations, err := r.CheckInvariants(aedb.AtLatest)
		if err != nil {
			return err
		}
		a := invariantsAnswer{OK: len(violations) == 0, Seq: r.Heads().VisibleSeq, Violations: []string{}}
		for _, v := range violations {
			a.Violations = append(a.Violations, v.String())
		}
		if a.Counts, err = countIn(r); err != nil {
			return err
		}
		err = e.answer.write(cmd, a, func(out io.Writer) {
			word := "ok"
			if !a.OK {
				word = "violations"
			}
			fmt.Fprintf(out, "%s  seq %d  tables %d  rows %d  keys %d\n", word, a.Seq, a.Tables, a.Rows, a.Keys)
			printViolations(out, a.Violations)
		})
		if err == nil && !a.OK {
			return checkFailed(fmt.Sprintf("%d violations in %s", len(violations), e.store.dir), "aedb verify tells more")
		}
		return err
	})
}

func countIn(r *aedb.Reader) (c verification.Counts, err error) {
	projects, err := r.NoAuth().Projects()
	if err != nil {
		return c, err
	}
	for _, p := range projects {
		scopes, err := r.NoAuth().Scopes(p.Name)
		if err != nil {
			return c, err
		}
		for _, s := range scopes {
			c.Keys += s.Keys
			tables, err := r.NoAuth().Scope(p.Name, s.Name).Tables()
			if err != nil {
				return c, err
			}
			for _, t := range tables {
				c.Tables++
				c.Rows += t.Rows
			}
		}
	}
	return c, nil
}

func newCheckpoint() *cobra.Command {
	var store storeFlags
	var answer answerFlag
	cmd := &cobra.Command{
		Use: "checkpoint", Short: "Write a checkpoint, so that the next opening reads less of the log",
		Args: cobra.NoArgs,
		RunE: operation(func(cmd *cobra.Command, _ []string) error {
			return store.existing(cmd, func(ctx context.Context, db *aedb.DB) error {
				seq, err := db.Checkpoint(ctx)
				if err != nil {
					return err
				}
				a := struct {
					Seq uint64 `json:"checkpoint_seq"`
				}{seq}
				return answer.write(cmd, a, func(out io.Writer) { fmt.Fprintf(out, "checkpoint at seq %d\n", seq) })
			})
		}),
	}
	store.register(cmd.Flags())
	answer.register(cmd.Flags())
	return cmd
}
