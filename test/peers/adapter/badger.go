package adapter

import (
	"encoding/binary"
	"errors"

	"github.com/dgraph-io/badger/v4"

	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// Badger does not sync by default: its log is a mapped file, so what it has
// acknowledged survives the process. With SyncWrites it calls msync for each
// batch of commits and reports the error.
var _ = register(&store.Peer{
	Name: "badger", Package: "github.com/dgraph-io/badger/v4",
	Levels: map[store.Level]store.Guarantee{
		store.Power:   {Given: store.Power, How: "SyncWrites: msync per group of commits"},
		store.Process: {Given: store.Process, How: "default: no sync, mapped log"},
	},
	Open: openBadger,
})

type badgerStore struct{ db *badger.DB }

func openBadger(dir string, l store.Level) (store.Store, error) {
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).
		WithSyncWrites(l == store.Power).WithMetricsEnabled(false))
	if err != nil {
		return nil, err
	}
	return &badgerStore{db}, nil
}

func (s *badgerStore) Close() error { return s.db.Close() }

func (s *badgerStore) Put(key, val []byte) error {
	return s.db.Update(func(tx *badger.Txn) error { return tx.Set(key, val) })
}

func (s *badgerStore) Delete(key []byte) error {
	return s.db.Update(func(tx *badger.Txn) error { return tx.Delete(key) })
}

func (s *badgerStore) PutBatch(keys, vals [][]byte) error {
	return s.db.Update(func(tx *badger.Txn) error {
		for i, key := range keys {
			if err := tx.Set(key, vals[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *badgerStore) Transfer(from, to []byte, amount uint64) error {
	for {
		err := s.db.Update(func(tx *badger.Txn) error {
			left, err := badgerBalance(tx, from)
			if err != nil {
				return err
			}
			right, err := badgerBalance(tx, to)
			if err != nil {
				return err
			}
			if left < amount {
				return store.ErrPoor
			}
			return errors.Join(
				tx.Set(from, binary.BigEndian.AppendUint64(nil, left-amount)),
				tx.Set(to, binary.BigEndian.AppendUint64(nil, right+amount)))
		})
		if !errors.Is(err, badger.ErrConflict) {
			return err
		}
	}
}

func badgerBalance(tx *badger.Txn, key []byte) (n uint64, err error) {
	item, err := tx.Get(key)
	if err != nil {
		return 0, err
	}
	err = item.Value(func(v []byte) error {
		n = binary.BigEndian.Uint64(v)
		return nil
	})
	return n, err
}

func (s *badgerStore) Count() (n int, err error) {
	err = s.db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n++
		}
		return nil
	})
	return n, err
}

func (s *badgerStore) Scans() {}

func (s *badgerStore) NewReader() (store.Reader, error) { return badgerReader{s.db}, nil }

type badgerReader struct{ db *badger.DB }

func (r badgerReader) Close() error { return nil }

func (r badgerReader) Get(key, buf []byte) (val []byte, err error) {
	err = r.db.View(func(tx *badger.Txn) error {
		item, err := tx.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return store.ErrNotFound
		}
		if err != nil {
			return err
		}
		val, err = item.ValueCopy(buf[:0])
		return err
	})
	return val, err
}

func (r badgerReader) Scan(prefix []byte, limit int, visit func(key, val []byte)) error {
	return r.db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: true, PrefetchSize: 100})
		defer it.Close()
		n := 0
		for it.Seek(prefix); it.ValidForPrefix(prefix); it.Next() {
			item := it.Item()
			if err := item.Value(func(v []byte) error { visit(item.Key(), v); return nil }); err != nil {
				return err
			}
			if n++; n == limit {
				break
			}
		}
		return nil
	})
}
