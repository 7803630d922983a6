package wal_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

func TestSegmentNamesAreCanonical(t *testing.T) {
	for _, n := range []uint64{0, 1, 42, 9999999999999999, 1 << 63} {
		got, ok := wal.ParseSegmentName(wal.SegmentName(n))
		require.True(t, ok)
		require.Equal(t, n, got)
	}
	require.Equal(t, "wal-0000000000000007.seg", wal.SegmentName(7))
	for _, name := range []string{"", "wal-7.seg", "wal-00000000000000007.seg", "wal-000000000000000x.seg",
		"wal-+000000000000007.seg", "wal-0000000000000007.seg.tmp", "xwal-0000000000000007.seg"} {
		_, ok := wal.ParseSegmentName(name)
		require.False(t, ok, name)
	}
}

func TestListSegmentsIsAscendingAndPassesOverOtherFiles(t *testing.T) {
	fsys, dir := vfs.OS(), filepath.ToSlash(t.TempDir())
	for _, name := range []string{wal.SegmentName(10), wal.SegmentName(9), "manifest-0000000000000001.json",
		"wal-3.seg", wal.SegmentName(11) + ".tmp", wal.SegmentName(1 << 60)} {
		f, err := fsys.Create(dir + "/" + name)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	got, err := wal.ListSegments(fsys, dir)
	require.NoError(t, err)
	require.Equal(t, []uint64{9, 10, 1 << 60}, got)
}
