package executor

import (
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

// alter applies a definition to the catalog and to the spaces it concerns.
func alter(w *state.Working, s catalog.Statement) error {
	next, ch, err := w.Catalog().Apply(s, w.Micros())
	if err != nil || !ch.Applied {
		return err
	}
	w.SetCatalog(next)
	for _, key := range ch.Removed {
		w.Delete(catalog.SpaceCatalog, key)
	}
	for _, e := range ch.Entries {
		w.Put(catalog.SpaceCatalog, e.Key, e.Value)
	}
	for _, space := range ch.Dropped {
		w.DropSpace(space)
	}
	for _, ix := range ch.Build {
		if err := build(w, ch.Table, ix); err != nil {
			return err
		}
	}
	return nil
}

// build fills a new index from the rows of its table. The cursor stays valid,
// since only the index's own space is written.
func build(w *state.Working, t *catalog.Table, ix *catalog.Index) error {
	cur := w.Cursor(t.ID)
	for cur.First(); cur.Valid(); cur.Next() {
		row := record.Row{Table: t, Key: cur.Key(), Data: cur.Value()}
		entry := record.Index(ix, row.Column, cur.Key())
		entry.Value = clone(entry.Value)
		if err := checkIndexKeySize(ix, entry.Key); err != nil {
			return err
		}
		if err := putEntry(w, t, ix, &entry); err != nil {
			return err
		}
	}
	return nil
}

// emit stores an event. The engine's tables are made with the first one.
func (e *execution) emit(op *msgs.Emit) error {
	w := e.w
	t, err := outbox(w)
	if err != nil {
		return err
	}
	row := value.Row{
		value.Int(int64(w.Seq())), value.Timestamp(w.Micros()),
		value.Text(op.Scope.Project), value.Text(op.Scope.Scope),
		value.Text(op.Topic), value.Text(op.Key), value.JSON(op.PayloadJSON),
	}
	var bound msgs.BoundRow
	if err := e.x.bindRow(t, nil, make(value.Row, len(row)), row, &bound); err != nil {
		return err
	}
	if _, _, found := w.Get(t.ID, bound.Key); found {
		return errs.New(errs.CodeDuplicatePrimaryKey,
			"the envelope emits two events with the same topic %q and key", op.Topic).On(op.Topic)
	}
	return putRow(w, t, msgs.WriteInsert, &bound)
}

// outbox returns the table of events, which it makes if it is not there.
func outbox(w *state.Working) (*catalog.Table, error) {
	t, err := w.Catalog().Table(catalog.SystemProject, catalog.DefaultScope, catalog.EventOutbox)
	if err == nil {
		return t, nil
	}
	if err := alter(w, catalog.CreateSystem{}); err != nil {
		return nil, err
	}
	return w.Catalog().Table(catalog.SystemProject, catalog.DefaultScope, catalog.EventOutbox)
}
