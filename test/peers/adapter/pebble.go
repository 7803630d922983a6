package adapter

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"log"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// Pebble syncs a commit when told Sync. Told NoSync it keeps the log record in
// its own memory for a while: a SIGKILL loses commits that were acknowledged, so
// its figure at that level is one of memory.
//
// Pebble has no transactions: a transfer holds locks of the bench around its two
// reads and its batch, and releases them before the sync has ended, as a store
// over Pebble would.
var _ = register(&store.Peer{
	Name: "pebble", Package: "github.com/cockroachdb/pebble/v2",
	Levels: map[store.Level]store.Guarantee{
		store.Power:   {Given: store.Power, How: "Sync"},
		store.Process: {Given: store.Memory, How: "NoSync: acknowledged from its own buffer, lost by SIGKILL"},
	},
	Open: openPebble,
})

type pebbleStore struct {
	db    *pebble.DB
	write *pebble.WriteOptions
	seed  maphash.Seed
	locks [1024]sync.Mutex
}

func openPebble(dir string, l store.Level) (store.Store, error) {
	cache := pebble.NewCache(256 << 20)
	defer cache.Unref()
	db, err := pebble.Open(dir, &pebble.Options{
		Cache: cache, MemTableSize: 64 << 20, Logger: quiet{},
	})
	if err != nil {
		return nil, err
	}
	s := &pebbleStore{db: db, write: pebble.NoSync, seed: maphash.MakeSeed()}
	if l == store.Power {
		s.write = pebble.Sync
	}
	return s, nil
}

// quiet drops Pebble's log, except for what ends the process.
type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(format string, args ...any) { log.Printf(format, args...) }
func (quiet) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

func (s *pebbleStore) Close() error {
	return errors.Join(s.db.Flush(), s.db.Close())
}

func (s *pebbleStore) Put(key, val []byte) error { return s.db.Set(key, val, s.write) }

func (s *pebbleStore) Delete(key []byte) error { return s.db.Delete(key, s.write) }

func (s *pebbleStore) PutBatch(keys, vals [][]byte) error {
	b := s.db.NewBatch()
	for i, key := range keys {
		if err := b.Set(key, vals[i], nil); err != nil {
			return err
		}
	}
	return errors.Join(b.Commit(s.write), b.Close())
}

func (s *pebbleStore) Transfer(from, to []byte, amount uint64) error {
	b, err := s.lockedTransfer(from, to, amount)
	if err != nil {
		return err
	}
	if s.write.Sync {
		if err := b.SyncWait(); err != nil {
			return err
		}
	}
	return b.Close()
}

func (s *pebbleStore) lockedTransfer(from, to []byte, amount uint64) (*pebble.Batch, error) {
	i := maphash.Bytes(s.seed, from) % uint64(len(s.locks))
	j := maphash.Bytes(s.seed, to) % uint64(len(s.locks))
	for _, k := range ordered(i, j) {
		s.locks[k].Lock()
		defer s.locks[k].Unlock()
	}
	left, err := s.balance(from)
	if err != nil {
		return nil, err
	}
	right, err := s.balance(to)
	if err != nil {
		return nil, err
	}
	if left < amount {
		return nil, store.ErrPoor
	}
	b := s.db.NewBatch()
	var x, y [8]byte
	binary.BigEndian.PutUint64(x[:], left-amount)
	binary.BigEndian.PutUint64(y[:], right+amount)
	if err := errors.Join(b.Set(from, x[:], nil), b.Set(to, y[:], nil)); err != nil {
		return nil, err
	}
	if s.write.Sync {
		return b, s.db.ApplyNoSyncWait(b, pebble.Sync)
	}
	return b, b.Commit(s.write)
}

func ordered(i, j uint64) []uint64 {
	switch {
	case i == j:
		return []uint64{i}
	case i < j:
		return []uint64{i, j}
	}
	return []uint64{j, i}
}

func (s *pebbleStore) balance(key []byte) (uint64, error) {
	v, c, err := s.db.Get(key)
	if err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint64(v)
	return n, c.Close()
}

func (s *pebbleStore) Count() (n int, err error) {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return 0, err
	}
	for it.First(); it.Valid(); it.Next() {
		n++
	}
	return n, it.Close()
}

func (s *pebbleStore) Scans() {}

func (s *pebbleStore) NewReader() (store.Reader, error) { return pebbleReader{s.db}, nil }

type pebbleReader struct{ db *pebble.DB }

func (r pebbleReader) Close() error { return nil }

func (r pebbleReader) Get(key, buf []byte) ([]byte, error) {
	v, c, err := r.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	buf = append(buf, v...)
	return buf, c.Close()
}

func (r pebbleReader) Scan(prefix []byte, limit int, visit func(key, val []byte)) error {
	it, err := r.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return err
	}
	n := 0
	for it.First(); it.Valid(); it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(err, it.Close())
		}
		visit(it.Key(), v)
		if n++; n == limit {
			break
		}
	}
	return it.Close()
}

// successor returns the end of the range of keys that begin with the prefix, nil
// for the end of all keys.
func successor(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}
