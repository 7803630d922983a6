package simulation

import (
	"errors"
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
	any   bool  // that changes something, whatever the kind
	after int64 // so many of them
	fault vfs.Fault
}

// errKilled is what a process would be told of the operations after its end.
var errKilled = errors.New("the process was killed")

// disk is a simulated disk, on which one mishap at a time can be made to happen.
type disk struct {
	*vfs.Mem
	pending *mishap
	// What has happened to the process that uses it: the power was lost or it was
	// killed, in the middle of something, or an operation has failed.
	lost, killed, failed bool
}

func newDisk(mem *vfs.Mem) *disk {
	d := &disk{Mem: mem}
	mem.SetInjector(d.inject)
	return d
}

func (d *disk) inject(op vfs.Op) vfs.Fault {
	if d.killed {
		return vfs.Fault{Err: errKilled}
	}
	m := d.pending
	if m == nil || !(op.Kind == m.kind || m.any && op.Kind.Mutates()) {
		return vfs.Fault{}
	}
	if m.after--; m.after > 0 {
		return vfs.Fault{}
	}
	d.pending = nil
	d.lost, d.killed, d.failed = m.fault.CrashNow, m.fault.Err == errKilled, true
	return m.fault
}

// randomMishap draws an operation that will fail, or the end of the process or of
// the power before one of the next operations.
func randomMishap(rng *rand.Rand) *mishap {
	m := &mishap{after: 1 + rng.Int64N(6)}
	switch n := rng.IntN(10); {
	case n < 4:
		m.any, m.after = true, 1+rng.Int64N(25)
		if m.fault.CrashNow = n > 0; n == 0 {
			m.fault.Err = errKilled
		}
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
	if m.fault.CrashNow {
		return fmt.Sprintf("the power will go at operation %d", m.after)
	}
	return fmt.Sprintf("%v %d will fail: %v", m.kind, m.after, m.fault.Err)
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
