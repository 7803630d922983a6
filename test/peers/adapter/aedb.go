package adapter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/empyrealapp/aedb-go"

	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// AEDB syncs before it acknowledges by default. In OsBuffered mode a commit is
// acknowledged when it has been written to the log, so it survives the process.
//
// "aedb" makes a transfer as one envelope: assertions and checked arithmetic
// that the engine carries out at the commit point. "aedb-update" makes it as an
// interactive transaction, which reads, decides and writes like any Go code.
var aedbLevels = map[store.Level]store.Guarantee{
	store.Power:   {Given: store.Power, How: "Full (default)"},
	store.Process: {Given: store.Process, How: "OsBuffered"},
}

var _ = register(&store.Peer{
	Name: "aedb", Role: store.Subject, Package: "github.com/empyrealapp/aedb-go", Levels: aedbLevels,
	Open: func(dir string, l store.Level) (store.Store, error) { return openAEDB(dir, l) },
})

var _ = register(&store.Peer{
	Name: "aedb-update", Role: store.Subject, Package: "github.com/empyrealapp/aedb-go", Levels: aedbLevels,
	Only: []string{"transfer"},
	Open: func(dir string, l store.Level) (store.Store, error) {
		s, err := openAEDB(dir, l)
		if err != nil {
			return nil, err
		}
		return aedbUpdate{s}, nil
	},
})

const (
	aedbProject = "bench"
	aedbScope   = "app"
)

type aedbStore struct {
	db  *aedb.DB
	app *aedb.Scope
}

func openAEDB(dir string, l store.Level) (*aedbStore, error) {
	ctx := context.Background()
	cfg := aedb.DefaultConfig()
	if l != store.Power {
		cfg.Durability = aedb.OsBuffered
	}
	cfg.Reads.MaxSnapshots = 4096
	cfg.Reads.SnapshotAge = time.Hour
	db, err := aedb.OpenNoAuth(dir, cfg)
	if err != nil {
		return nil, err
	}
	s := &aedbStore{db: db, app: db.NoAuth().Scope(aedbProject, aedbScope)}
	if _, err := db.NoAuth().Scopes(aedbProject); err == nil {
		return s, nil // opened again: nothing is written
	}
	if _, err := db.NoAuth().CreateProject(ctx, aedbProject); err != nil {
		return nil, err
	}
	return s, s.createRows(ctx)
}

func (s *aedbStore) Close() error { return s.db.Close(context.Background()) }

func (s *aedbStore) Put(key, val []byte) error {
	_, err := s.app.Commit(context.Background(), s.app.KvSet(key, val))
	return err
}

func (s *aedbStore) Delete(key []byte) error {
	_, err := s.app.Commit(context.Background(), s.app.KvDel(key))
	return err
}

func (s *aedbStore) PutBatch(keys, vals [][]byte) error {
	pairs := make([]aedb.KvPair, len(keys))
	for i, key := range keys {
		pairs[i] = aedb.KvPair{Key: key, Value: vals[i]}
	}
	_, err := s.app.Commit(context.Background(), s.app.KvSetMany(pairs...))
	return err
}

func (s *aedbStore) PutAsync(key, val []byte) (func() error, error) {
	ctx := context.Background()
	t, err := s.app.Submit(ctx, aedb.Envelope{Mutations: []aedb.Mutation{s.app.KvSet(key, val)}})
	if err != nil {
		return nil, err
	}
	return func() error {
		_, err := t.Visible(ctx)
		return err
	}, nil
}

func (s *aedbStore) Transfer(from, to []byte, amount uint64) error {
	_, err := s.app.CommitEnvelope(context.Background(), aedb.Envelope{
		Assertions: []aedb.Assertion{s.app.KeyExists(from, true), s.app.KeyExists(to, true)},
		Mutations: []aedb.Mutation{
			s.app.KvSubU64(from, amount, aedb.RejectMissing, aedb.RejectLimit),
			s.app.KvAddU64(to, amount, aedb.RejectMissing, aedb.RejectLimit),
		},
	}, aedb.Visible)
	if errors.Is(err, aedb.ErrUnderflow) {
		return store.ErrPoor
	}
	return err
}

func (s *aedbStore) Count() (int, error) {
	scopes, err := s.db.NoAuth().Scopes(aedbProject)
	if err != nil {
		return 0, err
	}
	for _, sc := range scopes {
		if sc.Name == aedbScope {
			return sc.Keys, nil
		}
	}
	return 0, fmt.Errorf("no scope %s", aedbScope)
}

func (s *aedbStore) Scans() {}

func (s *aedbStore) NewReader() (store.Reader, error) { return aedbReader{s.app.KV()}, nil }

type aedbReader struct{ kv aedb.KV }

func (r aedbReader) Close() error { return nil }

func (r aedbReader) Get(key, buf []byte) ([]byte, error) {
	val, ok, err := r.kv.AppendValue(context.Background(), buf, key)
	if err == nil && !ok {
		err = store.ErrNotFound
	}
	return val, err
}

func (r aedbReader) Scan(prefix []byte, limit int, visit func(key, val []byte)) error {
	for e, err := range r.kv.Scan(context.Background(), aedb.Range{Prefix: prefix, Limit: limit}) {
		if err != nil {
			return err
		}
		visit(e.Key, e.Value)
	}
	return nil
}

// MakeTables makes tables with one row and one index each.
func (s *aedbStore) MakeTables(n int) error {
	ctx := context.Background()
	for first := 0; first < n; first += 100 {
		var mutations []aedb.Mutation
		for i := first; i < min(first+100, n); i++ {
			name := fmt.Sprintf("t%d", i)
			mutations = append(mutations,
				s.app.CreateTable(name, aedb.TableSpec{
					Columns:    []aedb.ColumnSpec{aedb.Column("id", aedb.TypeInteger), aedb.Column("v", aedb.TypeInteger)},
					PrimaryKey: []string{"id"},
					Indexes:    []aedb.IndexSpec{{Name: "by_v", Columns: []string{"v"}}},
				}),
				s.app.Insert(name, aedb.Row{aedb.Int(1), aedb.Int(int64(i))}))
		}
		if _, err := s.app.Commit(ctx, mutations...); err != nil {
			return err
		}
	}
	return nil
}

// HoldSnapshot opens a read transaction at the newest state.
func (s *aedbStore) HoldSnapshot() (func(), error) {
	tx, err := s.db.NoAuth().BeginRead(context.Background(), aedb.AtLatest)
	if err != nil {
		return nil, err
	}
	return tx.Close, nil
}

// aedbUpdate makes transfers as interactive transactions.
type aedbUpdate struct{ *aedbStore }

func (s aedbUpdate) Transfer(from, to []byte, amount uint64) error {
	ctx := context.Background()
	return s.app.Update(ctx, func(tx *aedb.Tx) error {
		x, ok, err := tx.Get(ctx, from)
		if err != nil {
			return err
		}
		y, ok2, err := tx.Get(ctx, to)
		if err != nil {
			return err
		}
		if !ok || !ok2 {
			return store.ErrNotFound
		}
		left := binary.BigEndian.Uint64(x)
		if left < amount {
			return store.ErrPoor
		}
		if err := tx.Set(from, binary.BigEndian.AppendUint64(nil, left-amount)); err != nil {
			return err
		}
		return tx.Set(to, binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(y)+amount))
	})
}
