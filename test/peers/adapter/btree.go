package adapter

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/tidwall/btree"

	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// btree is the bare tree: what a store in memory costs without a log. One lock
// guards it; entries are copied in.
var _ = register(&store.Peer{
	Name: "btree", Role: store.Limit, Package: "github.com/tidwall/btree",
	Levels: map[store.Level]store.Guarantee{store.Memory: {Given: store.Memory, How: "no files"}},
	Open: func(string, store.Level) (store.Store, error) {
		return &btreeStore{tree: btree.NewBTreeGOptions(
			func(a, b btreeItem) bool { return bytes.Compare(a.key, b.key) < 0 },
			btree.Options{NoLocks: true})}, nil
	},
})

type btreeItem struct{ key, val []byte }

type btreeStore struct {
	mu   sync.RWMutex
	tree *btree.BTreeG[btreeItem]
}

func (s *btreeStore) Close() error { return nil }

func (s *btreeStore) set(key, val []byte) {
	both := append(append(make([]byte, 0, len(key)+len(val)), key...), val...)
	s.tree.Set(btreeItem{both[:len(key):len(key)], both[len(key):]})
}

func (s *btreeStore) Put(key, val []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(key, val)
	return nil
}

func (s *btreeStore) Delete(key []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tree.Delete(btreeItem{key: key})
	return nil
}

func (s *btreeStore) PutBatch(keys, vals [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, key := range keys {
		s.set(key, vals[i])
	}
	return nil
}

func (s *btreeStore) Transfer(from, to []byte, amount uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.tree.Get(btreeItem{key: from})
	y, ok2 := s.tree.Get(btreeItem{key: to})
	if !ok || !ok2 {
		return store.ErrNotFound
	}
	left := binary.BigEndian.Uint64(x.val)
	if left < amount {
		return store.ErrPoor
	}
	right := binary.BigEndian.Uint64(y.val)
	s.set(from, binary.BigEndian.AppendUint64(nil, left-amount))
	s.set(to, binary.BigEndian.AppendUint64(nil, right+amount))
	return nil
}

func (s *btreeStore) Count() (int, error) { return s.tree.Len(), nil }

func (s *btreeStore) Scans() {}

func (s *btreeStore) NewReader() (store.Reader, error) { return btreeReader{s}, nil }

type btreeReader struct{ s *btreeStore }

func (r btreeReader) Close() error { return nil }

func (r btreeReader) Get(key, buf []byte) ([]byte, error) {
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	item, ok := r.s.tree.Get(btreeItem{key: key})
	if !ok {
		return nil, store.ErrNotFound
	}
	return append(buf, item.val...), nil
}

func (r btreeReader) Scan(prefix []byte, limit int, visit func(key, val []byte)) error {
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	n := 0
	r.s.tree.Ascend(btreeItem{key: prefix}, func(item btreeItem) bool {
		if !bytes.HasPrefix(item.key, prefix) {
			return false
		}
		visit(item.key, item.val)
		n++
		return n != limit
	})
	return nil
}
