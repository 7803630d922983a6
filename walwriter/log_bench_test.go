package walwriter

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// BenchmarkSyncAppendedAgainstPrezeroed writes and syncs one frame at a time on
// the real disk, in turns to a file that grows and to one that has zeros ahead, so
// that both meet the same disk. Set TMPDIR to choose it.
func BenchmarkSyncAppendedAgainstPrezeroed(b *testing.B) {
	if testing.Short() {
		b.Skip("it measures the disk")
	}
	for _, c := range []struct {
		commits int
		prezero int64
	}{{1, 1 << 20}, {64, 1 << 20}, {500, 1 << 20}} {
		b.Run(fmt.Sprintf("commits=%d/prezero=%dKiB", c.commits, c.prezero>>10), func(b *testing.B) {
			dir := filepath.ToSlash(b.TempDir())
			appended, prezeroed := newSyncBench(b, dir, 1, 0), newSyncBench(b, dir, 2, c.prezero)
			for b.Loop() {
				appended.commit(b, c.commits)
				prezeroed.commit(b, c.commits)
			}
			for _, s := range []*syncBench{appended, prezeroed} {
				slices.Sort(s.took)
				require.NoError(b, s.log.Close())
			}
			for name, at := range map[string]float64{"p50": 0.50, "p99": 0.99} {
				a, p := float64(appended.quantile(at)), float64(prezeroed.quantile(at))
				b.ReportMetric(a/1e3, "appended-"+name+"-us")
				b.ReportMetric(p/1e3, "prezeroed-"+name+"-us")
				b.ReportMetric(p/a, name+"-ratio")
			}
			b.ReportMetric(float64(prezeroed.total)/float64(appended.total), "mean-ratio")
		})
	}
}

// syncBench is one log that is synced after every frame.
type syncBench struct {
	log    *Log
	writer *Writer
	seq    uint64
	took   []time.Duration
	total  time.Duration
}

func newSyncBench(b *testing.B, dir string, number uint64, prezero int64) *syncBench {
	storage := Storage{FS: vfs.OS(), Dir: dir, Prezero: prezero}
	log, segment, err := storage.CreateLog(wal.Header{Number: number, Term: 1, FirstSeq: 1})
	require.NoError(b, err)
	return &syncBench{log: log, writer: NewWriter(segment, 1<<40, func() uint64 { return 0 })}
}

func (s *syncBench) commit(b *testing.B, commits int) {
	epoch := &msgs.Epoch{}
	for range commits {
		s.seq++
		epoch.Sets = append(epoch.Sets, msgs.Changeset{Seq: s.seq, Micros: 1, Effects: []msgs.Effect{
			{Op: msgs.EffectPut, Space: 100, Key: make([]byte, 16), Value: make([]byte, 100)},
		}})
	}
	start := time.Now()
	plan, err := s.writer.Step(start, []*msgs.Epoch{epoch})
	require.NoError(b, err)
	written, err := s.log.Perform(plan)
	require.NoError(b, err)
	require.NoError(b, written.File.Sync())
	took := time.Since(start)
	s.took, s.total = append(s.took, took), s.total+took
}

func (s *syncBench) quantile(q float64) time.Duration {
	return s.took[min(int(q*float64(len(s.took))), len(s.took)-1)]
}
