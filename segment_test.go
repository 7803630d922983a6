package aedb_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// finished returns the last commit in the segments of a store that have a successor:
// what is there for somebody who ships the log as files.
func finished(t *testing.T, disk *vfs.Mem) (segments int, last uint64) {
	t.Helper()
	numbers, err := wal.ListSegments(disk, "store")
	require.NoError(t, err)
	for _, number := range numbers[:len(numbers)-1] {
		data, err := disk.ReadFile("store/" + wal.SegmentName(number))
		require.NoError(t, err)
		_, end, err := wal.Scan(data, func(wal.Frame) error { return nil })
		require.NoError(t, err)
		require.Equal(t, len(data), end.Offset)
		last = end.NextSeq - 1
	}
	return len(numbers) - 1, last
}

func TestStoreThatIsRarelyWrittenFinishesItsSegments(t *testing.T) {
	for _, mode := range []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, disk := context.Background(), vfs.NewMem()
				cfg := readerConfig(disk)
				cfg.Durability, cfg.SegmentBytes, cfg.SegmentAge = mode, 1<<20, time.Minute
				db, err := aedb.OpenNoAuth("store", cfg)
				require.NoError(t, err)
				_, err = db.NoAuth().CreateProject(ctx, "p")
				require.NoError(t, err)
				app := db.NoAuth().Scope("p", "app")
				for i := range 3 {
					time.Sleep(47 * time.Minute)
					synctest.Wait()
					before, _ := finished(t, disk)
					_, err = app.Commit(ctx, app.KvSet([]byte{byte(i)}, nil))
					require.NoError(t, err)
					time.Sleep(cfg.SegmentAge)
					synctest.Wait()
					after, last := finished(t, disk)
					require.Equal(t, before+1, after)
					require.Equal(t, db.Heads().VisibleSeq, last)
				}
				segments, _ := finished(t, disk)
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				idle, _ := finished(t, disk)
				require.Equal(t, segments, idle, "who does not write makes no segments")
				for _, fate := range []vfs.Fate{vfs.AllKept(), vfs.AllLost()} {
					cfg.FS = disk.Clone(fate)
					found, err := aedb.OpenNoAuth("store", cfg)
					require.NoError(t, err)
					require.Equal(t, db.Heads().VisibleSeq, found.Heads().VisibleSeq, "nothing stands in the active segment")
					require.Empty(t, found.Recovery().Warnings)
					require.NoError(t, found.Close(ctx))
				}

				_, err = app.Commit(ctx, app.KvSet([]byte("k"), nil))
				require.NoError(t, err)
				seq, digest, err := db.Digest(aedb.AtLatest)
				require.NoError(t, err)
				crashed := disk.Clone(vfs.AllKept())
				require.NoError(t, db.Close(ctx))

				// What a killed process has left comes of age in the next one.
				cfg.FS = crashed
				db, err = aedb.OpenNoAuth("store", cfg)
				require.NoError(t, err)
				gotSeq, got, err := db.Digest(aedb.AtLatest)
				require.NoError(t, err)
				require.Equal(t, seq, gotSeq)
				require.Equal(t, digest, got)
				time.Sleep(cfg.SegmentAge)
				synctest.Wait()
				_, last := finished(t, crashed)
				require.Equal(t, seq, last)
				require.NoError(t, db.Close(ctx))
			})
		})
	}
}

func TestSegmentIsNotSealedForItsAgeOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const roomy = 1 << 30
		ctx, disk := context.Background(), vfs.NewMem()
		disk.SetCapacity(roomy)
		cfg := readerConfig(disk)
		cfg.SegmentBytes, cfg.SegmentAge, cfg.DiskReserve = 1<<20, time.Minute, 1<<20
		db, err := aedb.OpenNoAuth("store", cfg)
		require.NoError(t, err)
		_, err = db.NoAuth().CreateProject(ctx, "p")
		require.NoError(t, err)
		free, err := disk.Free("store")
		require.NoError(t, err)
		disk.SetCapacity(roomy - free)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		segments, _ := finished(t, disk)
		require.Zero(t, segments)
		require.NoError(t, db.Err())

		disk.SetCapacity(roomy)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		segments, _ = finished(t, disk)
		require.Equal(t, 1, segments)
		require.NoError(t, db.Close(ctx))
	})
}
