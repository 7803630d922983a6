package follower_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/follower"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dir = "store"

// options are those of a store on a disk.
func options(fsys vfs.FS, mode recovery.Mode) recovery.Options {
	return recovery.Options{FS: fsys, Dir: dir, Mode: mode, Parallelism: 2, Clock: vfs.SystemClock()}
}

// filled returns a disk with a store of some segments and checkpoints, as a process
// has left it that was killed, and the digest of its state after each commit.
func filled(t *testing.T, mode aedb.Durability) (*vfs.Mem, map[uint64][32]byte) {
	ctx := context.Background()
	disk := vfs.NewMem()
	cfg := aedb.DefaultConfig()
	cfg.FS, cfg.Logger, cfg.Durability = disk, aedb.Zerolog(zerolog.Nop()), mode
	cfg.SegmentBytes, cfg.Checkpoint = 2<<10, aedb.CheckpointConfig{Kept: 2}
	db, err := aedb.OpenNoAuth(dir, cfg)
	require.NoError(t, err)
	digests := map[uint64][32]byte{}
	note := func(_ aedb.Result, err error) {
		require.NoError(t, err)
		seq, digest, err := db.Digest(aedb.AtLatest)
		require.NoError(t, err)
		digests[seq] = digest
	}
	note(db.NoAuth().CreateProject(ctx, "p"))
	app := db.NoAuth().Scope("p", "app")
	for i := range 60 {
		note(app.Commit(ctx, app.KvSet([]byte{byte(i % 20)}, make([]byte, 100))))
		if i == 20 || i == 35 {
			_, err := db.Checkpoint(ctx)
			require.NoError(t, err)
		}
	}
	left := disk.Clone(vfs.AllKept())
	require.NoError(t, db.Close(ctx))
	return left, digests
}

// requireLikeRecovery checks a follower of a disk against strict recovery of a copy.
func requireLikeRecovery(t *testing.T, disk *vfs.Mem, digests map[uint64][32]byte) {
	t.Helper()
	ctx := context.Background()
	names, ops := disk.Names(), disk.Ops()
	f, err := follower.Open(ctx, follower.Options{Store: options(disk, recovery.Strict)})
	if err == nil {
		defer f.Close()
	}
	require.Equal(t, names, disk.Names())
	require.Equal(t, ops, disk.Ops(), "the follower has changed something")
	found, refused := recovery.Open(ctx, options(disk.Clone(vfs.AllKept()), recovery.Strict))
	switch {
	case refused == nil:
		require.NoError(t, err, "recovery makes do with it")
		require.Equal(t, found.Working.Seq(), f.Shown().Image.Seq())
		require.Equal(t, found.Working.Freeze().Digest(), f.Shown().Image.Digest())
	case err != nil:
		require.Contains(t, []errs.Code{errs.CodeRecoveryIntegrity, errs.CodeUnavailable, errs.CodeIO, errs.CodeDecode}, errs.CodeOf(err), "%v", err)
	default: // damage in what a follower has no need of
		image := f.Shown().Image
		require.Equal(t, digests[image.Seq()], image.Digest())
	}
}

func TestFollowerTakesAStoreAsRecoveryDoes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	runs := 300
	if testing.Short() {
		runs = 60
	}
	for _, mode := range []aedb.Durability{aedb.Full, aedb.OsBuffered} {
		whole, digests := filled(t, mode)
		requireLikeRecovery(t, whole, digests)
		for run := range runs {
			disk := whole.Clone(vfs.AllKept())
			names := disk.Names()
			name := names[rng.IntN(len(names))]
			data, err := disk.ReadFile(name)
			require.NoError(t, err)
			what := fmt.Sprint(name, " removed")
			switch n := rng.IntN(8); {
			case n == 0:
				require.NoError(t, disk.Remove(name))
			case n == 1 && len(data) > 0:
				at := rng.IntN(len(data))
				what = fmt.Sprint(name, " cut at ", at)
				require.NoError(t, disk.WriteFile(name, data[:at]))
			case n == 2:
				what = fmt.Sprint(name, " grown")
				require.NoError(t, disk.WriteFile(name, append(data, byte(rng.IntN(3)), 1, 2)))
			case len(data) > 0:
				at := rng.IntN(len(data))
				what = fmt.Sprint(name, " changed at ", at)
				data[at] ^= 1 << rng.IntN(8)
				require.NoError(t, disk.WriteFile(name, data))
			}
			t.Run(fmt.Sprintf("%s/%d", mode, run), func(t *testing.T) {
				defer func() {
					if t.Failed() {
						t.Log(what)
					}
				}()
				requireLikeRecovery(t, disk, digests)
			})
		}
	}
}

func TestFollowerTakesWhatAPowerCutLeavesAsRecoveryDoes(t *testing.T) {
	for _, mode := range []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered} {
		ctx := context.Background()
		disk := vfs.NewMem()
		cfg := aedb.DefaultConfig()
		cfg.FS, cfg.Logger, cfg.Durability = disk, aedb.Zerolog(zerolog.Nop()), mode
		cfg.SegmentBytes = 4 << 10
		db, err := aedb.OpenNoAuth(dir, cfg)
		require.NoError(t, err)
		_, err = db.NoAuth().CreateProject(ctx, "p")
		require.NoError(t, err)
		app := db.NoAuth().Scope("p", "app")
		for i := range 60 {
			_, err := app.Commit(ctx, app.KvSet([]byte{byte(i % 20)}, make([]byte, 300)))
			require.NoError(t, err)
			for seed := range uint64(4) {
				requireLikeRecovery(t, disk.Clone(vfs.MixedSectors(seed, 50)), nil)
			}
		}
		require.NoError(t, db.Close(ctx))
	}
}
