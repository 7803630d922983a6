package aedb_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// Writes that a transaction puts off show in every read, are taken back with the
// savepoints before them, and are committed.
func TestTransactionSeesItsOwnWritesAcrossSavepoints(t *testing.T) {
	ctx := context.Background()
	cfg := aedb.DefaultConfig()
	cfg.FS, cfg.Durability, cfg.Logger = vfs.NewMem(), aedb.OsBuffered, slog.New(slog.DiscardHandler)
	db, app := openWith(t, cfg)
	defer func() { require.NoError(t, db.Close(ctx)) }()
	committed := map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		model := maps.Clone(committed)
		key := func() string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key") }
		type saved struct {
			point  aedb.Savepoint
			writes []int // that are part of the transaction
			model  map[string]string
		}
		require.NoError(t, app.Update(ctx, func(tx *aedb.Tx) error {
			var points []saved
			var writes []int
			for step := range rapid.IntRange(1, 20).Draw(t, "steps") {
				switch k := key(); rapid.IntRange(0, 7).Draw(t, "step") {
				case 0, 1:
					v := rapid.StringMatching("[xyz]{0,3}").Draw(t, "value")
					require.NoError(t, tx.Set([]byte(k), []byte(v)))
					model[k], writes = v, append(writes, step)
				case 2:
					require.NoError(t, tx.Unset([]byte(k)))
					delete(model, k)
					writes = append(writes, step)
				case 3:
					v, found, err := tx.Get(ctx, []byte(k))
					require.NoError(t, err)
					want, there := model[k]
					require.Equal(t, there, found)
					require.Equal(t, want, string(v))
				case 4:
					points = append(points, saved{tx.Savepoint(), slices.Clone(writes), maps.Clone(model)})
				case 5: // also to one that is past, which does nothing
					if n := len(points); n > 0 {
						to := points[rapid.IntRange(0, n-1).Draw(t, "point")]
						tx.RollbackTo(to.point)
						if n := len(to.writes); n <= len(writes) && slices.Equal(to.writes, writes[:n]) {
							model, writes = maps.Clone(to.model), slices.Clone(to.writes)
						}
					}
				case 6: // the second of the two fails, and takes the first with it
					err := tx.Do(app.KvSet([]byte(k), []byte("gone")), app.KvAddU64([]byte(k), 1, aedb.RejectMissing, aedb.RejectLimit))
					require.Error(t, err)
				case 7: // done at once, unlike the others
					require.NoError(t, tx.Do(aedb.If(app.KvSet([]byte(k), []byte("w")))))
					model[k], writes = "w", append(writes, step)
				}
			}
			return nil
		}))
		committed = model
		found := map[string]string{}
		for e, err := range app.KV().Scan(ctx, aedb.Range{}) {
			require.NoError(t, err)
			found[string(e.Key)] = string(e.Value)
		}
		require.Equal(t, committed, found)
	})
}

// What a transaction has put off or done at once makes no difference to what a
// savepoint is worth after going back to an earlier one.
func TestSavepointBehindAWriteThatWasTakenBackDoesNothing(t *testing.T) {
	app, ctx := openApp(t), t.Context()
	value := func(tx *aedb.Tx, key string) string {
		v, _, err := tx.Get(ctx, []byte(key))
		require.NoError(t, err)
		return string(v)
	}
	require.NoError(t, app.Update(ctx, func(tx *aedb.Tx) error {
		before := tx.Savepoint()
		require.NoError(t, tx.Set([]byte("a"), []byte("1")))
		putOff := tx.Savepoint()
		require.Equal(t, "1", value(tx, "a")) // by which it is done
		done := tx.Savepoint()
		tx.RollbackTo(putOff)
		tx.RollbackTo(done)
		require.Equal(t, "1", value(tx, "a"))

		tx.RollbackTo(before)
		require.NoError(t, tx.Set([]byte("b"), []byte("2")))
		tx.RollbackTo(putOff)
		require.Equal(t, "2", value(tx, "b"))
		tx.RollbackTo(done)
		require.Equal(t, "2", value(tx, "b"))

		// What a failure has written of its own goes, also where nothing else does.
		require.Error(t, tx.Do(aedb.If(app.KvSet([]byte("c"), nil)), app.KvAddU64([]byte("b"), 1, aedb.RejectMissing, aedb.RejectLimit)))
		_, found, err := tx.Get(ctx, []byte("c"))
		require.NoError(t, err)
		require.False(t, found)
		return nil
	}))
	require.Equal(t, "2", string(valueAt(t, app, "b")))
	require.False(t, has(t, app, "a"))
}
