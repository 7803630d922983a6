package adapter

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"path/filepath"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3": SQLite itself, through cgo
	_ "modernc.org/sqlite"          // the driver "sqlite": SQLite translated to Go

	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// SQLite runs in WAL mode with prepared statements, one connection that writes
// and one for each reader. With synchronous=FULL it syncs its log at every
// commit and reports the error; with NORMAL only at checkpoints, so that commits
// survive the process alone.
var sqliteLevels = map[store.Level]store.Guarantee{
	store.Power:   {Given: store.Power, How: "WAL, synchronous=FULL"},
	store.Process: {Given: store.Process, How: "WAL, synchronous=NORMAL"},
}

var _ = register(&store.Peer{
	Name: "sqlite", Package: "github.com/mattn/go-sqlite3", Levels: sqliteLevels,
	Open: func(dir string, l store.Level) (store.Store, error) {
		return openSQLite("sqlite3", "file:"+filepath.Join(dir, "sqlite.db")+
			"?_journal_mode=WAL&_busy_timeout=60000&_txlock=immediate&_cache_size=-262144&_synchronous="+synchronous(l))
	},
})

var _ = register(&store.Peer{
	Name: "sqlite-go", Package: "modernc.org/sqlite", Levels: sqliteLevels,
	Open: func(dir string, l store.Level) (store.Store, error) {
		return openSQLite("sqlite", "file:"+filepath.Join(dir, "sqlite.db")+
			"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(60000)&_txlock=immediate"+
			"&_pragma=cache_size(-262144)&_pragma=synchronous("+synchronous(l)+")")
	},
})

func synchronous(l store.Level) string {
	if l == store.Power {
		return "FULL"
	}
	return "NORMAL"
}

const sqliteSchema = `
CREATE TABLE IF NOT EXISTS entries (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
	id INTEGER PRIMARY KEY, owner TEXT NOT NULL, amount INTEGER NOT NULL,
	active INTEGER NOT NULL, note TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_owner ON rows (owner);
CREATE INDEX IF NOT EXISTS by_amount ON rows (amount);`

type sqliteStore struct {
	writer, readers        *sql.DB
	put, del, get, set, in *sql.Stmt
}

func openSQLite(driver, dsn string) (*sqliteStore, error) {
	writer, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	if _, err := writer.Exec(sqliteSchema); err != nil {
		return nil, err
	}
	readers, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	s := &sqliteStore{writer: writer, readers: readers}
	for stmt, text := range map[**sql.Stmt]string{
		&s.put: "INSERT OR REPLACE INTO entries VALUES (?, ?)",
		&s.del: "DELETE FROM entries WHERE k = ?",
		&s.get: "SELECT v FROM entries WHERE k = ?",
		&s.set: "UPDATE entries SET v = ? WHERE k = ?",
		&s.in:  "INSERT INTO rows VALUES (?, ?, ?, ?, ?)",
	} {
		if *stmt, err = writer.Prepare(text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *sqliteStore) Close() error { return errors.Join(s.readers.Close(), s.writer.Close()) }

func (s *sqliteStore) Put(key, val []byte) error {
	_, err := s.put.Exec(key, val)
	return err
}

func (s *sqliteStore) Delete(key []byte) error {
	_, err := s.del.Exec(key)
	return err
}

// update runs fn in a transaction that holds the write lock from its start.
func (s *sqliteStore) update(fn func(tx *sql.Tx) error) error {
	tx, err := s.writer.Begin()
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (s *sqliteStore) PutBatch(keys, vals [][]byte) error {
	return s.update(func(tx *sql.Tx) error {
		put := tx.Stmt(s.put)
		for i, key := range keys {
			if _, err := put.Exec(key, vals[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *sqliteStore) Transfer(from, to []byte, amount uint64) error {
	return s.update(func(tx *sql.Tx) error {
		get, set := tx.Stmt(s.get), tx.Stmt(s.set)
		var x, y []byte
		if err := errors.Join(get.QueryRow(from).Scan(&x), get.QueryRow(to).Scan(&y)); err != nil {
			return err
		}
		left := binary.BigEndian.Uint64(x)
		if left < amount {
			return store.ErrPoor
		}
		if _, err := set.Exec(binary.BigEndian.AppendUint64(nil, left-amount), from); err != nil {
			return err
		}
		_, err := set.Exec(binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(y)+amount), to)
		return err
	})
}

func (s *sqliteStore) Count() (n int, err error) {
	err = s.writer.QueryRow("SELECT count(*) FROM entries").Scan(&n)
	return n, err
}

func (s *sqliteStore) Scans() {}

func (s *sqliteStore) NewReader() (store.Reader, error) {
	conn, err := s.readers.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	r := &sqliteReader{conn: conn}
	err = prepareAll(conn, map[**sql.Stmt]string{
		&r.get:  "SELECT v FROM entries WHERE k = ?",
		&r.scan: "SELECT k, v FROM entries WHERE k >= ? AND k < ? ORDER BY k LIMIT ?",
	})
	return r, err
}

func prepareAll(conn *sql.Conn, texts map[**sql.Stmt]string) (err error) {
	for stmt, text := range texts {
		if *stmt, err = conn.PrepareContext(context.Background(), text); err != nil {
			return err
		}
	}
	return nil
}

type sqliteReader struct {
	conn      *sql.Conn
	get, scan *sql.Stmt
}

func (r *sqliteReader) Close() error {
	return errors.Join(r.get.Close(), r.scan.Close(), r.conn.Close())
}

func (r *sqliteReader) Get(key, _ []byte) (val []byte, err error) {
	err = r.get.QueryRow(key).Scan(&val)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, store.ErrNotFound
	}
	return val, err
}

func (r *sqliteReader) Scan(prefix []byte, limit int, visit func(key, val []byte)) error {
	if limit == 0 {
		limit = -1
	}
	rows, err := r.scan.Query(prefix, successor(prefix), limit)
	if err != nil {
		return err
	}
	var k, v sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&k, &v); err != nil {
			return errors.Join(err, rows.Close())
		}
		visit(k, v)
	}
	return errors.Join(rows.Err(), rows.Close())
}
