package aedb_test

import (
	"context"
	"log/slog"
	"maps"
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
			point aedb.Savepoint
			model map[string]string
		}
		require.NoError(t, app.Update(ctx, func(tx *aedb.Tx) error {
			var points []saved
			for range rapid.IntRange(1, 20).Draw(t, "steps") {
				switch k := key(); rapid.IntRange(0, 6).Draw(t, "step") {
				case 0, 1:
					v := rapid.StringMatching("[xyz]{0,3}").Draw(t, "value")
					require.NoError(t, tx.Set([]byte(k), []byte(v)))
					model[k] = v
				case 2:
					require.NoError(t, tx.Unset([]byte(k)))
					delete(model, k)
				case 3:
					v, found, err := tx.Get(ctx, []byte(k))
					require.NoError(t, err)
					want, there := model[k]
					require.Equal(t, there, found)
					require.Equal(t, want, string(v))
				case 4:
					points = append(points, saved{tx.Savepoint(), maps.Clone(model)})
				case 5:
					if n := len(points); n > 0 {
						at := rapid.IntRange(0, n-1).Draw(t, "point")
						tx.RollbackTo(points[at].point)
						model, points = maps.Clone(points[at].model), points[:at+1]
					}
				case 6: // the second of the two fails, and takes the first with it
					err := tx.Do(app.KvSet([]byte(k), []byte("gone")), app.KvAddU64([]byte(k), 1, aedb.RejectMissing, aedb.RejectLimit))
					require.Error(t, err)
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
