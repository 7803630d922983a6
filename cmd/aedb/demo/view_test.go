package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aedb "github.com/empyrealapp/aedb-go"
)

// moments are two samples of a made-up pipeline.
func moments() (from, to sample) {
	from = sample{at: time.Second, metrics: aedb.OperationalMetrics{
		CommitsApplied: 1000, WALSyncOps: 100,
		Stages: []aedb.StageMetrics{
			{Name: "sequencer", Busy: 100 * time.Millisecond}, {Name: "applier", Busy: 500 * time.Millisecond},
			{Name: "writer"}, {Name: "fsyncer"}, {Name: "publisher"}, {Name: "checkpointer"},
		},
	}}
	to = sample{at: 1500 * time.Millisecond, fraction: 0.925, done: "2,998 of 3,241 packages", metrics: aedb.OperationalMetrics{
		CommitsApplied: 3000, WALSyncOps: 200,
		CommitLatency:  aedb.Latency{Count: 3000, P50: 6100 * time.Microsecond, P99: 11 * time.Millisecond},
		WALSyncLatency: aedb.Latency{Count: 200, P50: 950 * time.Microsecond, P99: 1250 * time.Millisecond},
		EpochSizeMean:  15.25, EpochSizeMax: 32,
		VisibleHeadSeq: 3002, DurableHeadSeq: 2990, DurableHeadLag: 12,
		Stages: []aedb.StageMetrics{
			{Name: "sequencer", Depth: 31, Capacity: 4096, HighWater: 32, Messages: 3000, Busy: 120 * time.Millisecond},
			{Name: "applier", Depth: 1, Capacity: 2, HighWater: 2, Messages: 198, Busy: 800 * time.Millisecond},
			{Name: "writer", Depth: 4, Capacity: 4, HighWater: 4, Messages: 197, Busy: 55 * time.Millisecond},
			{Name: "fsyncer", Depth: 0, Capacity: 16, HighWater: 3, Messages: 190, Lag: 12, Busy: 490 * time.Millisecond},
			{Name: "publisher", Depth: 0, Capacity: 64, HighWater: 1, Messages: 188, Busy: time.Second},
			{Name: "checkpointer", Depth: 0, Capacity: 4, HighWater: 0, Messages: 0},
		},
	}}
	return from, to
}

func TestFrameShowsEveryStage(t *testing.T) {
	s := newScreen(&bytes.Buffer{}, true)
	from, to := moments()
	want := `
  loading  ██████████████████████████░░  2,998 of 3,241 packages

  stage         queue       now of room  high water   messages  behind   busy
  sequencer     █░░░░░░░░░  31 of 4,096          32      3,000       0    4 %
  applier       █████░░░░░       1 of 2           2        198       0   60 %
  writer        ██████████       4 of 4           4        197       0   11 %
  fsyncer       ░░░░░░░░░░      0 of 16           3        190      12   98 %
  publisher     ░░░░░░░░░░      0 of 64           1        188       0  100 %
  checkpointer  ░░░░░░░░░░       0 of 4           0          0       0    0 %

  commits     4,000/s   p50  6.1 ms, p99   11 ms
  fsyncs        200/s   p50  950 µs, p99   1.2 s   each for 20.0 commits
  epochs   15.2 commits each, the largest 32
  heads    visible 3,002, durable 2,990, lag 12
`
	require.Equal(t, strings.TrimPrefix(want, "\n"), strings.Join(s.frame("loading", from, to), "\n")+"\n")
}

func TestLogLinesNameEveryQueue(t *testing.T) {
	from, to := moments()
	want := []string{
		"    1.5 s  2,998 of 3,241 packages, 4,000/s, durable 2,990, lag 12, fsync p50 950 µs, p99 1.2 s",
		"    sequencer 31/4096, applier 1/2, writer 4/4, fsyncer 0/16, publisher 0/64, checkpointer 0/4",
	}
	require.Equal(t, want, logLines(from, to))
}

func TestFrameOfALiveScreenHasTheSameText(t *testing.T) {
	from, to := moments()
	plain := (&screen{}).frame("loading", from, to)
	live := (&screen{live: true}).frame("loading", from, to)
	require.Len(t, live, len(plain))
	for i := range plain {
		require.LessOrEqual(t, len([]rune(plain[i])), narrow)
		require.Equal(t, plain[i], withoutEscapes(live[i]))
	}
}

// withoutEscapes removes colours.
func withoutEscapes(s string) string {
	var out strings.Builder
	for s != "" {
		before, after, found := strings.Cut(s, "\x1b[")
		out.WriteString(before)
		if !found {
			break
		}
		_, s, _ = strings.Cut(after, "m")
	}
	return out.String()
}

func TestFiguresAreWrittenForPeople(t *testing.T) {
	require.Equal(t, []string{"0", "999", "1,000", "-1,234,567"},
		[]string{grouped(0), grouped(999), grouped(1000), grouped(int64(-1234567))})
	require.Equal(t, []string{"12 ns", "1.5 µs", "250 µs", "9.9 ms", "10 ms", "1.2 s", "95 s"}, []string{
		brief(12), brief(1500), brief(250 * time.Microsecond), brief(9900 * time.Microsecond),
		brief(9990 * time.Microsecond), brief(1249 * time.Millisecond), brief(95 * time.Second),
	})
	require.Equal(t, []string{"12 B", "1.0 KiB", "20 MiB"}, []string{size(12), size(1024), size(20 << 20)})
	require.Equal(t, []string{"0 rows", "1 row", "2,000 rows", "2 dependencies"},
		[]string{plural(0, "row"), plural(1, "row"), plural(2000, "row"), plural(2, "dependency")})
	require.Equal(t, []string{"░░░░", "█░░░", "██░░", "████", "████"},
		[]string{bar(0, 4), bar(0.001, 4), bar(0.5, 4), bar(1, 4), bar(7, 4)})
	require.Zero(t, share(1, 0))
}
