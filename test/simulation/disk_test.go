package simulation

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"syscall"

	"github.com/empyrealapp/aedb-go/vfs"
)

// dir is where the store lives.
const dir = "store"

// mishap is what will happen to a file operation to come.
type mishap struct {
	kind  vfs.OpKind
	any   bool  // whatever the operation
	after int64 // so many of the kind
	fault vfs.Fault
}

// disk is a simulated disk, on which one mishap at a time can be made to happen.
type disk struct {
	*vfs.Mem
	pending *mishap
	// lost is true when the power went in the middle of something, failed when an
	// operation was made to fail.
	lost, failed bool
}

func newDisk(mem *vfs.Mem) *disk {
	d := &disk{Mem: mem}
	mem.SetInjector(func(op vfs.Op) vfs.Fault {
		m := d.pending
		if m == nil || !(op.Kind == m.kind || m.any && op.Kind.Mutates()) {
			return vfs.Fault{}
		}
		if m.after--; m.after > 0 {
			return vfs.Fault{}
		}
		d.pending, d.lost, d.failed = nil, m.fault.CrashNow, true
		return m.fault
	})
	return d
}

// randomMishap draws an operation that will fail, or the moment of a power loss
// within the operations that follow.
func randomMishap(rng *rand.Rand) *mishap {
	m := &mishap{after: 1 + rng.Int64N(6)}
	switch n := rng.IntN(10); {
	case n < 3:
		m.any, m.after, m.fault.CrashNow = true, 1+rng.Int64N(25), true
	case n < 6:
		m.kind, m.fault = vfs.OpSync, vfs.Fault{Err: syscall.EIO, DropUnsynced: rng.IntN(2) == 0}
	case n < 8:
		m.kind, m.fault = vfs.OpWrite, vfs.Fault{Err: syscall.ENOSPC, Short: rng.IntN(200)}
	default:
		kinds := []vfs.OpKind{vfs.OpCreate, vfs.OpTruncate, vfs.OpRename, vfs.OpRemove, vfs.OpSyncDir, vfs.OpOpen, vfs.OpRead}
		m.kind, m.fault.Err = kinds[rng.IntN(len(kinds))], syscall.EIO
	}
	return m
}

func (m *mishap) String() string {
	switch {
	case m.fault.CrashNow:
		return fmt.Sprintf("power loss within %d operations", m.after)
	default:
		return fmt.Sprintf("%v %d will fail: %v", m.kind, m.after, m.fault.Err)
	}
}

// randomFate draws what a power loss leaves of what was not synced.
func randomFate(rng *rand.Rand) vfs.Fate {
	seed, percent := rng.Uint64(), 10+rng.IntN(81)
	switch rng.IntN(6) {
	case 0:
		return vfs.AllLost()
	case 1:
		return vfs.AllKept()
	case 2:
		return vfs.RandomBlocks(seed, percent)
	case 3:
		return vfs.MixedSectors(seed, percent)
	case 4: // the worst for what was renamed or created before it was written
		return vfs.Fate{Data: vfs.DataLost, Entries: vfs.EntriesKept}
	}
	return vfs.TornLastWrite(seed)
}

// exists tells whether the store has a file.
func exists(mem *vfs.Mem, name string) bool {
	return slices.Contains(mem.Names(), path.Join(dir, name))
}

// flip changes a bit in the middle of a file of the store.
func flip(mem *vfs.Mem, name string) error {
	name = path.Join(dir, name)
	data, err := mem.ReadFile(name)
	if err != nil {
		return err
	}
	data[len(data)/2] ^= 1
	return mem.WriteFile(name, data)
}
