package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
)

// outcome is what a command line came to.
type outcome struct {
	code           int
	stdout, stderr string
}

func run(args ...string) outcome {
	return runWith(context.Background(), strings.NewReader(""), args...)
}

func runWith(ctx context.Context, stdin io.Reader, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	code := execute(ctx, args, stdin, &stdout, &stderr)
	return outcome{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

// succeeds runs a command line that must succeed and returns its output.
func succeeds(t *testing.T, args ...string) string {
	t.Helper()
	o := run(args...)
	require.Equal(t, exitOK, o.code, o.stderr)
	return o.stdout
}

// fails runs a command line that must fail with an exit code, and one line that
// has a code and all of the words in it.
func fails(t *testing.T, exit int, code string, words []string, args ...string) {
	t.Helper()
	o := run(args...)
	requireFailure(t, o, exit, code, words...)
}

func requireFailure(t *testing.T, o outcome, exit int, code string, words ...string) {
	t.Helper()
	require.Equal(t, exit, o.code, o.stderr)
	require.Regexp(t, `\Aerror: [^\n]+ \(`+code+`\); hint: [^\n]+\n\z`, o.stderr)
	for _, w := range words {
		require.Contains(t, o.stderr, w)
	}
}

// file writes a file to import and returns its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func gzipped(t *testing.T, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

// rows returns the rows of a table as CSV without the header, in the order of the
// primary key.
func rows(t *testing.T, dir, table, order string) string {
	t.Helper()
	out := succeeds(t, "query", table, "--data-dir", dir, "--all", "--csv", "--order", order)
	_, body, _ := strings.Cut(out, "\n")
	return body
}

// inStore opens a store and calls a function with the scope demo.app.
func inStore(t *testing.T, dir string, use func(ctx context.Context, app *aedb.Scope)) {
	t.Helper()
	db, err := aedb.OpenNoAuth(dir, aedb.DefaultConfig())
	require.NoError(t, err)
	use(context.Background(), db.NoAuth().Scope("demo", "app"))
	require.NoError(t, db.Close(context.Background()))
}

// people makes a store with a small table.
func people(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	succeeds(t, "import", file(t, "people.csv", "id,name,age\n1,Ada,36\n2,Bob,\n3,\"Eve \"\"E\"\", x\",41\n"),
		"--data-dir", dir, "--table", "people", "--create", "--primary-key", "id", "--unique", "name", "--null", "")
	return dir
}
