// Package backup takes backups of running stores, restores them, and damages and
// interrupts both: what comes back is the state that was recorded while the store
// ran, byte for byte, or an error and nothing.
//
// Stores and their backups live in simulated file systems. Every random choice
// hangs on a seed, which AEDB_SEED changes.
package backup

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dir is where stores live within their file system.
const dir = "store"

var ctx = context.Background()

func baseSeed(t testing.TB) uint64 {
	seed := uint64(1)
	if s := os.Getenv("AEDB_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		seed = n
	}
	t.Logf("AEDB_SEED=%d", seed)
	return seed
}

// config returns that of a small store, whose log is cut into many segments and of
// which every recent state can be read.
func config(fsys vfs.FS) aedb.Config {
	cfg := aedb.DefaultConfig()
	cfg.FS, cfg.Logger = fsys, slog.New(slog.DiscardHandler)
	cfg.SegmentBytes = 4 << 10
	cfg.Checkpoint.OnClose = false
	cfg.Reads.HistoryCommits = 1 << 16
	return cfg
}

func openWith(t testing.TB, cfg aedb.Config) *aedb.DB {
	t.Helper()
	db, err := aedb.OpenNoAuth(dir, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(ctx) })
	return db
}

func open(t testing.TB, fsys vfs.FS) *aedb.DB {
	t.Helper()
	return openWith(t, config(fsys))
}

func scope(db *aedb.DB) *aedb.Scope { return db.NoAuth().Scope("p", "app") }

// create makes the project of a new store.
func create(t testing.TB, db *aedb.DB) {
	t.Helper()
	if db.Heads().VisibleSeq == 0 {
		_, err := db.NoAuth().CreateProject(ctx, "p")
		require.NoError(t, err)
	}
}

// put commits one pair and returns the commit.
func put(t testing.TB, db *aedb.DB, key, value string) uint64 {
	t.Helper()
	create(t, db)
	s := scope(db)
	r, err := s.Commit(ctx, s.KvSet([]byte(key), []byte(value)))
	require.NoError(t, err)
	return r.CommitSeq
}

// putMany commits n pairs, one by one.
func putMany(t testing.TB, db *aedb.DB, n int) {
	t.Helper()
	for i := range n {
		head := db.Heads().VisibleSeq
		put(t, db, fmt.Sprintf("key-%d", (head*7)%50), fmt.Sprintf("value-%d-%d-%s", head, i, bytes.Repeat([]byte{'x'}, int(head%200))))
	}
}

func digest(t testing.TB, db *aedb.DB) (uint64, [32]byte) {
	t.Helper()
	seq, d, err := db.Digest(aedb.AtLatest)
	require.NoError(t, err)
	return seq, d
}

// restored restores into a new file system and opens what that makes.
func restored(t testing.TB, from backup.Store, o aedb.RestoreOptions) (*aedb.DB, aedb.RestoreReport) {
	t.Helper()
	fsys := vfs.NewMem()
	o.FS = fsys
	report, err := aedb.Restore(ctx, from, dir, o)
	require.NoError(t, err)
	db := open(t, fsys)
	seq, d := digest(t, db)
	require.Equal(t, report.Seq, seq)
	require.Equal(t, report.Digest, d)
	return db, report
}

func seqTarget(seq uint64) aedb.RestoreOptions {
	return aedb.RestoreOptions{Target: backup.Target{Seq: &seq}}
}

func ring(t testing.TB, id string) *keys.Ring {
	t.Helper()
	r, err := keys.NewRing(keys.Key{ID: id, Secret: bytes.Repeat([]byte(id[:1]), 32)})
	require.NoError(t, err)
	return r
}

// content returns the bytes of an object.
func content(t testing.TB, from backup.Store, name string) []byte {
	t.Helper()
	in, err := from.Get(ctx, name)
	require.NoError(t, err)
	defer in.Close()
	data, err := io.ReadAll(in)
	require.NoError(t, err)
	return data
}

// copied returns a store with the same objects, of which change may replace the
// content of each; nil leaves one out.
func copied(t testing.TB, from backup.Store, change func(name string, data []byte) []byte) *backup.Memory {
	t.Helper()
	to := &backup.Memory{}
	names, err := from.List(ctx)
	require.NoError(t, err)
	for _, name := range names {
		data := bytes.Clone(content(t, from, name))
		if change != nil {
			data = change(name, data)
		}
		if data != nil {
			require.NoError(t, to.Put(ctx, name, bytes.NewReader(data)))
		}
	}
	return to
}

func full(t testing.TB, db *aedb.DB, to backup.Sink, o aedb.BackupOptions) backup.Manifest {
	t.Helper()
	m, err := db.BackupFull(ctx, to, o)
	require.NoError(t, err)
	return m
}

func incremental(t testing.TB, db *aedb.DB, to backup.Sink, parent backup.Manifest, o aedb.BackupOptions) backup.Manifest {
	t.Helper()
	m, err := db.BackupIncremental(ctx, to, parent, o)
	require.NoError(t, err)
	return m
}

// keepLog is more log than any test writes.
const keepLog = 1 << 30

func manualClock() *vfs.ManualClock {
	return vfs.NewManualClock(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), 0)
}
