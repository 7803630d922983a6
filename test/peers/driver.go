package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/empyrealapp/aedb-go/test/peers/adapter"
	"github.com/empyrealapp/aedb-go/test/peers/cases"
	"github.com/empyrealapp/aedb-go/test/peers/report"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// drive runs the chosen cases on the chosen peers and writes the report. It
// fails if any measurement has failed, after the report.
func drive(o options, w io.Writer) error {
	chosen, err := choose(o)
	if err != nil {
		return err
	}
	if o.List {
		return list(w, chosen)
	}
	var tables []*report.Table
	failures := 0
	start := time.Now()
	for _, c := range chosen {
		t := &report.Table{Case: c.Case}
		for round := range o.Rounds {
			for i := range c.peers {
				p := c.peers[(i+round)%len(c.peers)]
				r, err := measureApart(o, c.Case, p)
				if err != nil {
					failures++
					fmt.Fprintf(os.Stderr, "%s %s: %v\n", c.Case.Name, p.Name, err)
				}
				t.Add(p, r, err)
			}
		}
		fmt.Fprintf(os.Stderr, "%6.1f s  %s\n", time.Since(start).Seconds(), c.Case.Name)
		tables = append(tables, t)
	}
	if o.Format == "csv" {
		err = report.CSV(w, tables)
	} else {
		err = report.Markdown(w, about(o), tables)
	}
	if err == nil && failures > 0 {
		err = fmt.Errorf("%d measurements have failed", failures)
	}
	return err
}

// run is a case with the peers it is run on.
type run struct {
	*cases.Case
	peers []*store.Peer
}

// byRequest is run only when the flag -case names it: it takes too long.
const byRequest = "growth-entries-500%"

func choose(o options) ([]run, error) {
	var peers []*store.Peer
	samples := map[*store.Peer]store.Store{}
	for _, p := range adapter.All() {
		if !o.Peers.MatchString(p.Name) {
			continue
		}
		s, closeAndRemove, err := sample(o.Dir, p)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", p.Name, err)
		}
		defer closeAndRemove()
		peers, samples[p] = append(peers, p), s
	}
	var out []run
	for _, c := range cases.All() {
		if !o.Cases.MatchString(c.Name) || c.Name == byRequest && o.Cases.String() == "" {
			continue
		}
		r := run{Case: c}
		for _, p := range peers {
			if c.For(p) && c.Suits(samples[p]) {
				r.peers = append(r.peers, p)
			}
		}
		if len(r.peers) > 0 {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no case is left to run")
	}
	return out, nil
}

// sample opens an empty store, to see what it can do.
func sample(parent string, p *store.Peer) (s store.Store, closeAndRemove func(), err error) {
	dir, err := os.MkdirTemp(parent, "peers-")
	if err != nil {
		return nil, nil, err
	}
	for level := range p.Levels {
		if s, err = p.Open(dir, level); err != nil {
			return nil, nil, errors.Join(err, os.RemoveAll(dir))
		}
		break
	}
	return s, func() {
		if err := errors.Join(s.Close(), os.RemoveAll(dir)); err != nil {
			fmt.Fprintln(os.Stderr, "peers:", err)
		}
	}, nil
}

func list(w io.Writer, chosen []run) error {
	for _, r := range chosen {
		if _, err := fmt.Fprintf(w, "%-24s %s:", r.Name, r.Title); err != nil {
			return err
		}
		for _, p := range r.peers {
			fmt.Fprintf(w, " %s", p.Name)
		}
		fmt.Fprintln(w)
	}
	return nil
}

// measureApart makes one measurement in a process and a directory of its own,
// and leaves nothing for the disk to do.
func measureApart(o options, c *cases.Case, p *store.Peer) (r *cases.Result, err error) {
	dir, err := os.MkdirTemp(o.Dir, "peers-")
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(dir))
		unix.Sync()
	}()
	order := order{Case: c.Name, Peer: p.Name, Dir: dir, Entries: o.Entries, Duration: o.Duration}
	if o.Profiles != "" {
		order.Profile = fmt.Sprintf("%s/%s.%s.pprof", o.Profiles, c.Name, p.Name)
	}
	return order.carryOut()
}
