package walwriter

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// crashLog is a log that is written, synced, sealed, closed and continued by the
// choices of a seed, until the power goes.
type crashLog struct {
	storage Storage
	rng     *rand.Rand
	log     *Log
	writer  *Writer
	file    msgs.File
	next    uint64
	written uint64 // the last commit handed to the file system
	durable uint64 // the last commit known to be synced
}

const crashSegmentBytes = 6000

func newCrashLog(mem *vfs.Mem, seed uint64, ahead, limit int64) *crashLog {
	return &crashLog{
		storage: Storage{FS: mem, Dir: dir, Prezero: ahead, SegmentBytes: limit},
		rng:     rand.New(rand.NewPCG(seed, 1)),
		next:    header.FirstSeq, written: header.FirstSeq - 1, durable: header.FirstSeq - 1,
	}
}

func (c *crashLog) use(log *Log, segment *wal.Writer) {
	c.log, c.file = log, log.File()
	c.writer = NewWriter(segment, crashSegmentBytes, func() uint64 { return c.durable })
	c.writer.SealAfter(time.Millisecond)
}

// commitOf returns a commit that its seq determines, so that what is found can be
// compared. The value is of zeros for some, which is what unwritten space reads as.
func commitOf(seq uint64) msgs.Changeset {
	value := bytes.Repeat([]byte{byte(seq % 3)}, int(seq*seq*7919%1500))
	return msgs.Changeset{Seq: seq, Micros: int64(seq), Effects: []msgs.Effect{
		{Op: msgs.EffectPut, Space: 100, Key: fmt.Appendf(nil, "%d", seq), Value: value},
	}}
}

// run makes some steps and closes the log. Any error is the loss of power.
func (c *crashLog) run(steps int) error {
	for range steps {
		if c.rng.IntN(3) == 0 {
			if err := c.file.Sync(); err != nil {
				return err
			}
			c.durable = c.written
			continue
		}
		var batch []*msgs.Epoch
		for range 1 + c.rng.IntN(2) {
			e := &msgs.Epoch{}
			for range 1 + c.rng.IntN(2) {
				e.Sets = append(e.Sets, commitOf(c.next))
				c.next++
			}
			batch = append(batch, e)
		}
		now := began
		if c.rng.IntN(4) == 0 { // all segments were created when the log was
			now = began.Add(time.Millisecond)
			batch = append(batch, &msgs.Epoch{MustSync: true})
		}
		plan, err := c.writer.Step(now, batch)
		if err != nil {
			return err
		}
		c.written = plan.LastSeq
		w, err := c.log.Perform(plan)
		if err != nil {
			return err
		}
		c.file = w.File
		if w.Retired != nil {
			if err := w.Retired.Close(); err != nil {
				return err
			}
		}
	}
	return c.log.Close()
}

// begin creates the log.
func (c *crashLog) begin() error {
	log, segment, err := c.storage.CreateLog(header)
	if err == nil {
		c.use(log, segment)
	}
	return err
}

// found is what a crash has left of the log.
type found struct {
	last []byte // content of the last segment
	end  wal.End
	seq  uint64 // the last commit
	// sure is the last commit that a frame tells was durable.
	sure uint64
	// doubtful is where the first frame of the last segment begins that holds a
	// commit above sure.
	doubtful int
	// next is the header of the segment to be begun where the last one has none,
	// or none is there.
	next wal.Header
}

// check proves that what is on disk is a log: whole segments without zeros but for
// the last one, in a chain, with every commit that was durable and none that is not
// what it was.
func (c *crashLog) check(t *testing.T, mem *vfs.Mem) found {
	numbers, err := wal.ListSegments(mem, dir)
	require.NoError(t, err)
	f := found{seq: header.FirstSeq - 1, next: header}
	for i, number := range numbers {
		require.Equal(t, f.next.Number, number)
		data, err := mem.ReadFile(segmentPath(number))
		require.NoError(t, err)
		last := i == len(numbers)-1
		if _, err := wal.ParseHeader(data); err != nil {
			require.True(t, last && wal.NeverWritten(data), err)
			require.NoError(t, mem.Remove(segmentPath(number)))
			f.last = nil
			break
		}
		var frames []wal.Frame
		h, end, err := wal.Scan(data, func(fr wal.Frame) error {
			frames = append(frames, fr)
			for _, set := range fr.Sets {
				f.seq++
				require.Equal(t, commitOf(f.seq).Micros, set.Micros)
				require.True(t, bytes.Equal(commitOf(f.seq).Effects[0].Value, set.Effects[0].Value))
			}
			f.sure = max(f.sure, fr.Durable)
			return nil
		})
		require.NoError(t, err)
		f.doubtful = end.Offset
		for _, fr := range frames {
			if fr.Sets[len(fr.Sets)-1].Seq > f.sure {
				f.doubtful = min(f.doubtful, fr.Offset)
			}
		}
		require.NotEqual(t, wal.Corrupt, end.Verdict, end.Reason)
		require.Equal(t, f.next.FirstSeq, h.FirstSeq)
		require.Equal(t, f.next.Previous, h.Previous)
		if !last {
			require.Equal(t, wal.Clean, end.Verdict)
			require.Equal(t, end.Offset, len(data), "a sealed segment has its size before it has a successor")
		}
		f.last, f.end = data, end
		f.next = wal.Header{
			Incarnation: h.Incarnation, Number: number + 1, Term: h.Term, FirstSeq: end.NextSeq, Previous: wal.DigestOf(data[:end.Offset]),
		}
	}
	require.GreaterOrEqual(t, f.seq, c.durable, "a durable commit is lost")
	require.LessOrEqual(t, f.seq, c.written)
	require.LessOrEqual(t, f.sure, c.durable, "a frame calls durable what is not")
	return f
}

// reopen does what has to be done before a log that a crash has left is used
// again, on the file system that holds it.
func (c *crashLog) reopen(mem *vfs.Mem, f found) error {
	c.storage.FS = mem
	c.next, c.written = f.seq+1, f.seq
	if f.last == nil {
		c.durable = f.seq
		log, segment, err := c.storage.CreateLog(f.next)
		if err == nil {
			c.use(log, segment)
		}
		return err
	}
	if f.end.Verdict == wal.Torn {
		if err := cutTail(mem, segmentPath(f.next.Number-1), int64(f.end.Offset)); err != nil {
			return err
		}
	}
	segment, err := wal.ContinueWriter(f.last, f.end)
	if err != nil {
		return err
	}
	log, err := c.storage.ContinueLog(segment, f.last[f.doubtful:f.end.Offset])
	if err == nil {
		c.use(log, segment)
	}
	return err
}

func cutTail(mem *vfs.Mem, name string, size int64) error {
	file, err := mem.OpenReadWrite(name)
	if err != nil {
		return err
	}
	if err := file.Truncate(size); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return file.Close()
}

// loseAt makes the n-th call from now on the one at which the power goes.
func loseAt(mem *vfs.Mem, n int64) {
	at := mem.Ops() + n
	mem.SetInjector(func(op vfs.Op) vfs.Fault { return vfs.Fault{CrashNow: op.Kind.Mutates() && op.N == at} })
}

func crashFates(seed uint64) []vfs.Fate {
	return []vfs.Fate{
		vfs.AllLost(), vfs.AllKept(),
		vfs.RandomBlocks(seed, 50), vfs.MixedSectors(seed+1, 50), vfs.MixedSectors(seed+2, 90), vfs.TornLastWrite(seed + 3),
	}
}

// The power goes at every call, everything that was not synced may be lost, page by
// page or sector by sector; the log is continued, and the power goes again.
func TestPowerLostAtAnyCallLosesNothingDurable(t *testing.T) {
	seeds, steps := uint64(6), 24
	if testing.Short() {
		seeds = 2
	}
	for _, zeros := range []struct{ ahead, limit int64 }{{0, 0}, {ahead / 2, crashSegmentBytes}, {ahead, 0}, {1 << 20, crashSegmentBytes}} {
		t.Run(fmt.Sprintf("%d zeros ahead up to %d", zeros.ahead, zeros.limit), func(t *testing.T) {
			torn, ended := 0, 0
			for seed := range seeds {
				for n, over := int64(1), false; !over; n++ {
					mem := newMem(t)
					c := newCrashLog(mem, seed, zeros.ahead, zeros.limit)
					loseAt(mem, n)
					err := c.begin()
					if err == nil {
						err = c.run(steps)
					}
					over = err == nil
					for i, fate := range crashFates(seed*1000 + uint64(n)) {
						again, after := *c, mem.Clone(fate)
						f := again.check(t, after)
						if f.end.Verdict == wal.Torn {
							torn++
						}
						again.rng = rand.New(rand.NewPCG(seed, uint64(n)))
						loseAt(after, 1+int64(again.rng.IntN(12)))
						if err := again.reopen(after, f); err == nil && again.run(4) == nil {
							ended++
						}
						again.check(t, after.Crash(crashFates(uint64(n))[(i+int(n))%6]))
					}
				}
			}
			t.Logf("%d torn tails, %d logs closed in their second life", torn, ended)
			require.Positive(t, torn)
			require.Positive(t, ended)
		})
	}
}
