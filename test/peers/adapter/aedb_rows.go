package adapter

import (
	"context"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"

	"github.com/empyrealapp/aedb-go/test/peers/store"
)

const aedbRows = "rows"

func (s *aedbStore) createRows(ctx context.Context) error {
	_, err := s.app.Commit(ctx, s.app.CreateTable(aedbRows, aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("id", aedb.TypeInteger), aedb.Column("owner", aedb.TypeText),
			aedb.Column("amount", aedb.TypeInteger), aedb.Column("active", aedb.TypeBoolean),
			aedb.Column("note", aedb.TypeText),
		},
		PrimaryKey: []string{"id"},
		Indexes: []aedb.IndexSpec{
			{Name: "by_owner", Columns: []string{"owner"}},
			{Name: "by_amount", Columns: []string{"amount"}},
		},
	}))
	return err
}

func (s *aedbStore) InsertRows(rows []store.Row) error {
	batch := make([]aedb.Row, len(rows))
	cells := make([]aedb.Value, 0, 5*len(rows))
	for i := range rows {
		r := &rows[i]
		cells = append(cells, aedb.Int(r.ID), aedb.Text(r.Owner), aedb.Int(r.Amount), aedb.Bool(r.Active), aedb.Text(r.Note))
		batch[i] = cells[5*i : 5*i+5]
	}
	_, err := s.app.Commit(context.Background(), s.app.InsertBatch(aedbRows, batch))
	return err
}

func (s *aedbStore) CountRows() (int, error) {
	t, err := s.app.Describe(aedbRows)
	return t.Rows, err
}

func (s *aedbStore) NewRowReader() (store.RowReader, error) { return aedbRowReader{s.app}, nil }

type aedbRowReader struct{ app *aedb.Scope }

func (r aedbRowReader) Close() error { return nil }

func (r aedbRowReader) ByID(id int64) (store.Row, error) {
	row, _, err := r.app.Row(context.Background(), aedbRows, aedb.Int(id))
	if err != nil {
		return store.Row{}, err
	}
	if row == nil {
		return store.Row{}, store.ErrNotFound
	}
	return rowOf(row), nil
}

func rowOf(r aedb.Row) store.Row {
	return store.Row{ID: r[0].AsInt(), Owner: r[1].AsText(), Amount: r[2].AsInt(), Active: r[3].AsBool(), Note: r[4].AsText()}
}

func (r aedbRowReader) ByOwner(owner string, visit func(store.Row)) error {
	return r.query(query.Select().From(aedbRows).Where(query.Eq("owner", owner)), visit)
}

func (r aedbRowReader) FromAmount(least int64, limit int, visit func(store.Row)) error {
	return r.query(query.Select().From(aedbRows).Where(query.Gte("amount", least)).
		OrderBy("amount", query.Asc).Limit(limit), visit)
}

func (r aedbRowReader) query(q query.Query, visit func(store.Row)) error {
	for row, err := range r.app.Rows(context.Background(), q) {
		if err != nil {
			return err
		}
		visit(rowOf(row))
	}
	return nil
}
