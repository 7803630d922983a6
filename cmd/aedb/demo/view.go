package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	aedb "github.com/empyrealapp/aedb-go"
)

// Times between two looks at the pipeline: on a terminal, and elsewhere.
const (
	redraw = 100 * time.Millisecond
	report = time.Second
)

// sample is the pipeline at one moment.
type sample struct {
	at      time.Duration // since the work began
	metrics aedb.OperationalMetrics
	// fraction of the work that is done, and the same in words.
	fraction float64
	done     string
}

// work is something to watch.
type work struct {
	title string
	run   func(context.Context) error
	// progress returns the fraction that is done and the same in words. It is
	// called while run runs.
	progress func() (float64, string)
}

// watch runs a work and shows the pipeline of the store meanwhile. It returns
// the samples before and after.
func (s *screen) watch(ctx context.Context, db *aedb.DB, w work) (before, after sample, err error) {
	began := time.Now()
	take := func() sample {
		fraction, done := w.progress()
		return sample{at: time.Since(began), metrics: db.OperationalMetrics(), fraction: fraction, done: done}
	}
	before = take()
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()

	interval := report
	if s.live {
		interval = redraw
		s.print("\x1b[?25l")       // hide the cursor
		defer s.print("\x1b[?25h") // and show it again
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last, drawn := before, 0
	draw := func(from, to sample) {
		if drawn > 0 {
			s.print("\x1b[%dA", drawn) // up to where the last frame began
		}
		frame := s.frame(w.title, from, to)
		drawn = len(frame)
		if s.live {
			for i := range frame {
				frame[i] += "\x1b[K" // nothing stays of a longer line
			}
		}
		s.lines(frame...)
	}
	for {
		select {
		case err := <-ended:
			after = take()
			draw(before, after)
			s.print("\n")
			return before, after, err
		case <-tick.C:
			now := take()
			if s.live {
				draw(last, now)
			} else {
				s.lines(logLines(last, now)...)
			}
			last = now
		}
	}
}

// frame lays out the pipeline as it is at one sample; rates are those since an
// earlier one.
func (s *screen) frame(title string, from, to sample) []string {
	m := &to.metrics
	elapsed := to.at - from.at
	lines := []string{
		fmt.Sprintf("  %s  %s  %s", s.bold(title), s.paint(text.Colors{text.FgGreen}, bar(to.fraction, 28)), to.done),
		"",
		s.faint(fmt.Sprintf("  %-12s  %-10s %12s %11s %10s %7s %6s", "stage", "queue", "now of room", "high water", "messages", "behind", "busy")),
	}
	for i, stage := range m.Stages {
		busy := stage.Busy
		if i < len(from.metrics.Stages) {
			busy -= from.metrics.Stages[i].Busy
		}
		fill := share(float64(stage.Depth), float64(stage.Capacity))
		lines = append(lines, fmt.Sprintf("  %-12s  %s %12s %11s %10s %7s %4.0f %%",
			stage.Name, s.paint(heat(fill), bar(fill, 10)),
			grouped(stage.Depth)+" of "+grouped(stage.Capacity), grouped(stage.HighWater),
			grouped(stage.Messages), grouped(stage.Lag), 100*min(1, share(busy.Seconds(), elapsed.Seconds()))))
	}
	commits := m.CommitsApplied - from.metrics.CommitsApplied
	fsyncs := m.WALSyncOps - from.metrics.WALSyncOps
	return append(lines, "",
		fmt.Sprintf("  commits  %s/s   p50 %s, p99 %s", padded(grouped(rate(commits, elapsed)), 8),
			padded(brief(m.CommitLatency.P50), 7), padded(brief(m.CommitLatency.P99), 7)),
		fmt.Sprintf("  fsyncs   %s/s   p50 %s, p99 %s   each for %.1f commits", padded(grouped(rate(fsyncs, elapsed)), 8),
			padded(brief(m.WALSyncLatency.P50), 7), padded(brief(m.WALSyncLatency.P99), 7), share(float64(commits), float64(fsyncs))),
		fmt.Sprintf("  epochs   %.1f commits each, the largest %s", m.EpochSizeMean, grouped(m.EpochSizeMax)),
		fmt.Sprintf("  heads    visible %s, durable %s, lag %s",
			grouped(m.VisibleHeadSeq), grouped(m.DurableHeadSeq), grouped(m.DurableHeadLag)),
	)
}

// logLines is the frame for output that cannot be drawn over: two lines.
func logLines(from, to sample) []string {
	m := &to.metrics
	elapsed := to.at - from.at
	var queues []string
	for _, stage := range m.Stages {
		queues = append(queues, fmt.Sprintf("%s %d/%d", stage.Name, stage.Depth, stage.Capacity))
	}
	return []string{
		fmt.Sprintf("  %5.1f s  %s, %s/s, durable %s, lag %s, fsync p50 %s, p99 %s", to.at.Seconds(), to.done,
			grouped(rate(m.CommitsApplied-from.metrics.CommitsApplied, elapsed)), grouped(m.DurableHeadSeq),
			grouped(m.DurableHeadLag), brief(m.WALSyncLatency.P50), brief(m.WALSyncLatency.P99)),
		"    " + strings.Join(queues, ", "),
	}
}

func rate(n uint64, over time.Duration) int { return int(share(float64(n), over.Seconds()) + 0.5) }

func padded(s string, width int) string { return text.AlignRight.Apply(s, width) }

// heat is the colour of a queue: one that is full holds back the stage before.
func heat(fill float64) text.Colors {
	switch {
	case fill >= 0.9:
		return text.Colors{text.FgRed}
	case fill >= 0.5:
		return text.Colors{text.FgYellow}
	}
	return text.Colors{text.FgCyan}
}
