package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

var errBroken = errors.New("broken")

// Every store keeps the promises of the interface.
func TestStoresKeepWhatIsPut(t *testing.T) {
	ctx := context.Background()
	directory, err := OpenDirectory(vfs.NewMem(), "backups/of/a/store")
	require.NoError(t, err)
	system, err := OpenDirectory(vfs.OS(), filepath.Join(t.TempDir(), "backups"))
	require.NoError(t, err)
	for name, s := range map[string]Store{"memory": &Memory{}, "directory": directory, "system": system} {
		t.Run(name, func(t *testing.T) {
			content := strings.Repeat("content ", 100_000)
			require.NoError(t, s.Put(ctx, "b", strings.NewReader(content)))
			require.NoError(t, s.Put(ctx, "a", iotest.OneByteReader(strings.NewReader("short"))))
			require.ErrorIs(t, s.Put(ctx, "a", strings.NewReader("again")), fs.ErrExist)
			require.ErrorIs(t, s.Put(ctx, "broken", iotest.ErrReader(errBroken)), errBroken)
			over, cancel := context.WithCancel(ctx)
			cancel()
			require.ErrorIs(t, s.Put(over, "canceled", strings.NewReader(content)), errs.ErrCanceled)
			require.ErrorIs(t, s.Put(ctx, "../up", strings.NewReader("x")), errs.ErrIntegrity)

			names, err := s.List(ctx)
			require.NoError(t, err)
			require.Equal(t, []string{"a", "b"}, names)
			in, err := s.Get(ctx, "b")
			require.NoError(t, err)
			data, err := io.ReadAll(in)
			require.NoError(t, err)
			require.NoError(t, in.Close())
			require.Equal(t, content, string(data))
			_, err = s.Get(ctx, "c")
			require.ErrorIs(t, err, fs.ErrNotExist)

			require.NoError(t, s.Delete(ctx, "a"))
			require.NoError(t, s.Delete(ctx, "a"))
			names, err = s.List(ctx)
			require.NoError(t, err)
			require.Equal(t, []string{"b"}, names)
		})
	}
	require.Error(t, func() error { _, err := OpenDirectory(vfs.NewMem(), ""); return err }())
}

func TestDirectoryIsReadableByItsOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backups")
	s, err := OpenDirectory(vfs.OS(), dir)
	require.NoError(t, err)
	require.NoError(t, s.Put(context.Background(), "a", strings.NewReader("x")))
	of := func(name string) fs.FileMode {
		info, err := os.Stat(name)
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	require.Equal(t, fs.FileMode(0o700), of(dir))
	require.Equal(t, fs.FileMode(0o600), of(filepath.Join(dir, "a")))
}

// brokenSink stops reading, or fails.
type brokenSink struct{ err error }

func (s brokenSink) Put(_ context.Context, _ string, in io.Reader) error {
	_, _ = in.Read(make([]byte, 10))
	return s.err
}

func TestSinkThatDoesNotReadAllIsNoticed(t *testing.T) {
	fill := func(out io.Writer) error {
		_, err := out.Write(make([]byte, 1<<20))
		return err
	}
	_, err := putObject(context.Background(), brokenSink{}, Options{}, "a", fill)
	require.ErrorIs(t, err, errs.ErrIO)
	_, err = putObject(context.Background(), brokenSink{errBroken}, Options{}, "a", fill)
	require.ErrorIs(t, err, errBroken)
	_, err = putObject(context.Background(), &Memory{}, Options{}, "a", func(io.Writer) error { return errBroken })
	require.ErrorIs(t, err, errBroken)
}

func FuzzReadArchive(f *testing.F) {
	var data bytes.Buffer
	a, err := NewArchive(&data, nil)
	require.NoError(f, err)
	m := fullManifest()
	require.NoError(f, a.Put(context.Background(), m.Objects[0].Name, strings.NewReader("checkpoint")))
	require.NoError(f, putManifest(context.Background(), a, &m, nil))
	require.NoError(f, a.Close())
	f.Add(data.Bytes())
	var link bytes.Buffer
	w := tar.NewWriter(&link)
	require.NoError(f, w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: partName(m.Objects[0].Name, 1), Linkname: "/"}))
	require.NoError(f, w.Close())
	f.Add(link.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		var into Memory
		ids, err := ReadArchive(context.Background(), bytes.NewReader(data), &into, Options{})
		names, listErr := into.List(context.Background())
		require.NoError(t, listErr)
		if err != nil {
			require.Empty(t, names)
			return
		}
		require.NotEmpty(t, ids)
		for _, name := range names {
			_, _, ok := backupOf(name)
			require.True(t, ok, name)
		}
	})
}
