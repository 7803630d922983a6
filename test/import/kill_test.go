package import_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
)

// An import that is killed at a random moment, as often as it takes: after each
// kill every row that the journal lists is there, no row differs from the file, and
// the indexes agree with the table. The next run resumes. When the import has come
// to its end, all is there.
func TestKilledImportKeepsWhatItJournaledAndResumes(t *testing.T) {
	kills, longest, batch := 3, 300*time.Millisecond, 2
	long := os.Getenv("AEDB_LONG") != ""
	if long {
		kills, longest, batch = 20, 700*time.Millisecond, 20
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	moments := rand.New(rand.NewPCG(seed, 0))

	sheets := catalogue(t, long)
	im := newImporting(t, sheets, batch)
	for killed, rounds, listed := 0, 0, 0; killed < kills; {
		require.Less(t, rounds, 20*kills, "the import ends before it can be killed")
		rounds++
		if im.done() {
			reopened(t, im.store(), func(app *aedb.Scope) { wholeIn(t, app, sheets) })
			im, listed = newImporting(t, sheets, batch), 0
		}
		if im.runFor(t, time.Duration(moments.Int64N(int64(longest)))) {
			killed++
			before := listed
			if listed = im.verify(t); listed == before {
				longest += longest / 2 // it was still opening the store, which takes longer as it grows
			}
		}
	}
	for im.batch = 500; !im.done(); {
		require.False(t, im.runFor(t, time.Hour))
	}
	reopened(t, im.store(), func(app *aedb.Scope) { wholeIn(t, app, sheets) })
}

// importing is the import of all sheets into one store, one after the other.
type importing struct {
	dir    string
	sheets []*sheet
	batch  int // rows in a commit: few, so that there are many moments
	at     int // the sheet that is being imported
}

func newImporting(t *testing.T, sheets []*sheet, batch int) *importing {
	return &importing{dir: t.TempDir(), sheets: sheets, batch: batch}
}

func (im *importing) done() bool { return im.at == len(im.sheets) }

func (im *importing) journal(s *sheet) string { return filepath.Join(im.dir, s.table+".journal") }

// store is apart from the journals.
func (im *importing) store() string { return filepath.Join(im.dir, "store") }

// runFor runs the import of the current sheet, from where it was broken off, and
// kills it after a time. It returns false if the import came to its end before.
func (im *importing) runFor(t *testing.T, limit time.Duration) (killed bool) {
	t.Helper()
	s := im.sheets[im.at]
	cmd := exec.Command(binary, s.arguments(im.store(), "--finality", "durable", "--journal", im.journal(s), "--resume",
		"--batch-size", fmt.Sprint(im.batch), "--callers", "4")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	alarm := time.NewTimer(limit)
	defer alarm.Stop()
	var err error
	select {
	case err = <-ended:
	case <-alarm.C:
		require.NoError(t, ignoreFinished(cmd.Process.Kill()))
		err = <-ended
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && !exit.Exited() {
		return true
	}
	require.NoError(t, err, stderr.String())
	im.at++
	return false
}

func ignoreFinished(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// verify proves the store against files and journals after a kill, and returns the
// number of rows that are journaled.
func (im *importing) verify(t *testing.T) (rows int) {
	t.Helper()
	reopened(t, im.store(), func(app *aedb.Scope) {
		for _, s := range im.sheets[:im.at+1] {
			listed := journaled(t, im.journal(s))
			if _, err := app.Describe(s.table); err != nil {
				require.Empty(t, listed, "the journal lists rows of a table that is lost")
				continue
			}
			present := s.verify(t, app)
			for _, span := range listed {
				for row := span[0]; row <= span[1]; row++ {
					rows++
					if !present[row-1] {
						t.Fatalf("row %d of %s is in the journal and not in the store", row, s.table)
					}
				}
			}
		}
	})
	t.Logf("%d rows journaled", rows)
	return rows
}

// journaled returns first and last row of each whole line of a journal.
func journaled(t *testing.T, path string) (spans [][2]int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	lines := strings.SplitAfter(string(content), "\n")
	for i, line := range lines {
		if i == 0 || !strings.HasSuffix(line, "\n") {
			continue
		}
		var first, last, seq int
		_, err := fmt.Sscanf(line, "%d %d %d\n", &first, &last, &seq)
		require.NoError(t, err)
		spans = append(spans, [2]int{first, last})
	}
	return spans
}
