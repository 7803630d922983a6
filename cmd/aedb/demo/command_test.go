package demo

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
)

// demo runs the verb with its temporary directory under one of the test, and
// returns the output and what is left in that directory.
func demo(ctx context.Context, t *testing.T, out io.Writer, args ...string) (left []os.DirEntry, err error) {
	t.Helper()
	t.Setenv(asProgram, "1")
	tmp := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} { // the second and third on Windows
		t.Setenv(name, tmp)
	}
	cmd := Command()
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SilenceErrors = true
	err = cmd.ExecuteContext(ctx)
	left, readErr := os.ReadDir(tmp)
	require.NoError(t, readErr)
	return left, err
}

func TestQuickDemoHoldsAndLeavesNothingBehind(t *testing.T) {
	var out bytes.Buffer
	left, err := demo(t.Context(), t, &out, "--quick")
	require.NoError(t, err, out.String())
	require.Empty(t, left)
	require.Contains(t, out.String(), "Everything holds.")
	require.Contains(t, out.String(), "all equal")
	for _, line := range strings.Split(out.String(), "\n") {
		require.LessOrEqual(t, len([]rune(line)), wide, line)
	}
	require.NotContains(t, out.String(), "\x1b", "output that is no terminal is plain")
}

func TestDemoKeepsTheStoresInADataDirectory(t *testing.T) {
	var out bytes.Buffer
	dir := filepath.Join(t.TempDir(), "new")
	_, err := demo(t.Context(), t, &out, "--quick", "--serve=0s", "--data-dir", dir)
	require.NoError(t, err, out.String())
	require.DirExists(t, filepath.Join(dir, "catalogue"))
	require.DirExists(t, filepath.Join(dir, "crashed"))

	_, err = demo(t.Context(), t, &out, "--quick", "--data-dir", dir)
	require.ErrorContains(t, err, "is not empty")
}

// cancelOn ends a context when a text has been written.
type cancelOn struct {
	bytes.Buffer
	text   string
	cancel context.CancelFunc
}

func (c *cancelOn) Write(p []byte) (int, error) {
	n, err := c.Buffer.Write(p)
	if strings.Contains(c.String(), c.text) {
		c.cancel()
	}
	return n, err
}

func TestInterruptedDemoCleansUp(t *testing.T) {
	for _, moment := range []string{"2. Loading", "3. Serving", "5. Crashes", "kill 1"} {
		t.Run(moment, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			left, err := demo(ctx, t, &cancelOn{text: moment, cancel: cancel}, "--quick", "--kills=2")
			require.ErrorIs(t, err, errs.ErrCanceled)
			require.Empty(t, left)
		})
	}
}

func TestFlagsOutOfRangeAreRefused(t *testing.T) {
	for _, args := range [][]string{{"--callers=0"}, {"--kills=-1"}, {"--serve=-1s"}, {"more"}} {
		cmd := Command()
		cmd.SetArgs(args)
		cmd.SetOut(&bytes.Buffer{})
		cmd.SilenceErrors = true
		require.Error(t, cmd.Execute(), args)
	}
}

func TestChildThatFailsIsReportedInOneLine(t *testing.T) {
	t.Setenv(asProgram, "1")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	c, err := startChild(t.Context(), nil, file, 4, 10)
	require.NoError(t, err)
	err = c.loadUntilKilled(1, map[int64]uint64{})
	require.ErrorContains(t, err, "the child ended by itself (exit status 1): error: ")
	require.NotContains(t, err.Error(), "\n")
}

func TestChildWithNothingLeftToLoadIsKilled(t *testing.T) {
	t.Setenv(asProgram, "1")
	dir := t.TempDir()
	for want := 10; want >= 0; want -= 10 {
		c, err := startChild(t.Context(), nil, dir, 4, 10)
		require.NoError(t, err)
		acknowledged := map[int64]uint64{}
		require.NoError(t, c.loadUntilKilled(1000, acknowledged))
		require.Len(t, acknowledged, want)
	}
}
