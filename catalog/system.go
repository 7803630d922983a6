package catalog

import "github.com/empyrealapp/aedb-go/value"

// EventOutbox is the table that holds emitted events, in the scope "app" of
// SystemProject. Its columns are, in order: commit_seq, ts_micros, project_id,
// scope_id, topic, event_key, payload; the key is (commit_seq, topic,
// event_key).
const EventOutbox = "event_outbox"

// CreateSystem makes the engine's own tables. Tables that exist are left as
// they are. It is applied by the engine, before the first write that needs it.
type CreateSystem struct{}

func (CreateSystem) apply(c *Catalog, at int64, ch *Change) error {
	p, ok := c.projects.Get(SystemProject)
	if !ok {
		p = c.createProject(SystemProject, at, ch)
	}
	s, ok := c.scopes.Get(child(p.ID, DefaultScope))
	if !ok {
		s = c.createScope(p, DefaultScope, at, ch)
	}
	if _, ok := c.tables.Get(child(s.ID, EventOutbox)); ok {
		return nil
	}
	t, err := CreateTable{
		Project: SystemProject, Scope: DefaultScope, Table: EventOutbox,
		Columns: []ColumnSpec{
			{Name: "commit_seq", Kind: value.KindInteger},
			{Name: "ts_micros", Kind: value.KindTimestamp},
			{Name: "project_id", Kind: value.KindText},
			{Name: "scope_id", Kind: value.KindText},
			{Name: "topic", Kind: value.KindText},
			{Name: "event_key", Kind: value.KindText},
			{Name: "payload", Kind: value.KindJSON},
		},
		PrimaryKey: []string{"commit_seq", "topic", "event_key"},
	}.build(s, at)
	if err != nil {
		return err
	}
	t.Managed = true
	c.createTable(t, ch)
	return nil
}
