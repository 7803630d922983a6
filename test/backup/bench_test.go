package backup

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/vfs"
)

// discard takes objects and keeps nothing.
type discard struct{}

func (discard) Put(_ context.Context, _ string, in io.Reader) error {
	_, err := io.Copy(io.Discard, in)
	return err
}

// large returns a store of n pairs, of which b counts the bytes.
func large(b *testing.B, n int) *aedb.DB {
	b.Helper()
	cfg := config(vfs.NewMem())
	cfg.SegmentBytes, cfg.Reads.HistoryCommits = 64<<20, 1024
	db := openWith(b, cfg)
	create(b, db)
	s := scope(db)
	value := bytes.Repeat([]byte("0123456789"), 10)
	for at := 0; at < n; at += 1000 {
		var mutations []aedb.Mutation
		for i := range 1000 {
			mutations = append(mutations, s.KvSet(fmt.Appendf(nil, "key-%012d", (at+i)*7919%n), value))
		}
		_, err := s.Commit(ctx, mutations...)
		require.NoError(b, err)
	}
	b.SetBytes(int64(n) * 116)
	return db
}

func BenchmarkFull(b *testing.B) {
	db := large(b, 300_000)
	for b.Loop() {
		full(b, db, discard{}, aedb.BackupOptions{})
	}
}

// An incremental backup from the log, without the digest of the state.
func BenchmarkIncremental(b *testing.B) {
	db := large(b, 0)
	m := full(b, db, &backup.Memory{}, aedb.BackupOptions{})
	s := scope(db)
	value := bytes.Repeat([]byte("0123456789"), 10)
	const n = 300_000
	for at := 0; at < n; at += 100 {
		var mutations []aedb.Mutation
		for i := range 100 {
			mutations = append(mutations, s.KvSet(fmt.Appendf(nil, "key-%012d", at+i), value))
		}
		_, err := s.Commit(ctx, mutations...)
		require.NoError(b, err)
	}
	b.SetBytes(n * 116)
	for b.Loop() {
		_, err := db.BackupIncremental(ctx, discard{}, m, aedb.BackupOptions{SkipDigest: true})
		require.NoError(b, err)
	}
}

func BenchmarkRestore(b *testing.B) {
	db := large(b, 300_000)
	var set backup.Memory
	full(b, db, &set, aedb.BackupOptions{})
	for b.Loop() {
		_, err := aedb.Restore(ctx, &set, dir, aedb.RestoreOptions{FS: vfs.NewMem()})
		require.NoError(b, err)
	}
}
