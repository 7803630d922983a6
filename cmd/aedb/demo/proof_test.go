package demo

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	aedb "github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// loaded returns a store in memory with a small part of the catalogue, all of it
// acknowledged but the last package, which is missing.
func loaded(t *testing.T) (*aedb.DB, *aedb.Scope, *dataset, map[int64]uint64) {
	t.Helper()
	d, err := readDataset(40)
	require.NoError(t, err)
	db, err := open(t.Context(), "store", func(c *aedb.Config) { c.FS = vfs.NewMem() })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	app, err := define(t.Context(), db)
	require.NoError(t, err)
	acknowledged := map[int64]uint64{}
	err = load(t.Context(), app, d.packages[:39], 1, func(p *pack, r aedb.Result) error {
		acknowledged[p.id()] = r.CommitSeq
		return nil
	})
	require.NoError(t, err)
	return db, app, d, acknowledged
}

// withDependencies returns the first package that has some.
func withDependencies(t *testing.T, d *dataset) *pack {
	t.Helper()
	for i := range d.packages {
		if len(d.packages[i].dependencies) > 1 {
			return &d.packages[i]
		}
	}
	t.Fatal("no package has dependencies")
	return nil
}

func TestProofHoldsForAnUndamagedStore(t *testing.T) {
	db, _, d, acknowledged := loaded(t)
	delete(acknowledged, d.packages[0].id())
	c, err := readContents(t.Context(), db)
	require.NoError(t, err)
	p := prove(d, c, acknowledged)
	require.Empty(t, p.findings)
	require.NoError(t, p.err())
	require.Equal(t, 39, p.packages)
	require.Equal(t, 38, p.acknowledged)
	require.Equal(t, 1, p.survivors)
	require.Equal(t, 3*p.packages+p.dependencies, p.indexEntries)
	require.Equal(t, 12*p.packages+7*p.dependencies, p.fields)
}

func TestProofFindsDamageDoneToTheStore(t *testing.T) {
	key := func(row aedb.Row) []aedb.Value { return []aedb.Value{row[0], row[1], row[2]} }
	tests := []struct {
		name   string
		damage func(app *aedb.Scope, d *dataset, p *pack) []aedb.Mutation
		finds  string
	}{
		{"missing row", func(app *aedb.Scope, _ *dataset, p *pack) []aedb.Mutation {
			return []aedb.Mutation{app.Delete("packages", p.row[0])}
		}, "was acknowledged as commit"},
		{"changed field", func(app *aedb.Scope, _ *dataset, p *pack) []aedb.Mutation {
			return []aedb.Mutation{app.UpdateFields("packages", []aedb.Value{p.row[0]}, aedb.Set("installed_kib", aedb.Int(-1)))}
		}, "installed_kib is -1"},
		{"changed dependency", func(app *aedb.Scope, _ *dataset, p *pack) []aedb.Mutation {
			return []aedb.Mutation{app.UpdateFields("dependencies", key(p.dependencies[1]), aedb.Set("depends_on", aedb.Text("other")))}
		}, "dependency 2 of package"},
		{"partial commit without a dependency", func(app *aedb.Scope, _ *dataset, p *pack) []aedb.Mutation {
			return []aedb.Mutation{app.Delete("dependencies", key(p.dependencies[0])...)}
		}, "is partial: "},
		{"partial commit without its key", func(app *aedb.Scope, _ *dataset, p *pack) []aedb.Mutation {
			return []aedb.Mutation{app.KvDel(versionKey(p.name()))}
		}, "is partial: its key is missing"},
		{"changed key", func(app *aedb.Scope, _ *dataset, p *pack) []aedb.Mutation {
			return []aedb.Mutation{app.KvSet(versionKey(p.name()), []byte("0"))}
		}, `its key is "0"`},
		{"key written by another commit", func(app *aedb.Scope, _ *dataset, p *pack) []aedb.Mutation {
			return []aedb.Mutation{app.KvDel(versionKey(p.name())), app.KvSet(versionKey(p.name()), []byte(p.version()))}
		}, "and is from commit"},
		{"only the key of an absent package", func(app *aedb.Scope, d *dataset, _ *pack) []aedb.Mutation {
			return []aedb.Mutation{app.KvSet(versionKey(d.packages[39].name()), []byte("1"))}
		}, "is partial: a key without its package"},
		{"only a dependency of an absent package", func(app *aedb.Scope, d *dataset, p *pack) []aedb.Mutation {
			row := append(aedb.Row{}, p.dependencies[0]...)
			row[0] = d.packages[39].row[0]
			return []aedb.Mutation{app.Insert("dependencies", row)}
		}, "is partial: 1 dependency without their package"},
		{"package from nowhere", func(app *aedb.Scope, _ *dataset, p *pack) []aedb.Mutation {
			row := append(aedb.Row{}, p.row...)
			row[0], row[1] = aedb.Int(-5), aedb.Text("nowhere")
			return []aedb.Mutation{app.Insert("packages", row)}
		}, "package -5 is not in the catalogue"},
		{"dependency from nowhere", func(app *aedb.Scope, _ *dataset, p *pack) []aedb.Mutation {
			row := append(aedb.Row{}, p.dependencies[0]...)
			row[0] = aedb.Int(-5)
			return []aedb.Mutation{app.Insert("dependencies", row)}
		}, "package -5, which is not in the catalogue, has 1 dependency"},
		{"key from nowhere", func(app *aedb.Scope, _ *dataset, _ *pack) []aedb.Mutation {
			return []aedb.Mutation{app.KvSet(versionKey("nowhere"), nil)}
		}, "package nowhere, which is not in the catalogue, has a key"},
		{"wrong counter of packages", func(app *aedb.Scope, _ *dataset, _ *pack) []aedb.Mutation {
			return []aedb.Mutation{app.KvAddU64(packageCount, 1, aedb.RejectMissing, aedb.RejectLimit)}
		}, "the counter count/packages is 40, and there are 39 rows"},
		{"wrong counter of dependencies", func(app *aedb.Scope, _ *dataset, _ *pack) []aedb.Mutation {
			return []aedb.Mutation{app.KvSubU64(dependencyCount, 1, aedb.RejectMissing, aedb.RejectLimit)}
		}, "the counter count/dependencies is"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db, app, d, acknowledged := loaded(t)
			_, err := app.Commit(t.Context(), test.damage(app, d, withDependencies(t, d))...)
			require.NoError(t, err)
			c, err := readContents(t.Context(), db)
			require.NoError(t, err)
			require.ErrorContains(t, prove(d, c, acknowledged).err(), test.finds)
		})
	}
}

func TestProofFindsIndexesThatDisagreeWithTheRows(t *testing.T) {
	tests := []struct {
		name   string
		damage func(*indexContents)
	}{
		{"entry missing", func(x *indexContents) { x.entries = x.entries[1:] }},
		{"entry too many", func(x *indexContents) { x.entries = append(x.entries, x.entries[0]) }},
		{"entry of another value", func(x *indexContents) { x.entries[2][0] = aedb.Text("") }},
		{"entry of another row", func(x *indexContents) { x.entries[2][1] = aedb.Int(-1) }},
		{"entries out of order", func(x *indexContents) { x.entries[1], x.entries[2] = x.entries[2], x.entries[1] }},
	}
	db, _, d, acknowledged := loaded(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for i := range 4 {
				c, err := readContents(t.Context(), db)
				require.NoError(t, err)
				require.Len(t, c.indexes, 4)
				test.damage(&c.indexes[i])
				p := prove(d, c, acknowledged)
				require.Len(t, p.findings, 1)
				require.ErrorContains(t, p.err(), "index "+c.indexes[i].name)
			}
		})
	}
}

func TestDownloadsThatDoNotAddUpAreFound(t *testing.T) {
	_, app, d, _ := loaded(t)
	require.NoError(t, checkDownloads(t.Context(), app, 0))
	_, err := app.Commit(t.Context(),
		app.Insert("downloads", aedb.Row{aedb.Int(1), d.packages[0].row[0], aedb.Int(0)}),
		app.KvAddU64(downloadKey(d.packages[0].name()), 1, aedb.TreatAsZero, aedb.RejectLimit),
		app.KvAddU64(downloadCount, 1, aedb.TreatAsZero, aedb.RejectLimit))
	require.NoError(t, err)
	require.NoError(t, checkDownloads(t.Context(), app, 1))
	require.Error(t, checkDownloads(t.Context(), app, 2), "an acknowledged download is missing")
	_, err = app.Commit(t.Context(), app.Delete("downloads", aedb.Int(1)))
	require.NoError(t, err)
	require.Error(t, checkDownloads(t.Context(), app, 1), "a row is missing")
}
