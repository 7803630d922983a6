package acceptance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
)

func createProject(name string) aedb.Mutation {
	return msgs.Define{Statement: catalog.CreateProject{Project: name}}
}

func createScope(project, name string) aedb.Mutation {
	return msgs.Define{Statement: catalog.CreateScope{Project: project, Scope: name}}
}

// Fact 47.
func TestManagedTablesAndKeysAreReadOnly(t *testing.T) {
	s := newStore(t)
	s.must(s.app.EmitEvent("topic", "key", "{}"), s.app.CounterAdd([]byte("c"), 1, 2, 0))
	system := s.db.NoAuth().Scope("_system", "app")
	events := "event_outbox"
	key := []aedb.Value{aedb.Int(1), aedb.Text("topic"), aedb.Text("key")}
	all := system.Select(events, everything)
	for name, m := range map[string]aedb.Mutation{
		"insert":       system.InsertInto(events, []string{"commit_seq"}, aedb.Row{aedb.Int(1)}),
		"update":       system.UpdateFields(events, key, aedb.Set("payload", aedb.JSON("1"))),
		"update where": system.UpdateWhere(events, everything),
		"delete":       system.Delete(events, key...),
		"delete where": aedb.DeleteRows{Selection: all},
		"arithmetic":   system.CellAdd(events, key, "commit_seq", aedb.Int(1), aedb.RejectLimit),
		"guarded":      aedb.If(system.Delete(events, key...), s.app.KeyExists([]byte("no"), false)),
		"key":          system.KvSet([]byte("k"), nil),
		"counter":      system.CounterAdd([]byte("k"), 1, 1, 0),
		"event":        system.EmitEvent("topic", "key", "{}"),
		"drop table":   system.DropTable(events),
		"create table": system.CreateTable("t", aedb.TableSpec{Columns: []aedb.ColumnSpec{aedb.Column("id", aedb.TypeInteger)}, PrimaryKey: []string{"id"}}),
		"drop project": msgs.Define{Statement: catalog.DropProject{Project: "_system"}},
		"shard":        s.app.KvSet([]byte("__aedb_counter_shard__"), nil),
	} {
		t.Run(name, func(t *testing.T) {
			err := s.refused(aedb.ErrValidation, m)
			if name != "shard" {
				require.ErrorContains(t, err, "managed and read-only")
			}
		})
	}
}
