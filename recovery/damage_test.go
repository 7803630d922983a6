package recovery_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// fixture is a store after a crash in which all bytes survived: two checkpoints,
// several sealed segments above the newer one, and an active one.
//
//	commits 1-10, checkpoint, 11-20, checkpoint, 21-60
func fixture(t testing.TB) (*vfs.Mem, *recoverytest.History) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, recoverytest.Options{}, h)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, s.PutMany(10))
		require.NoError(t, s.Checkpoint())
	}
	require.NoError(t, s.PutMany(40))
	require.NoError(t, s.Sync())
	return fsys.Crash(vfs.AllKept()), h
}

// sealed is the fixture after one more opening, so that the manifest lists every
// segment that has commits.
func sealed(t testing.TB) (*vfs.Mem, *recoverytest.History, manifest.Manifest) {
	fsys, h := fixture(t)
	r, err := recoverytest.Recover(fsys, recoverytest.Options{})
	require.NoError(t, err)
	require.Len(t, r.Manifest.Checkpoints, 2)
	require.Greater(t, len(r.Manifest.Segments), 3)
	require.EqualValues(t, 60, r.Manifest.DurableSeq)
	return fsys, h, r.Manifest
}

func in(name string) string { return path.Join(recoverytest.Dir, name) }

func edit(t testing.TB, fsys *vfs.Mem, name string, change func([]byte) []byte) {
	data, err := fsys.ReadFile(in(name))
	require.NoError(t, err)
	require.NoError(t, fsys.WriteFile(in(name), change(data)))
}

func flip(at int) func([]byte) []byte {
	return func(data []byte) []byte {
		if at < 0 {
			at += len(data)
		}
		data[at] ^= 0x40
		return data
	}
}

func garbage([]byte) []byte { return []byte("no such thing") }

func remove(t testing.TB, fsys *vfs.Mem, names ...string) {
	for _, name := range names {
		require.NoError(t, fsys.Remove(in(name)))
	}
	require.NoError(t, fsys.SyncDir(recoverytest.Dir))
}

// files returns the base names that start with a prefix.
func files(fsys *vfs.Mem, prefix string) []string {
	var names []string
	for _, name := range fsys.Names() {
		if base := path.Base(name); strings.HasPrefix(base, prefix) {
			names = append(names, base)
		}
	}
	return names
}

// rewriteManifest puts a changed manifest in the place of the one in force.
func rewriteManifest(t testing.TB, fsys *vfs.Mem, m manifest.Manifest, change func(*manifest.Manifest)) {
	m.Checkpoints, m.Segments = slices.Clone(m.Checkpoints), slices.Clone(m.Segments)
	change(&m)
	data, err := manifest.Encode(m)
	require.NoError(t, err)
	require.NoError(t, fsys.WriteFile(in(manifest.FileName(m.Generation)), data))
}

func content(fsys *vfs.Mem) map[string]string {
	all := map[string]string{}
	for _, name := range fsys.Names() {
		data, _ := fsys.ReadFile(name)
		all[name] = string(data)
	}
	return all
}

// refused asserts that an opening is refused with a code and changes nothing.
func refused(t *testing.T, fsys *vfs.Mem, mode recovery.Mode, code errs.Code) error {
	t.Helper()
	before := content(fsys)
	_, err := recoverytest.Recover(fsys, recoverytest.Options{Mode: mode})
	require.Error(t, err)
	require.Equal(t, code, errs.CodeOf(err), "%v", err)
	require.Equal(t, before, content(fsys), "a refused opening changed the directory")
	return err
}

func diagnosed(t *testing.T, err error, kind recovery.Kind) *recovery.Diagnostic {
	t.Helper()
	var d *recovery.Diagnostic
	require.ErrorAs(t, err, &d)
	require.Equal(t, kind, d.Kind, "%v", err)
	require.Contains(t, d.Hint, "restore")
	require.Contains(t, d.Hint, "repair")
	text, err := json.Marshal(d)
	require.NoError(t, err)
	require.Contains(t, string(text), string(kind))
	return d
}

// opened asserts that an opening succeeds at a seq with the state that the
// history has there, that permissive ones are marked, and that another opening
// finds the same and nothing to complain about.
func opened(t *testing.T, fsys *vfs.Mem, h *recoverytest.History, mode recovery.Mode, seq uint64) *recovery.Recovered {
	t.Helper()
	r, err := recoverytest.Recover(fsys, recoverytest.Options{Mode: mode})
	require.NoError(t, err)
	require.Equal(t, seq, r.Working.Seq())
	require.Equal(t, h.Digests[seq], r.Working.Freeze().Digest())
	require.Equal(t, mode == recovery.Permissive, r.Manifest.EverPermissive)
	if mode == recovery.Permissive {
		_, err := recoverytest.Recover(fsys, recoverytest.Options{})
		require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err), "a strict opening has to refuse the mark")
		require.Contains(t, err.Error(), "trust")
	}
	again, err := recoverytest.Recover(fsys, recoverytest.Options{Mode: mode})
	require.NoError(t, err)
	require.Equal(t, seq, again.Working.Seq())
	require.Empty(t, again.Report.Warnings)
	require.Nil(t, again.Report.Dropped)
	h.Durable, h.Last = seq, seq
	s, err := recoverytest.Open(fsys, recoverytest.Options{Mode: mode}, h)
	require.NoError(t, err)
	require.NoError(t, s.PutMany(30))
	require.NoError(t, s.Checkpoint())
	require.NoError(t, s.PutMany(30))
	require.NoError(t, s.Sync())
	_, err = recoverytest.Open(fsys, recoverytest.Options{Mode: mode}, h)
	require.NoError(t, err)
	return r
}

func TestDiagnosticsOfListedSegments(t *testing.T) {
	middle := func(m *manifest.Manifest) *manifest.Segment { return &m.Segments[len(m.Segments)-2] }
	tests := []struct {
		name   string
		damage func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest)
		kind   recovery.Kind
		// permissive is the seq that a permissive opening recovers; -1 if it
		// refuses too.
		permissive func(m manifest.Manifest) int
	}{
		{"missing", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			remove(t, fsys, wal.SegmentName(middle(&m).Number))
		}, recovery.KindSegmentMissing, func(m manifest.Manifest) int { return int(middle(&m).FirstSeq) - 1 }},
		{"wrong digest", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			rewriteManifest(t, fsys, m, func(m *manifest.Manifest) { middle(m).Digest[3] ^= 1 })
		}, recovery.KindChecksumMismatch, func(manifest.Manifest) int { return -1 }},
		{"no size", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			rewriteManifest(t, fsys, m, func(m *manifest.Manifest) { middle(m).Size = 0 })
		}, recovery.KindMissingSize, func(manifest.Manifest) int { return 60 }},
		{"no digest", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			rewriteManifest(t, fsys, m, func(m *manifest.Manifest) { middle(m).Digest = manifest.Digest{} })
		}, recovery.KindMissingChecksum, func(manifest.Manifest) int { return 60 }},
		{"short", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			edit(t, fsys, wal.SegmentName(middle(&m).Number), func(b []byte) []byte { return b[:len(b)-1] })
		}, recovery.KindSegmentTruncated, func(m manifest.Manifest) int { return int(middle(&m).LastSeq) - 1 }},
		{"long", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			edit(t, fsys, wal.SegmentName(middle(&m).Number), func(b []byte) []byte { return append(b, 1, 2, 3) })
		}, recovery.KindSegmentTooLong, func(m manifest.Manifest) int { return 60 }},
		{"flipped", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			edit(t, fsys, wal.SegmentName(middle(&m).Number), flip(-3))
		}, recovery.KindChecksumMismatch, func(manifest.Manifest) int { return -1 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fsys, h, m := sealed(t)
			test.damage(t, fsys, m)
			err := refused(t, fsys, recovery.Strict, errs.CodeRecoveryIntegrity)
			d := diagnosed(t, err, test.kind)
			require.Equal(t, middle(&m).Number, d.Segment)
			require.Equal(t, wal.SegmentName(d.Segment), d.File)
			require.EqualValues(t, 60, d.DurableSeq)
			require.Equal(t, m.ActiveSegment, d.ActiveSegment)
			require.EqualValues(t, 20, *d.CheckpointSeq)
			require.Equal(t, "strict", d.Mode)
			require.Equal(t, in(manifest.FileName(m.Generation)), d.Manifest)
			require.NotNil(t, d.ExpectedSize)
			require.NotNil(t, d.ActualSize)
			require.NotEmpty(t, d.ExpectedDigest)
			require.Equal(t, test.kind != recovery.KindSegmentMissing, d.ActualDigest != "")
			require.Equal(t, test.name == "flipped", d.Offset != 0)

			seq := test.permissive(m)
			if seq < 0 {
				refused(t, fsys, recovery.Permissive, errs.CodeRecoveryIntegrity)
				return
			}
			r := opened(t, fsys, h, recovery.Permissive, uint64(seq))
			if seq == 60 {
				require.Nil(t, r.Report.Dropped)
				return
			}
			require.Len(t, r.Report.Warnings, 1)
			require.EqualValues(t, seq+1, r.Report.Dropped.FromSeq)
			require.ErrorAs(t, r.Report.Dropped.Reason, &d)
			require.Equal(t, test.kind, d.Kind)
			require.Len(t, files(fsys, "wal-"+strings.Repeat("0", 3)), len(files(fsys, "wal-")))
			dropped := 0
			for _, name := range files(fsys, "wal-") {
				if strings.HasSuffix(name, ".dropped") {
					dropped++
				}
			}
			require.Len(t, r.Report.Dropped.Files, dropped)
		})
	}
}

// No checkpoint, and the only listed segment is gone.
func TestPermissiveWithoutTheOnlyListedSegmentRecoversNothing(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, recoverytest.Options{SegmentBytes: 1 << 20}, h)
	require.NoError(t, err)
	require.NoError(t, s.PutMany(5))
	require.NoError(t, s.Sync())
	_, err = recoverytest.Recover(fsys, recoverytest.Options{})
	require.NoError(t, err)
	remove(t, fsys, files(fsys, "wal-")...)
	err = refused(t, fsys, recovery.Strict, errs.CodeRecoveryIntegrity)
	diagnosed(t, err, recovery.KindSegmentMissing)
	r := opened(t, fsys, h, recovery.Permissive, 0)
	require.Len(t, r.Report.Warnings, 1)
	require.Contains(t, r.Report.Warnings[0], string(recovery.KindSegmentMissing))
}

func TestStartupAfterDamage(t *testing.T) {
	const refuse = -1
	type outcome struct {
		strict     int // seq or refuse
		strictCode errs.Code
		permissive int
		permCode   errs.Code
	}
	tests := []struct {
		name   string
		damage func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest)
		want   outcome
	}{
		{"nothing", func(*testing.T, *vfs.Mem, manifest.Manifest) {}, outcome{60, "", 60, ""}},
		{"no manifest", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			remove(t, fsys, files(fsys, "manifest-")...)
		}, outcome{refuse, errs.CodeUnavailable, 60, ""}},
		{"newest manifest bad", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			edit(t, fsys, manifest.FileName(m.Generation), garbage)
		}, outcome{60, "", 60, ""}},
		{"newest manifest bad, none before", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			edit(t, fsys, manifest.FileName(m.Generation), garbage)
			remove(t, fsys, manifest.FileName(m.Generation-1))
		}, outcome{refuse, errs.CodeRecoveryIntegrity, 60, ""}},
		{"both manifests bad", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			edit(t, fsys, manifest.FileName(m.Generation), garbage)
			edit(t, fsys, manifest.FileName(m.Generation-1), garbage)
		}, outcome{refuse, errs.CodeRecoveryIntegrity, 60, ""}},
		{"newest checkpoint bad", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			edit(t, fsys, checkpoint.FileName(20), flip(-100))
		}, outcome{60, "", 60, ""}},
		{"newest checkpoint garbage", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			edit(t, fsys, checkpoint.FileName(20), garbage)
		}, outcome{60, "", 60, ""}},
		{"digest of a checkpoint wrong in the manifest", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			rewriteManifest(t, fsys, m, func(m *manifest.Manifest) {
				m.Checkpoints[0].Digest[0] ^= 1
				m.Checkpoints[1].Digest[0] ^= 1
			})
		}, outcome{refuse, errs.CodeRecoveryIntegrity, refuse, errs.CodeRecoveryIntegrity}},
		{"newest checkpoint missing", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			remove(t, fsys, checkpoint.FileName(20))
		}, outcome{60, "", 60, ""}},
		{"all checkpoints bad, log incomplete", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			edit(t, fsys, checkpoint.FileName(10), garbage)
			edit(t, fsys, checkpoint.FileName(20), garbage)
		}, outcome{refuse, errs.CodeRecoveryIntegrity, refuse, errs.CodeRecoveryIntegrity}},
		{"all checkpoints bad, no log", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			edit(t, fsys, checkpoint.FileName(10), garbage)
			edit(t, fsys, checkpoint.FileName(20), garbage)
			remove(t, fsys, files(fsys, "wal-")...)
		}, outcome{refuse, errs.CodeRecoveryIntegrity, 0, ""}},
		{"unlisted newer checkpoint", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			data, err := fsys.ReadFile(in(checkpoint.FileName(20)))
			require.NoError(t, err)
			require.NoError(t, fsys.WriteFile(in(checkpoint.FileName(61)), data))
		}, outcome{60, "", 60, ""}},
		{"leftovers", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			for _, name := range []string{checkpoint.FileName(9999), manifest.FileName(99), wal.SegmentName(7)} {
				require.NoError(t, fsys.WriteFile(in(name+".tmp"), []byte("partial")))
			}
		}, outcome{60, "", 60, ""}},
		{"manifest of a newer version", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			rewriteManifest(t, fsys, m, func(m *manifest.Manifest) { m.KeyEncoding = 2 })
		}, outcome{refuse, errs.CodeUnavailable, refuse, errs.CodeUnavailable}},
		{"middle segment gone from disk and manifest", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			cut := len(m.Segments) - 2
			remove(t, fsys, wal.SegmentName(m.Segments[cut].Number))
			rewriteManifest(t, fsys, m, func(m *manifest.Manifest) {
				m.ActiveSegment = m.Segments[cut].Number
				m.Segments = m.Segments[:cut]
			})
		}, outcome{refuse, errs.CodeRecoveryIntegrity, refuse, ""}}, // permissive: below
		{"recovered below the durable seq", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			rewriteManifest(t, fsys, m, func(m *manifest.Manifest) { m.DurableSeq = 61 })
		}, outcome{refuse, errs.CodeRecoveryIntegrity, 60, ""}},
		{"durable seq far below the end", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			rewriteManifest(t, fsys, m, func(m *manifest.Manifest) { m.DurableSeq = 5 })
		}, outcome{60, "", 60, ""}},
		{"another incarnation", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			rewriteManifest(t, fsys, m, func(m *manifest.Manifest) {
				m.Incarnation[0] ^= 1
				m.Checkpoints = nil
			})
		}, outcome{refuse, errs.CodeRecoveryIntegrity, 0, ""}},
		{"trust mark", func(t *testing.T, fsys *vfs.Mem, m manifest.Manifest) {
			rewriteManifest(t, fsys, m, func(m *manifest.Manifest) { m.EverPermissive = true })
		}, outcome{refuse, errs.CodeUnavailable, 60, ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, mode := range []recovery.Mode{recovery.Strict, recovery.Permissive} {
				fsys, h, m := sealed(t)
				test.damage(t, fsys, m)
				seq, code := test.want.strict, test.want.strictCode
				if mode == recovery.Permissive {
					seq, code = test.want.permissive, test.want.permCode
				}
				switch {
				case seq == refuse && code == "":
					opened(t, fsys, h, mode, m.Segments[len(m.Segments)-3].LastSeq)
				case seq == refuse:
					refused(t, fsys, mode, code)
				default:
					opened(t, fsys, h, mode, uint64(seq))
					require.Empty(t, slices.DeleteFunc(files(fsys, ""), func(name string) bool { return !strings.HasSuffix(name, ".tmp") }))
				}
			}
		})
	}
}

// Damage to bytes that a later frame proves to have been durable.
func TestDamageBelowADurableCommitIsRefusedOrEndsHistory(t *testing.T) {
	fsys, h := fixture(t)
	names := files(fsys, "wal-")
	last := names[len(names)-1]
	data, err := fsys.ReadFile(in(last))
	require.NoError(t, err)
	_, end, err := wal.Scan(data, func(wal.Frame) error { return nil })
	require.NoError(t, err)
	require.Greater(t, end.Frames, 1)
	for at := 0; at < len(data); at += 7 {
		broken := fsys.Clone(vfs.AllKept())
		edit(t, broken, last, flip(at))
		r, err := recoverytest.Recover(broken, recoverytest.Options{})
		if err == nil {
			// Only the last commits can look like a torn tail: nothing that follows
			// says that they were durable.
			require.Less(t, r.Working.Seq(), uint64(60))
			require.NotZero(t, r.Report.Torn.Bytes)
			require.Equal(t, h.Digests[r.Working.Seq()], r.Working.Freeze().Digest())
			continue
		}
		require.Equal(t, errs.CodeRecoveryIntegrity, errs.CodeOf(err))
		d := diagnosed(t, err, recovery.KindSegmentCorrupt)
		require.Equal(t, last, d.File)
		r, err = recoverytest.Recover(broken, recoverytest.Options{Mode: recovery.Permissive})
		require.NoError(t, err)
		require.Equal(t, h.Digests[r.Working.Seq()], r.Working.Freeze().Digest())
		require.Equal(t, []string{last}, r.Report.Dropped.Files)
		require.Equal(t, r.Working.Seq()+1, r.Report.Dropped.FromSeq)
	}
}

// Garbage and part of a frame behind the last one.
func TestTornTailIsCutOffAndReported(t *testing.T) {
	tails := map[string][]byte{
		"garbage": bytes.Repeat([]byte{0xA5, 3, 0x77}, 30),
		"header":  {9, 9, 9, 9, 40},
	}
	for name, tail := range tails {
		t.Run(name, func(t *testing.T) {
			fsys, h := fixture(t)
			names := files(fsys, "wal-")
			last := names[len(names)-1]
			edit(t, fsys, last, func(b []byte) []byte { return append(b, tail...) })
			r := opened(t, fsys, h, recovery.Strict, 60)
			require.Equal(t, last, r.Report.Torn.File)
			require.EqualValues(t, len(tail), r.Report.Torn.Bytes)
			require.NotZero(t, r.Report.Torn.Offset)
		})
	}
	t.Run("first frame of a segment", func(t *testing.T) {
		fsys, h := vfs.NewMem(), recoverytest.NewHistory()
		_, err := recoverytest.Open(fsys, recoverytest.Options{}, h)
		require.NoError(t, err)
		edit(t, fsys, wal.SegmentName(1), func(b []byte) []byte { return append(b, 1, 2, 3) })
		r := opened(t, fsys, h, recovery.Strict, 0)
		require.Zero(t, r.Report.Torn.Offset)
		require.EqualValues(t, 1, r.Next.Number)
	})
	t.Run("in a segment that is not the last", func(t *testing.T) {
		fsys, _ := fixture(t)
		names := files(fsys, "wal-")
		edit(t, fsys, names[len(names)-2], func(b []byte) []byte { return append(b, 1, 2, 3) })
		err := refused(t, fsys, recovery.Strict, errs.CodeRecoveryIntegrity)
		require.NotZero(t, diagnosed(t, err, recovery.KindSegmentCorrupt).Offset)
	})
}

// Zeros are space that was written in advance: they are cut off before there is a
// next segment, and are no tear.
func TestZerosBehindTheFramesAreNotReportedAsTorn(t *testing.T) {
	fsys, h := fixture(t)
	names := files(fsys, "wal-")
	last := in(names[len(names)-1])
	frames, err := fsys.ReadFile(last)
	require.NoError(t, err)
	edit(t, fsys, names[len(names)-1], func(b []byte) []byte { return append(b, make([]byte, 5000)...) })
	r := opened(t, fsys, h, recovery.Strict, 60)
	require.Zero(t, r.Report.Torn)
	require.Empty(t, r.Report.Warnings)
	left, err := fsys.ReadFile(last)
	require.NoError(t, err)
	require.Equal(t, frames, left)
}

// What a crash leaves of a segment that was being created.
func TestTornCreationOfASegmentIsRemoved(t *testing.T) {
	for _, size := range []int{0, 1, 50, wal.HeaderSize} {
		fsys, h := fixture(t)
		names := files(fsys, "wal-")
		number, _ := wal.ParseSegmentName(names[len(names)-1])
		require.NoError(t, fsys.WriteFile(in(wal.SegmentName(number+1)), make([]byte, size)))
		r := opened(t, fsys, h, recovery.Strict, 60)
		require.Equal(t, number+1, r.Next.Number)
	}
}

// What a newer version wrote is refused, not skipped, in both modes.
func TestNewerSegmentIsRefused(t *testing.T) {
	fsys, _ := fixture(t)
	names := files(fsys, "wal-")
	data, err := fsys.ReadFile(in(names[len(names)-1]))
	require.NoError(t, err)
	h, err := wal.ParseHeader(data)
	require.NoError(t, err)
	h.Features = 1 << 40
	edit(t, fsys, names[len(names)-1], func(b []byte) []byte { return wal.AppendHeader(nil, h) })
	refused(t, fsys, recovery.Strict, errs.CodeUnavailable)
	refused(t, fsys, recovery.Permissive, errs.CodeUnavailable)
}

// Any byte of any file, changed or cut off: refused, or opened with a state that
// once was. A strict opening that succeeds has lost nothing, except that the end
// of the log cannot be told from what a crash leaves of it.
func TestEveryFlippedOrMissingByteIsNoticedOrHarmless(t *testing.T) {
	fsys, h, m := sealed(t)
	step := 1
	if testing.Short() {
		step = 17
	}
	unaffected, refusals := 0, 0
	try := func(name string, at int, change func([]byte) []byte) {
		for _, mode := range []recovery.Mode{recovery.Strict, recovery.Permissive} {
			broken := fsys.Clone(vfs.AllKept())
			edit(t, broken, name, change)
			r, err := recoverytest.Recover(broken, recoverytest.Options{Mode: mode, Parallelism: 1 + at%2})
			if err != nil {
				refusals++
				require.NotEmpty(t, errs.CodeOf(err), "%v", err)
				continue
			}
			unaffected++
			seq := r.Working.Seq()
			require.Equal(t, h.Digests[seq], r.Working.Freeze().Digest(), "%s at %d", name, at)
			if mode == recovery.Strict {
				require.EqualValues(t, 60, seq, "%s at %d", name, at)
			}
		}
	}
	for _, name := range files(fsys, "") {
		data, err := fsys.ReadFile(in(name))
		require.NoError(t, err)
		for at := 0; at < len(data); at += step {
			try(name, at, flip(at))
			try(name, at, func(b []byte) []byte { return b[:at] })
		}
	}
	require.NotZero(t, unaffected)
	require.NotZero(t, refusals)
	t.Logf("generation %d: %d refused, %d unaffected", m.Generation, refusals, unaffected)
}

func TestDiagnosticErrorNamesFileAndOffset(t *testing.T) {
	d := &recovery.Diagnostic{Kind: recovery.KindSegmentCorrupt, File: "wal-x", Offset: 12, Hint: "do"}
	require.Equal(t, "wal_segment_corrupt: wal-x at offset 12 (do)", d.Error())
	require.NoError(t, errors.Unwrap(d))
}

// A checkpoint is only taken of what the log holds durably, so a log that ends
// below it has lost something, though nothing that the checkpoint does not have.
func TestLogThatEndsBelowTheCheckpointIsDamage(t *testing.T) {
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, recoverytest.Options{SegmentBytes: 1 << 20}, h)
	require.NoError(t, err)
	require.NoError(t, s.PutMany(10))
	require.NoError(t, s.Checkpoint())
	edit(t, fsys, wal.SegmentName(1), func(b []byte) []byte { return b[:len(b)-5] })
	diagnosed(t, refused(t, fsys, recovery.Strict, errs.CodeRecoveryIntegrity), recovery.KindCheckpointNotReached)
	r := opened(t, fsys, h, recovery.Permissive, 10)
	require.Equal(t, []string{wal.SegmentName(1)}, r.Report.Dropped.Files)
	require.Empty(t, r.Sealed)
}

// The manifest of a checkpoint that covers the whole log lists no segment, so that the
// one that the next opening begins has nothing to be chained to. The generation before
// lists what is in front of it, and can still be fallen back to.
func TestLogBegunBehindACheckpointOfAllIsReadByTheManifestBefore(t *testing.T) {
	o := recoverytest.Options{Kept: 1}
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, o, h)
	require.NoError(t, err)
	require.NoError(t, errors.Join(s.PutMany(20), s.Checkpoint(), s.PutMany(20), s.Close(), s.Checkpoint()))
	s, err = recoverytest.Open(fsys, o, h)
	require.NoError(t, err)
	require.Empty(t, s.Recovered.Manifest.Segments)
	require.NoError(t, errors.Join(s.PutMany(1), s.Sync()))

	edit(t, fsys, manifest.FileName(s.Recovered.Manifest.Generation), garbage)
	s, err = recoverytest.Open(fsys.Crash(vfs.AllLost()), o, h)
	require.NoError(t, err)
	require.Len(t, s.Recovered.Report.RejectedManifests, 1)
	require.EqualValues(t, 41, h.Last)
}

// Of segments that a checkpoint covers some may be released and others not: a removal
// failed, or a power cut undid it. An older manifest, which does not know of them yet,
// is not kept from what is behind them.
func TestGapBelowTheCheckpointIsNoDamage(t *testing.T) {
	o := recoverytest.Options{Kept: 1}
	fsys, h := vfs.NewMem(), recoverytest.NewHistory()
	s, err := recoverytest.Open(fsys, o, h)
	require.NoError(t, err)
	require.NoError(t, errors.Join(s.PutMany(20), s.Checkpoint(), s.PutMany(30), s.Checkpoint()))
	m, _, err := manifest.Load(fsys, recoverytest.Dir)
	require.NoError(t, err)
	require.NoError(t, errors.Join(s.PutMany(20), s.Sync()))
	segments := files(fsys, "wal-")
	oldest, ok := wal.ParseSegmentName(segments[0])
	require.True(t, ok)
	rewriteManifest(t, fsys, m, func(m *manifest.Manifest) { m.ActiveSegment, m.Segments = oldest, nil })

	gap := fsys.Clone(vfs.AllKept())
	remove(t, gap, segments[1])
	_, err = recoverytest.Open(gap, o, clone(h))
	require.NoError(t, err)
	// What is behind the checkpoint must be there.
	remove(t, fsys, segments[len(segments)-3])
	refused(t, fsys, recovery.Strict, errs.CodeRecoveryIntegrity)
}
