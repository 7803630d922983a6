// Package tamper changes the files of a store as somebody would who has no key, and
// checks what docs/security.md says of it: what is refused, what has no effect, and
// what nothing within the directory can tell.
package tamper

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/zeebo/blake3"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dir = "store"

// ways are the ways to protect a store.
var ways = []string{"no key", "authenticated", "encrypted"}

func keysFor(way string) aedb.KeyConfig {
	if way == "no key" {
		return aedb.KeyConfig{}
	}
	return aedb.KeyConfig{
		Ring:    []aedb.Key{{ID: "k1", Secret: []byte("a secret of at least 32 bytes, for tests")}},
		Encrypt: way == "encrypted",
	}
}

// store is a disk with a store that nobody has open.
type store struct {
	*vfs.Mem
	keys aedb.KeyConfig
	// seq and digest are those of its content, as it was left.
	seq    uint64
	digest [32]byte
}

func (s *store) open(tune ...func(*aedb.Config)) (*aedb.DB, error) {
	cfg := aedb.DefaultConfig()
	cfg.FS, cfg.Keys = s.Mem, s.keys
	cfg.Clock = vfs.NewManualClock(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Millisecond)
	cfg.Logger = aedb.Zerolog(zerolog.Nop())
	cfg.SegmentBytes, cfg.Checkpoint = 1000, aedb.CheckpointConfig{Kept: 2}
	for _, f := range tune {
		f(&cfg)
	}
	return aedb.OpenNoAuth(dir, cfg)
}

// write makes commits, each of which sets a balance, from n on.
func write(t testing.TB, db *aedb.DB, from, to int) {
	app := db.NoAuth().Scope("bank", "app")
	for i := from; i < to; i++ {
		_, err := app.Commit(t.Context(), app.KvSet(fmt.Appendf(nil, "account/%02d", i%7), fmt.Appendf(nil, "balance=%d00", i%9)))
		require.NoError(t, err)
	}
}

// newStore returns a store with two checkpoints, several segments, and a log behind
// the checkpoints; as it is left by a close, or by a process that was killed.
func newStore(t testing.TB, way string, killed bool) *store {
	s := &store{Mem: vfs.NewMem(), keys: keysFor(way)}
	db, err := s.open()
	require.NoError(t, err)
	_, err = db.NoAuth().CreateProject(t.Context(), "bank")
	require.NoError(t, err)
	for i := range 2 {
		write(t, db, 10*i, 10*i+10)
		_, err = db.Checkpoint(t.Context())
		require.NoError(t, err)
	}
	write(t, db, 20, 51)
	s.seq, s.digest, err = db.Digest(aedb.AtLatest)
	require.NoError(t, err)
	left := s.Mem
	if killed {
		left = s.Clone(vfs.AllKept())
	}
	require.NoError(t, db.Close(context.Background()))
	s.Mem = left
	return s
}

// copied returns the store on a disk of its own.
func (s *store) copied() *store {
	next := *s
	next.Mem = s.Clone(vfs.AllKept())
	return &next
}

// named returns the files whose base names have a prefix, in order.
func (s *store) named(prefix string) []string {
	return slices.DeleteFunc(s.Names(), func(name string) bool { return !strings.HasPrefix(path.Base(name), prefix) })
}

// newest returns the file of a kind that is so many places before the newest.
func (s *store) newest(prefix string, before int) string {
	names := s.named(prefix)
	return names[len(names)-1-before]
}

func (s *store) read(t testing.TB, name string) []byte {
	data, err := s.ReadFile(name)
	require.NoError(t, err)
	return data
}

func (s *store) edit(t testing.TB, name string, change func([]byte) []byte) {
	require.NoError(t, s.WriteFile(name, change(s.read(t, name))))
}

func (s *store) remove(t testing.TB, name string) {
	require.NoError(t, s.Remove(name))
	require.NoError(t, s.SyncDir(dir))
}

// flip changes one bit, so many bytes before the end.
func flip(before int) func([]byte) []byte {
	return func(b []byte) []byte { b[len(b)-1-before] ^= 1; return b }
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// lastFrame returns where the last frame of a segment lies, and where those begin.
func lastFrame(data []byte) (start, at, size int) {
	start = wal.HeaderSize
	if sealed(data) {
		start += wal.SealSize
	}
	for next := start; next+wal.FrameOverhead < len(data); next = at + size {
		length := binary.LittleEndian.Uint32(data[next+4:])
		if length == 0 {
			break
		}
		at, size = next, wal.FrameOverhead+int(length)
	}
	return start, at, size
}

// sealed reports whether a segment has feature flags.
func sealed(data []byte) bool { return binary.LittleEndian.Uint64(data[12:]) != 0 }

// forgeLastFrame changes the last value in a segment and makes the checksum fit.
func forgeLastFrame(data []byte) []byte {
	start, at, size := lastFrame(data)
	last := at + size - 1
	if sealed(data) {
		last -= keys.TagBytes
	}
	data[last] ^= 1
	seed := binary.LittleEndian.Uint32(data[start-4:])
	binary.LittleEndian.PutUint32(data[at:], crc32.Update(seed, castagnoli, data[at+4:at+size]))
	return data
}

func cutLastFrame(data []byte) []byte {
	_, at, _ := lastFrame(data)
	return data[:at]
}

// refit makes the digest of a manifest fit, after a replacement in it.
func refit(old, new string) func([]byte) []byte {
	return func(b []byte) []byte {
		const field = ",\n  \"integrity\": {\n    \"blake3\": \""
		at := bytes.LastIndex(b, []byte(field))
		body := bytes.Replace(b[:at], []byte(old), []byte(new), 1)
		sum := blake3.Sum256(body)
		return fmt.Appendf(body, "%s%s%s", field, hex.EncodeToString(sum[:]), b[at+len(field)+2*len(sum):])
	}
}

// relist forges a file and makes every manifest say of it what it is now.
func (s *store) relist(t testing.TB, name string, forge func([]byte) []byte) {
	sum := func(b []byte) string { d := blake3.Sum256(b); return hex.EncodeToString(d[:]) }
	before := sum(s.read(t, name))
	s.edit(t, name, forge)
	for _, m := range s.named("manifest-") {
		s.edit(t, m, refit(before, sum(s.read(t, name))))
	}
}
