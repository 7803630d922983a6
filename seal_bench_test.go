package aedb_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
)

// BenchmarkSealedCommit is one KvSet of 100 bytes, acknowledged when the system has
// it, by one caller and by 64: what keys cost a commit.
func BenchmarkSealedCommit(b *testing.B) {
	ring := []aedb.Key{{ID: "k1", Secret: []byte("a secret of at least 32 bytes, for tests")}}
	for _, way := range []struct {
		name string
		keys aedb.KeyConfig
	}{
		{"none", aedb.KeyConfig{}},
		{"authenticated", aedb.KeyConfig{Ring: ring}},
		{"encrypted", aedb.KeyConfig{Ring: ring, Encrypt: true}},
	} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", way.name, callers), func(b *testing.B) {
				ctx := context.Background()
				cfg := aedb.DefaultConfig()
				cfg.Durability, cfg.Keys = aedb.OsBuffered, way.keys
				db, err := aedb.OpenNoAuth(b.TempDir(), cfg)
				require.NoError(b, err)
				_, err = db.NoAuth().CreateProject(ctx, "bench")
				require.NoError(b, err)
				app := db.NoAuth().Scope("bench", "app")
				value := make([]byte, 100)
				var left atomic.Int64
				left.Store(int64(b.N))
				b.ReportAllocs()
				b.ResetTimer()
				var all sync.WaitGroup
				for range callers {
					all.Go(func() {
						for n := left.Add(-1); n >= 0; n = left.Add(-1) {
							key := binary.BigEndian.AppendUint64(nil, uint64(scatter(int(n), 100_000)))
							if _, err := app.Commit(ctx, app.KvSet(key, value)); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
				b.StopTimer()
				require.NoError(b, db.Close(ctx))
			})
		}
	}
}
