package backup

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/vfs"
)

// Much log is several objects; a restore to a commit within reads them up to that.
func TestLargeIncrementIsInPieces(t *testing.T) {
	db := openWith(t, small(vfs.NewMem()))
	put(t, db, "first", "1")
	o := aedb.BackupOptions{Options: backup.Options{Keys: ring(t, "key"), Seal: true}, KeepLog: keepLog}
	var set backup.Memory
	m := full(t, db, &set, o)
	digests := map[uint64][32]byte{}
	for i := range 40 {
		seq := put(t, db, string(rune('a'+i%7)), string(bytes.Repeat([]byte{byte(i)}, 1<<20)))
		_, digests[seq] = digest(t, db)
	}
	var told []backup.Progress
	o.OnProgress = func(p backup.Progress) { told = append(told, p) }
	m = incremental(t, db, &set, m, o)
	require.Len(t, m.Objects, 3)
	require.Equal(t, backup.Progress{Phase: backup.WriteLog, Backup: m.ID, Done: 40, Total: 40}, told[len(told)-1])
	for _, object := range m.Objects {
		for _, seq := range []uint64{object.FirstSeq, object.LastSeq} {
			target := seqTarget(seq)
			target.Options = backup.Options{Keys: o.Keys}
			_, report := restored(t, &set, target)
			require.Equal(t, digests[seq], report.Digest)
		}
	}
	plan, err := backup.MakePlan(ctx, &set, backup.Target{Seq: &m.Objects[0].LastSeq}, backup.Options{Keys: o.Keys})
	require.NoError(t, err)
	require.Less(t, plan.Bytes, m.Objects[0].Size+m.Objects[1].Size)
}

func TestBackupsOnTheDiskOfTheMachine(t *testing.T) {
	fsys, root := vfs.OS(), t.TempDir()
	cfg := config(fsys)
	db, err := aedb.OpenNoAuth(filepath.Join(root, "store"), cfg)
	require.NoError(t, err)
	putMany(t, db, 30)
	set, err := backup.OpenDirectory(fsys, filepath.Join(root, "backups"))
	require.NoError(t, err)
	m := full(t, db, set, aedb.BackupOptions{KeepLog: keepLog})
	putMany(t, db, 30)
	incremental(t, db, set, m, aedb.BackupOptions{})
	_, state := digest(t, db)
	require.NoError(t, db.Close(ctx))

	into := filepath.Join(root, "restored")
	report, err := aedb.Restore(ctx, set, into, aedb.RestoreOptions{})
	require.NoError(t, err)
	require.Equal(t, state, report.Digest)
	again, err := aedb.OpenNoAuth(into, cfg)
	require.NoError(t, err)
	_, got := digest(t, again)
	require.Equal(t, state, got)
	require.NoError(t, again.Close(ctx))
}
