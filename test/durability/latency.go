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

// latencies measures commits alone and beside a checkpoint of everything.
func latencies(under string, entries int) error {
	fmt.Printf("Commits of one put, alone and beside a full checkpoint of %s entries.\n\n", count(entries))
	table("mode", "callers", "beside", "commits/s", "p50 us", "p99 us", "p99.9 us", "longest ms", "the checkpoint ms")
	for _, mode := range []aedb.Durability{aedb.Full, aedb.OsBuffered} {
		s, err := create(under, aedb.OsBuffered)
		if err != nil {
			return err
		}
		defer s.remove()
		if err := s.write(0, entries, 1); err != nil {
			return err
		}
		if err := s.close(); err != nil {
			return err
		}
		s.cfg.Durability = mode
		if err := s.open(); err != nil {
			return err
		}
		for _, callers := range []int{1, 8, 64} {
			none := func() error { time.Sleep(2 * time.Second); return nil }
			var took time.Duration
			beside := func() (err error) { took, _, err = s.checkpoint(); return err }
			for _, with := range []struct {
				name string
				work func() error
			}{{"nothing", none}, {"a checkpoint", beside}} {
				took = 0
				sorted, window, err := s.commits(callers, entries, with.work)
				if err != nil {
					return err
				}
				at := func(q float64) string {
					return fmt.Sprintf("%.0f", float64(sorted[int(q*float64(len(sorted)-1))])/1e3)
				}
				row(mode.String(), fmt.Sprint(callers), with.name, fmt.Sprintf("%.0f", float64(len(sorted))/window.Seconds()),
					at(0.5), at(0.99), at(0.999), millis(sorted[len(sorted)-1]), millis(took))
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
