package walwriter

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// ahead is how many zeros are written ahead of writes below a KiB.
const ahead = 64 << 10

func prezeroed(t *testing.T, fs vfs.FS, zeros, segmentBytes int64) (*Log, *Writer) {
	log, segment, err := Storage{FS: fs, Dir: dir, Prezero: zeros, SegmentBytes: segmentBytes}.CreateLog(header)
	require.NoError(t, err)
	return log, NewWriter(segment, segmentBytes, durableAt(0))
}

func sizeOf(t *testing.T, mem *vfs.Mem, number uint64) int {
	data, err := mem.ReadFile(segmentPath(number))
	require.NoError(t, err)
	return len(data)
}

func TestFramesAreWrittenIntoZerosThatAreDurableAlready(t *testing.T) {
	mem := newMem(t)
	var calls trace
	mem.SetInjector(func(op vfs.Op) vfs.Fault { calls.record(op); return vfs.Fault{} })
	log, w := prezeroed(t, mem, ahead, 1<<20)
	name := segmentPath(3)
	require.Equal(t, []string{"create " + name, "write " + name, "sync " + name, "syncdir " + dir}, slices.Compact(calls.take()),
		"the sync of the header is that of the zeros")
	require.Equal(t, wal.HeaderSize+ahead, sizeOf(t, mem.Clone(vfs.AllLost()), 3))

	seq, extended := uint64(101), 0
	for range 400 {
		size := sizeOf(t, mem, 3)
		_, err := log.Perform(step(t, w, commits(&seq, 1, 300)))
		require.NoError(t, err)
		made := calls.take()
		require.Equal(t, []string{"write " + name}, slices.Compact(made))
		if sizeOf(t, mem, 3) == size {
			require.Len(t, made, 1)
			continue
		}
		require.EqualValues(t, w.segment.Size()+ahead, sizeOf(t, mem, 3), "zeros follow the frame that used the last up")
		extended++
	}
	require.InDelta(t, 400*350/ahead, extended, 1)
}

func TestZerosAreWrittenByPagesAndEndWhereTheSegmentDoes(t *testing.T) {
	mem := newMem(t)
	var calls trace
	mem.SetInjector(func(op vfs.Op) vfs.Fault { calls.record(op); return vfs.Fault{} })
	const limit = 600 << 10
	log, w := prezeroed(t, mem, 1<<30, limit)
	require.Len(t, calls.take(), 1+1+limit/4096+1+1)
	require.Equal(t, limit, sizeOf(t, mem, 3))

	seq := uint64(101)
	_, err := log.Perform(step(t, w, commits(&seq, 1, limit)))
	require.NoError(t, err)
	require.Len(t, calls.take(), 1)
	require.EqualValues(t, w.segment.Size(), sizeOf(t, mem, 3), "no zeros beyond the limit")
}

func TestLargeWritesAreNotFollowedByZeros(t *testing.T) {
	mem := newMem(t)
	log, w := prezeroed(t, mem, ahead, 1<<20)
	seq := uint64(101)
	for _, c := range []struct {
		bytes int
		zeros int64
	}{{ahead + 1, 0}, {1024, 0}, {10, ahead}, {ahead, 0}} {
		_, err := log.Perform(step(t, w, commits(&seq, 1, c.bytes)))
		require.NoError(t, err)
		require.EqualValues(t, w.segment.Size()+c.zeros, sizeOf(t, mem, 3))
	}
}

func TestSealedSegmentIsCutBeforeItsLastSync(t *testing.T) {
	mem := newMem(t)
	var calls trace
	log, w := prezeroed(t, mem, ahead, 1000)
	seq := uint64(101)
	_, err := log.Perform(step(t, w, commits(&seq, 1, 700)))
	require.NoError(t, err)
	_, err = log.Perform(step(t, w, commits(&seq, 1, 10)))
	require.NoError(t, err)
	w.maxBytes = 0 // seal it while there are zeros

	mem.SetInjector(func(op vfs.Op) vfs.Fault { calls.record(op); return vfs.Fault{} })
	written, err := log.Perform(step(t, w, commits(&seq, 1, 10)))
	require.NoError(t, err)
	a, b := segmentPath(3), segmentPath(4)
	require.Equal(t, []string{
		"truncate " + a, "sync " + a, "create " + b, "write " + b, "write " + b, "sync " + b, "syncdir " + dir, "write " + b,
	}, calls.take())
	data, err := mem.Clone(vfs.AllLost()).ReadFile(a)
	require.NoError(t, err)
	require.EqualValues(t, written.Sealed[0].Size, len(data))
	require.Equal(t, written.Sealed[0].Digest, wal.DigestOf(data))
}

func TestClosedLogHasNoZeros(t *testing.T) {
	mem := newMem(t)
	log, w := prezeroed(t, mem, ahead, 1<<20)
	seq := uint64(101)
	_, err := log.Perform(step(t, w, commits(&seq, 3, 10)))
	require.NoError(t, err)
	require.NoError(t, log.Close())
	require.EqualValues(t, w.segment.Size(), sizeOf(t, mem.Crash(vfs.AllLost()), 3))
}

func TestSegmentThatHasFailedIsClosedAsItIs(t *testing.T) {
	for _, c := range []struct {
		kind   vfs.OpKind
		panics bool
	}{{vfs.OpSync, false}, {vfs.OpSync, true}, {vfs.OpWrite, false}, {vfs.OpWrite, true}} {
		t.Run(fmt.Sprintf("%v, by a panic %v", c.kind, c.panics), func(t *testing.T) {
			mem := newMem(t)
			log, w := prezeroed(t, mem, ahead, 1<<20)
			seq := uint64(101)
			mem.SetInjector(func(op vfs.Op) vfs.Fault {
				switch {
				case op.Kind != c.kind:
					return vfs.Fault{}
				case c.panics:
					panic("a fault of the file system")
				}
				return vfs.Fault{Err: syscall.EIO, DropUnsynced: true}
			})
			fail := func() error {
				written, err := log.Perform(step(t, w, commits(&seq, 3, 10)))
				if err != nil {
					return err
				}
				return written.File.Sync()
			}
			if c.panics {
				require.Panics(t, func() { _ = fail() })
			} else {
				require.ErrorIs(t, fail(), syscall.EIO)
			}
			before := mem.Ops()
			require.NoError(t, log.Close())
			require.Equal(t, before, mem.Ops())
		})
	}
}

func TestFailureToCutAtTheEndIsReportedAndTheFileClosed(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpTruncate, vfs.OpSync} {
		mem := newMem(t)
		log, _ := prezeroed(t, mem, ahead, 1<<20)
		mem.SetInjector(func(op vfs.Op) vfs.Fault {
			if op.Kind == kind {
				return vfs.Fault{Err: syscall.EIO}
			}
			return vfs.Fault{}
		})
		require.ErrorIs(t, log.Close(), errs.ErrIO)
		require.Error(t, log.file.File.Close())
	}
}

func TestZerosThatCannotBeWrittenFailNothing(t *testing.T) {
	mem := newMem(t)
	failing := mem.Ops() + 3 // create, header, zeros
	mem.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpWrite && op.N == failing {
			return vfs.Fault{Err: syscall.EIO, Short: 100}
		}
		return vfs.Fault{}
	})
	log, w := prezeroed(t, mem, ahead, 3000)
	require.Equal(t, wal.HeaderSize+100, sizeOf(t, mem, 3))
	seq := uint64(101)
	for range 5 {
		_, err := log.Perform(step(t, w, commits(&seq, 1, 10)))
		require.NoError(t, err)
		require.EqualValues(t, max(wal.HeaderSize+100, w.segment.Size()), sizeOf(t, mem, 3), "the file grows by what is written")
	}
	_, err := log.Perform(step(t, w, commits(&seq, 1, 3000)))
	require.NoError(t, err)
	_, err = log.Perform(step(t, w, commits(&seq, 1, 10)))
	require.NoError(t, err)
	require.Equal(t, 3000, sizeOf(t, mem, 4), "the next segment has zeros again")
	require.NoError(t, log.Close())
}

// The zeros take no room away from the frames: a disk of any size takes as many
// commits, and fails at the same one, as without them.
func TestFullDiskTakesAsManyCommitsAsWithoutZeros(t *testing.T) {
	accepted := func(capacity, zeros int64) (uint64, *vfs.Mem) {
		mem := newMem(t)
		mem.SetCapacity(capacity)
		log, segment, err := Storage{FS: mem, Dir: dir, Prezero: zeros, SegmentBytes: 1500}.CreateLog(header)
		if err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			return 0, mem
		}
		durable := uint64(100)
		w := NewWriter(segment, 1500, func() uint64 { return durable })
		for seq := uint64(101); ; {
			written, err := log.Perform(step(t, w, commits(&seq, 1, 90)))
			if err != nil {
				require.True(t, errors.Is(err, syscall.ENOSPC) && errors.Is(err, errs.ErrIO), err)
				require.NoError(t, log.Close())
				return durable, mem
			}
			require.NoError(t, written.File.Sync())
			durable = written.LastSeq
		}
	}
	for capacity := int64(50); capacity < 6000; capacity += 37 {
		want, _ := accepted(capacity, 0)
		got, mem := accepted(capacity, ahead)
		require.Equal(t, want, got, "a disk of %d bytes", capacity)
		if got > 0 {
			require.GreaterOrEqual(t, lastOnDisk(t, mem.Crash(vfs.AllLost())), got)
		}
	}
}

// lastOnDisk returns the last commit of a log whose segments all end well.
func lastOnDisk(t *testing.T, mem *vfs.Mem) uint64 {
	numbers, err := wal.ListSegments(mem, dir)
	require.NoError(t, err)
	last := header.FirstSeq - 1
	for i, number := range numbers {
		data, err := mem.ReadFile(segmentPath(number))
		require.NoError(t, err)
		_, end, err := wal.Scan(data, func(wal.Frame) error { return nil })
		if i == len(numbers)-1 && err != nil {
			require.True(t, wal.NeverWritten(data))
			break
		}
		require.NoError(t, err)
		require.NotEqual(t, wal.Corrupt, end.Verdict)
		last = end.NextSeq - 1
	}
	return last
}

func TestContinuedSegmentGoesOnBehindItsFrames(t *testing.T) {
	for _, zeros := range []int64{0, ahead} {
		for _, doubt := range []int{0, 1, 200} {
			t.Run(fmt.Sprintf("%d zeros ahead, %d doubtful bytes", zeros, doubt), func(t *testing.T) {
				mem := newMem(t)
				prezeroed(t, mem, ahead, 1<<20)
				log, segment := continued(t, mem, zeros, doubt)
				require.EqualValues(t, segment.Size(), wal.HeaderSize)
				require.NoError(t, log.Close())

				log, segment = continued(t, mem, zeros, 0)
				w := NewWriter(segment, 1<<20, durableAt(0))
				seq := uint64(101)
				_, err := log.Perform(step(t, w, commits(&seq, 2, 200)))
				require.NoError(t, err)
				// The process is killed here: nothing is cut.
				log, segment = continued(t, mem, zeros, doubt)
				require.EqualValues(t, segment.Size(), sizeOf(t, mem, 3))
				w = NewWriter(segment, 1<<20, durableAt(0))
				_, err = log.Perform(step(t, w, commits(&seq, 2, 200)))
				require.NoError(t, err)
				require.EqualValues(t, segment.Size()+zeros, sizeOf(t, mem, 3))
				require.NoError(t, log.Close())
				require.Equal(t, seq-1, lastOnDisk(t, mem))
			})
		}
	}
}

// continued continues the only segment, whose last bytes are in doubt as far as
// there are frames.
func continued(t *testing.T, mem *vfs.Mem, zeros int64, doubt int) (*Log, *wal.Writer) {
	data, err := mem.ReadFile(segmentPath(3))
	require.NoError(t, err)
	_, end, err := wal.Scan(data, func(wal.Frame) error { return nil })
	require.NoError(t, err)
	segment, err := wal.ContinueWriter(data, end)
	require.NoError(t, err)
	from := max(wal.HeaderSize, end.Offset-doubt)
	log, err := Storage{FS: mem, Dir: dir, Prezero: zeros}.ContinueLog(segment, data[from:end.Offset])
	require.NoError(t, err)
	return log, segment
}

// What a failed sync has dropped is readable and will never be written. Doubtful
// bytes are, with the next sync.
func TestDoubtfulBytesAreDurableAfterTheNextSync(t *testing.T) {
	for _, again := range []bool{false, true} {
		mem := newMem(t)
		log, w := prezeroed(t, mem, ahead, 1<<20)
		seq := uint64(101)
		written, err := log.Perform(step(t, w, commits(&seq, 1, 6000)))
		require.NoError(t, err)
		mem.SetInjector(func(op vfs.Op) vfs.Fault {
			if op.Kind == vfs.OpSync {
				return vfs.Fault{Err: syscall.EIO, DropUnsynced: true}
			}
			return vfs.Fault{}
		})
		require.Error(t, written.File.Sync())
		mem.SetInjector(nil)
		doubt := 0
		if again {
			doubt = 1 << 20
		}
		log, segment := continued(t, mem, ahead, doubt)
		require.EqualValues(t, 102, segment.NextSeq(), "the system still shows the frame")
		require.NoError(t, log.File().Sync())
		want := uint64(100)
		if again {
			want = 101
		}
		require.Equal(t, want, lastOnDisk(t, mem.Crash(vfs.AllLost())))
	}
}

func TestSegmentThatIsShorterThanItsFramesIsNotContinued(t *testing.T) {
	mem := newMem(t)
	_, w := prezeroed(t, mem, 0, 1<<20)
	seq := uint64(101)
	step(t, w, commits(&seq, 1, 10_000)) // never performed
	fsys := &openFiles{FS: mem}
	_, err := Storage{FS: fsys, Dir: dir}.ContinueLog(w.segment, nil)
	require.ErrorIs(t, err, errs.ErrIO)
	require.Zero(t, fsys.open)
	require.NoError(t, mem.Remove(segmentPath(3)))
	_, err = Storage{FS: fsys, Dir: dir}.ContinueLog(w.segment, nil)
	require.ErrorIs(t, err, errs.ErrIO)
}
