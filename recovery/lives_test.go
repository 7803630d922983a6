package recovery_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/vfs"
)

// A store lives on through power cuts, kills and calls that fail, each life with a key,
// a size of segments and a way to begin of its own. Nothing durable is lost and no
// opening is refused, nor is it where the newest manifest has been damaged, or the
// newest of two checkpoints.
func TestLivesUnderChangingOptionsLoseNothingDurable(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 77))
		fsys, h := vfs.NewMem(), recoverytest.NewHistory()
		keyed := seed%2 > 0
		for n := range 10 {
			what := fmt.Sprintf("seed %d, life %d", seed, n)
			o := randomOptions(t, rng, keyed)
			trouble := randomTrouble(rng, fsys.Ops())
			fsys.SetInjector(trouble.inject)
			if err := anyLife(fsys, h, rng, o); !trouble.met {
				require.NoError(t, err, what)
			}
			fsys.SetInjector(nil)
			for _, prefix := range []string{"manifest-", "checkpoint-"} {
				openDamaged(t, fsys.Clone(vfs.AllKept()), clone(h), rng, o, prefix, what)
			}
			if trouble.fault.CrashNow || rng.IntN(4) == 0 {
				s := rng.Uint64()
				fsys = fsys.Crash(append(fates(s), vfs.MixedSectors(s, 50))[rng.IntN(6)])
			}
		}
	}
}

func randomOptions(t *testing.T, rng *rand.Rand, keyed bool) recoverytest.Options {
	o := recoverytest.Options{
		Continue: rng.IntN(4) > 0, SegmentBytes: []int64{1, 512, 1500, 6000}[rng.IntN(4)], Kept: 1 + rng.IntN(2),
	}
	if ids := []string{"k1", "k2"}; keyed {
		rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		o.Sealing = sealing(t, rng.IntN(2) == 0, ids...)
	}
	return o
}

// trouble is what happens at a call that changes something, and for a kill at every call
// from there on.
type trouble struct {
	at    int64
	kill  bool
	fault vfs.Fault
	met   bool
}

func randomTrouble(rng *rand.Rand, before int64) *trouble {
	tr := &trouble{at: before + 1 + rng.Int64N(120)}
	switch rng.IntN(4) {
	case 0:
		tr.fault.CrashNow = true
	case 1:
		tr.kill, tr.fault.Err = true, syscall.EIO
	case 2:
		tr.fault = vfs.Fault{Err: syscall.EIO, DropUnsynced: rng.IntN(2) == 0, Short: rng.IntN(60)}
	}
	return tr
}

func (tr *trouble) inject(op vfs.Op) vfs.Fault {
	if !op.Kind.Mutates() || op.N < tr.at || op.N > tr.at && !tr.kill {
		return vfs.Fault{}
	}
	tr.met = true
	return tr.fault
}

// anyLife opens a store, uses it and perhaps closes it. A checkpoint that fails is tried
// once more.
func anyLife(fsys vfs.FS, h *recoverytest.History, rng *rand.Rand, o recoverytest.Options) error {
	s, err := recoverytest.Open(fsys, o, h)
	if err == nil && h.Last == 0 {
		err = s.Fill(40)
	}
	for range rng.IntN(10) {
		if err != nil {
			return err
		}
		switch rng.IntN(6) {
		case 0:
			err = s.Random(rng)
		case 1:
			if err = s.Sync(); err == nil && s.Checkpoint() != nil {
				_ = s.Checkpoint()
			}
		case 2:
			err = s.Sync()
		default:
			err = s.PutMany(1 + rng.IntN(4))
		}
	}
	if err == nil && rng.IntN(3) == 0 {
		if err = s.Close(); err == nil && rng.IntN(2) == 0 {
			_ = s.Checkpoint() // of all, as one at the end of a pipeline
		}
	}
	return err
}

// openDamaged damages the newest file of a kind, if another one is there to take its
// place, and opens the store twice with a checkpoint in between.
func openDamaged(t *testing.T, fsys *vfs.Mem, h *recoverytest.History, rng *rand.Rand, o recoverytest.Options, prefix, what string) {
	found := files(fsys, prefix)
	if len(found) < 2 || strings.HasSuffix(found[len(found)-1], ".tmp") {
		return
	}
	r, err := recoverytest.Recover(fsys.Clone(vfs.AllKept()), recoverytest.Options{Sealing: o.Sealing})
	require.NoError(t, err, what)
	if prefix == "checkpoint-" && len(r.Manifest.Checkpoints) < 2 {
		return
	}
	edit(t, fsys, found[len(found)-1], func(data []byte) []byte {
		data[rng.IntN(len(data))] ^= 0xff
		return data
	})
	s, err := recoverytest.Open(fsys, o, h)
	require.NoError(t, err, "%s, with a damaged %s", what, prefix)
	require.NoError(t, s.PutMany(3))
	require.NoError(t, s.Checkpoint())
	_, err = recoverytest.Open(fsys, o, h)
	require.NoError(t, err, "%s, after a damaged %s", what, prefix)
}
