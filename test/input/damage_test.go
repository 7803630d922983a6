package input

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// worn returns the disk of a store with several segments, two checkpoints and a
// log behind them, as a power loss left it, and what the store held after each
// commit.
func worn(t testing.TB) (fsys *vfs.Mem, history map[uint64]string, last uint64) {
	t.Helper()
	fsys = vfs.NewMem()
	history = map[uint64]string{}
	db := open(t, fsys, func(c *aedb.Config) { c.SegmentBytes = 4 << 10 })
	app := fill(t, db)
	ctx := t.Context()
	for i := range 120 {
		r, err := app.Commit(ctx, app.KvSet(fmt.Appendf(nil, "k%03d", i), []byte(strings.Repeat(secret, 8))))
		require.NoError(t, err)
		last = r.CommitSeq
		history[last] = contents(t, db)
		if i == 40 || i == 80 {
			_, err := db.Checkpoint(ctx)
			require.NoError(t, err)
		}
	}
	return fsys.Crash(vfs.AllLost()), history, last
}

// named returns the files whose base names have a prefix, in order.
func named(fsys *vfs.Mem, prefix string) (out []string) {
	for _, name := range fsys.Names() {
		if strings.HasPrefix(path.Base(name), prefix) {
			out = append(out, name)
		}
	}
	return out
}

func lastOf(fsys *vfs.Mem, prefix string) string {
	names := named(fsys, prefix)
	return names[len(names)-1]
}

// change rewrites a file.
func change(t testing.TB, fsys *vfs.Mem, name string, f func([]byte) []byte) {
	t.Helper()
	b, err := fsys.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, fsys.WriteFile(name, f(bytes.Clone(b))))
}

// flip changes one bit at a part of the file's length.
func flip(numerator, denominator int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[(len(b)-1)*numerator/denominator] ^= 0x10
		return b
	}
}

func cut(numerator, denominator int) func([]byte) []byte {
	return func(b []byte) []byte { return b[:len(b)*numerator/denominator] }
}

// TestDamagedFilesAreRefusedOrMadeUpFor damages every kind of file of a store.
// A strict opening either finds everything, from another copy of the same, or
// refuses the store, names the file, and changes nothing.
func TestDamagedFilesAreRefusedOrMadeUpFor(t *testing.T) {
	pristine, history, last := worn(t)
	require.GreaterOrEqual(t, len(named(pristine, "wal-")), 3)
	require.Len(t, named(pristine, "checkpoint-"), 2)
	damages := map[string]func([]byte) []byte{
		"first byte": flip(0, 1), "middle": flip(1, 2), "last byte": flip(1, 1),
		"half": cut(1, 2), "empty": cut(0, 1),
		"zeros":  func(b []byte) []byte { return make([]byte, len(b)) },
		"longer": func(b []byte) []byte { return append(b, b...) },
	}
	tail := lastOf(pristine, "wal-")
	outcomes := map[string]int{}
	try := func(t *testing.T, fsys *vfs.Mem, name string) {
		files := image(t, fsys)
		db, err := aedb.OpenNoAuth(dir, config(fsys))
		if err != nil {
			refused(t, err, aedb.ErrRecoveryIntegrity)
			require.Equal(t, files, image(t, fsys), "a refusal changes nothing")
			outcomes["refused"]++
			return
		}
		defer func() { require.NoError(t, db.Close(t.Context())) }()
		// What the end of the log has lost cannot be told from what a crash cut off.
		// The rest of history must be there, whole.
		head := db.Heads().VisibleSeq
		same(t, history[head], contents(t, db))
		if name == tail && head < last {
			outcomes["cut off"]++
			return
		}
		require.Equal(t, last, head)
		outcomes["made up for"]++
	}
	for _, name := range pristine.Names() {
		if path.Base(name) == "LOCK" {
			continue
		}
		for _, damage := range slices.Sorted(maps.Keys(damages)) {
			t.Run(path.Base(name)+" "+damage, func(t *testing.T) {
				fsys := pristine.Clone(vfs.AllKept())
				change(t, fsys, name, damages[damage])
				try(t, fsys, name)
			})
		}
		t.Run(path.Base(name)+" missing", func(t *testing.T) {
			fsys := pristine.Clone(vfs.AllKept())
			require.NoError(t, fsys.Remove(name))
			require.NoError(t, fsys.SyncDir(dir))
			try(t, fsys, name)
		})
	}
	t.Log(outcomes)
	require.Len(t, outcomes, 3, "damage of every kind was tried")
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// newer makes the header of a segment or a checkpoint one of the next format
// version, with a checksum that is right.
func newer(headerSize int) func([]byte) []byte {
	return func(b []byte) []byte {
		binary.LittleEndian.PutUint16(b[8:], binary.LittleEndian.Uint16(b[8:])+1)
		binary.LittleEndian.PutUint32(b[headerSize-4:], crc32.Checksum(b[:headerSize-4], castagnoli))
		return b
	}
}

// resealed changes a manifest and makes its digest right again.
func resealed(old, new string) func([]byte) []byte {
	return func(b []byte) []byte {
		const field = ",\n  \"integrity\": {\n    \"blake3\": \""
		at := bytes.LastIndex(b, []byte(field))
		body := bytes.Replace(b[:at], []byte(old), []byte(new), 1)
		sum := blake3.Sum256(body)
		return fmt.Appendf(body, "%s%s%s", field, hex.EncodeToString(sum[:]), b[at+len(field)+2*len(sum):])
	}
}

// TestNewerFormatsAreUnavailable: a store of a later release is whole, so it is
// not called damaged, and not touched.
func TestNewerFormatsAreUnavailable(t *testing.T) {
	pristine, _, _ := worn(t)
	last := func(prefix string) string { return lastOf(pristine, prefix) }
	for what, c := range map[string]struct {
		file   string
		change func([]byte) []byte
	}{
		"segment":              {last("wal-"), newer(104)},
		"segment features":     {last("wal-"), features(12, 104)},
		"checkpoint":           {last("checkpoint-"), newer(60)},
		"checkpoint features":  {last("checkpoint-"), features(16, 60)},
		"manifest":             {last("manifest-"), resealed(`"format_version": 1`, `"format_version": 3`)},
		"manifest of far away": {last("manifest-"), resealed(`"format_version": 1`, `"format_version": 4000000000`)},
		"key encoding":         {last("manifest-"), resealed(`"key_encoding": 1`, `"key_encoding": 2`)},
	} {
		t.Run(what, func(t *testing.T) {
			for _, mode := range []aedb.RecoveryMode{aedb.Strict, aedb.Permissive} {
				fsys := pristine.Clone(vfs.AllKept())
				change(t, fsys, c.file, c.change)
				files := image(t, fsys)
				err := tryOpen(fsys, dir, func(cfg *aedb.Config) { cfg.Recovery = mode })
				refused(t, err, aedb.ErrUnavailable)
				require.Equal(t, files, image(t, fsys))
			}
		})
	}
}

// features sets an unknown feature flag in a header.
func features(offset, headerSize int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[offset+7] |= 0x80
		binary.LittleEndian.PutUint32(b[headerSize-4:], crc32.Checksum(b[:headerSize-4], castagnoli))
		return b
	}
}

func TestStoreThatWasEverPermissiveIsNotOpenedStrictly(t *testing.T) {
	fsys, history, last := worn(t)
	db := open(t, fsys, func(c *aedb.Config) { c.Recovery = aedb.Permissive })
	same(t, history[last], contents(t, db))
	require.NoError(t, db.Close(t.Context()))
	err := tryOpen(fsys, dir)
	refused(t, err, aedb.ErrUnavailable)
	require.Contains(t, err.Error(), "permissive")
}
