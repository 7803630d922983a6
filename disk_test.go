package aedb_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestWritesAreRefusedWhileTheDiskIsBelowTheReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		const roomy = 1 << 30
		disk := vfs.NewMem()
		disk.SetCapacity(roomy)
		cfg := readerConfig(disk)
		cfg.DiskReserve = 1 << 20
		db, err := aedb.OpenNoAuth("store", cfg)
		require.NoError(t, err)
		_, err = db.NoAuth().CreateProject(ctx, "p")
		require.NoError(t, err)
		app := db.NoAuth().Scope("p", "app")
		_, err = app.Commit(ctx, app.KvSet([]byte("k"), []byte("v")))
		require.NoError(t, err)
		require.Equal(t, aedb.HealthOK, db.Health().State)
		require.False(t, db.Health().LastSync.IsZero())

		free, err := disk.Free("store")
		require.NoError(t, err)
		disk.SetCapacity(roomy - free + cfg.DiskReserve/2)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		seq, appends := db.Heads().VisibleSeq, db.OperationalMetrics().WALAppendBytes
		_, err = app.Commit(ctx, app.KvSet([]byte("k"), []byte("w")))
		require.ErrorIs(t, err, aedb.ErrResourceExhausted)
		var refused *aedb.Error
		require.ErrorAs(t, err, &refused)
		require.True(t, refused.IsRetryable())
		require.Equal(t, "DiskReserve", refused.Limit)
		require.Equal(t, cfg.DiskReserve, refused.Max)
		require.Equal(t, seq, db.Heads().VisibleSeq)
		require.Equal(t, appends, db.OperationalMetrics().WALAppendBytes, "it has come to the log")
		require.NoError(t, db.Err(), "the pipeline is whole")

		// Reads, flushes and checkpoints go on.
		_, ok, err := app.KV().Get(ctx, []byte("k"))
		require.NoError(t, err)
		require.True(t, ok)
		_, err = db.Flush(ctx)
		require.NoError(t, err)
		_, err = db.Checkpoint(ctx)
		require.NoError(t, err)

		h := db.Health()
		require.Equal(t, aedb.HealthDegraded, h.State)
		require.True(t, h.WritesRefused)
		require.ErrorIs(t, h.Cause, aedb.ErrResourceExhausted)
		require.Less(t, h.DiskFree, cfg.DiskReserve)
		require.True(t, db.OperationalMetrics().WritesRefused)
		text, err := json.Marshal(h)
		require.NoError(t, err)
		require.Contains(t, string(text), `"state":"degraded","reason":"resource_exhausted: the disk has`)

		disk.SetCapacity(roomy)
		time.Sleep(time.Second)
		synctest.Wait()
		_, err = app.Commit(ctx, app.KvSet([]byte("k"), []byte("w")))
		require.NoError(t, err)
		require.Equal(t, aedb.HealthOK, db.Health().State)

		require.NoError(t, db.Close(ctx))
		require.Equal(t, aedb.HealthClosed, db.Health().State)
	})
}

func TestStoreOpenedOnAFullDiskDoesNotBeginWithAWrite(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx := context.Background()
	disk := vfs.NewMem()
	cfg := readerConfig(disk)
	db, err := aedb.OpenNoAuth("store", cfg)
	require.NoError(t, err)
	require.NoError(t, db.Close(ctx))
	disk.SetCapacity(4 << 20)
	cfg.DiskReserve = 8 << 20
	db, err = aedb.OpenNoAuth("store", cfg)
	require.NoError(t, err)
	_, err = db.NoAuth().CreateProject(ctx, "p")
	require.ErrorIs(t, err, aedb.ErrResourceExhausted)
	require.NoError(t, db.Close(ctx))
}

func TestHealthTellsOfCheckpointsAndABreakdown(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx := context.Background()
	disk := vfs.NewMem()
	cfg := readerConfig(disk)
	cfg.DiskReserve = 0
	db, err := aedb.OpenNoAuth("store", cfg)
	require.NoError(t, err)
	_, err = db.NoAuth().CreateProject(ctx, "p")
	require.NoError(t, err)
	require.Zero(t, db.Health().CheckpointAge)
	require.Equal(t, int64(-1), db.Health().DiskFree)

	fail := func(kind vfs.OpKind) {
		disk.SetInjector(func(op vfs.Op) vfs.Fault {
			if op.Kind == kind {
				return vfs.Fault{Err: context.DeadlineExceeded}
			}
			return vfs.Fault{}
		})
	}
	fail(vfs.OpCreate)
	_, err = db.Checkpoint(ctx)
	require.Error(t, err)
	h := db.Health()
	require.Equal(t, aedb.HealthDegraded, h.State)
	require.ErrorContains(t, h.Cause, "the last checkpoint failed")
	require.Equal(t, uint64(1), h.CheckpointFailures)

	disk.SetInjector(nil)
	seq, err := db.Checkpoint(ctx)
	require.NoError(t, err)
	h = db.Health()
	require.Equal(t, aedb.HealthOK, h.State)
	require.Equal(t, seq, h.CheckpointSeq)
	require.Positive(t, h.CheckpointAge)

	fail(vfs.OpSync)
	app := db.NoAuth().Scope("p", "app")
	_, err = app.Commit(ctx, app.KvSet([]byte("k"), nil))
	require.Error(t, err)
	h = db.Health()
	require.Equal(t, aedb.HealthPoisoned, h.State)
	require.NotEmpty(t, h.Reason)
	disk.SetInjector(nil)
	require.Error(t, db.Close(ctx))
}
