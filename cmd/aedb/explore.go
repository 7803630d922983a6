package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/empyrealapp/aedb-go"
)

// explorer is a verb that looks at a store. Its flags are those of all of them.
type explorer struct {
	store  storeFlags
	scope  scopeFlags
	answer answerFlag
}

// command makes the verb; look prints what it finds.
func (e *explorer) command(cmd *cobra.Command, look func(context.Context, *cobra.Command, *aedb.Reader) error) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = operation(func(cmd *cobra.Command, _ []string) error {
		return e.store.read(cmd, func(ctx context.Context, r *aedb.Reader) error { return look(ctx, cmd, r) })
	})
	e.store.registerReading(cmd.Flags())
	e.answer.register(cmd.Flags())
	return cmd
}

func made(micros int64) string { return time.UnixMicro(micros).UTC().Format(time.RFC3339) }

type projectAnswer struct {
	Project string `json:"project_id"`
	Scopes  int    `json:"scope_count"`
	Created int64  `json:"created_at_micros"`
}

func newProjects() *cobra.Command {
	e := &explorer{}
	return e.command(&cobra.Command{Use: "projects", Short: "List the projects"},
		func(_ context.Context, cmd *cobra.Command, r *aedb.Reader) error {
			projects, err := r.NoAuth().Projects()
			if err != nil {
				return err
			}
			answer, rows := []projectAnswer{}, []table.Row{}
			for _, p := range projects {
				answer = append(answer, projectAnswer{p.Name, p.Scopes, p.CreatedMicros})
				rows = append(rows, table.Row{p.Name, p.Scopes, made(p.CreatedMicros)})
			}
			return e.answer.write(cmd, answer, func(out io.Writer) {
				printTable(out, table.Row{"project", "scopes", "created"}, rows)
			})
		})
}

type scopeAnswer struct {
	Scope   string `json:"scope_id"`
	Tables  int    `json:"table_count"`
	Keys    int    `json:"kv_key_count"`
	Created int64  `json:"created_at_micros"`
}

func newScopes() *cobra.Command {
	e := &explorer{}
	cmd := e.command(&cobra.Command{Use: "scopes", Short: "List the scopes of a project"},
		func(_ context.Context, cmd *cobra.Command, r *aedb.Reader) error {
			scopes, err := r.NoAuth().Scopes(e.scope.project)
			if err != nil {
				return err
			}
			answer, rows := []scopeAnswer{}, []table.Row{}
			for _, s := range scopes {
				answer = append(answer, scopeAnswer{s.Name, s.Tables, s.Keys, s.CreatedMicros})
				rows = append(rows, table.Row{s.Name, s.Tables, s.Keys, made(s.CreatedMicros)})
			}
			return e.answer.write(cmd, answer, func(out io.Writer) {
				printTable(out, table.Row{"scope", "tables", "keys", "created"}, rows)
			})
		})
	cmd.Flags().StringVar(&e.scope.project, "project", "demo", "project")
	return cmd
}

type tableAnswer struct {
	Table   string `json:"table_name"`
	Columns int    `json:"column_count"`
	Indexes int    `json:"index_count"`
	Rows    int    `json:"row_count"`
}

func newTables() *cobra.Command {
	e := &explorer{}
	cmd := e.command(&cobra.Command{Use: "tables", Short: "List the tables of a scope"},
		func(_ context.Context, cmd *cobra.Command, r *aedb.Reader) error {
			tables, err := e.scope.in(r).Tables()
			if err != nil {
				return err
			}
			answer, rows := []tableAnswer{}, []table.Row{}
			for _, t := range tables {
				answer = append(answer, tableAnswer{t.Name, len(t.Columns), len(t.Indexes), t.Rows})
				rows = append(rows, table.Row{t.Name, len(t.Columns), len(t.Indexes), t.Rows})
			}
			return e.answer.write(cmd, answer, func(out io.Writer) {
				printTable(out, table.Row{"table", "columns", "indexes", "rows"}, rows)
			})
		})
	e.scope.register(cmd.Flags())
	return cmd
}

func newDescribe() *cobra.Command {
	e := &explorer{}
	var name string
	cmd := e.command(&cobra.Command{Use: "describe", Aliases: []string{"describe-table"}, Short: "Describe a table: columns, keys, indexes"},
		func(_ context.Context, cmd *cobra.Command, r *aedb.Reader) error {
			if name == "" {
				return usagef("--table is required")
			}
			info, err := e.scope.in(r).Describe(name)
			if err != nil {
				return err
			}
			t := tableOf(info)
			return e.answer.write(cmd, t, func(out io.Writer) { describeTable(out, e.scope, t) })
		})
	e.scope.register(cmd.Flags())
	cmd.Flags().StringVar(&name, "table", "", "table (required)")
	return cmd
}

func describeTable(out io.Writer, in scopeFlags, t tableStats) {
	fmt.Fprintf(out, "%s.%s.%s: %d rows, primary key %s\n", in.project, in.scope, t.Name, t.Rows, strings.Join(t.PrimaryKey, ", "))
	var rows []table.Row
	for _, c := range t.Columns {
		null := "not null"
		if c.Nullable {
			null = "null"
		}
		key := ""
		if i := slices.Index(t.PrimaryKey, c.Name); i >= 0 {
			key = fmt.Sprintf("key %d", i+1)
		}
		rows = append(rows, table.Row{c.Name, c.Type, null, key})
	}
	printTable(out, table.Row{"column", "type", "null", "key"}, rows)
	rows = nil
	for _, x := range t.Indexes {
		unique := ""
		if x.Unique {
			unique = "unique"
		}
		rows = append(rows, table.Row{x.Name, strings.Join(x.Columns, ", "), unique, x.Entries})
	}
	if len(rows) > 0 {
		printTable(out, table.Row{"index", "columns", "unique", "entries"}, rows)
	}
}

func newHealth() *cobra.Command {
	e := &explorer{}
	return e.command(&cobra.Command{Use: "health", Short: "Tell how a store is from outside: newest commit, durable commit, damage",
		Long: `health reads a store from outside. With --permissive it also shows a damaged store,
up to the damage, and names the place; then the exit code is 1.`},
		func(_ context.Context, cmd *cobra.Command, r *aedb.Reader) error {
			h := r.Health()
			err := e.answer.write(cmd, h, func(out io.Writer) {
				fmt.Fprintf(out, "state         %s\nvisible head  %d\ndurable head  %d\n", h.State, h.VisibleSeq, h.DurableSeq)
				if h.CommitAge > 0 {
					fmt.Fprintf(out, "newest commit %s ago\n", h.CommitAge.Round(time.Millisecond))
				}
				if h.Reason != "" {
					fmt.Fprintf(out, "reason        %s\n", oneLine(h.Reason))
				}
			})
			if err == nil && h.State != aedb.HealthOK {
				return checkFailed("the store is "+string(h.State), "aedb verify tells what is wrong")
			}
			return err
		})
}
