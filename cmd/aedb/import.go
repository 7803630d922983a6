package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/cmd/aedb/importer"
	"github.com/empyrealapp/aedb-go/value"
)

// importBatchBytes bounds the text of one batch, well below what one transaction
// may hold.
const importBatchBytes = 4 << 20

// importFlags are the flags of the import verb.
type importFlags struct {
	store storeFlags
	scope scopeFlags

	table      string
	create     bool
	format     string
	gzip       string
	primaryKey []string
	types      []string
	nullable   []string
	unique     []string
	index      []string
	null       string
	mode       string
	batchSize  int
	callers    int
	finality   finalityFlag
	skip       int
	limit      int
	journal    string
	resume     bool
	noProgress bool
}

func newImport() *cobra.Command {
	f := &importFlags{}
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Bring the rows of a TSV, CSV or JSON Lines file into a table",
		Long: `import brings the rows of a file into a table. TSV and CSV name their columns in
the first line, JSON Lines have one object a line; the order of columns does not
matter. Columns that the file lacks get their default, else Null.

With --create the table is made first. A column's type is the first of Boolean,
Integer, Float, Text and Json that keeps what the first 1000 rows have in it as it
is written, unless --types says otherwise. A table that is there already and is the
same is left as it is.

A batch is one atomic commit. The first error stops the import and names the line;
batches committed before stay. With --journal every batch on stable storage is
entered in a file, and --resume continues from there: it leaves out the rows listed
and upserts the rest, because the last batches may be stored and not yet listed.`,
		Example: `  aedb import packages.tsv.gz --data-dir ./data --table packages --create \
      --primary-key id --unique name --index section --index source
  aedb import rows.csv --data-dir ./data --table rows --journal rows.journal --resume`,
		Args: cobra.ExactArgs(1),
		RunE: operation(f.run),
	}
	flags := cmd.Flags()
	f.store.register(flags)
	f.scope.register(flags)
	flags.StringVar(&f.table, "table", "", "table to import into (required)")
	flags.BoolVar(&f.create, "create", false, "make the table, with its project and scope; requires --primary-key")
	flags.StringVar(&f.format, "format", "auto", "format: auto, tsv, csv or jsonl")
	flags.StringVar(&f.gzip, "gzip", "auto", "whether the file is packed: auto, yes or no")
	flags.StringSliceVar(&f.primaryKey, "primary-key", nil, "with --create: columns of the primary key, as in a,b")
	flags.StringSliceVar(&f.types, "types", nil, "with --create: types of columns, as in id=U64,at=Timestamp")
	flags.StringSliceVar(&f.nullable, "nullable", nil, "with --create: columns that may be null")
	flags.StringSliceVar(&f.unique, "unique", nil, "with --create: a unique index, as in name=a+b; or a+b, named idx_a_b")
	flags.StringSliceVar(&f.index, "index", nil, "with --create: an index, written as for --unique")
	flags.StringVar(&f.null, "null", "", "text that stands for Null in TSV and CSV; none does if this is not given")
	flags.StringVar(&f.mode, "mode", "insert", "rows whose primary key is there already: insert refuses, upsert replaces")
	flags.IntVar(&f.batchSize, "batch-size", 500, "rows in one commit")
	flags.IntVar(&f.callers, "callers", 8, "batches committed at the same time; with 1 they keep the order of the file")
	flags.Var(&f.finality, "finality", "wait until each batch is visible or durable; durable with --journal")
	flags.IntVar(&f.skip, "skip", 0, "rows to leave out at the beginning")
	flags.IntVar(&f.limit, "limit", 0, "rows to import at most; 0 is all")
	flags.StringVar(&f.journal, "journal", "", "file to enter each durable batch in")
	flags.BoolVar(&f.resume, "resume", false, "continue from the journal; implies --mode upsert")
	flags.BoolVar(&f.noProgress, "no-progress", false, "no progress bar")
	return cmd
}

// plan is what the flags of an import come to, as far as they can be judged
// without file and store.
type plan struct {
	cfg     aedb.Config
	schema  importer.Schema
	indexes []aedb.IndexSpec
}

// plan checks the flags.
func (f *importFlags) plan(cmd *cobra.Command) (p plan, err error) {
	if p.cfg, err = f.store.config(cmd); err != nil {
		return p, err
	}
	given := cmd.Flags().Changed
	switch {
	case f.table == "":
		return p, usagef("--table is required")
	case f.create && len(f.primaryKey) == 0:
		return p, usagef("--create requires --primary-key")
	case !slices.Contains([]string{"auto", "tsv", "csv", "jsonl"}, f.format):
		return p, usagef("--format %q is not auto, tsv, csv or jsonl", f.format)
	case !slices.Contains([]string{"auto", "yes", "no"}, f.gzip):
		return p, usagef("--gzip %q is not auto, yes or no", f.gzip)
	case f.mode != "insert" && f.mode != "upsert":
		return p, usagef("--mode %q is not insert or upsert", f.mode)
	case f.resume && f.journal == "":
		return p, usagef("--resume requires --journal")
	case f.resume && given("mode") && f.mode != "upsert":
		return p, usagef("--resume goes with --mode upsert only")
	case f.journal != "" && given("finality") && f.finality.Finality != aedb.Durable:
		return p, usagef("--journal goes with --finality durable only")
	case f.batchSize < 1 || f.batchSize > p.cfg.Limits.BatchRows:
		return p, usagef("--batch-size %d is not within 1 to %d", f.batchSize, p.cfg.Limits.BatchRows)
	case f.callers < 1 || f.callers > 1024:
		return p, usagef("--callers %d is not within 1 to 1024", f.callers)
	case f.skip < 0 || f.limit < 0:
		return p, usagef("--skip and --limit cannot be negative")
	}
	for _, flag := range []string{"primary-key", "types", "nullable", "unique", "index"} {
		if given(flag) && !f.create {
			return p, usagef("--%s requires --create", flag)
		}
	}
	p.schema.Nullable = f.nullable
	if given("null") {
		p.schema.Null = &f.null
	}
	if p.schema.Types, err = parseTypes(f.types); err != nil {
		return p, err
	}
	for _, x := range f.unique {
		p.indexes = append(p.indexes, parseIndex(x, true))
	}
	for _, x := range f.index {
		p.indexes = append(p.indexes, parseIndex(x, false))
	}
	return p, nil
}

// parseTypes reads column=type.
func parseTypes(list []string) (map[string]aedb.Type, error) {
	types := make(map[string]aedb.Type, len(list))
	for _, item := range list {
		column, name, ok := strings.Cut(item, "=")
		kind, err := value.ParseKind(name)
		if !ok || err != nil || kind == value.KindNull {
			return nil, usagef("--types %q is not a column, = and a type such as Integer", item)
		}
		types[column] = kind
	}
	return types, nil
}

// parseIndex reads name=column+column, or the columns alone.
func parseIndex(s string, unique bool) aedb.IndexSpec {
	name, columns, named := strings.Cut(s, "=")
	if !named {
		name, columns = "idx_"+strings.ReplaceAll(s, "+", "_"), s
	}
	return aedb.IndexSpec{Name: name, Columns: strings.Split(columns, "+"), Unique: unique}
}

func (f *importFlags) run(cmd *cobra.Command, args []string) (err error) {
	p, err := f.plan(cmd)
	if err != nil {
		return err
	}
	source, err := importer.OpenSource(args[0], cmd.InOrStdin(), importer.Format(f.format), importer.Compression(f.gzip))
	if err != nil {
		return err
	}
	defer source.Close() // only read
	records, header, err := importer.NewRecords(source)
	if err != nil {
		return err
	}
	p.schema.Header = header
	var columns []aedb.ColumnSpec
	if f.create {
		sample, err := records.Peek(importer.SampleRows)
		if err != nil {
			return err
		}
		if columns, err = p.schema.Columns(sample); err != nil {
			return err
		}
	} else if err := f.store.exists(); err != nil {
		return err
	}
	return f.store.with(cmd.Context(), p.cfg, func(ctx context.Context, db *aedb.DB) error {
		table, err := f.prepare(ctx, db, columns, p.indexes)
		if err != nil {
			return err
		}
		job := importer.Job{
			Source: source.Name, Records: records, Scope: f.scope.of(db), Table: table,
			Upsert: f.mode == "upsert" || f.resume, Null: p.schema.Null,
			BatchRows: f.batchSize, BatchBytes: importBatchBytes, MaxValueBytes: p.cfg.Limits.TableValueBytes,
			Callers: f.callers, Finality: f.finality.Finality, Skip: f.skip, Limit: f.limit,
		}
		if f.journal != "" {
			if job.Journal, err = f.openJournal(db, source); err != nil {
				return err
			}
			job.Finality = aedb.Durable
		}
		var bar *progress
		if !f.noProgress {
			bar = newProgress(cmd.ErrOrStderr(), source)
		}
		job.OnProgress = bar.show
		done, err := job.Run(ctx)
		bar.end()
		if job.Journal != nil {
			err = errors.Join(err, job.Journal.Close())
		}
		return f.conclude(cmd, db, done, err)
	})
}

// prepare returns the table to import into, and makes it if asked to.
func (f *importFlags) prepare(ctx context.Context, db *aedb.DB, columns []aedb.ColumnSpec, indexes []aedb.IndexSpec) (aedb.TableInfo, error) {
	app := f.scope.of(db)
	if f.create {
		if err := f.scope.ensure(ctx, db); err != nil {
			return aedb.TableInfo{}, err
		}
		_, err := app.Commit(ctx, app.CreateTable(f.table, aedb.TableSpec{
			Columns: columns, PrimaryKey: f.primaryKey, Indexes: indexes, IfNotExists: true,
		}))
		if err != nil {
			return aedb.TableInfo{}, err
		}
	}
	return app.Describe(f.table)
}

// openJournal opens the journal for this store, table and file.
func (f *importFlags) openJournal(db *aedb.DB, source *importer.Source) (*importer.Journal, error) {
	title := fmt.Sprintf("aedb import 1, store %s, table %s.%s.%s, %d bytes",
		db.Recovery().Incarnation, f.scope.project, f.scope.scope, f.table, source.Size)
	open := importer.CreateJournal
	if f.resume {
		open = importer.ResumeJournal
	}
	j, err := open(f.journal, title)
	if err != nil {
		return nil, &failure{
			exit: exitFailed, code: string(aedb.CodeOf(err)), what: err.Error(),
			hint: "--resume continues a journal; name another file to begin anew",
		}
	}
	if head := db.Heads().DurableSeq; j.LastSeq() > head {
		return nil, errors.Join(&failure{
			exit: exitFailed, code: "validation", hint: "remove the journal and import again with --mode upsert",
			what: fmt.Sprintf("the journal %s lists commit %d, but the store has lost history and ends at %d", f.journal, j.LastSeq(), head),
		}, j.Close())
	}
	return j, nil
}

// conclude prints the summary of an import and says what became of it.
func (f *importFlags) conclude(cmd *cobra.Command, db *aedb.DB, done importer.Summary, err error) error {
	if err != nil {
		if cmd.Context().Err() == nil || !errors.Is(err, aedb.ErrCanceled) {
			return err
		}
		hint := "rows committed so far are in the store; --mode upsert imports the file again"
		if f.journal != "" {
			hint = "run the command again with --resume to continue"
		}
		return &failure{
			exit: exitInterrupted, code: "interrupted", hint: hint,
			what: fmt.Sprintf("interrupted after %d rows in %d batches", done.Rows, done.Batches),
		}
	}
	covered := ""
	if done.Covered > 0 {
		covered = fmt.Sprintf(" (%d listed in the journal)", done.Covered)
	}
	heads := db.Heads()
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d rows%s in %d batches, %.3f s, %.0f rows/s, last seq %d, durable head %d\n",
		done.Rows, covered, done.Batches, done.Elapsed.Seconds(), done.RowsPerSecond(), heads.VisibleSeq, heads.DurableSeq)
	return err
}
