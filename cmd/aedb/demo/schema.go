package demo

import (
	"context"
	"log/slog"

	aedb "github.com/empyrealapp/aedb-go"
)

// The scope that holds everything.
const (
	project = "debian"
	scope   = "app"
)

// Keys of the scope's key-value space.
var (
	packageCount    = []byte("count/packages")     // number of rows, 8 bytes big-endian
	dependencyCount = []byte("count/dependencies") // likewise
	downloadCount   = []byte("count/downloads")    // likewise
)

// versionPrefix begins the keys under which the version of each package is, by
// name.
const versionPrefix = "version/"

func versionKey(name string) []byte { return []byte(versionPrefix + name) }

func downloadKey(name string) []byte { return []byte("downloads/" + name) }

// open opens the store in a directory in the mode that loses nothing. Its log is
// silenced: the demo tells what happens in its own words.
func open(ctx context.Context, dir string, change func(*aedb.Config)) (*aedb.DB, error) {
	cfg := aedb.DefaultConfig()
	cfg.Durability = aedb.Full
	cfg.Logger = slog.New(slog.DiscardHandler)
	if change != nil {
		change(&cfg)
	}
	return aedb.OpenNoAuthContext(ctx, dir, cfg)
}

// closeAfter closes the store and returns the first error of the work and of the
// closing.
func closeAfter(ctx context.Context, db *aedb.DB, err error) error {
	if closing := db.Close(ctx); err == nil {
		err = closing
	}
	return err
}

// define makes the project and its tables, in two commits. What is there is left
// as it is.
func define(ctx context.Context, db *aedb.DB) (*aedb.Scope, error) {
	s := db.NoAuth()
	if _, err := s.CreateProject(ctx, project); err != nil {
		return nil, err
	}
	app := s.Scope(project, scope)
	_, err := app.Commit(ctx,
		app.CreateTable("packages", packagesTable()),
		app.CreateTable("dependencies", dependenciesTable()),
		app.CreateTable("downloads", downloadsTable()),
	)
	return app, err
}

func packagesTable() aedb.TableSpec {
	return aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("id", aedb.TypeInteger),
			aedb.Column("name", aedb.TypeText),
			aedb.Column("version", aedb.TypeText),
			aedb.Column("section", aedb.TypeText),
			aedb.Column("priority", aedb.TypeText),
			aedb.Column("architecture", aedb.TypeText),
			aedb.Column("source", aedb.TypeText),
			aedb.Column("installed_kib", aedb.TypeInteger),
			aedb.Column("download_bytes", aedb.TypeInteger),
			aedb.NullableColumn("homepage", aedb.TypeText),
			aedb.Column("summary", aedb.TypeText),
			aedb.Column("sha256", aedb.TypeBlob),
		},
		PrimaryKey: []string{"id"},
		Indexes: []aedb.IndexSpec{
			{Name: "by_name", Columns: []string{"name"}, Unique: true},
			{Name: "by_section", Columns: []string{"section"}},
			{Name: "by_source", Columns: []string{"source"}},
		},
		IfNotExists: true,
	}
}

func dependenciesTable() aedb.TableSpec {
	return aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("package_id", aedb.TypeInteger),
			aedb.Column("kind", aedb.TypeText),
			aedb.Column("ordinal", aedb.TypeInteger),
			aedb.Column("alternative", aedb.TypeInteger),
			aedb.Column("depends_on", aedb.TypeText),
			aedb.NullableColumn("relation", aedb.TypeText),
			aedb.NullableColumn("version", aedb.TypeText),
		},
		PrimaryKey:  []string{"package_id", "kind", "ordinal"},
		Indexes:     []aedb.IndexSpec{{Name: "by_depends_on", Columns: []string{"depends_on"}}},
		IfNotExists: true,
	}
}

func downloadsTable() aedb.TableSpec {
	return aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("id", aedb.TypeInteger),
			aedb.Column("package_id", aedb.TypeInteger),
			aedb.Column("caller", aedb.TypeInteger),
		},
		PrimaryKey:  []string{"id"},
		Indexes:     []aedb.IndexSpec{{Name: "by_package", Columns: []string{"package_id"}}},
		IfNotExists: true,
	}
}

// envelope is the one commit that writes a package: its row, the rows of its
// dependencies, a key with its version, and two counters.
func (p *pack) envelope(app *aedb.Scope) aedb.Envelope {
	m := []aedb.Mutation{
		app.Insert("packages", p.row),
		app.KvSet(versionKey(p.name()), []byte(p.version())),
		app.KvAddU64(packageCount, 1, aedb.TreatAsZero, aedb.RejectLimit),
	}
	if n := len(p.dependencies); n > 0 {
		m = append(m,
			app.InsertBatch("dependencies", p.dependencies),
			app.KvAddU64(dependencyCount, uint64(n), aedb.TreatAsZero, aedb.RejectLimit))
	}
	return aedb.Envelope{Mutations: m}
}
