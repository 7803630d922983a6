package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/empyrealapp/aedb-go"
)

// commits makes durable or visible commits of one put each, from several callers,
// while work runs, and returns how long each took, ascending.
func (s *store) commits(callers, entries int, work func() error) ([]time.Duration, time.Duration, error) {
	var stop atomic.Bool
	var running sync.WaitGroup
	all, errs := make([][]time.Duration, callers), make([]error, callers)
	values := make([][]byte, callers)
	for i := range values {
		values[i] = s.value()
	}
	began := time.Now()
	for i := range callers {
		running.Go(func() {
			for n := i; !stop.Load(); n += 7919 {
				before := time.Now()
				if _, err := s.app.Commit(context.Background(), s.app.KvSet(key(n%entries), values[i])); err != nil {
					errs[i] = err
					return
				}
				all[i] = append(all[i], time.Since(before))
			}
		})
	}
	err := work()
	took := time.Since(began)
	stop.Store(true)
	running.Wait()
	for _, e := range errs {
		if err == nil {
			err = e
		}
	}
	return slices.Sorted(slices.Values(slices.Concat(all...))), took, err
}

// filled returns a store with entries that is open in a mode.
func filled(under string, entries int, mode aedb.Durability) (*store, error) {
	s, err := create(under, aedb.OsBuffered, aedb.KeyConfig{})
	if err != nil {
		return nil, err
	}
	if err := s.write(0, entries, 1); err != nil {
		return nil, err
	}
	if err := s.close(); err != nil {
		return nil, err
	}
	s.cfg.Durability = mode
	return s, s.open()
}

// nothing is what commits are measured beside to compare with.
func nothing() error {
	time.Sleep(2 * time.Second)
	return nil
}

// latencyRow prints what commits took in a window, beside something that took a time.
func latencyRow(mode aedb.Durability, callers int, beside string, sorted []time.Duration, window, took time.Duration) {
	at := func(q float64) string {
		return fmt.Sprintf("%.0f", float64(sorted[int(q*float64(len(sorted)-1))])/1e3)
	}
	row(mode.String(), fmt.Sprint(callers), beside, fmt.Sprintf("%.0f", float64(len(sorted))/window.Seconds()),
		at(0.5), at(0.99), at(0.999), millis(sorted[len(sorted)-1]), millis(took))
}

// latencies measures commits alone and beside a checkpoint of everything.
func latencies(under string, entries int) error {
	fmt.Printf("Commits of one put, alone and beside a full checkpoint of %s entries.\n\n", count(entries))
	table("mode", "callers", "beside", "commits/s", "p50 us", "p99 us", "p99.9 us", "longest ms", "the checkpoint ms")
	for _, mode := range []aedb.Durability{aedb.Full, aedb.OsBuffered} {
		s, err := filled(under, entries, mode)
		if err != nil {
			return err
		}
		defer s.remove()
		for _, callers := range []int{1, 8, 64} {
			var took time.Duration
			beside := func() (err error) { took, _, err = s.checkpoint(); return err }
			for _, with := range []struct {
				name string
				work func() error
			}{{"nothing", nothing}, {"a checkpoint", beside}} {
				took = 0
				sorted, window, err := s.commits(callers, entries, with.work)
				if err != nil {
					return err
				}
				latencyRow(mode, callers, with.name, sorted, window, took)
			}
			if err := s.write(0, entries, 1); err != nil { // the next one is full too
				return err
			}
		}
		s.remove()
	}
	fmt.Println()
	return nil
}
