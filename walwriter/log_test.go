package walwriter

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

const dir = "store"

func newMem(t *testing.T) *vfs.Mem {
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll(dir))
	return mem
}

// trace collects the calls on a file system that change something.
type trace []string

func (tr *trace) record(op vfs.Op) {
	if op.Kind.Mutates() {
		*tr = append(*tr, fmt.Sprint(op.Kind, " ", op.Name))
	}
}

func (tr *trace) take() []string {
	taken := *tr
	*tr = nil
	return taken
}

func segmentPath(number uint64) string { return dir + "/" + wal.SegmentName(number) }

// full is a log in which every epoch finds its segment full.
func full(t *testing.T, mem *vfs.Mem) (*Log, *Writer) {
	log, segment, err := Storage{FS: mem, Dir: dir}.CreateLog(header)
	require.NoError(t, err)
	return log, NewWriter(segment, wal.HeaderSize+1, durableAt(0))
}

func step(t *testing.T, w *Writer, epochs ...*msgs.Epoch) *Plan {
	plan, err := w.Step(began, epochs)
	require.NoError(t, err)
	return plan
}

func TestNewSegmentIsDurableBeforeItIsUsed(t *testing.T) {
	mem := newMem(t)
	var calls trace
	mem.SetInjector(func(op vfs.Op) vfs.Fault { calls.record(op); return vfs.Fault{} })
	log, segment, err := Storage{FS: mem, Dir: dir}.CreateLog(header)
	require.NoError(t, err)
	name := segmentPath(3)
	require.Equal(t, []string{"create " + name, "write " + name, "sync " + name, "syncdir " + dir}, calls.take())

	seq := uint64(101)
	w := NewWriter(segment, 1<<20, durableAt(0))
	written, err := log.Perform(step(t, w, commits(&seq, 1, 10), commits(&seq, 2, 10)))
	require.NoError(t, err)
	require.Equal(t, []string{"write " + name}, calls.take(), "one write for what waits together")
	require.EqualValues(t, 103, written.LastSeq)
	require.Nil(t, written.Retired)
	require.Equal(t, log.File(), written.File)

	require.NoError(t, written.File.Sync())
	require.Equal(t, []string{"sync " + name}, calls.take())
	require.NoError(t, log.Close())
}

func TestRotationSyncsTheOldSegmentBeforeAnythingReachesTheNew(t *testing.T) {
	mem := newMem(t)
	log, w := full(t, mem)
	seq := uint64(101)
	_, err := log.Perform(step(t, w, commits(&seq, 1, 10)))
	require.NoError(t, err)
	old := log.File()

	var calls trace
	mem.SetInjector(func(op vfs.Op) vfs.Fault { calls.record(op); return vfs.Fault{} })
	written, err := log.Perform(step(t, w, commits(&seq, 1, 10)))
	require.NoError(t, err)
	a, b := segmentPath(3), segmentPath(4)
	require.Equal(t, []string{
		"sync " + a, "create " + b, "write " + b, "sync " + b, "syncdir " + dir, "write " + b,
	}, calls.take())
	require.Equal(t, old, written.Retired)
	require.NotEqual(t, old, written.File)
	require.Len(t, written.Sealed, 1)

	// The frame in the new segment is not synced yet. What is left of a crash is
	// the old segment, whole, and the header of the new one.
	after := mem.Crash(vfs.AllLost())
	sealed, err := after.ReadFile(a)
	require.NoError(t, err)
	require.Equal(t, written.Sealed[0].Digest, wal.DigestOf(sealed))
	begun, err := after.ReadFile(b)
	require.NoError(t, err)
	h, err := wal.ParseHeader(begun)
	require.NoError(t, err)
	require.Len(t, begun, wal.HeaderSize)
	require.Equal(t, written.Sealed[0].Digest, h.Previous)
}

func TestSegmentBegunAndLeftByOnePlanIsClosedByIt(t *testing.T) {
	mem := newMem(t)
	log, w := full(t, mem)
	seq := uint64(101)
	first := log.File()
	written, err := log.Perform(step(t, w, commits(&seq, 1, 10), commits(&seq, 1, 10), commits(&seq, 1, 10)))
	require.NoError(t, err)
	require.Equal(t, first, written.Retired, "the fsyncer may have that one")
	require.Len(t, written.Sealed, 2)
	require.NoError(t, written.Retired.Close())
	require.NoError(t, log.Close())
	disk := replica{}
	for number := uint64(3); number <= 5; number++ {
		data, err := mem.ReadFile(segmentPath(number))
		require.NoError(t, err)
		disk.segments = append(disk.segments, data)
	}
	require.Len(t, disk.frames(t), 3)
}

// Every call of a rotation that fails leaves an error that tells the file, no
// commit lost that was synced, and files that Close can close.
func TestFaultAtAnyCallOfARotationIsAnError(t *testing.T) {
	for n := int64(1); n <= 7; n++ {
		for _, short := range []int{0, 5} {
			t.Run(fmt.Sprintf("call %d, %d bytes written", n, short), func(t *testing.T) {
				mem := newMem(t)
				log, w := full(t, mem)
				seq := uint64(101)
				written, err := log.Perform(step(t, w, commits(&seq, 1, 10)))
				require.NoError(t, err)
				plan := step(t, w, commits(&seq, 1, 10))
				failing := mem.Ops() + n
				mem.SetInjector(func(op vfs.Op) vfs.Fault {
					if op.Kind.Mutates() && op.N == failing {
						return vfs.Fault{Err: syscall.EIO, Short: short}
					}
					return vfs.Fault{}
				})
				_, err = log.Perform(plan)
				if n == 7 { // there are six calls
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, errs.ErrIO)
				require.ErrorIs(t, err, syscall.EIO)
				var e *errs.Error
				require.ErrorAs(t, err, &e)
				require.Contains(t, []string{wal.SegmentName(3), wal.SegmentName(4)}, e.Object)
				require.NoError(t, log.Close())
				require.Error(t, written.File.Close(), "the file of the old segment was left open")
			})
		}
	}
}

func TestFaultWhileCreatingTheFirstSegmentIsAnErrorAndLeavesNoFileOpen(t *testing.T) {
	for n := int64(1); n <= 4; n++ {
		fsys := &openFiles{FS: newMem(t)}
		before := fsys.FS.(*vfs.Mem).Ops()
		fsys.FS.(*vfs.Mem).SetInjector(func(op vfs.Op) vfs.Fault {
			if op.Kind.Mutates() && op.N == before+n {
				return vfs.Fault{Err: syscall.ENOSPC}
			}
			return vfs.Fault{}
		})
		_, _, err := Storage{FS: fsys, Dir: dir}.CreateLog(header)
		require.ErrorIs(t, err, errs.ErrIO)
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.Zero(t, fsys.open)
	}
}

// openFiles counts the files opened for writing that are not closed.
type openFiles struct {
	vfs.FS
	open int
}

type countedFile struct {
	vfs.File
	fs *openFiles
}

func (o *openFiles) Create(name string) (vfs.File, error) { return o.count(o.FS.Create(name)) }

func (o *openFiles) OpenReadWrite(name string) (vfs.File, error) {
	return o.count(o.FS.OpenReadWrite(name))
}

func (o *openFiles) count(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	o.open++
	return countedFile{f, o}, nil
}

func (c countedFile) Close() error {
	c.fs.open--
	return c.File.Close()
}

// After a sync that failed, Linux forgets what was not written, and the next sync
// succeeds. If the writer took that for the truth it would seal a segment with a
// hole, and the store could never be opened again.
func TestSegmentWhoseSyncHasFailedIsNeverSyncedAgain(t *testing.T) {
	for _, first := range []string{"fsyncer", "writer"} {
		t.Run("by the "+first+" first", func(t *testing.T) {
			mem := newMem(t)
			log, w := full(t, mem)
			seq := uint64(101)
			written, err := log.Perform(step(t, w, commits(&seq, 1, 10)))
			require.NoError(t, err)
			syncs := 0
			mem.SetInjector(func(op vfs.Op) vfs.Fault {
				if op.Kind == vfs.OpSync {
					syncs++
					return vfs.Fault{Err: syscall.EIO, DropUnsynced: true}
				}
				return vfs.Fault{}
			})
			sync := func() error { return (&Order{Sync: written.File}).Perform() }
			rotate := func() error { _, err := log.Perform(step(t, w, commits(&seq, 1, 10))); return err }
			calls := []func() error{sync, rotate}
			if first == "writer" {
				calls = []func() error{rotate, sync}
			}
			for _, call := range calls {
				require.ErrorIs(t, call(), syscall.EIO)
			}
			require.Equal(t, 1, syncs)
			require.NotContains(t, mem.Names(), segmentPath(4), "no segment follows one that may have a hole")
		})
	}
}
