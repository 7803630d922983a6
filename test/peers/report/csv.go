package report

import (
	"encoding/csv"
	"io"
	"strconv"
)

// CSV writes one record for each peer in each case, with the ratio of AEDB to it
// in the last column. Further metrics of a case follow as records of their own,
// whose unit is the metric's name.
func CSV(w io.Writer, tables []*Table) error {
	c := csv.NewWriter(w)
	err := c.Write([]string{
		"case", "peer", "role", "guarantee", "setting", "unit", "value", "p50_us", "p99_us", "cpu_us_per_op",
		"disk_bytes_per_op", "written_bytes_per_op", "allocs_per_op", "gc_cpu_share", "gc_pause_us", "rounds", "aedb_ratio", "failure",
	})
	if err != nil {
		return err
	}
	for _, t := range tables {
		for _, l := range t.Lines {
			for _, record := range records(t, l) {
				if err := c.Write(record); err != nil {
					return err
				}
			}
		}
	}
	c.Flush()
	return c.Error()
}

func records(t *Table, l *Line) [][]string {
	role := [...]string{"rival", "limit", "subject"}[l.Peer.Role]
	start := []string{t.Case.Name, l.Peer.Name, role, l.Given.Given.String(), l.Given.How}
	const columns = 18
	pad := func(record []string) []string { return append(record, make([]string, columns-1-len(record))...) }
	if l.Median == nil {
		return [][]string{append(pad(append(start, t.Case.Unit)), l.Failure)}
	}
	m := l.Median
	record := append([]string{}, start...)
	record = append(record, t.Case.Unit)
	for _, v := range []float64{m.Value, m.P50, m.P99, m.CPU, m.Written, m.Passed, m.Allocs, m.GCShare, m.GCPause} {
		record = append(record, float(v))
	}
	subject := t.line("aedb")
	record = append(record, strconv.Itoa(len(l.Results)), float(subject.metric("")/m.Value), l.Failure)
	out := [][]string{record}
	for name, v := range m.More {
		extra := append(append([]string{}, start...), name, float(v))
		extra = pad(extra)
		extra[columns-2] = float(subject.metric(name) / v)
		out = append(out, append(extra, ""))
	}
	return out
}

func float(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
