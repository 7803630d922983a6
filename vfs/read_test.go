package vfs_test

import (
	"io"
	"io/fs"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/vfs"
)

func TestReadFileReadsUpToTheLimitAndNamesTheFileThatFails(t *testing.T) {
	mem := vfs.NewMem()
	f, err := mem.Create("file")
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("content"), 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	for limit, want := range map[int64]string{-1: "content", 0: "", 4: "cont", 7: "content", 100: "content"} {
		data, err := vfs.ReadFile(mem, "file", limit)
		require.NoError(t, err)
		require.Equal(t, want, string(data), "limit %d", limit)
	}
	_, err = vfs.ReadFile(mem, "none", -1)
	require.ErrorIs(t, err, fs.ErrNotExist)

	mem.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpRead {
			return vfs.Fault{Err: syscall.EIO}
		}
		return vfs.Fault{}
	})
	_, err = vfs.ReadFile(mem, "file", -1)
	require.ErrorIs(t, err, syscall.EIO)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "file")
}
