package history_test

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// inMemory opens a store of its own, with a project "p".
func inMemory(t *testing.T, change func(*aedb.Config)) (*aedb.DB, *aedb.Scope) {
	t.Helper()
	cfg := aedb.DefaultConfig()
	cfg.FS = vfs.NewMem()
	if change != nil {
		change(&cfg)
	}
	db, err := aedb.OpenNoAuth("outcome", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	_, err = db.NoAuth().CreateProject(t.Context(), "p")
	require.NoError(t, err)
	return db, db.NoAuth().Scope("p", "app")
}

func number(t *testing.T, s *aedb.Scope, key string) uint64 {
	t.Helper()
	e, ok, err := s.KV().Get(t.Context(), []byte(key))
	require.NoError(t, err)
	if !ok {
		return 0
	}
	return binary.BigEndian.Uint64(e.Value)
}

// A mutation that is refused has told the closure something about the store, so
// the transaction depends on that.
func TestTheRefusalOfAMutationIsARead(t *testing.T) {
	_, s := inMemory(t, nil)
	runs := 0
	err := s.Update(t.Context(), func(tx *aedb.Tx) error {
		runs++
		err := tx.Do(s.KvSubU64([]byte("balance"), 10, aedb.TreatAsZero, aedb.RejectLimit))
		if err == nil {
			return nil
		}
		_, err = s.Commit(t.Context(), s.KvAddU64([]byte("balance"), 100, aedb.TreatAsZero, aedb.RejectLimit))
		require.NoError(t, err)
		return tx.Set([]byte("declined"), []byte("yes"))
	})
	require.NoError(t, err)
	require.Equal(t, 2, runs)
	_, declined, err := s.KV().Get(t.Context(), []byte("declined"))
	require.NoError(t, err)
	require.False(t, declined, "at the commit point the balance was 100")
	require.EqualValues(t, 90, number(t, s, "balance"))
}

func TestRefusalsCannotBeSkewed(t *testing.T) {
	_, s := inMemory(t, nil)
	transaction := func(other, mine string, between func()) func(*aedb.Tx) error {
		return func(tx *aedb.Tx) error {
			err := tx.Do(s.KvSubU64([]byte(other), 1, aedb.RejectMissing, aedb.RejectLimit))
			if between != nil {
				between()
				between = nil
			}
			if err == nil {
				return nil
			}
			return tx.Do(s.KvAddU64([]byte(mine), 1, aedb.TreatAsZero, aedb.RejectLimit))
		}
	}
	require.NoError(t, s.Update(t.Context(), transaction("a", "b", func() {
		require.NoError(t, s.Update(t.Context(), transaction("b", "a", nil)))
	})))
	require.LessOrEqual(t, number(t, s, "a")+number(t, s, "b"), uint64(1), "in any serial order one finds the other's")
}

func TestWhatIsTakenBackToASavepointStillCountsAsRead(t *testing.T) {
	_, s := inMemory(t, nil)
	_, err := s.Commit(t.Context(), s.KvAddU64([]byte("x"), 1, aedb.TreatAsZero, aedb.RejectLimit))
	require.NoError(t, err)
	runs := 0
	require.NoError(t, s.Update(t.Context(), func(tx *aedb.Tx) error {
		runs++
		point := tx.Savepoint()
		taken := tx.Do(s.KvSubU64([]byte("x"), 1, aedb.RejectMissing, aedb.RejectLimit)) == nil
		tx.RollbackTo(point)
		if runs == 1 {
			_, err := s.Commit(t.Context(), s.KvSubU64([]byte("x"), 1, aedb.RejectMissing, aedb.RejectLimit))
			require.NoError(t, err)
		}
		if taken {
			return tx.Set([]byte("outcome"), []byte("there was one"))
		}
		return tx.Set([]byte("outcome"), []byte("there was none"))
	}))
	require.Equal(t, 2, runs)
	e, _, err := s.KV().Get(t.Context(), []byte("outcome"))
	require.NoError(t, err)
	require.Equal(t, "there was none", string(e.Value))
}

func TestADurableWaitNeverSaysThatAVisibleCommitHasNoEffect(t *testing.T) {
	for name, end := range map[string]func(*aedb.DB) context.Context{
		"the context ends": func(*aedb.DB) context.Context {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx
		},
		"the store is given up": func(db *aedb.DB) context.Context {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = db.Close(ctx)
			return context.Background()
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, s := inMemory(t, func(c *aedb.Config) { c.Durability = aedb.OsBuffered })
			ticket, err := s.Submit(t.Context(), aedb.Envelope{Mutations: []aedb.Mutation{s.KvSet([]byte("k"), []byte("v"))}})
			require.NoError(t, err)
			_, err = ticket.Visible(t.Context())
			require.NoError(t, err)
			_, err = ticket.Durable(end(db))
			if err == nil {
				return // the last sync came in time
			}
			require.Contains(t, []aedb.ErrorCode{"commit_outcome_unknown", "indeterminate"}, aedb.CodeOf(err))
		})
	}
}

func TestTheResultOfCloseIsThereForEveryCaller(t *testing.T) {
	db, _ := inMemory(t, nil)
	require.NoError(t, db.Close(t.Context()))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		require.NoError(t, db.Close(ended))
	}
	_, err := db.NoAuth().BeginRead(t.Context(), aedb.AtLatest)
	require.ErrorIs(t, err, aedb.ErrUnavailable)
}

// A page of a transaction goes by the seq of its snapshot: the next one may
// become another commit's.
func TestAPageOfATransactionTellsTheSeqOfItsSnapshot(t *testing.T) {
	_, s := inMemory(t, nil)
	for _, k := range []string{"a", "b"} {
		_, err := s.Commit(t.Context(), s.KvSet([]byte(k), []byte("v")))
		require.NoError(t, err)
	}
	require.NoError(t, s.Update(t.Context(), func(tx *aedb.Tx) error {
		require.NoError(t, tx.Set([]byte("c"), []byte("own")))
		page, err := tx.KV().Page(t.Context(), aedb.Range{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, tx.SnapshotSeq(), page.SnapshotSeq)
		next, err := tx.KV().Page(t.Context(), aedb.Range{Limit: 5}, aedb.WithCursor(page.Cursor))
		require.NoError(t, err)
		require.Len(t, next.Entries, 2)
		return nil
	}))
}
