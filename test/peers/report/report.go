// Package report turns the results of a run into tables: medians over the
// rounds, ratios within the run, and targets met or missed.
package report

import (
	"math"
	"slices"

	"github.com/empyrealapp/aedb-go/test/peers/cases"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// Line is one peer in one case.
type Line struct {
	Peer    *store.Peer
	Given   store.Guarantee
	Results []*cases.Result // one a round
	Failure string          // why there are none
	Median  *cases.Result
}

// Table is one case.
type Table struct {
	Case  *cases.Case
	Lines []*Line
}

// Add appends the result of one round, or the failure that ended it.
func (t *Table) Add(p *store.Peer, r *cases.Result, failure error) {
	level, _ := t.Case.Asked(p)
	i := slices.IndexFunc(t.Lines, func(l *Line) bool { return l.Peer == p })
	if i < 0 {
		i = len(t.Lines)
		t.Lines = append(t.Lines, &Line{Peer: p, Given: p.Levels[level]})
	}
	l := t.Lines[i]
	if failure != nil {
		l.Failure = failure.Error()
		return
	}
	l.Results = append(l.Results, r)
	l.Median = median(l.Results)
}

// median takes the median of each figure by itself.
func median(results []*cases.Result) *cases.Result {
	of := func(get func(*cases.Result) float64) float64 {
		all := make([]float64, len(results))
		for i, r := range results {
			all[i] = get(r)
		}
		slices.Sort(all)
		n := len(all)
		return (all[(n-1)/2] + all[n/2]) / 2
	}
	m := &cases.Result{
		Value:   of(func(r *cases.Result) float64 { return r.Value }),
		P50:     of(func(r *cases.Result) float64 { return r.P50 }),
		P99:     of(func(r *cases.Result) float64 { return r.P99 }),
		CPU:     of(func(r *cases.Result) float64 { return r.CPU }),
		Written: of(func(r *cases.Result) float64 { return r.Written }),
		Passed:  of(func(r *cases.Result) float64 { return r.Passed }),
		Allocs:  of(func(r *cases.Result) float64 { return r.Allocs }),
		GCShare: of(func(r *cases.Result) float64 { return r.GCShare }),
		GCPause: of(func(r *cases.Result) float64 { return r.GCPause }),
		More:    map[string]float64{},
	}
	m.Operations = int(of(func(r *cases.Result) float64 { return float64(r.Operations) }))
	for name := range results[0].More {
		m.More[name] = of(func(r *cases.Result) float64 { return r.More[name] })
	}
	return m
}

// metric returns a figure of a line, NaN if there is none.
func (l *Line) metric(name string) float64 {
	if l == nil || l.Median == nil {
		return math.NaN()
	}
	if name == "" {
		return l.Median.Value
	}
	if v, ok := l.Median.More[name]; ok {
		return v
	}
	return math.NaN()
}

func (t *Table) line(peer string) *Line {
	for _, l := range t.Lines {
		if l.Peer.Name == peer {
			return l
		}
	}
	return nil
}

// best returns the line with the best value of those that a condition admits,
// nil if there is none.
func (t *Table) best(metric string, admits func(*Line) bool) *Line {
	var best *Line
	for _, l := range t.Lines {
		v := l.metric(metric)
		if math.IsNaN(v) || !admits(l) {
			continue
		}
		if best == nil || t.Case.Lower && v < best.metric(metric) || !t.Case.Lower && v > best.metric(metric) {
			best = l
		}
	}
	return best
}

// rival admits the rivals whose guarantee is no weaker than the case asks for.
func (t *Table) rival(l *Line) bool {
	return l.Peer.Role == store.Rival && l.Given.Given >= t.Case.Level
}

func limit(l *Line) bool { return l.Peer.Role == store.Limit }

// against returns the line a target is measured against, nil if it was not run.
func (t *Table) against(target cases.Target) *Line {
	switch target.Against {
	case "":
		return t.best(target.Metric, t.rival)
	case "limit":
		return t.best(target.Metric, limit)
	}
	return t.line(target.Against)
}

// Verdict is a target with what was reached.
type Verdict struct {
	Target  cases.Target
	Subject string
	Against string  // the peer that was the measure; "" for an absolute target
	Reached float64 // NaN if one of the two was not measured
	Met     bool
}

// Verdicts judges the targets of the case.
func (t *Table) Verdicts() []Verdict {
	var out []Verdict
	for _, target := range t.Case.Targets {
		v := Verdict{Target: target, Subject: target.Of, Reached: math.NaN()}
		if v.Subject == "" {
			v.Subject = "aedb"
		}
		reached := t.line(v.Subject).metric(target.Metric)
		if target.Against == "absolute" {
			v.Reached = reached
		} else if other := t.against(target); other != nil {
			v.Against = other.Peer.Name
			v.Reached = reached / other.metric(target.Metric)
		}
		v.Met = v.Reached >= target.Ratio
		if t.Case.Lower {
			v.Met = v.Reached <= target.Ratio
		}
		out = append(out, v)
	}
	return out
}
