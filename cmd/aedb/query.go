package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

// queryFlags are the flags of the query verb.
type queryFlags struct {
	store storeFlags
	scope scopeFlags

	columns        []string
	where, order   string
	limit, offset  int
	all, explain   bool
	at             string
	json, csv, tsv bool
}

func newQuery() *cobra.Command {
	f := &queryFlags{}
	cmd := &cobra.Command{
		Use:   "query TABLE",
		Short: "Print the rows of a table that meet a condition",
		Long: `query prints rows, as a table for people, or for programs as CSV, TSV or JSON
Lines. It stops after --limit rows and says on standard error if more follow.

Conditions are written as in

    section = 'net' and (installed_kib > 1000 or name like 'lib%')

with = <> < <= > >=, in (...), between ... and ..., like '...', is null, their
negations, and, or and parentheses.

CSV and TSV show Null as an empty field. JSON Lines keep every value as it is, and
aedb import reads them back.`,
		Example: `  aedb query packages --data-dir ./data --where "section = 'games'" \
      --order "installed_kib desc" --select name,installed_kib --limit 10
  aedb query packages --data-dir ./data --all --json > packages.jsonl`,
		Args: cobra.ExactArgs(1),
		RunE: operation(f.run),
	}
	flags := cmd.Flags()
	f.store.registerReading(flags)
	f.scope.register(flags)
	flags.StringSliceVar(&f.columns, "select", nil, "columns to print, as in a,b; all if not given")
	flags.StringVar(&f.where, "where", "", "condition")
	flags.StringVar(&f.order, "order", "", `sort keys, as in "a desc, b"`)
	flags.IntVar(&f.limit, "limit", 100, "rows to print at most")
	flags.IntVar(&f.offset, "offset", 0, "rows to leave out first")
	flags.BoolVar(&f.all, "all", false, "print all rows, without a limit")
	flags.StringVar(&f.at, "at", "latest", "state to read: latest, durable, checkpoint or a commit seq")
	flags.BoolVar(&f.explain, "explain", false, "print how the query would be executed instead")
	flags.BoolVar(&f.json, "json", false, "print JSON, one object a line")
	flags.BoolVar(&f.csv, "csv", false, "print CSV")
	flags.BoolVar(&f.tsv, "tsv", false, "print TSV")
	cmd.MarkFlagsMutuallyExclusive("json", "csv", "tsv")
	cmd.MarkFlagsMutuallyExclusive("all", "limit")
	cmd.MarkFlagsMutuallyExclusive("all", "offset")
	return cmd
}

// build makes the query, which asks for one row more than the limit to know
// whether there is one.
func (f *queryFlags) build(table string) (q query.Query, at aedb.Consistency, err error) {
	if f.limit < 0 || f.offset < 0 {
		return q, at, usagef("--limit and --offset cannot be negative")
	}
	q = query.Select(f.columns...).From(table)
	if f.where != "" {
		e, err := query.ParseExpr(f.where)
		if err != nil {
			return q, at, fmt.Errorf("--where: %w", err)
		}
		q = q.Where(e)
	}
	if f.order != "" {
		keys, err := query.ParseOrder(f.order)
		if err != nil {
			return q, at, fmt.Errorf("--order: %w", err)
		}
		for _, k := range keys {
			q = q.OrderBy(k.Column, k.Direction)
		}
	}
	if !f.all {
		q = q.Limit(f.limit + 1).Offset(f.offset)
	}
	at, err = parseConsistency(f.at)
	return q, at, err
}

func parseConsistency(s string) (aedb.Consistency, error) {
	switch s {
	case "latest":
		return aedb.AtLatest, nil
	case "durable":
		return aedb.AtDurable, nil
	case "checkpoint":
		return aedb.AtCheckpoint, nil
	}
	seq, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return aedb.Consistency{}, usagef("--at %q is not latest, durable, checkpoint or a commit seq", s)
	}
	return aedb.AtSeq(seq), nil
}

func (f *queryFlags) run(cmd *cobra.Command, args []string) error {
	q, at, err := f.build(args[0])
	if err != nil {
		return err
	}
	return f.store.read(cmd, func(ctx context.Context, r *aedb.Reader) error {
		return f.scope.in(r).View(ctx, func(v *aedb.View) error {
			out := bufio.NewWriter(cmd.OutOrStdout())
			if f.explain {
				e, err := v.Explain(ctx, q, aedb.AllowFullScan())
				if err != nil {
					return err
				}
				describePlan(out, e)
				return out.Flush()
			}
			printed, more, err := f.print(ctx, out, v, q)
			if err = errors.Join(err, out.Flush()); err != nil {
				return err
			}
			if more {
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%d rows of seq %d; more follow, see --all, --limit and --offset\n", printed, v.SnapshotSeq())
			}
			return err
		}, aedb.At(at))
	})
}

// print writes the rows up to the limit, and tells whether there are more.
func (f *queryFlags) print(ctx context.Context, out io.Writer, v *aedb.View, q query.Query) (printed int, more bool, err error) {
	head, err := v.Query(ctx, q.Limit(0).Offset(0)) // for the columns
	if err != nil {
		return 0, false, err
	}
	w := f.writer(out)
	if err := w.begin(head.Columns); err != nil {
		return 0, false, err
	}
	for row, err := range v.Rows(ctx, q, aedb.AllowFullScan()) {
		if err != nil {
			return printed, false, errors.Join(err, w.end())
		}
		if !f.all && printed == f.limit {
			more = true
			break
		}
		if err := w.row(row); err != nil {
			return printed, false, err
		}
		printed++
	}
	return printed, more, w.end()
}

func (f *queryFlags) writer(out io.Writer) rowWriter {
	switch {
	case f.json:
		return &jsonWriter{out: out}
	case f.csv:
		return newDelimitedWriter(out, ',')
	case f.tsv:
		return newDelimitedWriter(out, '\t')
	}
	return newTableWriter(out)
}

// describePlan writes an explanation; the caller flushes and finds the error.
func describePlan(out io.Writer, e aedb.Explanation) {
	index := e.IndexUsed
	if index == "" {
		index = "primary key"
	}
	fmt.Fprintf(out, "evaluation  %s\n", e.Evaluation)
	fmt.Fprintf(out, "index       %s\n", index)
	fmt.Fprintf(out, "stages      %s\n", strings.Join(e.Stages, ", "))
	fmt.Fprintf(out, "rows        %d at most\n", e.EstimatedScanRows)
	fmt.Fprintf(out, "seq         %d\n", e.SnapshotSeq)
	for _, line := range e.Trace {
		fmt.Fprintf(out, "- %s\n", line)
	}
}
