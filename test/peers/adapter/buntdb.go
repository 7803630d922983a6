package adapter

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/tidwall/buntdb"

	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// buntdb holds everything in memory and appends commands to a file. Its default
// syncs once a second; SyncPolicy Always syncs every commit but ignores the
// sync's error, so a failing disk goes unnoticed. Never leaves syncing to the
// operating system: every commit is written before it is acknowledged.
var _ = register(&store.Peer{
	Name: "buntdb", Package: "github.com/tidwall/buntdb",
	Levels: map[store.Level]store.Guarantee{
		store.Power:   {Given: store.Power, How: "SyncPolicy Always; ignores a sync's error"},
		store.Process: {Given: store.Process, How: "SyncPolicy Never"},
	},
	Open: openBunt,
})

type buntStore struct{ db *buntdb.DB }

func openBunt(dir string, l store.Level) (store.Store, error) {
	db, err := buntdb.Open(filepath.Join(dir, "bunt.db"))
	if err != nil {
		return nil, err
	}
	var c buntdb.Config
	if err := db.ReadConfig(&c); err != nil {
		return nil, err
	}
	c.SyncPolicy = buntdb.Never
	if l == store.Power {
		c.SyncPolicy = buntdb.Always
	}
	return &buntStore{db}, db.SetConfig(c)
}

func (s *buntStore) Close() error { return s.db.Close() }

func (s *buntStore) Put(key, val []byte) error {
	return s.db.Update(func(tx *buntdb.Tx) error {
		_, _, err := tx.Set(string(key), string(val), nil)
		return err
	})
}

func (s *buntStore) Delete(key []byte) error {
	return s.db.Update(func(tx *buntdb.Tx) error {
		_, err := tx.Delete(string(key))
		return err
	})
}

func (s *buntStore) PutBatch(keys, vals [][]byte) error {
	return s.db.Update(func(tx *buntdb.Tx) error {
		for i, key := range keys {
			if _, _, err := tx.Set(string(key), string(vals[i]), nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *buntStore) Transfer(from, to []byte, amount uint64) error {
	return s.db.Update(func(tx *buntdb.Tx) error {
		x, err := tx.Get(string(from))
		if err != nil {
			return err
		}
		y, err := tx.Get(string(to))
		if err != nil {
			return err
		}
		left := binary.BigEndian.Uint64([]byte(x))
		right := binary.BigEndian.Uint64([]byte(y))
		if left < amount {
			return store.ErrPoor
		}
		set := func(key []byte, n uint64) error {
			_, _, err := tx.Set(string(key), string(binary.BigEndian.AppendUint64(nil, n)), nil)
			return err
		}
		return errors.Join(set(from, left-amount), set(to, right+amount))
	})
}

func (s *buntStore) Count() (n int, err error) {
	err = s.db.View(func(tx *buntdb.Tx) error {
		n, err = tx.Len()
		return err
	})
	return n, err
}

func (s *buntStore) Scans() {}

func (s *buntStore) NewReader() (store.Reader, error) { return buntReader{s.db}, nil }

type buntReader struct{ db *buntdb.DB }

func (r buntReader) Close() error { return nil }

func (r buntReader) Get(key, buf []byte) (val []byte, err error) {
	err = r.db.View(func(tx *buntdb.Tx) error {
		v, err := tx.Get(string(key))
		if errors.Is(err, buntdb.ErrNotFound) {
			return store.ErrNotFound
		}
		val = append(buf, v...)
		return err
	})
	return val, err
}

func (r buntReader) Scan(prefix []byte, limit int, visit func(key, val []byte)) error {
	p := string(prefix)
	n := 0
	return r.db.View(func(tx *buntdb.Tx) error {
		return tx.AscendGreaterOrEqual("", p, func(key, val string) bool {
			if !strings.HasPrefix(key, p) {
				return false
			}
			visit(bytesOf(key), bytesOf(val))
			n++
			return n != limit
		})
	})
}

// bytesOf lends the bytes of a string to a visit, which does not write to them:
// the caller pays for no copy that buntdb does not make.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
