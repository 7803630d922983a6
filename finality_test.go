package aedb_test

import (
	"log/slog"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// TestAnAcknowledgementPromisesWhatTheTableSays proves each row of the table in
// docs/configuration.md: that what it says is kept is there, whatever the power cut
// leaves of unsynced writes, and that what may be lost can be.
func TestAnAcknowledgementPromisesWhatTheTableSays(t *testing.T) {
	page, err := os.ReadFile("docs/configuration.md")
	require.NoError(t, err)
	rows := regexp.MustCompile(`(?m)^\| (Full|Batch|OsBuffered) \| (Standard|Economic|Volatile) \| (Visible|Durable) \| (kept|may be lost) \| (kept|may be lost) \|$`).
		FindAllStringSubmatch(string(page), -1)
	seen := map[[3]string]bool{}
	for _, row := range rows {
		seen[[3]string(row[1:4])] = true
		t.Run(row[1]+"/"+row[2]+"/"+row[3], func(t *testing.T) {
			provePromise(t, row[1], row[2], row[3], row[4] == "kept", row[5] == "kept")
		})
	}
	require.Len(t, seen, 3*3*2, "the table has every case")
}

func provePromise(t *testing.T, mode, class, finality string, keptByKill, keptByPowerCut bool) {
	ctx := t.Context()
	cfg := aedb.DefaultConfig()
	disk := vfs.NewMem()
	cfg.FS, cfg.Logger = disk, slog.New(slog.DiscardHandler)
	cfg.Durability = map[string]aedb.Durability{"Full": aedb.Full, "Batch": aedb.Batch, "OsBuffered": aedb.OsBuffered}[mode]
	cfg.BatchInterval = 50 * time.Millisecond
	if finality == "Visible" {
		cfg.BatchInterval = time.Hour // so that nothing is synced but by what is promised
	}
	db, app := openWith(t, cfg)
	_, err := db.Flush(ctx)
	require.NoError(t, err)
	commit(t, app, app.KvSet([]byte("before"), nil))
	env := envelope(app.KvSet([]byte("acknowledged"), nil))
	env.WriteClass = map[string]aedb.WriteClass{"Standard": aedb.Standard, "Economic": aedb.Economic, "Volatile": aedb.Volatile}[class]
	result, err := app.CommitEnvelope(ctx, env, map[string]aedb.Finality{"Visible": aedb.Visible, "Durable": aedb.Durable}[finality])
	require.NoError(t, err)
	killed, cut := disk.Clone(vfs.AllKept()), []*vfs.Mem{disk.Clone(vfs.AllLost())}
	for seed := range uint64(10) {
		cut = append(cut, disk.Clone(vfs.RandomBlocks(seed, 50)), disk.Clone(vfs.MixedSectors(seed, 50)), disk.Clone(vfs.TornLastWrite(seed)))
	}
	require.NoError(t, db.Close(ctx))
	require.Equal(t, keptByPowerCut, result.DurableSeq >= result.CommitSeq, "and the result says so")

	left := func(disk *vfs.Mem) (before, acknowledged bool) {
		cfg := cfg
		cfg.FS = disk
		db, err := aedb.OpenNoAuth("store", cfg)
		require.NoError(t, err)
		kv := db.NoAuth().Scope("p", "app").KV()
		_, before, err = kv.Get(ctx, []byte("before"))
		require.NoError(t, err)
		_, acknowledged, err = kv.Get(ctx, []byte("acknowledged"))
		require.NoError(t, err)
		require.NoError(t, db.Close(ctx))
		return before, acknowledged
	}
	_, acknowledged := left(killed)
	require.Equal(t, keptByKill, acknowledged, "after the process was killed")
	lost := 0
	for _, disk := range cut {
		before, acknowledged := left(disk)
		require.True(t, before || !acknowledged, "what is lost is the end of history")
		if !acknowledged {
			lost++
		}
	}
	require.Equal(t, keptByPowerCut, lost == 0, "%d of %d power cuts lost it", lost, len(cut))
}
