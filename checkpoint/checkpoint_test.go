package checkpoint_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type entry struct {
	Space   msgs.SpaceID
	Key     string
	Value   string
	Version uint64
}

func sampleHeader() checkpoint.Header {
	return checkpoint.Header{KeyEncoding: 1, Incarnation: [16]byte{1, 2, 3}, Seq: 1000, Micros: 1_700_000_000_000_000}
}

// sampleEntries fill a few small chunks of three spaces.
func sampleEntries() []entry {
	return []entry{
		{1, "", "", 1}, {1, "a", "catalog", 2}, {1, "b", "", 1000},
		{64, "k1", "v1", 3}, {64, "k2", "v2", 4},
		{1 << 40, "\x00", "far", 5},
	}
}

// manyEntries fill several chunks of two spaces, with one value that is larger
// than a chunk.
func manyEntries(n int) []entry {
	rng := rand.New(rand.NewPCG(3, 4))
	out := make([]entry, 0, n)
	for i := range n {
		value := make([]byte, 100)
		for j := range value[:50] {
			value[j] = byte(rng.Uint32())
		}
		if i == n/3 {
			value = make([]byte, 700_000)
		}
		out = append(out, entry{msgs.SpaceID(64 + i*2/n), fmt.Sprintf("key/%012d", i), string(value), uint64(i % 1000)})
	}
	return out
}

func newDir(t require.TestingT) *vfs.Mem {
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("db"))
	return mem
}

func fill(entries []entry) func(*checkpoint.Writer) error {
	return func(w *checkpoint.Writer) error {
		for _, e := range entries {
			if err := w.Add(e.Space, []byte(e.Key), []byte(e.Value), e.Version); err != nil {
				return err
			}
		}
		return nil
	}
}

func write(t require.TestingT, fsys vfs.FS, concurrency int, entries []entry) (checkpoint.Info, string) {
	info, err := checkpoint.Write(context.Background(), fsys, "db", sampleHeader(), concurrency, fill(entries))
	require.NoError(t, err)
	return info, "db/" + info.File
}

// readAll opens and decodes a checkpoint.
func readAll(fsys vfs.FS, name string) ([]entry, *checkpoint.Reader, error) {
	r, err := checkpoint.Open(fsys, name)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	var out []entry
	for i, c := range r.Chunks() {
		if err := r.DecodeChunk(i, func(key, value []byte, version uint64) error {
			out = append(out, entry{c.Space, string(key), string(value), version})
			return nil
		}); err != nil {
			return nil, nil, err
		}
	}
	return out, r, nil
}

func TestCheckpointRoundTripIsTheSameAtAnyConcurrency(t *testing.T) {
	entries := manyEntries(20_000)
	var first []byte
	for _, concurrency := range []int{0, 1, 2, 5} {
		mem := newDir(t)
		info, name := write(t, mem, concurrency, entries)
		got, r, err := readAll(mem, name)
		require.NoError(t, err)
		require.Equal(t, entries, got)
		require.Greater(t, len(r.Chunks()), 8)
		require.Equal(t, sampleHeader(), r.Header())
		require.Equal(t, info.Digest, r.Digest())
		require.Equal(t, info.Size, r.Size())
		require.EqualValues(t, len(entries), info.Entries)
		require.Equal(t, checkpoint.FileName(1000), info.File)
		data, err := mem.ReadFile(name)
		require.NoError(t, err)
		require.EqualValues(t, len(data), info.Size)
		if first == nil {
			first = data
		}
		require.Equal(t, first, data)
		require.Equal(t, []string{name}, mem.Names())
	}
}

func TestCheckpointSpacesSumUpTheirChunks(t *testing.T) {
	mem := newDir(t)
	_, name := write(t, mem, 1, manyEntries(20_000))
	_, r, err := readAll(mem, name)
	require.NoError(t, err)
	spaces := r.Spaces()
	require.Len(t, spaces, 2)
	require.EqualValues(t, 10_000, spaces[0].Entries)
	require.EqualValues(t, 10_000, spaces[1].Entries)
	require.Equal(t, 0, spaces[0].FirstChunk)
	require.Equal(t, spaces[0].Chunks, spaces[1].FirstChunk)
	require.Equal(t, len(r.Chunks()), spaces[0].Chunks+spaces[1].Chunks)
	require.Equal(t, "key/000000000000", string(r.Chunks()[0].FirstKey))
}

func TestCheckpointRoundTripOfAnyEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blob := rapid.SliceOfN(rapid.Byte(), 0, 40)
		var entries []entry
		for space := msgs.SpaceID(1); space < 4; space++ {
			keys := rapid.SliceOfNDistinct(rapid.Map(blob, func(b []byte) string { return string(b) }), 0, 20, rapid.ID[string]).Draw(t, "keys")
			for _, k := range sorted(keys) {
				entries = append(entries, entry{space, k, string(blob.Draw(t, "value")), rapid.Uint64Max(1000).Draw(t, "version")})
			}
		}
		mem := newDir(t)
		_, name := write(t, mem, rapid.IntRange(1, 3).Draw(t, "concurrency"), entries)
		got, _, err := readAll(mem, name)
		require.NoError(t, err)
		require.Equal(t, entries, got)
	})
}

func TestCheckpointMayBeEmpty(t *testing.T) {
	mem := newDir(t)
	info, name := write(t, mem, 1, nil)
	got, r, err := readAll(mem, name)
	require.NoError(t, err)
	require.Empty(t, got)
	require.Empty(t, r.Spaces())
	require.Zero(t, info.Entries)
}

func TestCheckpointChunksDecodeInParallel(t *testing.T) {
	mem := newDir(t)
	entries := manyEntries(20_000)
	_, name := write(t, mem, 2, entries)
	r, err := checkpoint.Open(mem, name)
	require.NoError(t, err)
	defer r.Close()
	var wg sync.WaitGroup
	counts := make([]int, len(r.Chunks()))
	failures := make([]error, len(r.Chunks()))
	for i := range r.Chunks() {
		wg.Go(func() {
			failures[i] = r.DecodeChunk(i, func(_, _ []byte, _ uint64) error { counts[i]++; return nil })
		})
	}
	wg.Wait()
	for i, c := range r.Chunks() {
		require.NoError(t, failures[i])
		require.Equal(t, c.Entries, counts[i])
	}
	require.NoError(t, r.Verify(context.Background()))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, r.Verify(ctx), errs.ErrCanceled)
}

func TestCheckpointWriterRefusesEntriesOutOfOrder(t *testing.T) {
	cases := map[string][]entry{
		"space 0":          {{0, "a", "", 1}},
		"space descending": {{65, "a", "", 1}, {64, "b", "", 1}},
		"key descending":   {{64, "b", "", 1}, {64, "a", "", 1}},
		"key repeated":     {{64, "a", "", 1}, {64, "a", "", 1}},
		"from the future":  {{64, "a", "", 1001}},
	}
	for name, entries := range cases {
		t.Run(name, func(t *testing.T) {
			mem := newDir(t)
			_, err := checkpoint.Write(context.Background(), mem, "db", sampleHeader(), 1, fill(entries))
			require.ErrorIs(t, err, errs.ErrEncode)
			require.Empty(t, mem.Names())
		})
	}
	mem := newDir(t)
	huge := make([]byte, checkpoint.MaxEntryBytes)
	_, err := checkpoint.Write(context.Background(), mem, "db", sampleHeader(), 1, func(w *checkpoint.Writer) error {
		if err := w.Add(64, nil, huge, 1); !errors.Is(err, errs.ErrLimitExceeded) {
			return fmt.Errorf("got %w", err)
		}
		return nil // an error of Add cannot be passed over
	})
	require.ErrorIs(t, err, errs.ErrLimitExceeded)
	require.Empty(t, mem.Names())
}

func TestCheckpointThatFailsLeavesNothingBehind(t *testing.T) {
	entries := manyEntries(20_000)
	for _, concurrency := range []int{1, 3} {
		mem := newDir(t)
		enough := errors.New("enough")
		_, err := checkpoint.Write(context.Background(), mem, "db", sampleHeader(), concurrency, func(w *checkpoint.Writer) error {
			if err := fill(entries)(w); err != nil {
				return err
			}
			return enough
		})
		require.ErrorIs(t, err, enough)
		require.Empty(t, mem.Names())

		ctx, cancel := context.WithCancel(context.Background())
		added := 0
		_, err = checkpoint.Write(ctx, mem, "db", sampleHeader(), concurrency, func(w *checkpoint.Writer) error {
			for _, e := range entries {
				if added++; added == 5000 {
					cancel()
				}
				if err := w.Add(e.Space, []byte(e.Key), []byte(e.Value), e.Version); err != nil {
					return err
				}
			}
			return nil
		})
		require.ErrorIs(t, err, errs.ErrCanceled)
		require.ErrorIs(t, err, context.Canceled)
		require.Less(t, added, 10_000, "the end of the context is noticed at the next chunk")
		require.Empty(t, mem.Names())
	}
}

func TestCheckpointWriteFaultAtAnyCallIsReportedAndHarmless(t *testing.T) {
	broken := errors.New("broken")
	for at := int64(1); ; at++ {
		mem := newDir(t)
		require.NoError(t, mem.WriteFile("db/"+checkpoint.FileName(1000)+".tmp", []byte("left over")))
		before := mem.Ops()
		mem.SetInjector(func(op vfs.Op) vfs.Fault {
			if op.Kind.Mutates() && op.N == before+at {
				return vfs.Fault{Err: broken, Short: 7}
			}
			return vfs.Fault{}
		})
		_, err := checkpoint.Write(context.Background(), mem, "db", sampleHeader(), 2, fill(sampleEntries()))
		if mem.Ops() < before+at {
			require.NoError(t, err)
			break
		}
		require.ErrorIs(t, err, errs.ErrIO)
		require.ErrorIs(t, err, broken)
		mem.SetInjector(nil)
		_, name := write(t, mem, 1, sampleEntries())
		got, _, err := readAll(mem, name)
		require.NoError(t, err)
		require.Equal(t, sampleEntries(), got)
	}
}

func TestCheckpointPowerLossAtAnyCallLeavesNoneOrAWholeOne(t *testing.T) {
	fates := []vfs.Fate{vfs.AllLost(), vfs.AllKept()}
	for seed := range uint64(8) {
		fates = append(fates, vfs.RandomBlocks(seed, 50), vfs.TornLastWrite(seed))
	}
	for at := int64(1); ; at++ {
		mem := newDir(t)
		before := mem.Ops()
		mem.SetInjector(func(op vfs.Op) vfs.Fault {
			return vfs.Fault{CrashNow: op.Kind.Mutates() && op.N == before+at}
		})
		_, err := checkpoint.Write(context.Background(), mem, "db", sampleHeader(), 1, fill(sampleEntries()))
		for _, fate := range fates {
			after := mem.Clone(fate)
			seqs, listErr := checkpoint.List(after, "db")
			require.NoError(t, listErr)
			if err == nil {
				require.Equal(t, []uint64{1000}, seqs)
			}
			for range seqs {
				got, _, err := readAll(after, "db/"+checkpoint.FileName(1000))
				require.NoError(t, err, "call %d, %v", at, fate)
				require.Equal(t, sampleEntries(), got)
			}
		}
		if err == nil {
			break
		}
	}
}

func TestCheckpointGolden(t *testing.T) {
	// Only reading is compared: another version of the compressor may choose
	// other bytes.
	const golden = "testdata/checkpoint.golden"
	mem := newDir(t)
	if *update {
		_, name := write(t, mem, 1, sampleEntries())
		data, err := mem.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(golden, data, 0o644))
	}
	data, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.NoError(t, mem.WriteFile("db/golden", data))
	got, r, err := readAll(mem, "db/golden")
	require.NoError(t, err)
	require.Equal(t, sampleHeader(), r.Header())
	require.Equal(t, sampleEntries(), got)
}

func TestCheckpointFileNamesAreCanonical(t *testing.T) {
	mem := newDir(t)
	for _, name := range []string{checkpoint.FileName(12), checkpoint.FileName(3), "checkpoint-4.ckpt", checkpoint.FileName(5) + ".tmp", "x"} {
		require.NoError(t, mem.WriteFile("db/"+name, nil))
	}
	seqs, err := checkpoint.List(mem, "db")
	require.NoError(t, err)
	require.Equal(t, []uint64{3, 12}, seqs)
	require.Equal(t, "checkpoint-0000000000000012.ckpt", checkpoint.FileName(12))
	_, err = checkpoint.List(mem, "nowhere")
	require.ErrorIs(t, err, errs.ErrIO)
}
