package recovery_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// sealing returns how a store with keys of these names protects itself.
func sealing(t testing.TB, encrypt bool, ids ...string) keys.Sealing {
	var all []keys.Key
	for _, id := range ids {
		all = append(all, keys.Key{ID: id, Secret: bytes.Repeat([]byte(id+"#"), keys.MinSecretBytes)})
	}
	ring, err := keys.NewRing(all...)
	require.NoError(t, err)
	return keys.Sealing{Ring: ring, Encrypt: encrypt}
}

// keyed is fixture for a store with a key: left by a crash, with a part of the log
// that no manifest lists.
func keyed(t testing.TB, s keys.Sealing) (*vfs.Mem, *recoverytest.History) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	store, err := recoverytest.Open(fsys, recoverytest.Options{Sealing: s}, h)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, store.PutMany(10))
		require.NoError(t, store.Checkpoint())
	}
	require.NoError(t, store.PutMany(20))
	require.NoError(t, store.Sync())
	return fsys.Crash(vfs.AllKept()), h
}

// recovers asserts that a store opens with all of its history.
func recovers(t testing.TB, fsys vfs.FS, o recoverytest.Options, h *recoverytest.History) *recovery.Recovered {
	t.Helper()
	r, err := recoverytest.Recover(fsys, o)
	require.NoError(t, err)
	require.Equal(t, h.Last, r.Working.Seq())
	require.Equal(t, h.Digests[h.Last], r.Working.Freeze().Digest())
	return r
}

// declined asserts that an opening is refused with a code in both modes, names what
// is at fault, and changes nothing.
func declined(t *testing.T, fsys *vfs.Mem, o recoverytest.Options, code errs.Code, names ...string) {
	t.Helper()
	before := content(fsys)
	for _, o.Mode = range []recovery.Mode{recovery.Strict, recovery.Permissive} {
		_, err := recoverytest.Recover(fsys, o)
		require.Error(t, err, o.Mode)
		require.Equal(t, code, errs.CodeOf(err), "%v: %v", o.Mode, err)
		for _, name := range names {
			require.ErrorContains(t, err, name)
		}
		require.Equal(t, before, content(fsys), "a refused opening changed the directory")
	}
}

func last(names []string) string { return names[len(names)-1] }

func TestStoreWithKeysGoesOnAfterACrash(t *testing.T) {
	for _, encrypt := range []bool{false, true} {
		s := sealing(t, encrypt, "k1")
		fsys, h := keyed(t, s)
		for _, goesOn := range []bool{false, true} {
			o := recoverytest.Options{Sealing: s, Continue: goesOn}
			store, err := recoverytest.Open(fsys, o, h)
			require.NoError(t, err)
			require.Equal(t, goesOn, store.Recovered.Active != nil)
			require.NoError(t, store.PutMany(5))
			require.NoError(t, store.Sync())
			fsys = fsys.Crash(vfs.AllLost())
		}
		recovers(t, fsys, recoverytest.Options{Sealing: s}, h)
	}
}

func TestSignedStoreIsNotOpenedWithoutItsKey(t *testing.T) {
	fsys, _ := keyed(t, sealing(t, false, "k1"))
	declined(t, fsys, recoverytest.Options{}, errs.CodeUnavailable, "k1", "manifest-")
	declined(t, fsys, recoverytest.Options{Sealing: sealing(t, false, "k2")}, errs.CodeUnavailable, "k1", "manifest-")
	declined(t, fsys, recoverytest.Options{Sealing: sealing(t, false, "k2"), Adopt: true}, errs.CodeUnavailable, "k1")
}

func TestUnsignedStoreIsSignedWhenItIsAdopted(t *testing.T) {
	fsys, h := fixture(t)
	s := sealing(t, true, "k1")
	declined(t, fsys, recoverytest.Options{Sealing: s}, errs.CodeUnavailable, "adopted", "manifest-")

	r := recovers(t, fsys, recoverytest.Options{Sealing: s, Adopt: true, Continue: true}, h)
	require.Nil(t, r.Active, "an unsealed segment is not gone on with")
	require.NotEmpty(t, r.Report.Warnings)
	require.Len(t, r.Report.KeysInUse, 1)
	require.Len(t, r.Report.KeysInUse[0].Files, 1, "the manifest; all else is vouched for by it")
	declined(t, fsys, recoverytest.Options{}, errs.CodeUnavailable, "k1")
	store, err := recoverytest.Open(fsys, recoverytest.Options{Sealing: s}, h)
	require.NoError(t, err)
	require.NoError(t, store.PutMany(5))
	require.NoError(t, store.Sync())
	recovers(t, fsys.Crash(vfs.AllLost()), recoverytest.Options{Sealing: s}, h)
}

func TestKeyIsRotatedByPuttingANewOneInFront(t *testing.T) {
	fsys, h := keyed(t, sealing(t, true, "old"))
	both := sealing(t, true, "new", "old")
	store, err := recoverytest.Open(fsys, recoverytest.Options{Sealing: both, Continue: true}, h)
	require.NoError(t, err)
	require.Nil(t, store.Recovered.Active, "what is new is under the new key")
	uses := store.Recovered.Report.KeysInUse
	require.Equal(t, []string{"new", "old"}, []string{uses[0].Key, uses[1].Key})
	require.Contains(t, uses[1].Files, checkpoint.FileName(20))

	// Its files go as they would have gone anyway.
	for range 4 {
		require.NoError(t, store.PutMany(20))
		require.NoError(t, store.Checkpoint())
	}
	require.NoError(t, store.Close())
	r := recovers(t, fsys, recoverytest.Options{Sealing: both}, h)
	require.Len(t, r.Report.KeysInUse, 1)
	require.Equal(t, "new", r.Report.KeysInUse[0].Key)
	recovers(t, fsys, recoverytest.Options{Sealing: sealing(t, true, "new")}, h)
}

// The manifest is signed under the new key already, and the files are not.
func TestMissingKeyIsNamedWithTheFileAndIsNoDamage(t *testing.T) {
	for _, c := range []struct{ encrypt bool }{{false}, {true}} {
		fsys, _ := keyed(t, sealing(t, c.encrypt, "old"))
		_, err := recoverytest.Recover(fsys, recoverytest.Options{Sealing: sealing(t, c.encrypt, "new", "old")})
		require.NoError(t, err)
		// The generation before is still under the old key; it is not looked at.
		file := "wal-"
		if c.encrypt {
			file = checkpoint.FileName(20)
		}
		declined(t, fsys, recoverytest.Options{Sealing: sealing(t, c.encrypt, "new")}, errs.CodeUnavailable, "old", file)
	}
}

func TestSealingInAnotherWayBeginsANewSegment(t *testing.T) {
	fsys, h := keyed(t, sealing(t, false, "k1"))
	store, err := recoverytest.Open(fsys, recoverytest.Options{Sealing: sealing(t, true, "k1"), Continue: true}, h)
	require.NoError(t, err)
	require.Nil(t, store.Recovered.Active)
	require.NoError(t, store.PutMany(3))
	require.NoError(t, store.Sync())
	recovers(t, fsys.Crash(vfs.AllLost()), recoverytest.Options{Sealing: sealing(t, false, "k1")}, h)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// forge changes the last frame of a sealed segment and makes its checksum fit.
func forge(t testing.TB, r *keys.Ring) func([]byte) []byte {
	return func(data []byte) []byte {
		at := 0
		_, _, err := wal.ScanSealed(data, r, func(f wal.Frame) error { at = f.Offset; return nil })
		require.NoError(t, err)
		size := wal.FrameOverhead + int(binary.LittleEndian.Uint32(data[at+4:]))
		data[at+size-20] ^= 1
		seed := binary.LittleEndian.Uint32(data[wal.HeaderSize+wal.SealSize-4:])
		binary.LittleEndian.PutUint32(data[at:], crc32.Update(seed, castagnoli, data[at+4:at+size]))
		return data
	}
}

func TestForgedFrameIsRefusedInBothModesAlsoInTheTail(t *testing.T) {
	for _, encrypt := range []bool{false, true} {
		s := sealing(t, encrypt, "k1")
		for back := range 2 {
			fsys, _ := keyed(t, s)
			names := files(fsys, "wal-")
			name := names[len(names)-1-back]
			edit(t, fsys, name, forge(t, s.Ring))
			declined(t, fsys, recoverytest.Options{Sealing: s}, errs.CodeIntegrity, name, "offset")
		}
	}
}

// An attacker writes a segment of its own, with everything right but the seal.
func TestSegmentThatIsNeitherSealedNorListedIsRefused(t *testing.T) {
	s := sealing(t, false, "k1")
	fsys, _ := keyed(t, s)
	name := last(files(fsys, "wal-"))
	data, err := fsys.ReadFile(in(name))
	require.NoError(t, err)
	h, err := wal.ParseHeader(data)
	require.NoError(t, err)
	h.Features = 0
	edit(t, fsys, name, func([]byte) []byte { return wal.AppendHeader(nil, h) })
	declined(t, fsys, recoverytest.Options{Sealing: s}, errs.CodeIntegrity, name, "not sealed")
}

func TestSegmentOfAnotherStoreWithTheSameKeyIsRefused(t *testing.T) {
	s := sealing(t, true, "k1")
	fsys, _ := keyed(t, s)
	other, _ := keyed(t, s)
	name := last(files(fsys, "wal-"))
	foreign, err := other.ReadFile(in(name))
	require.NoError(t, err)
	edit(t, fsys, name, func([]byte) []byte { return foreign })
	_, err = recoverytest.Recover(fsys, recoverytest.Options{Sealing: s})
	diagnosed(t, err, recovery.KindChainBroken)
}

func TestManifestOfASignedStoreIsNeverRebuilt(t *testing.T) {
	s := sealing(t, false, "k1")
	fsys, h := keyed(t, s)
	names := files(fsys, "manifest-")
	fell := fsys.Clone(vfs.AllKept())
	edit(t, fell, last(names), garbage)
	r := recovers(t, fell, recoverytest.Options{Sealing: s}, h)
	require.Equal(t, last(names), r.Report.RejectedManifests[0].File)

	for _, name := range names {
		edit(t, fsys, name, garbage)
	}
	declined(t, fsys, recoverytest.Options{Sealing: s}, errs.CodeRecoveryIntegrity, names...)
	remove(t, fsys, names...)
	declined(t, fsys, recoverytest.Options{Sealing: s}, errs.CodeUnavailable)
	declined(t, fsys, recoverytest.Options{Sealing: s, Adopt: true}, errs.CodeUnavailable)
}

func TestUnsignedManifestBesideSignedOnesIsNotAccepted(t *testing.T) {
	s := sealing(t, false, "k1")
	for _, adopt := range []bool{false, true} {
		fsys, h := keyed(t, s)
		m, _, err := manifest.LoadSigned(fsys, recoverytest.Dir, s.Ring, false)
		require.NoError(t, err)
		m.Generation++
		m.Checkpoints = nil
		require.NoError(t, manifest.Store(fsys, recoverytest.Dir, m))
		r := recovers(t, fsys, recoverytest.Options{Sealing: s, Adopt: adopt}, h)
		require.Len(t, r.Report.RejectedManifests, 1)
		require.ErrorContains(t, r.Report.RejectedManifests[0].Err, "not signed")
	}
}

func TestStoreBelowTheExpectedCommitIsRefused(t *testing.T) {
	fsys, h := fixture(t)
	recovers(t, fsys.Clone(vfs.AllKept()), recoverytest.Options{ExpectSeq: 60}, h)
	declined(t, fsys, recoverytest.Options{ExpectSeq: 61}, errs.CodeRecoveryIntegrity, "commit 60", "commit 61")
	// A directory that was emptied is a new store, and one that ends at commit 0.
	empty := vfs.NewMem()
	require.NoError(t, empty.MkdirAll(recoverytest.Dir))
	declined(t, empty, recoverytest.Options{ExpectSeq: 1}, errs.CodeRecoveryIntegrity)
}

func TestClosedStoreVouchesForEveryByteOfItsLog(t *testing.T) {
	for _, s := range []keys.Sealing{{}, sealing(t, false, "k1"), sealing(t, true, "k1")} {
		fsys, h := vfs.NewMem(), recoverytest.NewHistory()
		for range 3 { // it goes on from there, with a new segment each time
			store, err := recoverytest.Open(fsys, recoverytest.Options{Sealing: s, Continue: true}, h)
			require.NoError(t, err)
			require.NoError(t, store.PutMany(10))
			require.NoError(t, store.Close())
		}
		m, _, err := manifest.LoadSigned(fsys, recoverytest.Dir, s.Ring, false)
		require.NoError(t, err)
		require.EqualValues(t, 30, m.DurableSeq)
		require.Len(t, m.Segments, len(files(fsys, "wal-")))
		name := last(files(fsys, "wal-"))
		for at := 0; at < 200; at += 7 {
			bad := fsys.Clone(vfs.AllKept())
			edit(t, bad, name, flip(-1-at))
			declined(t, bad, recoverytest.Options{Sealing: s}, errs.CodeRecoveryIntegrity, name)
			bad = fsys.Clone(vfs.AllKept())
			edit(t, bad, name, func(b []byte) []byte { return b[:len(b)-1-at] })
			_, err = recoverytest.Recover(bad, recoverytest.Options{Sealing: s})
			require.Equal(t, errs.CodeRecoveryIntegrity, errs.CodeOf(err), "%v", err)
		}
		bad := fsys.Clone(vfs.AllKept())
		remove(t, bad, name)
		_, err = recoverytest.Recover(bad, recoverytest.Options{Sealing: s})
		diagnosed(t, err, recovery.KindSegmentMissing)
		recovers(t, fsys, recoverytest.Options{Sealing: s}, h)
	}
}

// A disk that fails for a moment is not damage: falling back to an older checkpoint
// would take the newest off the list for ever.
func TestCheckpointThatCannotBeReadFailsTheOpening(t *testing.T) {
	fsys, h := fixture(t)
	fsys.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpRead && strings.HasSuffix(op.Name, checkpoint.FileName(20)) {
			return vfs.Fault{Err: syscall.EIO}
		}
		return vfs.Fault{}
	})
	for _, mode := range []recovery.Mode{recovery.Strict, recovery.Permissive} {
		_, err := recoverytest.Recover(fsys, recoverytest.Options{Mode: mode})
		require.Equal(t, errs.CodeIO, errs.CodeOf(err))
		require.ErrorContains(t, err, checkpoint.FileName(20))
	}
	fsys.SetInjector(nil)
	r := recovers(t, fsys, recoverytest.Options{}, h)
	require.EqualValues(t, 20, r.Report.CheckpointSeq)
	require.Empty(t, r.Report.RejectedCheckpoints)
}

// Zeros behind what was dropped were space for frames.
func TestZerosAreNotCountedAsDropped(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	store, err := recoverytest.Open(fsys, recoverytest.Options{SegmentBytes: 1 << 20}, h)
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, store.PutMany(2))
		require.NoError(t, store.Sync())
	}
	name := wal.SegmentName(1)
	data, err := fsys.ReadFile(in(name))
	require.NoError(t, err)
	edit(t, fsys, name, func(b []byte) []byte {
		b[len(b)/2] ^= 1
		return append(b, make([]byte, 5000)...)
	})
	r, err := recoverytest.Recover(fsys, recoverytest.Options{Mode: recovery.Permissive})
	require.NoError(t, err)
	require.NotZero(t, r.Report.Dropped.Bytes)
	require.Less(t, r.Report.Dropped.Bytes, int64(len(data)))
	aside, err := fsys.ReadFile(in(last(files(fsys, name+"."))))
	require.NoError(t, err)
	require.Len(t, aside, len(data))
}
