package aedb_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/follower"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/vfs"
)

// readerConfig returns a configuration with small segments, whose readers look at the
// log only when they are asked to.
func readerConfig(fsys vfs.FS) aedb.Config {
	cfg := aedb.DefaultConfig()
	cfg.FS, cfg.Logger = fsys, aedb.Zerolog(zerolog.Nop())
	cfg.SegmentBytes = 4 << 10
	cfg.Checkpoint = aedb.CheckpointConfig{Kept: 1}
	cfg.FollowInterval = 0
	return cfg
}

// wantSame checks that a reader shows what the store held at that commit.
func wantSame(t *testing.T, r *aedb.Reader, db *aedb.DB) {
	t.Helper()
	seq, digest, err := r.Digest(aedb.AtLatest)
	require.NoError(t, err)
	for db.Heads().VisibleSeq < seq { // the log is a moment ahead of what is visible
		runtime.Gosched()
	}
	_, want, err := db.Digest(aedb.AtSeq(seq))
	require.NoError(t, err)
	require.Equal(t, want, digest, "at commit %d", seq)
}

func TestReaderShowsWhatTheStoreHeldAtThatCommit(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, mode := range []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered} {
		t.Run(mode.String(), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 1))
			ctx := context.Background()
			disk := vfs.NewMem()
			cfg := readerConfig(disk)
			cfg.Durability = mode
			db, err := aedb.OpenNoAuth("store", cfg)
			require.NoError(t, err)
			defer func() { require.NoError(t, db.Close(ctx)) }()
			_, err = db.NoAuth().CreateProject(ctx, "p")
			require.NoError(t, err)
			r, err := aedb.OpenReader(ctx, "store", cfg)
			require.NoError(t, err)
			defer func() { require.NoError(t, r.Close()) }()
			app := db.NoAuth().Scope("p", "app")
			for range 600 {
				switch n := rng.IntN(100); {
				case n < 6:
					_, err := db.Checkpoint(ctx)
					require.NoError(t, err)
				case n < 8:
					_, err := db.NoAuth().CreateScope(ctx, "p", fmt.Sprint("s", rng.IntN(5)))
					require.NoError(t, err)
				case n < 10:
					_, err := db.NoAuth().DropScope(ctx, "p", fmt.Sprint("s", rng.IntN(5)))
					require.NoError(t, err)
				case n < 15:
					seq, err := r.Refresh(ctx)
					require.NoError(t, err)
					require.Equal(t, db.Heads().VisibleSeq, seq)
					wantSame(t, r, db)
					h := r.Heads()
					require.LessOrEqual(t, h.DurableSeq, h.VisibleSeq)
					at, durable, err := r.Digest(aedb.AtDurable)
					require.NoError(t, err)
					require.LessOrEqual(t, at, h.DurableSeq)
					_, want, err := db.Digest(aedb.AtSeq(at))
					require.NoError(t, err)
					require.Equal(t, want, durable)
					after := cfg
					after.FS = disk.Clone(vfs.AllLost())
					left, err := aedb.OpenReader(ctx, "store", after)
					require.NoError(t, err)
					require.GreaterOrEqual(t, left.Heads().VisibleSeq, h.DurableSeq, "a power cut undoes what was called durable")
					require.NoError(t, left.Close())
				default:
					key := []byte(strconv.Itoa(rng.IntN(200)))
					_, err := app.Commit(ctx, app.KvSet(key, make([]byte, rng.IntN(400))))
					require.NoError(t, err)
				}
			}
			require.Greater(t, r.Health().Loads, uint64(1), "the reader was never left behind")
		})
	}
}

func TestReaderFollowsAStoreUnderLoad(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx := context.Background()
	cfg := readerConfig(nil)
	cfg.FollowInterval, cfg.Durability = time.Millisecond, aedb.OsBuffered
	cfg.Reads.HistoryCommits, cfg.Reads.HistoryBytes = 1<<20, 1<<30
	dir := t.TempDir()
	db, err := aedb.OpenNoAuth(dir, cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(ctx)) }()
	_, err = db.NoAuth().CreateProject(ctx, "p")
	require.NoError(t, err)
	r, err := aedb.OpenReader(ctx, dir, cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()

	written := make(chan error, 1) // of the one goroutine, which does not wait to be heard
	go func() {
		app := db.NoAuth().Scope("p", "app")
		for i := range 5000 {
			if _, err := app.Commit(ctx, app.KvSet([]byte(strconv.Itoa(i%500)), make([]byte, i%300))); err != nil {
				written <- err
				return
			}
			if i%900 == 899 {
				if _, err := db.Checkpoint(ctx); err != nil {
					written <- err
					return
				}
			}
		}
		written <- nil
	}()
	for done := false; !done; {
		select {
		case err := <-written:
			require.NoError(t, err)
			done = true
		default:
			_, err := r.Refresh(ctx)
			require.NoError(t, err)
		}
		wantSame(t, r, db)
		require.NoError(t, r.Health().Cause)
	}
	require.NoError(t, r.WaitSeq(ctx, db.Heads().VisibleSeq))
	wantSame(t, r, db)
}

// childDir tells the test binary to be a process that commits to a store.
const childDir = "AEDB_TEST_WRITER_DIR"

func TestReaderFollowsAnotherProcess(t *testing.T) {
	ctx := context.Background()
	cfg := readerConfig(nil)
	cfg.FollowInterval = time.Millisecond
	if dir := os.Getenv(childDir); dir != "" {
		db, err := aedb.OpenNoAuth(dir, cfg)
		require.NoError(t, err)
		_, err = db.NoAuth().CreateProject(ctx, "p")
		require.NoError(t, err)
		app := db.NoAuth().Scope("p", "app")
		for i := range 600 {
			_, err := app.Commit(ctx, app.KvSet([]byte("n"), []byte(strconv.Itoa(i))), app.KvSet([]byte(strconv.Itoa(i%50)), make([]byte, 100)))
			require.NoError(t, err)
			if i%100 == 99 {
				_, err := db.Checkpoint(ctx)
				require.NoError(t, err)
			}
		}
		os.Exit(0) // as if it was killed
	}
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	db, err := aedb.OpenNoAuth(dir, cfg)
	require.NoError(t, err)
	require.NoError(t, db.Close(ctx))
	r, err := aedb.OpenReader(ctx, dir, cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()

	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), childDir+"="+dir)
	ended := make(chan error, 1) // of the one goroutine, which does not wait to be heard
	go func() {
		out, err := child.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		ended <- err
	}()
	kv, newest := r.NoAuth().Scope("p", "app").KV(), -1
	look := func() {
		e, ok, err := kv.Get(ctx, []byte("n"))
		require.NoError(t, err)
		if !ok {
			return
		}
		n, err := strconv.Atoi(string(e.Value))
		require.NoError(t, err)
		require.GreaterOrEqual(t, n, newest, "the reader went back")
		newest = n
	}
	for done := false; !done; {
		select {
		case err := <-ended:
			require.NoError(t, err)
			done = true
		default:
			_, err := r.Refresh(ctx)
			require.NoError(t, err)
			look()
		}
	}
	_, err = r.Refresh(ctx)
	require.NoError(t, err)
	look()
	require.Equal(t, 599, newest)
}

// tree returns names, modes, times and contents of all that is in a directory.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all[name] = fmt.Sprint(info.Mode(), info.ModTime().UnixNano())
		if !d.IsDir() {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			all[name] += fmt.Sprintf(" %d %x", len(data), sha256.Sum256(data))
		}
		return nil
	}))
	return all
}

func TestReaderChangesNothing(t *testing.T) {
	ctx := context.Background()
	cfg := readerConfig(nil)
	dir := filepath.Join(t.TempDir(), "store")
	db, err := aedb.OpenNoAuth(dir, cfg)
	require.NoError(t, err)
	_, err = db.NoAuth().CreateProject(ctx, "p")
	require.NoError(t, err)
	app := db.NoAuth().Scope("p", "app")
	_, err = app.Commit(ctx, app.CreateTable("t", aedb.TableSpec{
		Columns: []aedb.ColumnSpec{{Name: "id", Kind: aedb.TypeInteger}}, PrimaryKey: []string{"id"},
	}))
	require.NoError(t, err)
	for i := range 60 {
		_, err = app.Commit(ctx, app.KvSet([]byte{byte(i)}, make([]byte, 200)), app.Insert("t", aedb.Row{aedb.Int(int64(i))}))
		require.NoError(t, err)
	}
	require.NoError(t, db.Close(ctx))

	half := func(data []byte) []byte { return append(data, 1, 2, 3) }
	for _, state := range []struct {
		name   string
		change func(t *testing.T)
	}{
		{"closed", func(*testing.T) {}},
		{"with a torn end", func(t *testing.T) { rewrite(t, lastOf(t, dir, "wal-"), half) }},
		{"with files half made", func(t *testing.T) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "manifest-0000000000000099.json.tmp"), []byte("{"), 0o644))
		}},
		{"in a directory for all", func(t *testing.T) { require.NoError(t, os.Chmod(dir, 0o755)) }},
	} {
		t.Run(state.name, func(t *testing.T) {
			state.change(t)
			before := tree(t, dir)
			r, err := aedb.OpenReader(ctx, dir, cfg)
			require.NoError(t, err)
			s := r.NoAuth()
			projects, err := s.Projects()
			require.NoError(t, err)
			require.Equal(t, "p", projects[0].Name)
			tables, err := s.Scope("p", "app").Tables()
			require.NoError(t, err)
			require.Equal(t, 60, tables[0].Rows)
			page, err := s.Scope("p", "app").Query(ctx, query.Select("id").From("t").Limit(7))
			require.NoError(t, err)
			require.Len(t, page.Rows, 7)
			page, err = s.Scope("p", "app").Query(ctx, query.Select("id").From("t").Limit(7), aedb.WithCursor(page.Cursor))
			require.NoError(t, err)
			require.Equal(t, aedb.Int(7), page.Rows[0][0])
			tx, err := s.BeginRead(ctx, aedb.AtLatest)
			require.NoError(t, err)
			n := 0
			for _, err := range tx.Scope("p", "app").KV().Prefix(ctx, nil) {
				require.NoError(t, err)
				n++
			}
			require.Equal(t, 60, n)
			_, err = r.Refresh(ctx)
			require.NoError(t, err)
			require.NoError(t, r.Close())
			_, err = s.Projects()
			require.ErrorIs(t, err, aedb.ErrUnavailable)
			require.Equal(t, before, tree(t, dir))
		})
	}
}

func TestReaderOfNoStoreMakesNone(t *testing.T) {
	ctx := context.Background()
	root := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, "empty"), 0o755))
	before := tree(t, root)
	for _, name := range []string{"missing", "empty"} {
		_, err := aedb.OpenReader(ctx, filepath.Join(root, name), readerConfig(nil))
		require.ErrorIs(t, err, aedb.ErrUnavailable)
		require.ErrorContains(t, err, "there is no store in")
	}
	require.Equal(t, before, tree(t, root))
}

// lastOf returns the last file in a directory whose name has a prefix.
func lastOf(t *testing.T, dir, prefix string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, prefix+"*"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return names[len(names)-1]
}

func rewrite(t *testing.T, name string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, change(data), 0o600))
}

func TestReaderSaysWhereALogIsDamaged(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx := context.Background()
	fsys := vfs.NewMem()
	cfg := readerConfig(fsys)
	cfg.SegmentBytes = 1 << 20
	db, err := aedb.OpenNoAuth("store", cfg)
	require.NoError(t, err)
	_, err = db.NoAuth().CreateProject(ctx, "p")
	require.NoError(t, err)
	app := db.NoAuth().Scope("p", "app")
	commit := func() {
		_, err := app.Commit(ctx, app.KvSet([]byte("k"), make([]byte, 100)))
		require.NoError(t, err)
	}
	commit()
	r, err := aedb.OpenReader(ctx, "store", cfg)
	require.NoError(t, err)
	shown := r.Heads().VisibleSeq

	const name = "wal-0000000000000001.seg"
	before, err := fsys.ReadFile("store/" + name)
	require.NoError(t, err)
	for range 4 {
		commit()
	}
	data, err := fsys.ReadFile("store/" + name)
	require.NoError(t, err)
	at := 0 // where the first of the new frames begins
	for data[at] == before[at] {
		at++
	}
	whole := append([]byte(nil), data...)
	data[at+150] ^= 1
	require.NoError(t, fsys.WriteFile("store/"+name, data))

	seq, err := r.Refresh(ctx)
	require.ErrorIs(t, err, aedb.ErrRecoveryIntegrity)
	require.Equal(t, shown+1, seq, "the commit in front of the damage is whole")
	var damage *follower.Damage
	require.True(t, errors.As(err, &damage))
	require.Equal(t, name, damage.File)
	require.Greater(t, damage.Offset, int64(at))
	h := r.Health()
	require.Equal(t, aedb.HealthDegraded, h.State)
	require.Equal(t, name, h.File)
	require.Equal(t, damage.Offset, h.Offset)
	_, ok, err := r.NoAuth().Scope("p", "app").KV().Get(ctx, []byte("k"))
	require.NoError(t, err)
	require.True(t, ok)
	require.ErrorIs(t, r.WaitSeq(ctx, shown+3), aedb.ErrRecoveryIntegrity)

	_, err = aedb.OpenReader(ctx, "store", cfg)
	require.ErrorIs(t, err, aedb.ErrRecoveryIntegrity)
	lenient := cfg
	lenient.Recovery = aedb.Permissive
	part, err := aedb.OpenReader(ctx, "store", lenient)
	require.NoError(t, err)
	require.Equal(t, shown+1, part.Heads().VisibleSeq)
	require.ErrorIs(t, part.Health().Cause, aedb.ErrRecoveryIntegrity)
	require.NoError(t, part.Close())

	require.NoError(t, fsys.WriteFile("store/"+name, whole))
	require.NoError(t, r.WaitSeq(ctx, shown+4))
	require.Equal(t, aedb.HealthOK, r.Health().State)
	require.NoError(t, r.Close())
	require.NoError(t, db.Close(ctx))
}

func TestReaderNoticesThatAnotherStoreHasTakenThePlace(t *testing.T) {
	ctx := context.Background()
	fsys := vfs.NewMem()
	cfg := readerConfig(fsys)
	made := func() {
		db, err := aedb.OpenNoAuth("store", cfg)
		require.NoError(t, err)
		_, err = db.NoAuth().CreateProject(ctx, "p")
		require.NoError(t, err)
		require.NoError(t, db.Close(ctx))
	}
	made()
	r, err := aedb.OpenReader(ctx, "store", cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	names, err := fsys.List("store")
	require.NoError(t, err)
	for _, name := range names {
		require.NoError(t, fsys.Remove("store/"+name))
	}
	_, err = r.Refresh(ctx)
	require.ErrorIs(t, err, aedb.ErrUnavailable)
	made()
	_, err = r.Refresh(ctx)
	require.ErrorIs(t, err, aedb.ErrUnavailable)
	require.ErrorContains(t, err, "another one now")
	projects, err := r.NoAuth().Projects()
	require.NoError(t, err)
	require.Len(t, projects, 1, "what was shown last stays")
}

func TestReaderGoesBackWithALogThatLostItsEnd(t *testing.T) {
	ctx := context.Background()
	disk := vfs.NewMem()
	cfg := readerConfig(disk)
	cfg.Durability = aedb.OsBuffered
	db, err := aedb.OpenNoAuth("store", cfg)
	require.NoError(t, err)
	_, err = db.NoAuth().CreateProject(ctx, "p")
	require.NoError(t, err)
	kept, err := db.Flush(ctx)
	require.NoError(t, err)
	app := db.NoAuth().Scope("p", "app")
	for range 5 {
		_, err := app.Commit(ctx, app.KvSet([]byte("k"), []byte("lost")))
		require.NoError(t, err)
	}
	through := &swapped{FS: disk}
	cfg.FS = through
	r, err := aedb.OpenReader(ctx, "store", cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	require.Equal(t, kept+5, r.Heads().VisibleSeq)
	require.Equal(t, kept, r.Heads().DurableSeq)

	through.FS = disk.Crash(vfs.Fate{})
	_ = db.Close(ctx) // its disk is gone
	seq, err := r.Refresh(ctx)
	require.NoError(t, err)
	require.Equal(t, kept, seq)
	_, ok, err := r.NoAuth().Scope("p", "app").KV().Get(ctx, []byte("k"))
	require.NoError(t, err)
	require.False(t, ok)
}

// swapped is a file system that a reader sees another one through.
type swapped struct{ vfs.FS }

func TestReaderSeesVolatileCommitsWithTheNextCheckpoint(t *testing.T) {
	ctx := context.Background()
	cfg := readerConfig(vfs.NewMem())
	db, err := aedb.OpenNoAuth("store", cfg)
	require.NoError(t, err)
	_, err = db.NoAuth().CreateProject(ctx, "p")
	require.NoError(t, err)
	app := db.NoAuth().Scope("p", "app")
	r, err := aedb.OpenReader(ctx, "store", cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	set := func(key string, class aedb.WriteClass) {
		_, err := app.CommitEnvelope(ctx, aedb.Envelope{
			Mutations: []aedb.Mutation{app.KvSet([]byte(key), []byte("v"))}, WriteClass: class,
		}, aedb.Visible)
		require.NoError(t, err)
	}
	shows := func(r *aedb.Reader, key string) bool {
		_, ok, err := r.NoAuth().Scope("p", "app").KV().Get(ctx, []byte(key))
		require.NoError(t, err)
		return ok
	}
	for range 3 {
		set("volatile", aedb.Volatile)
	}
	_, err = r.Refresh(ctx)
	require.NoError(t, err)
	set("lasting", aedb.Standard)
	require.NoError(t, r.WaitSeq(ctx, db.Heads().VisibleSeq))
	require.True(t, shows(r, "lasting"))
	require.False(t, shows(r, "volatile"))
	set("volatile", aedb.Volatile)
	_, err = db.Checkpoint(ctx)
	require.NoError(t, err)
	late, err := aedb.OpenReader(ctx, "store", cfg)
	require.NoError(t, err)
	require.True(t, shows(late, "volatile"))
	_, err = r.Refresh(ctx)
	require.NoError(t, err)
	require.NoError(t, late.Close())
	require.NoError(t, db.Close(ctx))
	_, err = r.Refresh(ctx)
	require.NoError(t, err)
}

func TestReaderThatIsClosedEndsWaitsForACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := readerConfig(vfs.NewMem())
		cfg.FollowInterval = time.Hour
		db, _ := openWith(t, cfg)
		defer func() { require.NoError(t, db.Close(context.Background())) }()
		r, err := aedb.OpenReader(t.Context(), "store", cfg)
		require.NoError(t, err)
		waited := make(chan error, 1)
		go func() { waited <- r.WaitSeq(context.Background(), db.Heads().VisibleSeq+1) }()
		synctest.Wait()
		require.NoError(t, r.Close())
		require.ErrorIs(t, <-waited, aedb.ErrUnavailable)
		require.ErrorIs(t, r.WaitSeq(context.Background(), 0), aedb.ErrUnavailable)
	})
}

// An opening begins a segment, and the next one begins it anew where nothing was
// written. That is nothing to load a checkpoint for, behind which the durable state
// that was shown may be.
func TestReaderStaysWithAStoreThatIsOpenedAgainAndAgain(t *testing.T) {
	ctx := t.Context()
	cfg := readerConfig(vfs.NewMem())
	db, app := openWith(t, cfg)
	_, err := db.Checkpoint(ctx)
	require.NoError(t, err)
	commit(t, app, app.KvSet([]byte("k"), []byte("1")))
	r, err := aedb.OpenReader(ctx, "store", cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	for i := range uint64(3) {
		require.NoError(t, db.Close(ctx))
		db, err = aedb.OpenNoAuth("store", cfg)
		require.NoError(t, err)
		_, err = r.Refresh(ctx)
		require.NoError(t, err)
		seq, _, err := r.Digest(aedb.AtDurable)
		require.NoError(t, err)
		require.Equal(t, db.Heads().DurableSeq, seq, "opening %d", i)
	}
	commit(t, db.NoAuth().Scope("p", "app"), app.KvSet([]byte("k"), []byte("2")))
	_, err = r.Refresh(ctx)
	require.NoError(t, err)
	wantSame(t, r, db)
	seq, _, err := r.Digest(aedb.AtDurable)
	require.NoError(t, err)
	require.GreaterOrEqual(t, seq, db.Heads().DurableSeq-1, "what was durable before")
	require.EqualValues(t, 1, r.Health().Loads)
	require.NoError(t, db.Close(ctx))
}
