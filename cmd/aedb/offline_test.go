package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/verification"
	"github.com/empyrealapp/aedb-go/wal"
)

// lively makes a store with a table, keys, events, and two checkpoints with log behind
// each, the last of it in segments of their own.
func lively(t *testing.T) (dir string) {
	t.Helper()
	dir = people(t)
	for round := range 3 {
		inStoreWith(t, dir, func(ctx context.Context, db *aedb.DB) {
			app := db.NoAuth().Scope("demo", "app")
			for i := range 20 {
				key := fmt.Sprintf("k%d/%02d", round, i)
				_, err := app.Commit(ctx, app.KvSet([]byte(key), []byte("v")), app.EmitEvent("news", key, `{"n":1}`))
				require.NoError(t, err)
			}
			if round < 2 {
				_, err := db.Checkpoint(ctx)
				require.NoError(t, err)
			}
		})
	}
	return dir
}

// inStoreWith opens a store without checkpoints of its own accord.
func inStoreWith(t *testing.T, dir string, use func(context.Context, *aedb.DB)) {
	t.Helper()
	cfg := aedb.DefaultConfig()
	cfg.Checkpoint.OnClose = false
	db, err := aedb.OpenNoAuth(dir, cfg)
	require.NoError(t, err)
	use(context.Background(), db)
	require.NoError(t, db.Close(context.Background()))
}

// tree sums up a directory: names, modes, times and contents.
func tree(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		fmt.Fprintln(sum, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		if !d.IsDir() {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			sum.Write(content)
		}
		return nil
	}))
	return hex.EncodeToString(sum.Sum(nil))
}

// decoded runs a verb with --json and decodes its answer.
func decoded[T any](t *testing.T, args ...string) (answer T) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(succeeds(t, append(args, "--json")...)), &answer))
	return answer
}

func TestReadingVerbsLeaveTheDirectoryAsItIs(t *testing.T) {
	dir := lively(t)
	succeeds(t, "kv", "set", "a", "1", "--data-dir", dir)
	exported := filepath.Join(t.TempDir(), "d.jsonl")
	succeeds(t, "dump", "export", "--data-dir", dir, "--out", exported)
	runAll := func(t *testing.T) {
		before := tree(t, dir)
		for _, args := range readers {
			args = append([]string{}, args...)
			for i := range args {
				switch {
				case args[i] == "none.jsonl" && args[1] == "export":
					args[i] = filepath.Join(t.TempDir(), "again.jsonl")
				case args[i] == "none.jsonl":
					args[i] = exported
				}
			}
			succeeds(t, append(args, "--data-dir", dir)...)
			require.Equal(t, before, tree(t, dir), "%v", args)
		}
		succeeds(t, "repair", "--data-dir", dir, "--out", filepath.Join(t.TempDir(), "saved"))
		require.Equal(t, before, tree(t, dir))
	}
	t.Run("of a store at rest", runAll)
	inStoreWith(t, dir, func(ctx context.Context, db *aedb.DB) {
		t.Run("of a store that is open elsewhere", runAll)
	})
}

func TestVerbsReadAStoreThatIsBeingWritten(t *testing.T) {
	dir := lively(t)
	inStoreWith(t, dir, func(ctx context.Context, db *aedb.DB) {
		ctx, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		due := make(chan struct{}, 6) // checkpoints, each in the midst of a verb
		go func() {
			app := db.NoAuth().Scope("demo", "app")
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := app.Commit(context.Background(), app.KvSet([]byte(fmt.Sprint("live", i)), make([]byte, 100))); err != nil {
					done <- err
					return
				}
				select {
				case <-due:
					if _, err := db.Checkpoint(context.Background()); err != nil {
						done <- err
						return
					}
				default:
				}
			}
			done <- nil
		}()
		for range 3 {
			due <- struct{}{}
			report := decoded[aedb.VerifyReport](t, "verify", "--data-dir", dir)
			require.True(t, report.OK)
			due <- struct{}{}
			succeeds(t, "check", "invariants", "--data-dir", dir)
			succeeds(t, "scan-kv", "--data-dir", dir, "--limit", "5")
			out := filepath.Join(t.TempDir(), "d.jsonl.zst")
			exported := decoded[dumpAnswer](t, "dump", "export", "--data-dir", dir, "--out", out)
			made := filepath.Join(t.TempDir(), "made")
			require.Equal(t, exported, decoded[dumpAnswer](t, "dump", "import", "--data-dir", made, "--dump", out))
			succeeds(t, "dump", "parity", "--data-dir", made, "--dump", out)
		}
		stop()
		require.NoError(t, <-done)
	})
}

func TestExplorerVerbsPrintForPeopleAndForPrograms(t *testing.T) {
	dir := lively(t)
	has := func(args []string, words ...string) {
		t.Helper()
		out := succeeds(t, append(args, "--data-dir", dir)...)
		for _, w := range words {
			require.Contains(t, out, w)
		}
	}
	has([]string{"projects"}, "demo", "_system")
	has([]string{"scopes"}, "│ app   │      1 │   60 │")
	has([]string{"tables"}, "│ people │       3 │       1 │    3 │")
	has([]string{"describe", "--table", "people"}, "demo.app.people: 3 rows, primary key id", "key 1", "idx_name")
	has([]string{"scan", "--table", "people", "--limit", "2"}, "│ 2  │ Bob  │ null │", "2 rows of seq", "; more follow")
	has([]string{"scan-table", "--table", "people", "--where", "age > 40", "--columns", "id"}, "1 rows of seq")
	has([]string{"scan-kv", "--limit", "1"}, "6b302f3030", "cursor 6b302f3030")
	has([]string{"events", "--limit", "2"}, "k2/19", "k2/18")
	has([]string{"health"}, "state         ok")

	a := decoded[rowsAnswer](t, "events", "--data-dir", dir, "--topic", "news", "--key", "k1/07")
	require.Equal(t, 1, a.Returned)
	require.Zero(t, decoded[rowsAnswer](t, "events", "--data-dir", dir, "--topic", "none").Returned)
	require.Zero(t, decoded[rowsAnswer](t, "events", "--data-dir", people(t)).Returned, "no event was ever emitted")

	var keys []string
	for cursor := ""; ; {
		page := decoded[keysAnswer](t, "scan-kv", "--data-dir", dir, "--prefix-hex", "6b31", "--limit", "7", "--cursor", cursor)
		for _, e := range page.Entries {
			keys = append(keys, e.Key)
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	require.Len(t, keys, 20)
	require.IsIncreasing(t, keys)
}

func TestVerifyFindsEveryKindOfDamage(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		check  string
	}{
		"older checkpoint":  {func(t *testing.T, dir string) { flip(t, first(t, dir, isCheckpoint)) }, verification.CheckCheckpoints},
		"newest checkpoint": {func(t *testing.T, dir string) { flip(t, last(t, dir, isCheckpoint)) }, verification.CheckRecovery},
		"newest manifest":   {func(t *testing.T, dir string) { flip(t, last(t, dir, isManifest)) }, verification.CheckManifests},
		"last segment":      {func(t *testing.T, dir string) { flip(t, last(t, dir, isSegment)) }, verification.CheckRecovery},
		"first segment":     {func(t *testing.T, dir string) { flip(t, first(t, dir, isSegment)) }, verification.CheckSegments},
		"missing segment": {func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(last(t, dir, isSegment)))
		}, verification.CheckRecovery},
		"cut segment": {func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(last(t, dir, isSegment), 500))
		}, verification.CheckRecovery},
	} {
		t.Run(name, func(t *testing.T) {
			dir := lively(t)
			require.True(t, decoded[aedb.VerifyReport](t, "verify", "--data-dir", dir).OK)
			c.damage(t, dir)
			before := tree(t, dir)
			o := run("verify", "--data-dir", dir, "--json")
			requireFailure(t, o, exitFailed, "check_failed")
			var report aedb.VerifyReport
			require.NoError(t, json.Unmarshal([]byte(o.stdout), &report))
			require.False(t, report.OK)
			require.NotEmpty(t, report.Violations)
			check, found := report.Find(c.check)
			require.True(t, found)
			require.False(t, check.OK, "%+v", report.Checks)
			require.Equal(t, before, tree(t, dir))
		})
	}
}

func TestRepairSavesAPrefixAndTellsWhatIsLost(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"changed bytes":   func(t *testing.T, dir string) { flip(t, last(t, dir, isSegment)) },
		"missing segment": func(t *testing.T, dir string) { require.NoError(t, os.Remove(last(t, dir, isSegment))) },
		"cut segment":     func(t *testing.T, dir string) { require.NoError(t, os.Truncate(last(t, dir, isSegment), 500)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := lively(t)
			whole := decoded[aedb.SalvageReport](t, "repair", "--plan", "--data-dir", dir)
			require.True(t, whole.Whole)
			damage(t, dir)
			before := tree(t, dir)
			plan := decoded[aedb.SalvageReport](t, "repair", "--plan", "--data-dir", dir)
			require.False(t, plan.Whole)
			require.Less(t, plan.Seq, whole.Seq)
			require.Equal(t, plan.Seq+1, plan.LostFrom)
			require.Equal(t, whole.Seq, plan.LostTo)
			require.NotEmpty(t, plan.Reason)
			require.Contains(t, succeeds(t, "repair", "--plan", "--data-dir", dir), "lost: commits from")

			saved := filepath.Join(t.TempDir(), "saved")
			require.Equal(t, plan, decoded[aedb.SalvageReport](t, "repair", "--out", saved, "--data-dir", dir))
			require.Equal(t, before, tree(t, dir), "the damaged store is only read")
			report := decoded[aedb.VerifyReport](t, "verify", "--data-dir", saved)
			require.True(t, report.OK)
			require.Equal(t, plan.Digest, report.Digest)
			succeeds(t, "kv", "set", "goes", "on", "--data-dir", saved)
			fails(t, exitFailed, "validation", []string{"not empty"}, "repair", "--out", saved, "--data-dir", dir)
		})
	}
}

func TestRepairGoesBackToAnOlderCheckpoint(t *testing.T) {
	dir := lively(t)
	report := decoded[aedb.VerifyReport](t, "verify", "--data-dir", dir)
	require.GreaterOrEqual(t, len(report.Checkpoints), 2)
	older := report.Checkpoints[0]
	saved := filepath.Join(t.TempDir(), "saved")
	r := decoded[aedb.SalvageReport](t, "repair", "--data-dir", dir, "--out", saved, "--checkpoint", fmt.Sprint(older.Seq))
	require.Equal(t, older.Seq, r.Seq)
	require.Equal(t, older.File, r.Checkpoint)
	require.False(t, r.Whole)
	require.True(t, decoded[aedb.VerifyReport](t, "verify", "--data-dir", saved).OK)
	fails(t, exitDamaged, "recovery_integrity", []string{"no checkpoint of commit 1"}, "repair", "--plan", "--data-dir", dir, "--checkpoint", "1")
}

func TestDumpOfRealDataIsImportedAsTheSameState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	succeeds(t, "import", "demo/data/packages.tsv.gz", "--data-dir", dir, "--table", "packages", "--create", "--primary-key", "name", "--no-progress")
	files := t.TempDir()
	plain, again, packed := filepath.Join(files, "a.jsonl"), filepath.Join(files, "b.jsonl"), filepath.Join(files, "c.jsonl.zst")
	exported := decoded[dumpAnswer](t, "dump", "export", "--data-dir", dir, "--out", plain)
	require.Positive(t, exported.Rows)
	succeeds(t, "dump", "export", "--data-dir", dir, "--out", again)
	succeeds(t, "dump", "export", "--data-dir", dir, "--out", packed)
	a, err := os.ReadFile(plain)
	require.NoError(t, err)
	b, err := os.ReadFile(again)
	require.NoError(t, err)
	require.Equal(t, a, b)
	for i, from := range []string{plain, packed} {
		made := filepath.Join(files, fmt.Sprint("made", i))
		require.Equal(t, exported, decoded[dumpAnswer](t, "dump", "import", "--data-dir", made, "--dump", from))
		require.Contains(t, succeeds(t, "dump", "parity", "--data-dir", made, "--dump", plain), "ok\n")
		require.True(t, decoded[aedb.VerifyReport](t, "verify", "--data-dir", made).OK)
	}
	succeeds(t, "kv", "set", "a", "b", "--data-dir", dir)
	fails(t, exitFailed, "parity_mismatch", nil, "dump", "parity", "--data-dir", dir, "--dump", plain)
	fails(t, exitFailed, "validation", []string{"not empty"}, "dump", "import", "--data-dir", dir, "--dump", plain)
	fails(t, exitFailed, "output", []string{"there already"}, "dump", "export", "--data-dir", dir, "--out", plain)
	fails(t, exitFailed, "input", nil, "dump", "import", "--data-dir", filepath.Join(files, "x"), "--dump", filepath.Join(files, "none"))
}

func TestBrokenDumpLeavesNothingBehind(t *testing.T) {
	dir := people(t)
	good := filepath.Join(t.TempDir(), "d.jsonl")
	succeeds(t, "dump", "export", "--data-dir", dir, "--out", good)
	text, err := os.ReadFile(good)
	require.NoError(t, err)
	for name, broken := range map[string]string{
		"cut": string(text[:len(text)/2]), "changed": strings.Replace(string(text), "Ada", "Eda", 1), "other": "a,b\n",
	} {
		target := filepath.Join(t.TempDir(), "made")
		o := run("dump", "import", "--data-dir", target, "--dump", file(t, "d.jsonl", broken))
		require.NotEqual(t, exitOK, o.code, name)
		require.NoDirExists(t, target, name)
		empty := t.TempDir()
		run("dump", "import", "--data-dir", empty, "--dump", file(t, "d.jsonl", broken))
		entries, err := os.ReadDir(empty)
		require.NoError(t, err)
		require.Empty(t, entries, name)
	}
}

func TestDamagedCompressionOfADumpIsCorruptionAndNoFaultOfTheDisk(t *testing.T) {
	dir, files := people(t), t.TempDir()
	good := filepath.Join(files, "d.jsonl.zst")
	succeeds(t, "dump", "export", "--data-dir", dir, "--out", good)
	packed, err := os.ReadFile(good)
	require.NoError(t, err)
	refused := func(what string, data []byte) {
		t.Helper()
		bad := file(t, "bad.jsonl.zst", string(data))
		for _, args := range [][]string{
			{"dump", "import", "--data-dir", filepath.Join(t.TempDir(), "made"), "--dump", bad},
			{"dump", "parity", "--data-dir", dir, "--dump", bad},
		} {
			o := run(args...)
			require.Equal(t, exitDamaged, o.code, "%s: %s", what, o.stderr)
			require.Regexp(t, `\b(integrity_error|decode)\b`, o.stderr, what)
		}
	}
	for at := 0; at < len(packed); at += 1 + len(packed)/20 {
		changed := bytes.Clone(packed)
		changed[at] ^= 0x10
		refused(fmt.Sprintf("byte %d", at), changed)
		refused(fmt.Sprintf("cut at %d", at), packed[:at])
	}
	refused("the last byte", packed[:len(packed)-1])
	refused("a byte more", append(bytes.Clone(packed), 'x'))
	refused("not compressed", []byte(`{"aedb_dump":1}`+"\n"))
}

func TestKeysComeFromFilesAndTheEnvironment(t *testing.T) {
	secret := strings.Repeat("ab", 32)
	ring := file(t, "ring", "# the current one first\nnew "+secret+"\n")
	one := "new=" + file(t, "key", secret+"\n")
	dir := filepath.Join(t.TempDir(), "s")
	succeeds(t, "kv", "set", "a", "1", "--data-dir", dir, "--key-file", ring, "--encrypt")
	require.Equal(t, "1\n", succeeds(t, "kv", "get", "a", "--data-dir", dir, "--key-file", one))
	require.True(t, decoded[aedb.VerifyReport](t, "verify", "--data-dir", dir, "--key-file", ring).OK)
	fails(t, exitUnavailable, "unavailable", nil, "kv", "get", "a", "--data-dir", dir)
	t.Setenv(keysVariable, "new "+secret)
	require.Equal(t, "1\n", succeeds(t, "kv", "get", "a", "--data-dir", dir))
	saved := filepath.Join(t.TempDir(), "saved")
	succeeds(t, "repair", "--out", saved, "--data-dir", dir, "--encrypt")
	require.Equal(t, "1\n", succeeds(t, "kv", "get", "a", "--data-dir", saved))
	t.Setenv(keysVariable, "new nothex"+secret)
	o := run("kv", "get", "a", "--data-dir", dir)
	requireFailure(t, o, exitUsage, "usage", "line 1")
	require.NotContains(t, o.stderr, secret)
}

func TestUsageOfTheOfflineVerbs(t *testing.T) {
	dir := people(t)
	for _, args := range [][]string{
		{"check"}, {"dump"}, {"repair"}, {"repair", "--plan", "--out", "x"}, {"describe"}, {"scan"},
		{"scan", "--table", "people", "--limit", "0"}, {"scan-kv", "--prefix-hex", "x"}, {"scan-kv", "--limit", "-1"},
		{"events", "--limit", "0"}, {"dump", "export"}, {"dump", "import"}, {"dump", "parity"}, {"verify", "x"},
		{"scan", "--table", "people", "--at", "never"}, {"verify", "--key-file", "/none"},
	} {
		fails(t, exitUsage, "usage", nil, append(args, "--data-dir", dir)...)
	}
	fails(t, exitFailed, "table_not_found", nil, "scan", "--table", "none", "--data-dir", dir)
}

func isCheckpoint(name string) bool { _, ok := checkpoint.ParseFileName(name); return ok }
func isManifest(name string) bool   { _, ok := manifest.ParseFileName(name); return ok }
func isSegment(name string) bool    { _, ok := wal.ParseSegmentName(name); return ok }

// of returns the files of a sort, ascending.
func of(t *testing.T, dir string, sort func(string) bool) (paths []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if sort(e.Name()) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	require.NotEmpty(t, paths)
	return paths
}

func first(t *testing.T, dir string, sort func(string) bool) string { return of(t, dir, sort)[0] }

func last(t *testing.T, dir string, sort func(string) bool) string {
	paths := of(t, dir, sort)
	return paths[len(paths)-1]
}

// flip changes a byte in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	size, err := f.Seek(0, io.SeekEnd)
	require.NoError(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, size/2)
	require.NoError(t, err)
	b[0] ^= 0x20
	_, err = f.WriteAt(b, size/2)
	require.NoError(t, err)
}
