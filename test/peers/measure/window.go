package measure

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Work is one operation: the i-th of one worker.
type Work func(i int) error

// Window runs work on some goroutines and measures it.
type Window struct {
	// Duration is how long the work goes on, unless Ops is set.
	Duration time.Duration
	// Ops, if set, is the number of operations of each worker.
	Ops int
	// Every is how many operations share one timing: 1 times each, for work that
	// takes microseconds; more keep the clock out of what is faster.
	Every int
	// Profile, if set, is the file to which a processor profile is written.
	Profile string
}

// Figures are the outcome of a window.
type Figures struct {
	Ops     int
	Elapsed time.Duration
	Cost    Cost
	// PerWorker are the operations of each worker, Times how long they took.
	PerWorker []int
	Times     []Histogram
}

// Quantile returns a quantile of the times of the given workers, of all if none
// are given.
func (f *Figures) Quantile(q float64, workers ...int) time.Duration {
	var sum Histogram
	for n := range f.Times {
		if len(workers) == 0 || slices.Contains(workers, n) {
			sum.Add(&f.Times[n])
		}
	}
	return sum.Quantile(q)
}

// PerSecond returns the throughput.
func (f *Figures) PerSecond() float64 { return float64(f.Ops) / f.Elapsed.Seconds() }

// Run gives every worker its own goroutine and stops all at the first error.
func (w Window) Run(workers []Work) (*Figures, error) {
	runtime.GC()
	every := max(w.Every, 1)
	var stop atomic.Bool
	f := &Figures{PerWorker: make([]int, len(workers)), Times: make([]Histogram, len(workers))}
	failures := make([]error, len(workers))
	begin := make(chan struct{})
	var ready, all sync.WaitGroup
	for n, work := range workers {
		ready.Add(1)
		all.Go(func() {
			ready.Done()
			<-begin
			i := 0
			// Every worker works once, however late it gets its turn.
			for (w.Ops == 0 || i < w.Ops) && (i == 0 || !stop.Load()) {
				timed := i%every == 0
				var start time.Time
				if timed {
					start = time.Now()
				}
				if err := work(i); err != nil {
					failures[n] = fmt.Errorf("operation %d: %w", i, err)
					stop.Store(true)
					break
				}
				if timed {
					f.Times[n].Record(time.Since(start))
				}
				i++
			}
			f.PerWorker[n] = i
		})
	}
	ready.Wait()
	stopProfile, err := profile(w.Profile)
	if err != nil {
		return nil, err
	}
	before, err := read()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	close(begin)
	if w.Ops == 0 {
		timer := time.AfterFunc(w.Duration, func() { stop.Store(true) })
		defer timer.Stop()
	}
	all.Wait()
	f.Elapsed = time.Since(start)
	after, err := read()
	if err := errors.Join(err, stopProfile(), errors.Join(failures...)); err != nil {
		return nil, err
	}
	f.Cost = after.since(before)
	for _, n := range f.PerWorker {
		f.Ops += n
	}
	return f, nil
}

func profile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}
