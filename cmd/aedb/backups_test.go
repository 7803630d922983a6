package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
)

func TestBackupsAreTakenListedVerifiedAndRestored(t *testing.T) {
	dir, root := people(t), filepath.Join(t.TempDir(), "set")
	full := decoded[backupAnswer](t, "backup", "create", "--data-dir", dir, "--root", root)
	succeeds(t, "kv", "set", "a", "1", "--data-dir", dir)
	digest := decoded[aedb.VerifyReport](t, "verify", "--data-dir", dir)
	incr := decoded[backupAnswer](t, "backup", "incremental", "--data-dir", dir, "--root", root)
	require.Equal(t, full.ID, incr.Parent)

	set := tree(t, root)
	list := decoded[listingAnswer](t, "backup", "list", "--root", root)
	require.Equal(t, []backupAnswer{full, incr}, list.Backups)
	require.Contains(t, succeeds(t, "backup", "list", "--root", root), full.ID)
	require.True(t, decoded[verdictAnswer](t, "backup", "verify", "--root", root, "--rebuild").OK)
	require.Equal(t, set, tree(t, root), "reading a set leaves it as it is")

	end, start := filepath.Join(t.TempDir(), "end"), filepath.Join(t.TempDir(), "start")
	require.Equal(t, digest.Digest, decoded[restoreAnswer](t, "restore", "--root", root, "--data-dir", end).Digest)
	require.Equal(t, "1\n", succeeds(t, "kv", "get", "a", "--data-dir", end))
	r := decoded[restoreAnswer](t, "restore", "--root", root, "--data-dir", start, "--to-seq", fmt.Sprint(full.Seq))
	require.Equal(t, full.Seq, r.Seq)
	fails(t, exitFailed, "key_not_found", nil, "kv", "get", "a", "--data-dir", start)
	fails(t, exitFailed, "validation", []string{"not empty"}, "restore", "--root", root, "--data-dir", end)
	for _, at := range []string{"noon", "0001-01-01T00:00:00Z"} {
		fails(t, exitUsage, "usage", nil, "restore", "--root", root, "--data-dir", filepath.Join(t.TempDir(), "none"), "--to-time", at)
	}
	fails(t, exitFailed, "no_parent", nil, "backup", "incremental", "--data-dir", people(t), "--root", root)

	for _, path := range of(t, root, func(name string) bool { return strings.HasPrefix(name, full.ID) }) {
		flip(t, path)
	}
	requireFailure(t, run("backup", "verify", "--root", root), exitFailed, "check_failed")
	requireFailure(t, run("backup", "list", "--root", root), exitFailed, "check_failed")
}

func TestBackupsAreDeletedFromTheEndOfTheirChain(t *testing.T) {
	dir, root := people(t), filepath.Join(t.TempDir(), "set")
	full := decoded[backupAnswer](t, "backup", "create", "--data-dir", dir, "--root", root)
	succeeds(t, "kv", "set", "a", "1", "--data-dir", dir)
	incr := decoded[backupAnswer](t, "backup", "incremental", "--data-dir", dir, "--root", root)
	succeeds(t, "kv", "set", "a", "2", "--data-dir", dir)
	second := decoded[backupAnswer](t, "backup", "create", "--data-dir", dir, "--root", root)
	set := tree(t, root)
	fails(t, exitFailed, "validation", []string{incr.ID}, "backup", "delete", full.ID, "--root", root)
	fails(t, exitFailed, "no_backup", nil, "backup", "delete", second.ID, "full-1", "--root", root)
	fails(t, exitUsage, "usage", nil, "backup", "delete", "--root", root)
	fails(t, exitUnavailable, "unavailable", nil, "backup", "delete", full.ID, "--root", root+"2")
	require.Equal(t, set, tree(t, root), "refused whole")

	require.Equal(t, []string{incr.ID, full.ID}, decoded[deletionAnswer](t, "backup", "delete", incr.ID, full.ID, "--root", root).Deleted)
	require.Equal(t, []backupAnswer{second}, decoded[listingAnswer](t, "backup", "list", "--root", root).Backups)

	for _, path := range of(t, root, func(name string) bool {
		return strings.HasPrefix(name, second.ID) && strings.Contains(name, "manifest")
	}) {
		require.NoError(t, os.Remove(path))
	}
	require.NotEmpty(t, decoded[listingAnswer](t, "backup", "list", "--root", root).Unfinished)
	require.Contains(t, succeeds(t, "backup", "delete", "--unfinished", "--root", root), second.ID)
	left, err := os.ReadDir(root)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestBackupThatCannotBeRestoredIsNotFollowed(t *testing.T) {
	dir, root := people(t), filepath.Join(t.TempDir(), "set")
	full := decoded[backupAnswer](t, "backup", "create", "--data-dir", dir, "--root", root)
	succeeds(t, "kv", "set", "a", "1", "--data-dir", dir)
	incr := decoded[backupAnswer](t, "backup", "incremental", "--data-dir", dir, "--root", root)
	flip(t, filepath.Join(root, full.ID+".manifest"))
	set := tree(t, root)
	fails(t, exitFailed, "no_parent", []string{full.ID}, "backup", "incremental", "--data-dir", dir, "--root", root)
	fails(t, exitDamaged, "integrity_error", []string{full.ID}, "backup", "incremental", "--data-dir", dir, "--root", root, "--parent", incr.ID)
	require.Equal(t, set, tree(t, root))
	succeeds(t, "backup", "create", "--data-dir", dir, "--root", root)
	succeeds(t, "backup", "incremental", "--data-dir", dir, "--root", root)
	succeeds(t, "restore", "--root", root, "--data-dir", filepath.Join(t.TempDir(), "back"))
}

func TestBackupsOfAStoreWithKeysNeedThem(t *testing.T) {
	ring := file(t, "ring", "k "+strings.Repeat("cd", 32))
	dir, root := filepath.Join(t.TempDir(), "s"), filepath.Join(t.TempDir(), "set")
	succeeds(t, "kv", "set", "a", "1", "--data-dir", dir, "--key-file", ring, "--encrypt")
	succeeds(t, "backup", "create", "--data-dir", dir, "--root", root, "--key-file", ring, "--encrypt")
	require.True(t, decoded[verdictAnswer](t, "backup", "verify", "--root", root, "--key-file", ring, "--rebuild").OK)
	back := filepath.Join(t.TempDir(), "back")
	succeeds(t, "restore", "--root", root, "--data-dir", back, "--key-file", ring, "--encrypt")
	require.Equal(t, "1\n", succeeds(t, "kv", "get", "a", "--data-dir", back, "--key-file", ring))
}

func TestSetOfBackupsThatIsNotThereIsNotMade(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	fails(t, exitUnavailable, "unavailable", nil, "backup", "list", "--root", none)
	fails(t, exitUnavailable, "unavailable", nil, "backup", "verify", "--root", none)
	fails(t, exitUnavailable, "unavailable", nil, "restore", "--root", none, "--data-dir", none+"2")
	require.NoDirExists(t, none)
	require.NoDirExists(t, none+"2")
	for _, args := range [][]string{{"backup"}, {"backup", "list"}, {"backup", "create", "--data-dir", none}, {"restore", "--data-dir", none}} {
		fails(t, exitUsage, "usage", nil, args...)
	}
}
