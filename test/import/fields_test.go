package import_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
)

// The whole way of the data: file, command, disk, and a store that is opened again.
func TestEveryImportedFieldIsThereAfterReopening(t *testing.T) {
	sheets := catalogue(t, !testing.Short())
	dir := t.TempDir()
	for _, s := range sheets {
		out := succeed(t, s.arguments(dir)...)
		t.Logf("%s: %s", s.table, out)
		require.Contains(t, out, fmt.Sprintf("%d rows in", len(s.rows)))
	}
	reopened(t, dir, func(app *aedb.Scope) { wholeIn(t, app, sheets) })
}

// reopened opens a store strictly, with no checkpoint at its end, so that the next
// opening finds what this one found.
func reopened(t *testing.T, dir string, use func(app *aedb.Scope)) {
	t.Helper()
	cfg := aedb.DefaultConfig()
	cfg.Checkpoint.OnClose = false
	db, err := aedb.OpenNoAuth(dir, cfg)
	require.NoError(t, err)
	use(db.NoAuth().Scope("demo", "app"))
	require.NoError(t, db.Close(context.Background()))
}

// wholeIn proves that every row of the sheets is there.
func wholeIn(t *testing.T, app *aedb.Scope, sheets []*sheet) {
	t.Helper()
	for _, s := range sheets {
		for i, there := range s.verify(t, app) {
			if !there {
				t.Fatalf("row %d of %s is missing", i+1, s.table)
			}
		}
	}
}
