package adapter

import (
	"context"
	"database/sql"
	"errors"

	"github.com/empyrealapp/aedb-go/test/peers/store"
)

func (s *sqliteStore) InsertRows(rows []store.Row) error {
	if len(rows) == 1 { // a statement alone is a transaction
		r := &rows[0]
		_, err := s.in.Exec(r.ID, r.Owner, r.Amount, r.Active, r.Note)
		return err
	}
	return s.update(func(tx *sql.Tx) error {
		in := tx.Stmt(s.in)
		for i := range rows {
			r := &rows[i]
			if _, err := in.Exec(r.ID, r.Owner, r.Amount, r.Active, r.Note); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *sqliteStore) CountRows() (n int, err error) {
	err = s.writer.QueryRow("SELECT count(*) FROM rows").Scan(&n)
	return n, err
}

func (s *sqliteStore) NewRowReader() (store.RowReader, error) {
	conn, err := s.readers.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	r := &sqliteRowReader{conn: conn}
	err = prepareAll(conn, map[**sql.Stmt]string{
		&r.byID:    "SELECT * FROM rows WHERE id = ?",
		&r.byOwner: "SELECT * FROM rows WHERE owner = ?",
		&r.from:    "SELECT * FROM rows WHERE amount >= ? ORDER BY amount, id LIMIT ?",
	})
	return r, err
}

type sqliteRowReader struct {
	conn                *sql.Conn
	byID, byOwner, from *sql.Stmt
}

func (r *sqliteRowReader) Close() error {
	return errors.Join(r.byID.Close(), r.byOwner.Close(), r.from.Close(), r.conn.Close())
}

func (r *sqliteRowReader) ByID(id int64) (row store.Row, err error) {
	err = r.byID.QueryRow(id).Scan(&row.ID, &row.Owner, &row.Amount, &row.Active, &row.Note)
	return row, err
}

func (r *sqliteRowReader) ByOwner(owner string, visit func(store.Row)) error {
	rows, err := r.byOwner.Query(owner)
	return visitRows(rows, err, visit)
}

func (r *sqliteRowReader) FromAmount(least int64, limit int, visit func(store.Row)) error {
	rows, err := r.from.Query(least, limit)
	return visitRows(rows, err, visit)
}

func visitRows(rows *sql.Rows, err error, visit func(store.Row)) error {
	if err != nil {
		return err
	}
	var row store.Row
	for rows.Next() {
		if err := rows.Scan(&row.ID, &row.Owner, &row.Amount, &row.Active, &row.Note); err != nil {
			return errors.Join(err, rows.Close())
		}
		visit(row)
	}
	return errors.Join(rows.Err(), rows.Close())
}
