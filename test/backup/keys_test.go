package backup

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/vfs"
)

// contains tells whether any file of a file system has the bytes.
func contains(t testing.TB, fsys *vfs.Mem, what string) bool {
	t.Helper()
	for _, name := range fsys.Names() {
		data, err := fsys.ReadFile(name)
		require.NoError(t, err)
		if bytes.Contains(data, []byte(what)) {
			return true
		}
	}
	return false
}

// An encrypted store has encrypted backups, over its log too, and is restored into
// an encrypted store that is never readable on its way.
func TestEncryptedStoreIsBackedUpAndRestoredEncrypted(t *testing.T) {
	storeKeys := aedb.KeyConfig{Ring: []aedb.Key{{ID: "store", Secret: bytes.Repeat([]byte("k"), 32)}}, Encrypt: true}
	cfg := small(vfs.NewMem())
	cfg.Keys = storeKeys
	db := openWith(t, cfg)
	putMany(t, db, 30)
	put(t, db, "secret", "plainly-readable-text")
	disk := vfs.NewMem()
	set, err := backup.OpenDirectory(disk, "backups")
	require.NoError(t, err)
	m := full(t, db, set, aedb.BackupOptions{KeepLog: keepLog})
	checkpoints(t, db, 4)
	put(t, db, "secret", "plainly-readable-text, again")
	m = incremental(t, db, set, m, aedb.BackupOptions{KeepLog: keepLog})
	require.True(t, m.Sealed)
	require.False(t, contains(t, disk, "plainly-readable"))
	_, state := digest(t, db)

	_, err = aedb.Restore(ctx, set, dir, aedb.RestoreOptions{FS: vfs.NewMem()})
	require.ErrorIs(t, err, errs.ErrUnavailable, "it takes the keys")
	_, err = aedb.Restore(ctx, set, dir, aedb.RestoreOptions{Options: backup.Options{Keys: ring(t, "store")}, FS: vfs.NewMem()})
	require.ErrorIs(t, err, errs.ErrIntegrity, "it takes that very secret")

	fsys := vfs.NewMem()
	leaked := false
	right, err := keys.NewRing(storeKeys.Ring...)
	require.NoError(t, err)
	report, err := aedb.Restore(ctx, set, dir, aedb.RestoreOptions{
		Options:   backup.Options{Keys: right, OnProgress: func(backup.Progress) { leaked = leaked || contains(t, fsys, "plainly-readable") }},
		StoreKeys: storeKeys, FS: fsys,
	})
	require.NoError(t, err)
	require.False(t, leaked)
	require.False(t, contains(t, fsys, "plainly-readable"))
	require.Equal(t, state, report.Digest)
	cfg = config(fsys)
	_, err = aedb.OpenNoAuth(dir, cfg)
	require.Error(t, err, "it has keys")
	cfg.Keys = storeKeys
	again := openWith(t, cfg)
	_, got := digest(t, again)
	require.Equal(t, state, got)

	// The archive of such a store is protected as well.
	archived := vfs.NewMem()
	to, err := backup.OpenDirectory(archived, "archive")
	require.NoError(t, err)
	a := archive(t, db, to, rarely())
	put(t, db, "secret", "plainly-readable-text, archived")
	require.NoError(t, a.Close(ctx))
	require.False(t, contains(t, archived, "plainly-readable"))
}
