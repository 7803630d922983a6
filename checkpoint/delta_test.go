package checkpoint_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// sampleDelta follows sampleEntries: puts, deletions (version 0), and drops.
func sampleDelta() []entry {
	return []entry{
		{1, "a", "", 0}, {1, "b", "changed", 1001},
		{64, "k1", "anew", 1002},
		{65, "k", "first", 1003},
	}
}

var sampleDrops = []msgs.SpaceID{64, 1 << 40}

// fillDelta drops each space before the first entry that is not below it.
func fillDelta(entries []entry, drops ...msgs.SpaceID) func(*checkpoint.Writer) error {
	return func(w *checkpoint.Writer) error {
		for _, e := range entries {
			for len(drops) > 0 && drops[0] <= e.Space {
				if err := w.Drop(drops[0]); err != nil {
					return err
				}
				drops = drops[1:]
			}
			var err error
			if e.Version == 0 {
				err = w.Delete(e.Space, []byte(e.Key))
			} else {
				err = w.Add(e.Space, []byte(e.Key), []byte(e.Value), e.Version)
			}
			if err != nil {
				return err
			}
		}
		for _, space := range drops {
			if err := w.Drop(space); err != nil {
				return err
			}
		}
		return nil
	}
}

func writeDelta(t require.TestingT, fsys vfs.FS, base checkpoint.Digest) checkpoint.Info {
	h := sampleHeader()
	h.Seq, h.Base = 1010, checkpoint.Base{Seq: 1000, Digest: base}
	info, err := checkpoint.Write(context.Background(), fsys, "db", h, 1, fillDelta(sampleDelta(), sampleDrops...))
	require.NoError(t, err)
	return info
}

// sampleChain writes the sample and a delta on it.
func sampleChain(t require.TestingT, fsys vfs.FS) (full, delta checkpoint.Info) {
	full, _ = write(t, fsys, 1, sampleEntries())
	return full, writeDelta(t, fsys, full.Digest)
}

func requireSampleDelta(t require.TestingT, fsys vfs.FS, name string, base checkpoint.Digest) {
	got, r, err := readAll(fsys, name)
	require.NoError(t, err)
	require.Equal(t, sampleDelta(), got)
	require.EqualValues(t, 1010, r.Header().Seq)
	require.Equal(t, checkpoint.Base{Seq: 1000, Digest: base}, r.Header().Base)
	require.NotZero(t, r.Header().Features, "a reader that knows no deltas has to refuse it")
	for space, dropped := range map[msgs.SpaceID]bool{1: false, 64: true, 65: false, 1 << 40: true} {
		require.Equal(t, dropped, r.Drops(space))
	}
}

func TestDeltaRoundTrip(t *testing.T) {
	mem := newDir(t)
	full, delta := sampleChain(t, mem)
	requireSampleDelta(t, mem, "db/"+delta.File, full.Digest)
	chain, err := checkpoint.OpenChain(mem, "db", delta.File)
	require.NoError(t, err)
	defer chain.Close()
	require.Len(t, chain, 2)
	require.Equal(t, full.Digest, chain[0].Digest())
	require.Equal(t, full.RawBytes, chain[0].RawBytes())
	require.Equal(t, delta.Digest, chain.Newest().Digest())
	require.Zero(t, chain[0].Header().Base)
	require.Zero(t, chain[0].Header().Features)
}

func TestDeltaMayBeEmpty(t *testing.T) {
	mem := newDir(t)
	h := sampleHeader()
	h.Base = checkpoint.Base{Seq: 3}
	info, err := checkpoint.Write(context.Background(), mem, "db", h, 1, fillDelta(nil))
	require.NoError(t, err)
	got, r, err := readAll(mem, "db/"+info.File)
	require.NoError(t, err)
	require.Empty(t, got)
	require.Equal(t, h.Base, r.Header().Base)
}

// A chain is only what it was when it was written.
func TestChainWithAnotherFileInItIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(mem *vfs.Mem){
		"another checkpoint of that commit": func(mem *vfs.Mem) { write(t, mem, 1, sampleEntries()[1:]) },
		"a copy of the delta": func(mem *vfs.Mem) {
			data, err := mem.ReadFile("db/" + checkpoint.FileName(1010))
			require.NoError(t, err)
			require.NoError(t, mem.WriteFile("db/"+checkpoint.FileName(1000), data))
		},
		"garbage": func(mem *vfs.Mem) {
			require.NoError(t, mem.WriteFile("db/"+checkpoint.FileName(1000), make([]byte, 300)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			mem := newDir(t)
			_, delta := sampleChain(t, mem)
			spoil(mem)
			_, err := checkpoint.OpenChain(mem, "db", delta.File)
			require.ErrorIs(t, err, errs.ErrDecode)
		})
	}
	mem := newDir(t)
	_, delta := sampleChain(t, mem)
	require.NoError(t, mem.Remove("db/"+checkpoint.FileName(1000)))
	_, err := checkpoint.OpenChain(mem, "db", delta.File)
	require.ErrorIs(t, err, errs.ErrIO)
}

func TestDeltaWriterRefusesWhatHasNoPlaceInIt(t *testing.T) {
	delta := sampleHeader()
	delta.Base = checkpoint.Base{Seq: 500}
	upward := delta
	upward.Base.Seq = 1000
	nothing := func(*checkpoint.Writer) error { return nil }
	for name, test := range map[string]struct {
		header checkpoint.Header
		fill   func(*checkpoint.Writer) error
	}{
		"a base that is not below": {upward, nothing},
		"an entry of the base":     {delta, fill([]entry{{64, "a", "", 500}})},
		"an entry of no commit":    {delta, fill([]entry{{64, "a", "", 0}})},
		"spaces dropped twice":     {delta, fillDelta(nil, 64, 64)},
		"space 0 dropped":          {delta, fillDelta(nil, 0)},
		"a space dropped too late": {delta, func(w *checkpoint.Writer) error {
			if err := w.Add(64, nil, nil, 600); err != nil {
				return err
			}
			return w.Drop(64)
		}},
		"a deletion in a full one": {sampleHeader(), func(w *checkpoint.Writer) error { return w.Delete(64, nil) }},
		"a drop in a full one":     {sampleHeader(), func(w *checkpoint.Writer) error { return w.Drop(64) }},
	} {
		t.Run(name, func(t *testing.T) {
			mem := newDir(t)
			_, err := checkpoint.Write(context.Background(), mem, "db", test.header, 1, func(w *checkpoint.Writer) error {
				_ = test.fill(w) // an error cannot be passed over
				return nil
			})
			require.ErrorIs(t, err, errs.ErrEncode)
			require.Empty(t, mem.Names())
		})
	}
}

func TestDeltaGolden(t *testing.T) {
	const golden = "testdata/delta.golden"
	mem, base := newDir(t), checkpoint.Digest{7, 8, 9}
	if *update {
		data, err := mem.ReadFile("db/" + writeDelta(t, mem, base).File)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(golden, data, 0o644))
	}
	data, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.NoError(t, mem.WriteFile("db/golden", data))
	requireSampleDelta(t, mem, "db/golden", base)
}
