package recovery_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// oneSegment is a store with six commits, each a frame and each synced, in a segment
// that no manifest lists.
func oneSegment(t testing.TB) (*vfs.Mem, *recoverytest.History) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, recoverytest.Options{SegmentBytes: 1 << 20}, h)
	require.NoError(t, err)
	for range 6 {
		require.NoError(t, s.PutMany(1))
		require.NoError(t, s.Sync())
	}
	return fsys.Crash(vfs.AllLost()), h
}

// ends returns where the frames of a segment begin, and where the last ends.
func ends(t testing.TB, data []byte) []int {
	var at []int
	_, end, err := wal.Scan(data, func(f wal.Frame) error { at = append(at, f.Offset); return nil })
	require.NoError(t, err)
	return append(at, end.Offset)
}

// refit makes the checksum of the frame between two offsets fit.
func refit(data []byte, from, to int) {
	seed := binary.LittleEndian.Uint32(data[wal.HeaderSize-4:])
	binary.LittleEndian.PutUint32(data[from:], crc32.Update(seed, castagnoli, data[from+4:to]))
}

func TestWhatReplayMeetsInASegment(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(b []byte, at []int) []byte
		// kind is why strict recovery refuses, "" if it opens at the same commit as
		// permissive recovery.
		kind recovery.Kind
		seq  uint64
	}{
		{"nothing", func(b []byte, _ []int) []byte { return b }, "", 6},
		{"zeros behind the last frame", func(b []byte, _ []int) []byte { return append(b, make([]byte, 3000)...) }, "", 6},
		{"garbage behind the last frame", func(b []byte, _ []int) []byte { return append(b, 1, 2, 3) }, "", 6},
		{"last frame cut short", func(b []byte, _ []int) []byte { return b[:len(b)-5] }, "", 5},
		{"last frame half zero", func(b []byte, at []int) []byte { clear(b[at[5]+20:]); return b }, "", 5},
		{"checksum that fails", func(b []byte, at []int) []byte { b[at[3]-1] ^= 1; return b }, recovery.KindSegmentCorrupt, 2},
		{"length out of range", func(b []byte, at []int) []byte { b[at[2]+7] = 0x80; return b }, recovery.KindSegmentCorrupt, 2},
		{"payload that does not decode, with its checksum", func(b []byte, at []int) []byte {
			for i := at[2] + wal.FrameOverhead; i < at[3]; i++ {
				b[i] = 0xff
			}
			refit(b, at[2], at[3])
			return b
		}, recovery.KindSegmentCorrupt, 2},
		{"frame left out", func(b []byte, at []int) []byte { return slices.Delete(b, at[2], at[3]) }, recovery.KindSegmentCorrupt, 2},
		{"frame twice", func(b []byte, at []int) []byte { return slices.Insert(b, at[3], b[at[2]:at[3]]...) }, recovery.KindSegmentCorrupt, 3},
		{"frame of an earlier seq, with its checksum", func(b []byte, at []int) []byte {
			b = slices.Insert(b, at[3], b[at[2]:at[3]]...)
			end := 2*at[3] - at[2]
			copy(b[at[3]+8:], b[at[2]:at[2]+4]) // it follows itself
			refit(b, at[3], end)
			return b
		}, recovery.KindSegmentCorrupt, 3},
		{"frames in a hole of zeros", func(b []byte, at []int) []byte { clear(b[at[2]:at[4]]); return b }, recovery.KindSegmentCorrupt, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, mode := range []recovery.Mode{recovery.Strict, recovery.Permissive} {
				fsys, h := oneSegment(t)
				edit(t, fsys, wal.SegmentName(1), func(b []byte) []byte { return c.change(b, ends(t, b)) })
				if c.kind != "" && mode == recovery.Strict {
					d := diagnosed(t, refused(t, fsys, mode, errs.CodeRecoveryIntegrity), c.kind)
					require.Equal(t, wal.SegmentName(1), d.File)
					require.NotZero(t, d.Offset)
					continue
				}
				opened(t, fsys, h, mode, c.seq)
			}
		})
	}
}

func TestWhatReplayMeetsBetweenSegments(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, fsys *vfs.Mem, names []string)
		kind   recovery.Kind
	}{
		{"shorter than its header", func(t *testing.T, fsys *vfs.Mem, names []string) {
			edit(t, fsys, names[1], func(b []byte) []byte { return b[:50] })
		}, recovery.KindSegmentCorrupt},
		{"empty", func(t *testing.T, fsys *vfs.Mem, names []string) {
			edit(t, fsys, names[1], func([]byte) []byte { return nil })
		}, recovery.KindSegmentCorrupt},
		{"missing", func(t *testing.T, fsys *vfs.Mem, names []string) { remove(t, fsys, names[1]) }, recovery.KindSegmentMissing},
		{"exchanged with the next", func(t *testing.T, fsys *vfs.Mem, names []string) {
			a, err := fsys.ReadFile(in(names[1]))
			require.NoError(t, err)
			b, err := fsys.ReadFile(in(names[2]))
			require.NoError(t, err)
			edit(t, fsys, names[1], func([]byte) []byte { return b })
			edit(t, fsys, names[2], func([]byte) []byte { return a })
		}, recovery.KindChainBroken},
		{"header of another number, with its checksum", func(t *testing.T, fsys *vfs.Mem, names []string) {
			edit(t, fsys, names[1], func(b []byte) []byte {
				h, err := wal.ParseHeader(b)
				require.NoError(t, err)
				h.Number += 7
				return append(wal.AppendHeader(nil, h), b[wal.HeaderSize:]...)
			})
		}, recovery.KindChainBroken},
		{"other content before it", func(t *testing.T, fsys *vfs.Mem, names []string) {
			edit(t, fsys, names[1], func(b []byte) []byte {
				h, err := wal.ParseHeader(b)
				require.NoError(t, err)
				h.Previous[0] ^= 1
				return append(wal.AppendHeader(nil, h), b[wal.HeaderSize:]...)
			})
		}, recovery.KindChainBroken},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, mode := range []recovery.Mode{recovery.Strict, recovery.Permissive} {
				fsys, h := vfs.NewMem(), recoverytest.NewHistory()
				s, err := recoverytest.Open(fsys, recoverytest.Options{}, h)
				require.NoError(t, err)
				require.NoError(t, s.PutMany(30))
				require.NoError(t, s.Sync())
				fsys = fsys.Crash(vfs.AllLost())
				names := files(fsys, "wal-")
				require.Greater(t, len(names), 3)
				second, err := fsys.ReadFile(in(names[1]))
				require.NoError(t, err)
				header, err := wal.ParseHeader(second)
				require.NoError(t, err)
				c.change(t, fsys, names)
				if mode == recovery.Strict {
					diagnosed(t, refused(t, fsys, mode, errs.CodeRecoveryIntegrity), c.kind)
					continue
				}
				opened(t, fsys, h, mode, header.FirstSeq-1)
			}
		})
	}
}

// Digits that are none make a manifest that is not in order: the one before is used.
func TestMalformedDigestInAManifestTurnsItDown(t *testing.T) {
	fsys, h, m := sealed(t)
	edit(t, fsys, manifest.FileName(m.Generation), func(b []byte) []byte {
		const field = ",\n  \"integrity\": {\n    \"blake3\": \""
		digest := m.Segments[0].Digest.String()
		at := bytes.LastIndex(b, []byte(field))
		body := bytes.Replace(b[:at], []byte(digest), []byte(digest[:63]+"x"), 1)
		return fmt.Appendf(body, "%s%s%s", field, manifest.Digest(blake3.Sum256(body)), b[at+len(field)+64:])
	})
	r := opened(t, fsys, h, recovery.Strict, 60)
	require.Len(t, r.Report.RejectedManifests, 1)
}
