package aedb_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// smallStore makes a closed store of a few commits and returns its digest.
func smallStore(t *testing.T, fsys vfs.FS, dir string) [32]byte {
	t.Helper()
	ctx, cfg := context.Background(), aedb.DefaultConfig()
	cfg.FS = fsys
	db, err := aedb.OpenNoAuth(dir, cfg)
	require.NoError(t, err)
	_, err = db.NoAuth().CreateProject(ctx, "p")
	require.NoError(t, err)
	app := db.NoAuth().Scope("p", "app")
	for _, key := range []string{"a", "b", "c"} {
		_, err = app.Commit(ctx, app.KvSet([]byte(key), []byte(key)))
		require.NoError(t, err)
	}
	_, digest, err := db.Digest(aedb.AtLatest)
	require.NoError(t, err)
	require.NoError(t, db.Close(ctx))
	return digest
}

func TestDumpOfAnOpenStoreIsThatOfAReader(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	smallStore(t, vfs.OS(), dir)
	db, err := aedb.OpenNoAuth(dir, aedb.DefaultConfig())
	require.NoError(t, err)
	defer db.Close(ctx)
	r, err := aedb.OpenReader(ctx, dir, aedb.DefaultConfig())
	require.NoError(t, err)
	defer r.Close()
	var own, others bytes.Buffer
	_, err = db.ExportDump(ctx, &own, aedb.AtLatest, nil)
	require.NoError(t, err)
	_, err = r.ExportDump(ctx, &others, aedb.AtLatest, nil)
	require.NoError(t, err)
	require.Equal(t, own.String(), others.String())
	violations, err := r.CheckInvariants(aedb.AtLatest)
	require.NoError(t, err)
	require.Empty(t, violations)
}

func TestImportThatFailsAtAnyCallLeavesNoStore(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	digest := smallStore(t, vfs.OS(), dir)
	r, err := aedb.OpenReader(ctx, dir, aedb.DefaultConfig())
	require.NoError(t, err)
	defer r.Close()
	var text bytes.Buffer
	_, err = r.ExportDump(ctx, &text, aedb.AtLatest, nil)
	require.NoError(t, err)
	for n := int64(0); ; n++ {
		fsys, calls := vfs.NewMem(), int64(0)
		fsys.SetInjector(func(vfs.Op) vfs.Fault {
			calls++
			if calls == n+1 {
				return vfs.Fault{Err: os.ErrInvalid}
			}
			return vfs.Fault{}
		})
		cfg := aedb.DefaultConfig()
		cfg.FS = fsys
		_, err := aedb.ImportDump(ctx, bytes.NewReader(text.Bytes()), "d", cfg, nil)
		fsys.SetInjector(nil)
		if err != nil {
			_, err = aedb.Verify(ctx, "d", cfg)
			require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err), "call %d: %v", n, err)
			if calls > n+1 { // and it can be done again
				_, err = aedb.ImportDump(ctx, bytes.NewReader(text.Bytes()), "d", cfg, nil)
				require.NoError(t, err, "call %d", n)
			}
			continue
		}
		db, err := aedb.OpenNoAuth("d", cfg)
		require.NoError(t, err)
		_, back, err := db.Digest(aedb.AtLatest)
		require.NoError(t, err)
		require.Equal(t, digest, back)
		require.NoError(t, db.Close(ctx))
		if calls <= n {
			return
		}
	}
}

func TestVerifyAndSalvageOfADirectoryWithoutAStore(t *testing.T) {
	ctx, none := context.Background(), filepath.Join(t.TempDir(), "none")
	_, err := aedb.Verify(ctx, none, aedb.DefaultConfig())
	require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err), "%v", err)
	_, err = aedb.Salvage(ctx, none, filepath.Join(t.TempDir(), "out"), aedb.DefaultConfig(), 0)
	require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err), "%v", err)
	_, err = aedb.Verify(ctx, "", aedb.DefaultConfig())
	require.Equal(t, errs.CodeValidation, errs.CodeOf(err))
	require.NoDirExists(t, none)
}

func TestEndedContextEndsAVerification(t *testing.T) {
	dir := t.TempDir()
	smallStore(t, vfs.OS(), dir)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := aedb.Verify(ctx, dir, aedb.DefaultConfig())
	require.Equal(t, errs.CodeCanceled, errs.CodeOf(err), "%v", err)
}
