package backup

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/vfs"
)

// furnished returns a store with two projects that hold tables, keys and counters.
func furnished(t testing.TB) *aedb.DB {
	t.Helper()
	db := open(t, vfs.NewMem())
	for _, project := range []string{"p", "q"} {
		s := db.NoAuth()
		_, err := s.CreateProject(ctx, project)
		require.NoError(t, err)
		_, err = s.CreateScope(ctx, project, "other")
		require.NoError(t, err)
		for _, name := range []string{"app", "other"} {
			app := s.Scope(project, name)
			mutations := []aedb.Mutation{
				app.CreateTable("people", aedb.TableSpec{
					Columns: []aedb.ColumnSpec{
						aedb.Column("id", aedb.TypeInteger), aedb.Column("name", aedb.TypeText), aedb.NullableColumn("note", aedb.TypeText),
					},
					PrimaryKey: []string{"id"},
					Indexes:    []aedb.IndexSpec{{Name: "by_name", Columns: []string{"name"}, Unique: true}},
				}),
				app.CounterAdd([]byte("visits"), 41, 4, 1),
				app.CounterAdd([]byte("visits"), 1, 4, 2),
			}
			for i := range 50 {
				mutations = append(mutations,
					app.Insert("people", aedb.Row{aedb.Int(int64(i)), aedb.Text(fmt.Sprintf("%s-%s-%d", project, name, i)), aedb.Null()}),
					app.KvSet(fmt.Appendf(nil, "key-%d", i), fmt.Appendf(nil, "%s-%s-%d", project, name, i)))
			}
			_, err = app.Commit(ctx, mutations...)
			require.NoError(t, err)
		}
	}
	return db
}

// shown returns all that a scope holds, as text.
func shown(t testing.TB, db *aedb.DB, project, scope string) string {
	t.Helper()
	s := db.NoAuth().Scope(project, scope)
	tables, err := s.Tables()
	if err != nil {
		return err.Error()
	}
	out := ""
	for _, table := range tables {
		out += fmt.Sprintln(table.Name, table.Columns, table.PrimaryKey, table.Indexes, table.Rows)
		for row, err := range s.Rows(ctx, query.Select("*").From(table.Name), aedb.AllowFullScan()) {
			require.NoError(t, err)
			out += fmt.Sprintln(row)
		}
	}
	for entry, err := range s.KV().Scan(ctx, aedb.Range{}) {
		require.NoError(t, err)
		out += fmt.Sprintf("%s=%s\n", entry.Key, entry.Value)
	}
	sum, shards, err := s.KV().Counter(ctx, []byte("visits"))
	return out + fmt.Sprintln(sum, shards, err)
}

func TestPartOfABackupIsRestoredIntoARunningStore(t *testing.T) {
	db := furnished(t)
	var set backup.Memory
	full(t, db, &set, aedb.BackupOptions{})
	before := map[string]string{}
	places := [][2]string{{"p", "app"}, {"p", "other"}, {"q", "app"}, {"q", "other"}}
	for _, at := range places {
		before[at[0]+at[1]] = shown(t, db, at[0], at[1])
	}
	for _, c := range []struct {
		part    aedb.Part
		changed []string // what holds again what it did
	}{
		{aedb.Part{Project: "p"}, []string{"papp", "pother"}},
		{aedb.Part{Project: "p", Scope: "other"}, []string{"pother"}},
		{aedb.Part{Project: "p", Scope: "app"}, []string{"papp"}},
	} {
		t.Run(fmt.Sprint(c.part), func(t *testing.T) {
			target := furnished(t)
			spoil := func(project, scope string) {
				s := target.NoAuth().Scope(project, scope)
				_, err := s.Commit(ctx, s.DropTable("people"), s.KvSet([]byte("key-1"), []byte("spoilt")), s.KvSet([]byte("new"), []byte("1")),
					s.CounterAdd([]byte("visits"), 7, 4, 0))
				require.NoError(t, err)
			}
			for _, at := range places {
				spoil(at[0], at[1])
			}
			spoilt := shown(t, target, "q", "app")
			_, err := target.NoAuth().RestorePart(ctx, &set, c.part, aedb.RestorePartOptions{})
			require.Error(t, err)
			require.Contains(t, []errs.Code{errs.CodeScopeAlreadyExists, errs.CodeProjectAlreadyExists}, errs.CodeOf(err))
			require.Equal(t, spoilt, shown(t, target, "q", "app"))

			report, err := target.NoAuth().RestorePart(ctx, &set, c.part, aedb.RestorePartOptions{Replace: true, OneCommit: true})
			require.NoError(t, err)
			require.Equal(t, 1, report.Commits)
			require.Equal(t, 50*len(c.changed), report.Rows)
			require.Equal(t, 50*len(c.changed), report.Keys)
			require.Equal(t, len(c.changed), report.Counters)
			for _, at := range places {
				name := at[0] + at[1]
				restored := false
				for _, changed := range c.changed {
					restored = restored || changed == name
				}
				require.Equal(t, restored, before[name] == shown(t, target, at[0], at[1]), name)
			}
			// What was restored is as durable as any commit.
			_, err = target.Checkpoint(ctx)
			require.NoError(t, err)
		})
	}
}

func TestTableOfABackupIsRestored(t *testing.T) {
	db := furnished(t)
	var set backup.Memory
	full(t, db, &set, aedb.BackupOptions{})
	before := shown(t, db, "p", "app")
	s := db.NoAuth().Scope("p", "app")
	part := aedb.Part{Project: "p", Scope: "app", Table: "people"}
	_, err := db.NoAuth().RestorePart(ctx, &set, part, aedb.RestorePartOptions{})
	require.ErrorIs(t, err, errs.ErrTableAlreadyExists)
	_, err = s.Commit(ctx, s.DropTable("people"))
	require.NoError(t, err)
	_, err = db.NoAuth().RestorePart(ctx, &set, part, aedb.RestorePartOptions{})
	require.NoError(t, err)
	require.Equal(t, before, shown(t, db, "p", "app"))
	_, err = s.Commit(ctx, s.Delete("people", aedb.Int(7)))
	require.NoError(t, err)
	_, err = db.NoAuth().RestorePart(ctx, &set, part, aedb.RestorePartOptions{Replace: true})
	require.NoError(t, err)
	require.Equal(t, before, shown(t, db, "p", "app"))

	// Into a store that has nothing of it.
	empty := open(t, vfs.NewMem())
	report, err := empty.NoAuth().RestorePart(ctx, &set, part, aedb.RestorePartOptions{})
	require.NoError(t, err)
	require.Equal(t, 50, report.Rows)
	for _, bad := range []aedb.Part{{}, {Project: "p", Table: "people"}, {Project: "_system"}} {
		_, err = empty.NoAuth().RestorePart(ctx, &set, bad, aedb.RestorePartOptions{})
		require.ErrorIs(t, err, errs.ErrValidation)
	}
	_, err = empty.NoAuth().RestorePart(ctx, &set, aedb.Part{Project: "nobody"}, aedb.RestorePartOptions{})
	require.ErrorIs(t, err, errs.ErrProjectNotFound)
}

func TestLargePartTakesSeveralCommits(t *testing.T) {
	db := furnished(t)
	var set backup.Memory
	full(t, db, &set, aedb.BackupOptions{})
	cfg := config(vfs.NewMem())
	cfg.Limits.TransactionBytes, cfg.Limits.Mutations, cfg.Limits.BatchRows = 8<<10, 20, 7
	target := openWith(t, cfg)
	_, err := target.NoAuth().RestorePart(ctx, &set, aedb.Part{Project: "p"}, aedb.RestorePartOptions{OneCommit: true})
	require.ErrorIs(t, err, errs.ErrLimitExceeded)
	require.Zero(t, target.Heads().VisibleSeq)
	report, err := target.NoAuth().RestorePart(ctx, &set, aedb.Part{Project: "p"}, aedb.RestorePartOptions{})
	require.NoError(t, err)
	require.Greater(t, report.Commits, 5)
	require.Equal(t, shown(t, db, "p", "app"), shown(t, target, "p", "app"))
	require.Equal(t, shown(t, db, "p", "other"), shown(t, target, "p", "other"))
}
