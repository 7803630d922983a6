package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
)

func TestQueryPrintsRowsInEveryFormat(t *testing.T) {
	dir := people(t)
	ask := func(args ...string) string {
		return succeeds(t, append([]string{"query", "people", "--data-dir", dir}, args...)...)
	}
	require.Equal(t, "id,name,age\n1,Ada,36\n2,Bob,\n3,\"Eve \"\"E\"\", x\",41\n", ask("--csv"))
	require.Equal(t, "name\tid\nBob\t2\n", ask("--tsv", "--select", "name,id", "--where", "age is null"))
	require.Equal(t, "{\"id\":3,\"name\":\"Eve \\\"E\\\", x\",\"age\":41}\n{\"id\":2,\"name\":\"Bob\",\"age\":null}\n",
		ask("--json", "--where", "id > 1", "--order", "id desc"))
	people := ask()
	for _, word := range []string{"id", "name", "Ada", "NULL", "3 rows"} {
		require.Contains(t, people, word)
	}
	require.Equal(t, "id\n2\n", ask("--csv", "--select", "id", "--offset", "1", "--limit", "1"))
	require.Equal(t, "id\n", ask("--csv", "--select", "id", "--limit", "0"))
	require.Equal(t, ask("--csv"), ask("--csv", "--at", "durable"))
	require.Equal(t, ask("--csv"), ask("--csv", "--at", "checkpoint"))
	plan := ask("--explain", "--where", "name = 'Ada'")
	require.Contains(t, plan, "idx_name")
	require.Contains(t, plan, "SecondaryIndexLookup")
}

func TestQueryTellsThatRowsAreLeftOut(t *testing.T) {
	dir := people(t)
	o := run("query", "people", "--data-dir", dir, "--limit", "2", "--csv")
	require.Equal(t, exitOK, o.code)
	require.Equal(t, 3, strings.Count(o.stdout, "\n"))
	require.Contains(t, o.stderr, "more follow")
	require.Empty(t, run("query", "people", "--data-dir", dir, "--limit", "3").stderr)
	require.Empty(t, run("query", "people", "--data-dir", dir, "--all").stderr)
}

func TestQueryInJSONLinesIsImportedUnchanged(t *testing.T) {
	dir, to := people(t), t.TempDir()
	lines := succeeds(t, "query", "people", "--data-dir", dir, "--all", "--json")
	succeeds(t, "import", file(t, "people.jsonl", lines), "--data-dir", to, "--table", "people", "--create", "--primary-key", "id")
	require.Equal(t, lines, succeeds(t, "query", "people", "--data-dir", to, "--all", "--json"))
}

func TestQueryThatIsRefused(t *testing.T) {
	dir := people(t)
	for _, c := range []struct {
		name string
		exit int
		code string
		args []string
	}{
		{"syntax", exitFailed, "invalid_query", []string{"people", "--where", "id ="}},
		{"order", exitFailed, "invalid_query", []string{"people", "--order", "id sideways"}},
		{"column", exitFailed, "column_not_found", []string{"people", "--select", "x"}},
		{"type", exitFailed, "type_mismatch", []string{"people", "--where", "id = 'x'"}},
		{"table", exitFailed, "table_not_found", []string{"nobody"}},
		{"no table", exitUsage, "usage", nil},
		{"negative limit", exitUsage, "usage", []string{"people", "--limit", "-1"}},
		{"two formats", exitUsage, "usage", []string{"people", "--csv", "--json"}},
		{"all but some", exitUsage, "usage", []string{"people", "--all", "--limit", "1"}},
		{"bad state", exitUsage, "usage", []string{"people", "--at", "noon"}},
		{"a state that is to come", exitConflict, "seq_not_yet_visible", []string{"people", "--at", "999999"}},
		{"a state that is gone", exitFailed, "seq_garbage_collected", []string{"people", "--at", "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fails(t, c.exit, c.code, nil, append([]string{"query", "--data-dir", dir}, c.args...)...)
		})
	}
}

func TestKeysAreSetReadAndListed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	kv := func(args ...string) string {
		return succeeds(t, append([]string{"kv", "--data-dir", dir}, args...)...)
	}
	require.Regexp(t, `^seq \d+, durable head \d+\n$`, kv("set", "user/1", "Ada"))
	kv("set", "user/2", "two\nlines", "--finality", "durable")
	kv("set", "z", "")
	kv("set", "ff00", "0a", "--hex")
	require.Equal(t, "Ada\n", kv("get", "user/1"))
	require.Equal(t, "two\nlines\n", kv("get", "user/2"))
	require.Equal(t, "\n", kv("get", "z"))
	require.Equal(t, "0a\n", kv("get", "ff00", "--hex"))
	require.Equal(t, "user/1\tAda\nuser/2\t\"two\\nlines\"\nz\t\n\"\\xff\\x00\"\t\"\\n\"\n", kv("scan"))
	require.Equal(t, "user/2\nuser/1\n", kv("scan", "--prefix", "user/", "--keys-only", "--reverse"))
	require.Equal(t, "user/2\nz\n", kv("scan", "--start", "user/2", "--end", "zz", "--keys-only"))
	require.Equal(t, "user/1\n", kv("scan", "--limit", "1", "--keys-only"))
	require.Equal(t, "ff00\t0a\n", kv("scan", "--prefix", "ff", "--hex"))
	require.Empty(t, kv("scan", "--scope", "elsewhere"))
}

func TestKeyRequestsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	succeeds(t, "kv", "set", "a", "1", "--data-dir", dir)
	fails(t, exitFailed, "key_not_found", []string{"no key b"}, "kv", "get", "b", "--data-dir", dir)
	fails(t, exitFailed, "limit_exceeded", []string{"max_kv_key_bytes"}, "kv", "set", strings.Repeat("k", 2000), "v", "--data-dir", dir)
	for _, args := range [][]string{
		{"kv"}, {"kv", "get"}, {"kv", "get", "a", "b"}, {"kv", "drop", "a"}, {"kv", "set", "a"}, {"kv", "get", "xyz", "--hex"},
		{"kv", "scan", "--limit", "-1"}, {"kv", "scan", "--prefix", "g", "--hex"}, {"kv", "set", "a", "b", "--finality", "never"},
	} {
		fails(t, exitUsage, "usage", nil, append(args, "--data-dir", dir)...)
	}
}

func TestStatsDescribeTheStore(t *testing.T) {
	dir := people(t)
	succeeds(t, "kv", "set", "a", "1", "--data-dir", dir)
	var s struct {
		Heads struct {
			Visible uint64 `json:"visible_seq"`
			Durable uint64 `json:"durable_seq"`
		} `json:"heads"`
		Recovery struct {
			Mode        string           `json:"mode"`
			Incarnation string           `json:"incarnation"`
			Seq         uint64           `json:"seq"`
			Warnings    []string         `json:"warnings"`
			Phases      map[string]int64 `json:"phases_us"`
		} `json:"recovery"`
		Scopes []scopeStats `json:"scopes"`
		// The figures by name, each a number but for latencies and stages.
		Metrics map[string]any `json:"operational_metrics"`
	}
	require.NoError(t, json.Unmarshal([]byte(succeeds(t, "stats", "--json", "--data-dir", dir)), &s))
	require.Equal(t, s.Heads.Visible, s.Heads.Durable)
	require.Equal(t, s.Heads.Visible, s.Recovery.Seq)
	require.Equal(t, "strict", s.Recovery.Mode)
	require.Len(t, s.Recovery.Incarnation, 32)
	require.NotNil(t, s.Recovery.Warnings)
	require.Contains(t, s.Recovery.Phases, "checkpoint")
	var found *scopeStats
	for i := range s.Scopes {
		if s.Scopes[i].Project == "demo" && s.Scopes[i].Scope == "app" {
			found = &s.Scopes[i]
		}
	}
	require.NotNil(t, found)
	require.Equal(t, 1, found.Keys)
	require.Equal(t, []tableStats{{
		Name: "people", Rows: 3, PrimaryKey: []string{"id"},
		Columns: []columnStats{{"id", "Integer", false}, {"name", "Text", false}, {"age", "Integer", true}},
		Indexes: []indexStats{{"idx_name", []string{"name"}, true, 3}},
	}}, found.Tables)
	require.EqualValues(t, s.Heads.Visible, s.Metrics["visible_head_seq"])
	require.Len(t, s.Metrics["stages"], 6)
	require.Contains(t, s.Metrics["commit_latency"], "p99_us")

	text := succeeds(t, "stats", "--data-dir", dir)
	for _, word := range []string{"recovery (strict)", "people", "idx_name (unique)", "keyspace_entries", "checkpointer"} {
		require.Contains(t, text, word)
	}
}

// readers are the verbs that only read.
var readers = [][]string{
	{"query", "people"}, {"kv", "get", "a"}, {"kv", "scan"}, {"projects"}, {"scopes"}, {"tables"},
	{"describe", "--table", "people"}, {"scan", "--table", "people"}, {"scan-kv"}, {"events"}, {"health"},
	{"check", "invariants"}, {"verify"}, {"repair", "--plan"}, {"dump", "export", "--out", "none.jsonl"},
	{"dump", "parity", "--dump", "none.jsonl"},
}

// openers are the verbs that open a store, which has to be there.
var openers = [][]string{{"stats"}, {"checkpoint"}}

func TestReadingVerbsMakeNoStore(t *testing.T) {
	for _, args := range slices.Concat(readers, openers) {
		none := filepath.Join(t.TempDir(), "none")
		fails(t, exitUnavailable, "no_store", []string{"does not exist"}, append(args, "--data-dir", none)...)
		require.NoDirExists(t, none)

		empty := t.TempDir()
		fails(t, exitUnavailable, "no_store", nil, append(args, "--data-dir", empty)...)
		other := filepath.Dir(file(t, "notes.txt", "not a store"))
		fails(t, exitUnavailable, "no_store", nil, append(args, "--data-dir", other)...)
		for dir, files := range map[string]int{empty: 0, other: 1} {
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, entries, files)
		}
		fails(t, exitUsage, "usage", []string{"--data-dir"}, args...)
	}
}

func TestStoreThatIsOpenElsewhereIsUnavailable(t *testing.T) {
	dir := people(t)
	inStore(t, dir, func(context.Context, *aedb.Scope) {
		for _, args := range append(openers, []string{"kv", "set", "a", "1"}) {
			fails(t, exitUnavailable, "unavailable", []string{"open elsewhere"}, append(args, "--data-dir", dir)...)
		}
	})
}

func TestDamagedStoreIsReportedAsDamaged(t *testing.T) {
	dir := people(t)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		if belongsToStore(e) && len(content) > 0 {
			content[len(content)/2] ^= 0x10
			require.NoError(t, os.WriteFile(path, content, 0o600))
		}
	}
	for _, args := range slices.Concat(readers, openers) {
		switch args[0] {
		case "verify":
			fails(t, exitFailed, "check_failed", []string{"repair --plan"}, append(args, "--data-dir", dir)...)
		case "dump", "repair": // what can be saved is saved
		default:
			fails(t, exitDamaged, "recovery_integrity", []string{"repair --plan"}, append(args, "--data-dir", dir)...)
		}
	}
}

func TestUnwritableAnswerIsAFailure(t *testing.T) {
	dir := people(t)
	for _, args := range readers[:1] {
		var stderr strings.Builder
		code := execute(context.Background(), append(args, "--data-dir", dir), nil, broken{}, &stderr)
		requireFailure(t, outcome{code: code, stderr: stderr.String()}, exitFailed, "output")
	}
}

// broken is a pipe that nobody reads.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestEveryClassOfErrorHasItsExitCode(t *testing.T) {
	ctx := context.Background()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, c := range []struct {
		err  error
		ctx  context.Context
		exit int
	}{
		{errs.New(errs.CodeValidation, "x"), ctx, exitFailed},
		{errs.New(errs.CodePermissionDenied, "x"), ctx, exitFailed},
		{errs.New(errs.CodeScanBoundExceeded, "x"), ctx, exitFailed},
		{errs.New(errs.CodeQueueFull, "x"), ctx, exitConflict},
		{errs.New(errs.CodeConflict, "x"), ctx, exitConflict},
		{errs.New(errs.CodeIntegrity, "x"), ctx, exitDamaged},
		{errs.New(errs.CodeDecode, "x"), ctx, exitDamaged},
		{errs.New(errs.CodeIO, "x"), ctx, exitUnavailable},
		{errs.New(errs.CodeUnavailable, "x"), ctx, exitUnavailable},
		{errs.New(errs.CodeIndeterminate, "x"), ctx, exitUnavailable},
		{errs.FromContext(ended, "x"), ended, exitInterrupted},
		{errs.New(errs.CodeIntegrity, "x"), ended, exitDamaged},
		{errors.New("unknown command"), ctx, exitUsage},
	} {
		var stderr strings.Builder
		require.Equal(t, c.exit, report(c.ctx, &stderr, c.err), "%v", c.err)
	}
	require.Equal(t, "a: b: c", message(errs.Wrap(errs.CodeValidation, errs.Wrap(errs.CodeIO, errors.New("c"), "b"), "a")))
}

func TestHelpDescribesTheExitCodes(t *testing.T) {
	require.Equal(t, exitCodes+"\n\n", succeeds(t, "help", "exit-codes"))
	require.Contains(t, succeeds(t), "exit-codes")
	require.Contains(t, succeeds(t, "import", "--help"), "--journal")
	fails(t, exitUsage, "usage", []string{"unknown command"}, "improt")
}
