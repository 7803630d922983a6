package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// Markdown writes a table of all cases with their ratios, then one table a case.
func Markdown(w io.Writer, about string, tables []*Table) error {
	var b strings.Builder
	b.WriteString(about)
	b.WriteString("\n| work | unit | AEDB | best rival of equal guarantee | ratio | limit | ratio | targets |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, t := range tables {
		subject, rival, bare := t.line("aedb"), t.best("", t.rival), t.best("", limit)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", t.Case.Title, t.Case.Unit,
			number(subject.metric("")), named(rival), ratio(subject, rival), named(bare), ratio(subject, bare), verdicts(t))
	}
	for _, t := range tables {
		t.markdown(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func named(l *Line) string {
	if l == nil {
		return "-"
	}
	return l.Peer.Name + " " + number(l.metric(""))
}

func ratio(a, b *Line) string { return times(a.metric("") / b.metric("")) }

func times(r float64) string {
	if math.IsNaN(r) {
		return "-"
	}
	return fmt.Sprintf("%.2f", r)
}

func verdicts(t *Table) string {
	var out []string
	for _, v := range t.Verdicts() {
		sign := ">="
		if t.Case.Lower {
			sign = "<="
		}
		what := v.Subject
		if v.Target.Metric != "" {
			what += " " + v.Target.Metric
		}
		if v.Against != "" {
			what += " / " + v.Against
		}
		outcome := "missed"
		switch {
		case math.IsNaN(v.Reached):
			outcome = "not measured"
		case v.Met:
			outcome = "met"
		}
		reached := times(v.Reached)
		if v.Target.Against == "absolute" {
			reached = number(v.Reached)
		}
		out = append(out, fmt.Sprintf("%s %s %g: %s, %s", what, sign, v.Target.Ratio, reached, outcome))
	}
	return strings.Join(out, "; ")
}

func (t *Table) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n### %s: %s\n\n", t.Case.Name, t.Case.Title)
	var more []string
	for _, l := range t.Lines {
		if l.Median != nil {
			more = slices.Sorted(maps.Keys(l.Median.More))
			break
		}
	}
	head := append([]string{"store", "guarantee", t.Case.Unit}, more...)
	head = append(head, "p50 us", "p99 us", "CPU us/op", "to disk B/op", "written B/op", "allocs/op", "GC CPU", "GC pause us")
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	for _, l := range t.Lines {
		if l.Median == nil {
			fmt.Fprintf(b, "| %s | %s | failed: %s |\n", l.Peer.Name, guarantee(l), strings.ReplaceAll(l.Failure, "\n", "; "))
			continue
		}
		m := l.Median
		cells := []string{l.Peer.Name, guarantee(l), number(m.Value)}
		for _, name := range more {
			cells = append(cells, number(l.metric(name)))
		}
		cells = append(cells, number(m.P50), number(m.P99), number(m.CPU), number(m.Written), number(m.Passed),
			number(m.Allocs), fmt.Sprintf("%.0f %%", 100*m.GCShare), number(m.GCPause))
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}

func guarantee(l *Line) string { return fmt.Sprintf("%s (%s)", l.Given.Given, l.Given.How) }

// number prints three digits that matter.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "-"
	case a >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case a >= 1e4:
		return fmt.Sprintf("%.1f k", v/1e3)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
