package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

// print writes the stats for people. The caller's buffer keeps the first error.
func (s *stats) print(out io.Writer) {
	fmt.Fprintf(out, "store %s\nvisible head %d, durable head %d\n", s.Dir, s.Heads.Visible, s.Heads.Durable)
	s.Recovery.print(out)
	s.printTables(out)

	t := titled("operational metrics")
	for _, f := range s.Metrics.Figures {
		t.AppendRow(table.Row{f.name, fmt.Sprint(f.value)})
	}
	fmt.Fprintln(out, t.Render())

	t = titled("stages")
	t.AppendHeader(table.Row{"stage", "depth", "capacity", "high water", "blocked", "messages", "batches", "largest", "busy", "lag"})
	for _, st := range s.Metrics.Stages {
		t.AppendRow(table.Row{
			st.Name, st.Depth, st.Capacity, st.HighWater, micros(st.Blocked), st.Messages, st.Batches, st.LargestBatch, micros(st.Busy), st.Lag,
		})
	}
	fmt.Fprintln(out, t.Render())
}

func titled(title string) table.Writer {
	t := plainTable()
	t.SetTitle(title)
	return t
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

func (r *recoveryStats) print(out io.Writer) {
	base := "nothing"
	if r.Checkpoint != "" {
		base = fmt.Sprintf("checkpoint %s of seq %d", r.Checkpoint, r.CheckpointSeq)
	}
	fmt.Fprintf(out, "recovery (%s) from %s: %d commits in %d frames, %d bytes of log, %d of %d segments replayed\n",
		r.Mode, base, r.Commits, r.Frames, r.Bytes, r.SegmentsReplayed, r.Segments)
	if r.Torn != nil {
		fmt.Fprintf(out, "torn end of %s: %d bytes cut off at %d\n", r.Torn.File, r.Torn.Bytes, r.Torn.Offset)
	}
	if r.Dropped != nil {
		fmt.Fprintf(out, "DROPPED from seq %d on: %d bytes of %s: %s\n",
			r.Dropped.FromSeq, r.Dropped.Bytes, strings.Join(r.Dropped.Files, ", "), r.Dropped.Reason)
	}
	for _, f := range r.Rejected {
		fmt.Fprintf(out, "rejected %s\n", f)
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(out, "warning: %s\n", w)
	}
}

// printTables writes one line for the keys of each scope and for each table and
// index.
func (s *stats) printTables(out io.Writer) {
	t := titled("contents")
	t.AppendHeader(table.Row{"scope", "table", "index", "columns", "entries"})
	for _, sc := range s.Scopes {
		name := sc.Project + "." + sc.Scope
		t.AppendRow(table.Row{name, "(key-value)", "", "", sc.Keys})
		for _, of := range sc.Tables {
			t.AppendRow(table.Row{name, of.Name, "(primary key)", strings.Join(of.PrimaryKey, ", "), of.Rows})
			for _, x := range of.Indexes {
				index := x.Name
				if x.Unique {
					index += " (unique)"
				}
				t.AppendRow(table.Row{name, of.Name, index, strings.Join(x.Columns, ", "), x.Entries})
			}
		}
	}
	fmt.Fprintln(out, t.Render())
}
