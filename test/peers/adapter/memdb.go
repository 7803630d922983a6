package adapter

import (
	"github.com/hashicorp/go-memdb"

	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// go-memdb holds objects in immutable radix trees, in memory alone: what it finds
// is the caller's own object, nothing is decoded.
var _ = register(&store.Peer{
	Name: "go-memdb", Package: "github.com/hashicorp/go-memdb",
	Levels: map[store.Level]store.Guarantee{store.Memory: {Given: store.Memory, How: "no files"}},
	Open: func(string, store.Level) (store.Store, error) {
		db, err := memdb.NewMemDB(&memdb.DBSchema{Tables: map[string]*memdb.TableSchema{
			"rows": {Name: "rows", Indexes: map[string]*memdb.IndexSchema{
				"id":     {Name: "id", Unique: true, Indexer: &memdb.IntFieldIndex{Field: "ID"}},
				"owner":  {Name: "owner", Indexer: &memdb.StringFieldIndex{Field: "Owner"}},
				"amount": {Name: "amount", Indexer: &memdb.IntFieldIndex{Field: "Amount"}},
			}},
		}})
		return &memdbStore{db}, err
	},
})

type memdbStore struct{ db *memdb.MemDB }

func (s *memdbStore) Close() error { return nil }

func (s *memdbStore) InsertRows(rows []store.Row) error {
	tx := s.db.Txn(true)
	defer tx.Abort()
	for i := range rows {
		r := rows[i]
		if err := tx.Insert("rows", &r); err != nil {
			return err
		}
	}
	tx.Commit()
	return nil
}

func (s *memdbStore) CountRows() (n int, err error) {
	it, err := s.db.Txn(false).Get("rows", "id")
	if err != nil {
		return 0, err
	}
	for it.Next() != nil {
		n++
	}
	return n, nil
}

func (s *memdbStore) NewRowReader() (store.RowReader, error) { return memdbReader{s.db}, nil }

type memdbReader struct{ db *memdb.MemDB }

func (r memdbReader) Close() error { return nil }

func (r memdbReader) ByID(id int64) (store.Row, error) {
	v, err := r.db.Txn(false).First("rows", "id", id)
	if err != nil {
		return store.Row{}, err
	}
	if v == nil {
		return store.Row{}, store.ErrNotFound
	}
	return *v.(*store.Row), nil
}

func (r memdbReader) ByOwner(owner string, visit func(store.Row)) error {
	it, err := r.db.Txn(false).Get("rows", "owner", owner)
	if err != nil {
		return err
	}
	for v := it.Next(); v != nil; v = it.Next() {
		visit(*v.(*store.Row))
	}
	return nil
}

func (r memdbReader) FromAmount(least int64, limit int, visit func(store.Row)) error {
	it, err := r.db.Txn(false).LowerBound("rows", "amount", least)
	if err != nil {
		return err
	}
	for n := 0; n < limit; n++ {
		v := it.Next()
		if v == nil {
			break
		}
		visit(*v.(*store.Row))
	}
	return nil
}
