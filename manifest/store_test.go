package manifest_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/vfs"
)

func newDir(t require.TestingT) *vfs.Mem {
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("db"))
	return mem
}

func store(t require.TestingT, fsys vfs.FS, generations ...uint64) {
	for _, g := range generations {
		require.NoError(t, manifest.Store(fsys, "db", sample(g)))
	}
}

func names(t require.TestingT, fsys vfs.FS) []string {
	list, err := fsys.List("db")
	require.NoError(t, err)
	return list
}

func TestStoreKeepsTheNewGenerationAndTheOneBefore(t *testing.T) {
	mem := newDir(t)
	store(t, mem, 1, 2, 3, 4)
	require.Equal(t, []string{manifest.FileName(3), manifest.FileName(4)}, names(t, mem))
	got, report, err := manifest.Load(mem, "db")
	require.NoError(t, err)
	require.Empty(t, report.Rejected)
	require.Equal(t, sample(4), got)
}

func TestStoreReplacesADamagedGenerationAndALeftOverTemporaryFile(t *testing.T) {
	mem := newDir(t)
	store(t, mem, 1)
	require.NoError(t, mem.WriteFile("db/"+manifest.FileName(2), []byte("{}")))
	require.NoError(t, mem.WriteFile("db/"+manifest.FileName(2)+".tmp", []byte("half")))
	got, report, err := manifest.Load(mem, "db")
	require.NoError(t, err)
	require.EqualValues(t, 1, got.Generation)
	require.Len(t, report.Rejected, 1)
	require.Equal(t, manifest.FileName(2), report.Rejected[0].File)
	require.ErrorIs(t, report.Rejected[0].Err, errs.ErrDecode)

	store(t, mem, 2)
	got, report, err = manifest.Load(mem, "db")
	require.NoError(t, err)
	require.Equal(t, sample(2), got)
	require.Empty(t, report.Rejected)
	require.Len(t, names(t, mem), 2)
}

func TestLoadTellsANewStoreFromADamagedOne(t *testing.T) {
	mem := newDir(t)
	_, _, err := manifest.Load(mem, "db")
	require.ErrorIs(t, err, manifest.ErrNone)
	require.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, mem.WriteFile("db/"+manifest.FileName(7), nil))
	require.NoError(t, mem.WriteFile("db/"+manifest.FileName(8), []byte("garbage")))
	_, report, err := manifest.Load(mem, "db")
	require.ErrorIs(t, err, errs.ErrRecoveryIntegrity)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, manifest.FileName(7))
	require.ErrorContains(t, err, manifest.FileName(8))
	require.Len(t, report.Rejected, 2)
}

func TestLoadNeverFallsBackBehindAGenerationOfANewerFormat(t *testing.T) {
	mem := newDir(t)
	store(t, mem, 1)
	newer := encode(t, sample(2))
	newer = []byte(strings.Replace(string(newer), `"format_version": 1`, `"format_version": 9`, 1))
	require.NoError(t, mem.WriteFile("db/"+manifest.FileName(2), reseal(newer)))
	_, _, err := manifest.Load(mem, "db")
	require.ErrorIs(t, err, errs.ErrUnavailable)
	require.ErrorContains(t, err, manifest.FileName(2))
}

func TestLoadRejectsAGenerationUnderAnotherName(t *testing.T) {
	mem := newDir(t)
	store(t, mem, 1, 2)
	old, err := mem.ReadFile("db/" + manifest.FileName(1))
	require.NoError(t, err)
	require.NoError(t, mem.WriteFile("db/"+manifest.FileName(3), old))
	got, report, err := manifest.Load(mem, "db")
	require.NoError(t, err)
	require.EqualValues(t, 2, got.Generation)
	require.Len(t, report.Rejected, 1)
}

func TestStorePowerLossAtAnyCallLeavesTheOldGenerationOrTheNew(t *testing.T) {
	fates := []vfs.Fate{vfs.AllLost(), vfs.AllKept()}
	for seed := range uint64(8) {
		fates = append(fates, vfs.RandomBlocks(seed, 50), vfs.TornLastWrite(seed))
	}
	calls := 0
	for at := int64(1); ; at++ {
		mem := newDir(t)
		store(t, mem, 1, 2)
		before := mem.Ops()
		mem.SetInjector(func(op vfs.Op) vfs.Fault {
			return vfs.Fault{CrashNow: op.Kind.Mutates() && op.N == before+at}
		})
		err := manifest.Store(mem, "db", sample(3))
		if mem.Ops() < before+at {
			require.NoError(t, err)
			break
		}
		calls++
		for _, fate := range fates {
			after := mem.Clone(fate)
			where := fmt.Sprintf("call %d, %v", at, fate)
			got, report, loadErr := manifest.Load(after, "db")
			require.NoError(t, loadErr, where)
			require.Empty(t, report.Rejected, where)
			if err == nil {
				require.EqualValues(t, 3, got.Generation, where)
			}
			require.Contains(t, []manifest.Manifest{sample(2), sample(3)}, got, where)
			// And the store goes on from there.
			require.NoError(t, manifest.Store(after, "db", sample(got.Generation+1)), where)
			next, _, loadErr := manifest.Load(after, "db")
			require.NoError(t, loadErr, where)
			require.Equal(t, got.Generation+1, next.Generation, where)
		}
	}
	require.GreaterOrEqual(t, calls, 5, "remove, create, write, sync, rename, sync of the directory")
}

func TestStoreThatFailsAtAnyCallLeavesALoadableStore(t *testing.T) {
	broken := errors.New("broken")
	for at := int64(1); ; at++ {
		mem := newDir(t)
		store(t, mem, 1, 2)
		before := mem.Ops()
		mem.SetInjector(func(op vfs.Op) vfs.Fault {
			if op.Kind.Mutates() && op.N == before+at {
				return vfs.Fault{Err: broken, Short: 5}
			}
			return vfs.Fault{}
		})
		err := manifest.Store(mem, "db", sample(3))
		done := mem.Ops() < before+at
		mem.SetInjector(nil)
		got, _, loadErr := manifest.Load(mem, "db")
		require.NoError(t, loadErr)
		if err != nil {
			require.ErrorIs(t, err, errs.ErrIO)
			require.ErrorIs(t, err, broken)
			require.Contains(t, []uint64{2, 3}, got.Generation)
		} else {
			require.EqualValues(t, 3, got.Generation)
		}
		if done {
			break
		}
	}
}

func TestFileNamesAreCanonical(t *testing.T) {
	require.Equal(t, "manifest-0000000000000012.json", manifest.FileName(12))
	g, ok := manifest.ParseFileName(manifest.FileName(1 << 63))
	require.True(t, ok)
	require.EqualValues(t, uint64(1)<<63, g)
	for _, name := range []string{"manifest-12.json", "manifest-0000000000000012.json.tmp", "manifest.json", "x"} {
		_, ok := manifest.ParseFileName(name)
		require.False(t, ok, name)
	}
}
