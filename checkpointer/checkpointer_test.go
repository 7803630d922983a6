package checkpointer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go/checkpointer"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/recovery/recoverytest"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Unix(1_000_000, 0)

func image(seq uint64) *state.Image {
	w := state.NewWorking()
	w.Begin(seq, int64(seq))
	w.Put(recoverytest.FirstSpace, []byte("key"), []byte("value"))
	w.Commit()
	return w.Freeze()
}

// keeper returns a checkpointer over an empty directory.
func keeper(t *testing.T, bytes int64, interval time.Duration) (*checkpointer.Checkpointer, *vfs.Mem) {
	fsys := vfs.NewMem()
	require.NoError(t, fsys.MkdirAll(recoverytest.Dir))
	m := manifest.Manifest{Generation: 1, KeyEncoding: 1, ActiveSegment: 1}
	require.NoError(t, manifest.Store(fsys, recoverytest.Dir, m))
	return checkpointer.New(checkpointer.Config{
		FS: fsys, Dir: recoverytest.Dir, Clock: recoverytest.Clock(), Kept: 2, Bytes: bytes, Interval: interval,
	}, m, nil, nil), fsys
}

func grown(bytes int64) []*msgs.Progress { return []*msgs.Progress{{Bytes: bytes}} }

func TestRequestIsAlwaysMet(t *testing.T) {
	c, _ := keeper(t, 0, 0)
	_, ok := c.Wake()
	require.False(t, ok)
	require.False(t, c.Step(start, grown(1<<40)).Take)
	reply := make(chan msgs.CheckpointReply, 1)
	o := c.Step(start, []*msgs.Progress{{Bytes: 1}, {Reply: reply}, {Reply: reply}})
	require.True(t, o.Take)
	require.Len(t, o.Replies, 2)
	o = c.Step(start, []*msgs.Progress{{Reply: reply}})
	require.True(t, o.Take, "an attempt just before does not hold up a request")
	require.Len(t, o.Replies, 1)
}

func TestBytesOfLogMakeACheckpointDue(t *testing.T) {
	c, _ := keeper(t, 100, 0)
	require.False(t, c.Step(start, grown(60)).Take)
	require.EqualValues(t, 60, c.Stats().BytesSince)
	require.True(t, c.Step(start, grown(40)).Take)
	require.NoError(t, c.Take(t.Context(), image(1)).Err)
	require.Zero(t, c.Stats().BytesSince)
	require.False(t, c.Step(start, grown(99)).Take)
	require.True(t, c.Step(start, grown(1)).Take)
}

func TestIntervalMakesACheckpointDue(t *testing.T) {
	c, _ := keeper(t, 0, time.Minute)
	at, ok := c.Wake()
	require.True(t, ok)
	require.True(t, at.Before(start), "the interval begins with the first step")
	require.False(t, c.Step(start, nil).Take)
	at, ok = c.Wake()
	require.True(t, ok)
	require.Equal(t, start.Add(time.Minute), at)
	require.False(t, c.Step(at.Add(-1), nil).Take)
	require.True(t, c.Step(at, nil).Take)
	require.NoError(t, c.Take(t.Context(), image(1)).Err)
	next, ok := c.Wake()
	require.True(t, ok)
	require.Equal(t, at.Add(time.Minute), next)

	require.True(t, c.Step(next, nil).Take)
	out := c.Take(t.Context(), image(1))
	require.NoError(t, out.Err)
	require.True(t, out.Unchanged)
	require.EqualValues(t, 1, out.Seq)
	at, _ = c.Wake()
	require.Equal(t, next.Add(time.Minute), at, "nothing new is no reason to come back earlier")
}

func TestAttemptThatFailedIsNotRepeatedAtOnce(t *testing.T) {
	c, fsys := keeper(t, 100, time.Hour)
	fsys.SetCapacity(1)
	require.True(t, c.Step(start, grown(100)).Take)
	out := c.Take(t.Context(), image(1))
	require.Equal(t, errs.CodeIO, errs.CodeOf(out.Err))
	require.Zero(t, out.Seq)
	require.EqualValues(t, 1, c.Stats().Failures)
	require.Nil(t, c.Latest())

	require.False(t, c.Step(start.Add(time.Second), grown(100)).Take)
	at, ok := c.Wake()
	require.True(t, ok)
	require.Equal(t, start.Add(10*time.Second), at)
	fsys.SetCapacity(0)
	require.True(t, c.Step(at, nil).Take)
	require.NoError(t, c.Take(t.Context(), image(2)).Err)
	_, ok = c.Wake()
	require.True(t, ok)
	require.False(t, c.Step(at, grown(1)).Take)
}

func TestLatestAndStatsShowTheNewestCheckpoint(t *testing.T) {
	c, _ := keeper(t, 0, 0)
	require.Nil(t, c.Latest())
	first := image(3)
	out := c.Take(t.Context(), first)
	require.NoError(t, out.Err)
	require.EqualValues(t, 3, out.Seq)
	require.EqualValues(t, 1, out.Entries)
	require.Positive(t, out.Bytes)
	require.Positive(t, out.Duration)
	require.Same(t, first, c.Latest())
	stats := c.Stats()
	require.EqualValues(t, 3, stats.Seq)
	require.EqualValues(t, 1, stats.Taken)
	require.Equal(t, out.Bytes, stats.Bytes)
	require.False(t, stats.At.IsZero())
}

// What a recovery had to replay makes a checkpoint due like what is written now.
func TestReplayedLogCountsTowardsTheNextCheckpoint(t *testing.T) {
	c := checkpointer.New(checkpointer.Config{Bytes: 100}, manifest.Manifest{
		Checkpoints: []manifest.Checkpoint{{Seq: 10}},
	}, []msgs.Segment{{Number: 1, LastSeq: 10, Size: 1000}, {Number: 2, LastSeq: 20, Size: 150}}, image(10))
	require.EqualValues(t, 150, c.Stats().BytesSince)
	at, ok := c.Wake()
	require.True(t, ok)
	require.True(t, at.Before(start))
	require.True(t, c.Step(start, nil).Take)
}

func TestSegmentGoneOnWithCountsTowardsTheNextCheckpoint(t *testing.T) {
	c := checkpointer.New(checkpointer.Config{Bytes: 100}, manifest.Manifest{
		Checkpoints: []manifest.Checkpoint{{Seq: 10}},
	}, []msgs.Segment{{Number: 1, LastSeq: 20, Size: 60}}, image(10))
	c.Resume(30)
	require.EqualValues(t, 90, c.Stats().BytesSince)
	require.False(t, c.Step(start, nil).Take)
	require.True(t, c.Step(start, []*msgs.Progress{{Bytes: 10}}).Take)
}
