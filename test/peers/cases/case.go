// Package cases holds what is measured: the rows of the table in
// docs/performance.md. Every case checks afterwards that the work was done.
package cases

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/empyrealapp/aedb-go/test/peers/measure"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// Case is one row of the table: some work, and what AEDB is to reach.
type Case struct {
	Name  string
	Title string
	// Unit is that of Result.Value. More is better, unless Lower.
	Unit  string
	Lower bool
	// Level is the guarantee the work asks for. Memory means that it does not
	// matter: nothing is written while the case measures.
	Level   store.Level
	Callers int
	Targets []Target
	// Subjects marks a case that is not run on rivals.
	Subjects bool
	// Suits tells whether a store can do the work.
	Suits func(store.Store) bool
	// Prepare, if set, runs in a process of its own before the one that measures.
	Prepare func(*Env) error
	Run     func(*Env) (*Result, error)
}

// Target is a ratio that a subject is to reach.
type Target struct {
	// Of is the subject; "aedb" if empty.
	Of string
	// Against is whose figure the subject's is divided by: the name of a peer,
	// "limit" for the best limit, "absolute" for none, or "" for the best rival of
	// equal guarantee.
	Against string
	// Metric is a name in Result.More; "" is Result.Value.
	Metric string
	Ratio  float64
}

// Result is the outcome of one run of a case. Times are in microseconds.
type Result struct {
	Value      float64
	More       map[string]float64 // further metrics, by name with unit
	P50, P99   float64
	CPU        float64 // microseconds per operation
	Written    float64 // bytes per operation
	Passed     float64 // bytes per operation
	Allocs     float64 // per operation
	GCShare    float64 // of the processor time, 0 to 1
	GCPause    float64 // microseconds, the longest
	Operations int
}

// Env is where a case runs.
type Env struct {
	Peer     *store.Peer
	Case     *Case
	Dir      string
	Entries  int
	Duration time.Duration
	Profile  string // file for a processor profile; "" for none
	// Again returns the command that runs Case.Prepare in a process of its own.
	Again func() (*exec.Cmd, error)
}

// Asked returns the level at which a case opens a peer, and whether it can.
func (c *Case) Asked(p *store.Peer) (store.Level, bool) {
	if c.Level != store.Memory {
		return c.Level, p.Offers(c.Level)
	}
	if p.Offers(store.Process) {
		return store.Process, true
	}
	return store.Memory, p.Offers(store.Memory)
}

// For reports whether the case is run on a peer, if its store suits.
func (c *Case) For(p *store.Peer) bool {
	_, offered := c.Asked(p)
	differs := len(p.Only) == 0 || slices.ContainsFunc(p.Only, func(s string) bool { return strings.HasPrefix(c.Name, s) })
	return offered && differs && !(p.Group && c.Callers == 1) && !(c.Subjects && p.Role != store.Subject)
}

// open opens the peer at the level of the case.
func open[S store.Store](e *Env) (S, error) {
	var none S
	level, _ := e.Case.Asked(e.Peer)
	s, err := e.Peer.Open(e.Dir, level)
	if err != nil {
		return none, fmt.Errorf("open %s: %w", e.Peer.Name, err)
	}
	capable, ok := s.(S)
	if !ok {
		return none, fmt.Errorf("%s cannot do %s", e.Peer.Name, e.Case.Name)
	}
	return capable, nil
}

func (e *Env) window() measure.Window {
	return measure.Window{Duration: e.Duration, Profile: e.Profile}
}

// result turns figures into a result whose value is the throughput. An operation
// of the figures stands for several when units is more than 1.
func result(f *measure.Figures, units int) *Result {
	n := float64(max(f.Ops*units, 1))
	c := &f.Cost
	return &Result{
		Value: f.PerSecond() * float64(units), More: map[string]float64{},
		P50: micros(f.Quantile(0.5)), P99: micros(f.Quantile(0.99)),
		CPU: micros(c.CPU) / n, Written: float64(c.Written) / n, Passed: float64(c.Passed) / n,
		Allocs: float64(c.Allocs) / n, GCShare: c.GCShare, GCPause: micros(c.GCPause), Operations: f.Ops * units,
	}
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// All returns every case in the order of the table.
func All() []*Case {
	var all []*Case
	for _, part := range [][]*Case{puts(), transfers(), loads(), reads(), rows(), rowWrites(), reopens(), sizes(), growth()} {
		all = append(all, part...)
	}
	return all
}

// Named returns a case, or nil.
func Named(name string) *Case {
	for _, c := range All() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// suits reports whether a store has one capability.
func suits[S any](s store.Store) bool {
	_, ok := s.(S)
	return ok
}
