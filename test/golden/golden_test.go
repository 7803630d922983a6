// Package golden opens directories that earlier builds have written. Every later
// build has to open them, find what was there, and go on from it.
package golden

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// release is the name of the directories that this build would write. It changes
// when a format does, and then a new set is made beside the old ones.
const release = "2"

// contentFile says, beside a store, what it holds: the seq and the digest.
const contentFile = "content.txt"

// dumpFile is the state of the store without keys, beside the stores of a release.
const dumpFile = "dump.jsonl"

// ring is that of all stores with keys; it is no secret.
func ring() []aedb.Key {
	return []aedb.Key{{ID: "golden", Secret: []byte("golden golden golden golden golden golden")}}
}

// stores are the ways to make one. A killed one ends without a close, in the middle
// of a segment.
var stores = []struct {
	name   string
	keys   aedb.KeyConfig
	killed bool
}{
	{name: "unkeyed"},
	{name: "unkeyed-killed", killed: true},
	{name: "authenticated", keys: aedb.KeyConfig{Ring: ring()}},
	{name: "authenticated-killed", keys: aedb.KeyConfig{Ring: ring()}, killed: true},
	{name: "encrypted", keys: aedb.KeyConfig{Ring: ring(), Encrypt: true}},
	{name: "encrypted-killed", keys: aedb.KeyConfig{Ring: ring(), Encrypt: true}, killed: true},
}

func config(fsys vfs.FS, keys aedb.KeyConfig) aedb.Config {
	cfg := aedb.DefaultConfig()
	cfg.FS, cfg.Clock = fsys, vfs.NewManualClock(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Millisecond)
	cfg.Logger = aedb.Zerolog(zerolog.Nop())
	cfg.Durability = aedb.OsBuffered // no zeros ahead of the log
	cfg.SegmentBytes = 1500
	cfg.Checkpoint = aedb.CheckpointConfig{Kept: 2}
	cfg.Keys = keys
	return cfg
}

// fill writes some of everything, with two checkpoints and commits behind them.
func fill(t testing.TB, db *aedb.DB) {
	ctx := t.Context()
	_, err := db.NoAuth().CreateProject(ctx, "p")
	require.NoError(t, err)
	app := db.NoAuth().Scope("p", "app")
	commit := func(m ...aedb.Mutation) {
		_, err := app.Commit(ctx, m...)
		require.NoError(t, err)
	}
	commit(app.CreateTable("t", aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("id", aedb.TypeInteger), aedb.Column("name", aedb.TypeText),
			aedb.NullableColumn("score", aedb.TypeFloat), aedb.NullableColumn("data", aedb.TypeBlob),
		},
		PrimaryKey: []string{"id"},
		Indexes:    []aedb.IndexSpec{{Name: "by_name", Columns: []string{"name"}}},
	}))
	for i := range int64(24) {
		commit(
			app.Insert("t", aedb.Row{aedb.Int(i), aedb.Text(fmt.Sprintf("name-%d", i%5)), aedb.Float(float64(i) / 3), aedb.Null()}),
			app.KvSet(fmt.Appendf(nil, "key/%02d", i), []byte(strings.Repeat("v", int(i)*3))),
			app.KvAddU64([]byte("count"), 1, aedb.TreatAsZero, aedb.RejectLimit),
		)
		if i%8 == 7 {
			commit(app.Delete("t", aedb.Int(i-3)), app.KvDel(fmt.Appendf(nil, "key/%02d", i-2)))
		}
		if i == 7 || i == 14 {
			_, err := db.Checkpoint(ctx)
			require.NoError(t, err)
		}
	}
	_, err = db.Flush(ctx)
	require.NoError(t, err)
}

// content describes what a store holds.
func content(t testing.TB, db *aedb.DB) string {
	seq, digest, err := db.Digest(aedb.AtLatest)
	require.NoError(t, err)
	return fmt.Sprintf("seq %d\ndigest %s\n", seq, hex.EncodeToString(digest[:]))
}

// TestGenerate writes the directories of this release, where AEDB_GOLDEN asks for
// it, and only where there are none.
func TestGenerate(t *testing.T) {
	if os.Getenv("AEDB_GOLDEN") == "" {
		t.Skip("AEDB_GOLDEN is not set")
	}
	for _, s := range stores {
		out := filepath.Join("testdata", release, s.name)
		require.NoDirExists(t, out, "golden directories are never written again")
		fsys := vfs.NewMem()
		db, err := aedb.OpenNoAuth("store", config(fsys, s.keys))
		require.NoError(t, err)
		fill(t, db)
		text := content(t, db)
		left := fsys
		if s.killed {
			left = fsys.Clone(vfs.AllKept())
		}
		require.NoError(t, db.Close(t.Context()))
		require.NoError(t, os.MkdirAll(out, 0o755))
		for _, name := range left.Names() {
			if filepath.Base(name) == "LOCK" {
				continue
			}
			data, err := left.ReadFile(name)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(out, filepath.Base(name)), data, 0o644))
		}
		require.NoError(t, os.WriteFile(filepath.Join(out, contentFile), []byte(text), 0o644))
	}
	out := filepath.Join("testdata", release, dumpFile)
	require.NoFileExists(t, out)
	require.NoError(t, os.WriteFile(out, dumped(t, release), 0o644))
}

// dumped exports the store without keys of a release.
func dumped(t testing.TB, release string) []byte {
	fsys, _ := load(t, filepath.Join("testdata", release, "unkeyed"))
	db, err := aedb.OpenNoAuth("store", config(fsys, aedb.KeyConfig{}))
	require.NoError(t, err)
	var out bytes.Buffer
	_, err = db.ExportDump(t.Context(), &out, aedb.AtLatest, nil)
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
	return out.Bytes()
}

// load copies a golden directory to a disk in memory.
func load(t testing.TB, dir string) (fsys *vfs.Mem, text string) {
	fsys = vfs.NewMem()
	require.NoError(t, fsys.MkdirAll("store"))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		if e.Name() == contentFile {
			text = string(data)
			continue
		}
		require.NoError(t, fsys.WriteFile("store/"+e.Name(), data))
	}
	require.NotEmpty(t, text)
	return fsys, text
}

func TestDirectoriesOfEveryReleaseOpenAndGoOn(t *testing.T) {
	releases, err := os.ReadDir("testdata")
	require.NoError(t, err)
	require.NotEmpty(t, releases)
	for _, r := range releases {
		for _, s := range stores {
			t.Run(r.Name()+"/"+s.name, func(t *testing.T) {
				fsys, want := load(t, filepath.Join("testdata", r.Name(), s.name))
				db, err := aedb.OpenNoAuth("store", config(fsys, s.keys))
				require.NoError(t, err)
				require.Equal(t, want, content(t, db))
				report := db.Recovery()
				require.Empty(t, report.Warnings)
				require.NotEmpty(t, report.CheckpointFile)
				require.NotZero(t, report.Commits, "there is log behind the checkpoint")
				violations, err := db.CheckInvariants(aedb.AtLatest)
				require.NoError(t, err)
				require.Empty(t, violations)

				app := db.NoAuth().Scope("p", "app")
				_, err = app.Commit(t.Context(), app.KvSet([]byte("new"), []byte("value")))
				require.NoError(t, err)
				after := content(t, db)
				require.NoError(t, db.Close(context.Background()))
				db, err = aedb.OpenNoAuth("store", config(fsys, s.keys))
				require.NoError(t, err)
				require.Equal(t, after, content(t, db))
				require.NoError(t, db.Close(context.Background()))
			})
		}
	}
}

func TestDumpsOfEveryReleaseAreImported(t *testing.T) {
	dumps, err := filepath.Glob(filepath.Join("testdata", "*", dumpFile))
	require.NoError(t, err)
	require.NotEmpty(t, dumps)
	for _, name := range dumps {
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			_, want := load(t, filepath.Join(filepath.Dir(name), "unkeyed"))
			cfg := config(vfs.NewMem(), aedb.KeyConfig{})
			_, err = aedb.ImportDump(t.Context(), bytes.NewReader(text), "store", cfg, nil)
			require.NoError(t, err)
			db, err := aedb.OpenNoAuth("store", cfg)
			require.NoError(t, err)
			require.Equal(t, want, content(t, db))
			require.NoError(t, db.Close(t.Context()))
		})
	}
}

func TestDumpOfThisReleaseHasTheGoldenBytes(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", release, dumpFile))
	require.NoError(t, err)
	require.Equal(t, string(golden), string(dumped(t, release)), "the format has changed")
}
