package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// scanLimit is how many rows or keys are shown where --limit does not say.
const scanLimit = 50

// rowsAnswer is a part of a table.
type rowsAnswer struct {
	Columns  []string            `json:"columns"`
	Rows     [][]json.RawMessage `json:"rows"`
	Returned int                 `json:"rows_returned"`
	// Truncated is true if more follow.
	Truncated bool `json:"truncated"`
	// Cursor is where the next part of a scan begins, empty if there is none.
	Cursor string `json:"cursor,omitempty"`
	Seq    uint64 `json:"snapshot_seq"`

	cells []table.Row
	last  aedb.Row
}

// gatherRows reads up to limit rows of a query.
func gatherRows(ctx context.Context, scope *aedb.ReadScope, q query.Query, limit int, at aedb.Consistency) (a rowsAnswer, err error) {
	a.Rows = [][]json.RawMessage{}
	err = scope.View(ctx, func(v *aedb.View) error {
		a.Seq = v.SnapshotSeq()
		head, err := v.Query(ctx, q.Limit(0).Offset(0)) // for the columns
		if err != nil {
			return err
		}
		for _, c := range head.Columns {
			a.Columns = append(a.Columns, c.Name)
		}
		for row, err := range v.Rows(ctx, q.Limit(limit+1), aedb.AllowFullScan()) {
			if err != nil {
				return err
			}
			if len(a.Rows) == limit {
				a.Truncated = true
				break
			}
			a.add(row)
		}
		return nil
	}, aedb.At(at))
	a.Returned = len(a.Rows)
	return a, err
}

func (a *rowsAnswer) add(row aedb.Row) {
	a.last = row
	var cells table.Row
	var members []json.RawMessage
	for _, v := range row {
		cells = append(cells, cell(v))
		members = append(members, value.AppendJSON(nil, v))
	}
	a.cells = append(a.cells, cells)
	a.Rows = append(a.Rows, members)
}

// keep leaves the first n columns.
func (a *rowsAnswer) keep(n int) {
	a.Columns = a.Columns[:n]
	for i := range a.Rows {
		a.Rows[i], a.cells[i] = a.Rows[i][:n], a.cells[i][:n]
	}
}

// print writes the rows as a table.
func (a *rowsAnswer) print(out io.Writer) {
	header := make(table.Row, len(a.Columns))
	for i, name := range a.Columns {
		header[i] = name
	}
	printTable(out, header, a.cells)
	fmt.Fprintf(out, "%d rows of seq %d%s\n", a.Returned, a.Seq, moreFollow(a.Truncated))
	printCursor(out, a.Cursor)
}

func printCursor(out io.Writer, cursor string) {
	if cursor != "" {
		fmt.Fprintf(out, "cursor %s\n", cursor)
	}
}

func moreFollow(truncated bool) string {
	if truncated {
		return "; more follow"
	}
	return ""
}

// cell writes a value such that it stays on one line and can be told from any other.
func cell(v aedb.Value) string {
	switch v.Kind() {
	case value.KindNull:
		return "null"
	case value.KindBlob:
		return "0x" + hex.EncodeToString(v.AsBlob())
	}
	return oneLine(v.String())
}

func newScan() *cobra.Command {
	e := &explorer{}
	var name, where, cursor, at string
	var columns []string
	var limit, offset int
	cmd := e.command(&cobra.Command{
		Use: "scan", Aliases: []string{"scan-table"}, Short: "Print rows of a table in the order of the primary key",
		Long: `scan prints the first rows of a table. Text stands as it is, with line breaks, tabs
and backslashes escaped; a blob is 0x and hexadecimal digits; Null is null. If more
follow, --cursor with what is printed goes on there; each part is read at a snapshot of
its own.

aedb query sorts, and prints formats for programs.`,
	}, func(ctx context.Context, cmd *cobra.Command, r *aedb.Reader) error {
		consistency, err := parseConsistency(at)
		switch {
		case err != nil:
			return err
		case name == "":
			return usagef("--table is required")
		case limit <= 0 || limit == math.MaxInt || offset < 0:
			return usagef("--limit is not above 0, or --offset is below")
		case offset > 0 && cursor != "":
			return usagef("--offset and --cursor exclude each other")
		}
		var conditions []query.Expr
		if where != "" {
			condition, err := query.ParseExpr(where)
			if err != nil {
				return fmt.Errorf("--where: %w", err)
			}
			conditions = append(conditions, condition)
		}
		scope := e.scope.in(r)
		info, err := scope.Describe(name)
		if err != nil {
			return err
		}
		if cursor != "" {
			condition, err := behind(cursor, info)
			if err != nil {
				return err
			}
			conditions = append(conditions, condition)
		}
		q := query.Select(withKey(columns, info.PrimaryKey)...).From(name).Offset(offset).Where(query.And(conditions...))
		for _, column := range info.PrimaryKey {
			q = q.OrderBy(column, query.Asc)
		}
		a, err := gatherRows(ctx, scope, q, limit, consistency)
		if err != nil {
			return err
		}
		if a.Truncated {
			a.Cursor = scanCursor(a.last, placesOf(info.PrimaryKey, a.Columns))
		}
		if len(columns) > 0 {
			a.keep(len(columns))
		}
		return e.answer.write(cmd, a, a.print)
	})
	flags := cmd.Flags()
	e.scope.register(flags)
	flags.StringVar(&name, "table", "", "table (required)")
	flags.StringSliceVar(&columns, "columns", nil, "columns to print, as in a,b; all if not given")
	flags.StringVar(&where, "where", "", "condition; see aedb help query")
	flags.StringVar(&cursor, "cursor", "", "go on behind this row")
	flags.IntVar(&limit, "limit", scanLimit, "rows to print at most")
	flags.IntVar(&offset, "offset", 0, "rows to leave out first")
	flags.StringVar(&at, "at", "latest", "state to read: latest, durable or checkpoint")
	return cmd
}

// keysAnswer is a part of a key-value space.
type keysAnswer struct {
	Entries   []keyAnswer `json:"entries"`
	Returned  int         `json:"rows_returned"`
	Truncated bool        `json:"truncated"`
	// Cursor is where the next part begins, empty if there is none.
	Cursor string `json:"cursor,omitempty"`
	Seq    uint64 `json:"snapshot_seq"`
}

type keyAnswer struct {
	Key     string `json:"key_hex"`
	Value   string `json:"value_hex"`
	Version uint64 `json:"version"`
	Created uint64 `json:"created_at"`
}

func newScanKV() *cobra.Command {
	e := &explorer{}
	var prefix, cursor, at string
	var limit int
	cmd := e.command(&cobra.Command{
		Use: "scan-kv", Short: "Print keys and values of a scope in hexadecimal",
		Long: `scan-kv prints keys, values, and the commits that wrote them last and first. If more
follow, --cursor with what is printed goes on there; each part is read at a snapshot of
its own. aedb kv scan prints text.`,
	}, func(ctx context.Context, cmd *cobra.Command, r *aedb.Reader) error {
		if limit <= 0 || limit == math.MaxInt {
			return usagef("--limit is not above 0")
		}
		p, prefixErr := hex.DecodeString(prefix)
		start, cursorErr := hex.DecodeString(cursor)
		if err := errors.Join(prefixErr, cursorErr); err != nil {
			return usagef("--prefix-hex or --cursor is not pairs of hexadecimal digits")
		}
		consistency, err := parseConsistency(at)
		if err != nil {
			return err
		}
		a := keysAnswer{Entries: []keyAnswer{}}
		err = e.scope.in(r).View(ctx, func(v *aedb.View) error {
			a.Seq = v.SnapshotSeq()
			for entry, err := range v.KV().Scan(ctx, aedb.Range{Prefix: p, Start: start, StartExcluded: cursor != "", Limit: limit + 1}) {
				if err != nil {
					return err
				}
				if len(a.Entries) == limit {
					a.Truncated, a.Cursor = true, a.Entries[limit-1].Key
					break
				}
				a.Entries = append(a.Entries, keyAnswer{
					hex.EncodeToString(entry.Key), hex.EncodeToString(entry.Value), entry.Version, entry.Created,
				})
			}
			return nil
		}, aedb.At(consistency))
		if err != nil {
			return err
		}
		a.Returned = len(a.Entries)
		return e.answer.write(cmd, a, a.print)
	})
	flags := cmd.Flags()
	e.scope.register(flags)
	flags.StringVar(&prefix, "prefix-hex", "", "keys that begin with these bytes")
	flags.StringVar(&cursor, "cursor", "", "go on behind this key")
	flags.IntVar(&limit, "limit", scanLimit, "keys to print at most")
	flags.StringVar(&at, "at", "latest", "state to read: latest, durable or checkpoint")
	return cmd
}

func (a *keysAnswer) print(out io.Writer) {
	var rows []table.Row
	for _, e := range a.Entries {
		rows = append(rows, table.Row{e.Key, e.Value, e.Version, e.Created})
	}
	printTable(out, table.Row{"key", "value", "version", "created"}, rows)
	fmt.Fprintf(out, "%d keys of seq %d%s\n", a.Returned, a.Seq, moreFollow(a.Truncated))
	printCursor(out, a.Cursor)
}

func newEvents() *cobra.Command {
	e := &explorer{}
	var topic, key string
	var limit int
	cmd := e.command(&cobra.Command{Use: "events", Short: "Print emitted events, the newest first"},
		func(ctx context.Context, cmd *cobra.Command, r *aedb.Reader) error {
			if limit <= 0 || limit == math.MaxInt {
				return usagef("--limit is not above 0")
			}
			q := query.Select().From(catalog.EventOutbox)
			var conditions []query.Expr
			if cmd.Flags().Changed("topic") {
				conditions = append(conditions, query.Eq("topic", value.Text(topic)))
			}
			if cmd.Flags().Changed("key") {
				conditions = append(conditions, query.Eq("event_key", value.Text(key)))
			}
			if len(conditions) > 0 {
				q = q.Where(query.And(conditions...))
			}
			for _, column := range []string{"commit_seq", "topic", "event_key"} {
				q = q.OrderBy(column, query.Desc)
			}
			scope := r.NoAuth().Scope(catalog.SystemProject, catalog.DefaultScope)
			a, err := gatherRows(ctx, scope, q, limit, aedb.AtLatest)
			if code := aedb.CodeOf(err); code == errs.CodeTableNotFound || code == errs.CodeProjectNotFound {
				a, err = rowsAnswer{Columns: []string{}, Rows: a.Rows, Seq: r.Heads().VisibleSeq}, nil // none was ever emitted
			}
			if err != nil {
				return err
			}
			return e.answer.write(cmd, a, a.print)
		})
	flags := cmd.Flags()
	flags.StringVar(&topic, "topic", "", "events of this topic")
	flags.StringVar(&key, "key", "", "events with this key")
	flags.IntVar(&limit, "limit", scanLimit, "events to print at most")
	return cmd
}
