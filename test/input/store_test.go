// Package input gives the engine everything it must refuse: requests, queries,
// configurations, directories and files that are wrong in every way there is a
// code for. Each refusal has its code and its class, names what is at fault,
// says nothing of what rows hold, and leaves the store exactly as it was.
package input

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dir is where the store of a test lives within its file system.
const dir = "store"

// secret is what rows hold here. No error may say it.
const secret = "s3cr3t-c0nt3nt"

func config(fsys vfs.FS, tune ...func(*aedb.Config)) aedb.Config {
	cfg := aedb.DefaultConfig()
	cfg.FS = fsys
	cfg.Logger = aedb.Zerolog(zerolog.Nop())
	cfg.DiskReserve = 0 // a disk that is really full is a subject of the tests
	for _, f := range tune {
		f(&cfg)
	}
	return cfg
}

func open(t testing.TB, fsys vfs.FS, tune ...func(*aedb.Config)) *aedb.DB {
	t.Helper()
	db, err := aedb.OpenNoAuth(dir, config(fsys, tune...))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.Background()) }) // the tests that care close it themselves
	return db
}

// fill makes a project with some of everything.
func fill(t testing.TB, db *aedb.DB) *aedb.Scope {
	t.Helper()
	ctx := context.Background()
	_, err := db.NoAuth().CreateProject(ctx, "p")
	require.NoError(t, err)
	app := db.NoAuth().Scope("p", "app")
	zero := aedb.Int(0)
	_, err = app.Commit(ctx, app.CreateTable("people", aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("id", aedb.TypeInteger), aedb.Column("name", aedb.TypeText),
			aedb.NullableColumn("email", aedb.TypeText), aedb.NullableColumn("score", aedb.TypeFloat),
			aedb.NullableColumn("extra", aedb.TypeJSON), aedb.NullableColumn("photo", aedb.TypeBlob),
			{Name: "visits", Kind: aedb.TypeInteger, Default: &zero},
		},
		PrimaryKey: []string{"id"},
		Indexes:    []aedb.IndexSpec{{Name: "by_email", Columns: []string{"email"}, Unique: true}},
	}), app.CreateTable("pairs", aedb.TableSpec{
		Columns:    []aedb.ColumnSpec{aedb.Column("a", aedb.TypeText), aedb.Column("b", aedb.TypeU64)},
		PrimaryKey: []string{"a", "b"},
	}))
	require.NoError(t, err)
	_, err = app.Commit(ctx, app.InsertBatch("people", []aedb.Row{person(1), person(2)}),
		app.KvSet([]byte("text"), []byte(secret)), app.KvSet([]byte("spare"), nil), app.KvAddU64([]byte("number"), 7, aedb.TreatAsZero, aedb.RejectLimit))
	require.NoError(t, err)
	return app
}

// person is a row of the table "people".
func person(id int64) aedb.Row {
	return aedb.Row{
		aedb.Int(id), aedb.Text(secret), aedb.Text(fmt.Sprintf("%s-%d", secret, id)), aedb.Float(1.5),
		aedb.JSON(`{"a":1}`), aedb.Blob([]byte(secret)), aedb.Int(0),
	}
}

// with returns the row with another value in one place.
func with(row aedb.Row, column int, v aedb.Value) aedb.Row {
	out := append(aedb.Row(nil), row...)
	out[column] = v
	return out
}

// contents writes down everything that a store holds: schema, rows, keys and
// versions.
func contents(t testing.TB, db *aedb.DB) string {
	t.Helper()
	ctx := context.Background()
	var b strings.Builder
	fmt.Fprintf(&b, "heads %d\n", db.Heads().VisibleSeq)
	projects, err := db.NoAuth().Projects()
	require.NoError(t, err)
	for _, p := range projects {
		fmt.Fprintf(&b, "project %+v\n", p)
		scopes, err := db.NoAuth().Scopes(p.Name)
		require.NoError(t, err)
		for _, s := range scopes {
			fmt.Fprintf(&b, "scope %+v\n", s)
			h := db.NoAuth().Scope(p.Name, s.Name)
			for e, err := range h.KV().Scan(ctx, aedb.Range{}) {
				require.NoError(t, err)
				fmt.Fprintf(&b, "%q = %q @%d,%d\n", e.Key, e.Value, e.Version, e.Created)
			}
			tables, err := h.Tables()
			require.NoError(t, err)
			for _, table := range tables {
				fmt.Fprintf(&b, "table %s %v %d\n", table.Name, table.PrimaryKey, table.Rows)
				for _, c := range table.Columns {
					fmt.Fprintf(&b, "column %s %v %v\n", c.Name, c.Kind, c.Nullable)
				}
				for _, x := range table.Indexes {
					fmt.Fprintf(&b, "index %+v\n", x)
				}
				for row, err := range h.Rows(ctx, query.Select().From(table.Name), aedb.AllowFullScan()) {
					require.NoError(t, err)
					fmt.Fprintf(&b, "%v\n", row)
				}
			}
		}
	}
	return b.String()
}

// same requires that two contents are equal, and tells the first line in which
// they are not.
func same(t testing.TB, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			t.Fatalf("line %d: want %s, got %s", i, w[i], g[i])
		}
	}
	t.Fatalf("want %d lines, got %d", len(w), len(g))
}

// refused checks the error of a refusal.
func refused(t testing.TB, err error, want *aedb.Error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want.Code, aedb.CodeOf(err), "%v", err)
	require.ErrorIs(t, err, want)
	require.Equal(t, want.Class(), aedb.ClassOf(err))
	require.NotContains(t, err.Error(), secret)
	require.Greater(t, len(err.Error()), len(want.Code)+5, "it says what is wrong: %v", err)
}
