package demo

import (
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	aedb "github.com/empyrealapp/aedb-go"
)

// outcome is what the closing report is made from.
type outcome struct {
	callers     int
	load, serve phase
	proof       *proof // of the loaded catalogue
	metrics     aedb.OperationalMetrics
	crashes     []crash
	took        time.Duration
}

// phase is what happened in the pipeline during one work.
type phase struct {
	took                   time.Duration
	commits, fsyncs, bytes uint64
}

func phaseOf(before, after sample) phase {
	from, to := &before.metrics, &after.metrics
	return phase{
		took:    after.at - before.at,
		commits: to.CommitsApplied - from.CommitsApplied,
		fsyncs:  to.WALSyncOps - from.WALSyncOps,
		bytes:   to.WALAppendBytes - from.WALAppendBytes,
	}
}

// report prints the closing report.
func (s *screen) report(o outcome) {
	s.heading(6, "Report")
	var rows []table.Row
	for _, p := range []struct {
		name string
		phase
	}{{"loading", o.load}, {"serving", o.serve}} {
		if p.took == 0 {
			continue
		}
		rows = append(rows, table.Row{
			p.name, grouped(p.commits), brief(p.took), grouped(rate(p.commits, p.took)), grouped(p.fsyncs),
			scaled(share(float64(p.commits), float64(p.fsyncs)), ""), size(int64(p.bytes)),
		})
	}
	s.table(table.Row{"work", "commits", "time", "commits/s", "fsyncs", "commits per fsync", "log"}, rows, 2, 3, 4, 5, 6, 7)
	m := &o.metrics
	s.table(nil, []table.Row{
		{"rows compared", grouped(o.proof.packages) + " packages, " + grouped(o.proof.dependencies) + " dependencies, all as in the source"},
		{"commit latency", "p50 " + brief(m.CommitLatency.P50) + ", p99 " + brief(m.CommitLatency.P99) +
			", until durable, " + plural(o.callers, "caller")},
		{"fsync latency", "p50 " + brief(m.WALSyncLatency.P50) + ", p99 " + brief(m.WALSyncLatency.P99)},
		{"in memory", grouped(m.KeyspaceEntries) + " entries in " + size(m.KeyspaceResidentBytes)},
	})
	if len(o.crashes) > 0 {
		s.crashTable(o.crashes)
		s.say("The others were committed and not yet acknowledged when the child died; they may survive, and are whole. A killed process leaves behind what the operating system had. That a power cut does no more harm, because " +
			"every acknowledgement waits for a sync, is for the tests of the engine to show, on a simulated disk.")
	}
	s.lines("  "+s.good("Everything holds.")+" The demo took "+brief(o.took)+".", "")
}
