package adapter

import (
	"bytes"
	"encoding/binary"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// bbolt syncs every Update with fdatasync by default and reports the sync's
// error. With NoSync its pages go to the operating system by pwrite, so they
// survive the process but not a power cut, after which the file may be damaged.
// Batch is the same with commits of concurrent callers put together; one caller
// would wait for company that never comes.
var boltLevels = map[store.Level]store.Guarantee{
	store.Power:   {Given: store.Power, How: "default: fdatasync per Update"},
	store.Process: {Given: store.Process, How: "NoSync"},
}

var _ = register(&store.Peer{
	Name: "bbolt", Package: "go.etcd.io/bbolt", Levels: boltLevels,
	Open: func(dir string, l store.Level) (store.Store, error) { return openBolt(dir, l) },
})

var _ = register(&store.Peer{
	Name: "bbolt-batch", Package: "go.etcd.io/bbolt", Levels: boltLevels, Group: true, Only: []string{"put", "transfer"},
	Open: func(dir string, l store.Level) (store.Store, error) {
		s, err := openBolt(dir, l)
		if err != nil {
			return nil, err
		}
		return boltBatch{s}, nil
	},
})

var boltBucket = []byte("entries")

type boltStore struct{ db *bolt.DB }

func openBolt(dir string, l store.Level) (*boltStore, error) {
	o := *bolt.DefaultOptions
	o.NoSync = l != store.Power
	o.FreelistType = bolt.FreelistMapType
	o.NoFreelistSync = true
	db, err := bolt.Open(filepath.Join(dir, "bolt.db"), 0o600, &o)
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(boltBucket)
		return err
	})
	return &boltStore{db}, err
}

func (s *boltStore) Close() error { return s.db.Close() }

func (s *boltStore) Put(key, val []byte) error {
	return s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(boltBucket).Put(key, val) })
}

func (s *boltStore) Delete(key []byte) error {
	return s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(boltBucket).Delete(key) })
}

func (s *boltStore) PutBatch(keys, vals [][]byte) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(boltBucket)
		for i, key := range keys {
			if err := b.Put(key, vals[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *boltStore) Transfer(from, to []byte, amount uint64) error {
	return s.db.Update(func(tx *bolt.Tx) error { return boltTransfer(tx, from, to, amount) })
}

func boltTransfer(tx *bolt.Tx, from, to []byte, amount uint64) error {
	b := tx.Bucket(boltBucket)
	x, y := b.Get(from), b.Get(to)
	if x == nil || y == nil {
		return store.ErrNotFound
	}
	left := binary.BigEndian.Uint64(x)
	if left < amount {
		return store.ErrPoor
	}
	sum := binary.BigEndian.Uint64(y) + amount
	if err := b.Put(from, binary.BigEndian.AppendUint64(nil, left-amount)); err != nil {
		return err
	}
	return b.Put(to, binary.BigEndian.AppendUint64(nil, sum))
}

func (s *boltStore) Count() (n int, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		n = tx.Bucket(boltBucket).Stats().KeyN
		return nil
	})
	return n, err
}

func (s *boltStore) Scans() {}

func (s *boltStore) NewReader() (store.Reader, error) { return boltReader{s.db}, nil }

type boltReader struct{ db *bolt.DB }

func (r boltReader) Close() error { return nil }

func (r boltReader) Get(key, buf []byte) (val []byte, err error) {
	err = r.db.View(func(tx *bolt.Tx) error {
		v := tx.Bucket(boltBucket).Get(key)
		if v == nil {
			return store.ErrNotFound
		}
		val = append(buf, v...)
		return nil
	})
	return val, err
}

func (r boltReader) Scan(prefix []byte, limit int, visit func(key, val []byte)) error {
	return r.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(boltBucket).Cursor()
		n := 0
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix) && k != nil; k, v = c.Next() {
			visit(k, v)
			if n++; n == limit {
				break
			}
		}
		return nil
	})
}

type boltBatch struct{ *boltStore }

func (s boltBatch) Put(key, val []byte) error {
	return s.db.Batch(func(tx *bolt.Tx) error { return tx.Bucket(boltBucket).Put(key, val) })
}

func (s boltBatch) Transfer(from, to []byte, amount uint64) error {
	return s.db.Batch(func(tx *bolt.Tx) error { return boltTransfer(tx, from, to, amount) })
}
