package checkpoint_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
)

// A checkpoint that is streamed has the bytes of one that is written to a file.
func TestStreamedCheckpointIsTheFile(t *testing.T) {
	fsys, entries := newDir(t), manyEntries(20_000)
	written, name := write(t, fsys, 2, entries)
	file, err := fsys.ReadFile(name)
	require.NoError(t, err)
	var out bytes.Buffer
	streamed, err := checkpoint.Stream(context.Background(), &out, sampleHeader(), 2, fill(entries))
	require.NoError(t, err)
	require.Equal(t, file, out.Bytes())
	written.File = ""
	require.Equal(t, written, streamed)

	broken := errors.New("broken")
	_, err = checkpoint.Stream(context.Background(), brokenWriter{broken}, sampleHeader(), 2, fill(entries))
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, err, errs.ErrIO)
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) {
	return 0, w.err
}
