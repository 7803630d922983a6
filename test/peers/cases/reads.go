package cases

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/empyrealapp/aedb-go/test/peers/measure"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// reads find entries by key or prefix in a loaded store.
func reads() []*Case {
	suitable := func(s store.Store) bool { return suits[store.ReadStore](s) && suits[store.BatchWriter](s) }
	point := func(readers int) *Case {
		return &Case{
			Name: fmt.Sprintf("read-%d", readers), Title: "point read by key, " + count(readers, "reader"), Unit: "reads/s",
			Callers: readers, Targets: []Target{{Ratio: 1.11}}, Suits: suitable, Run: runReads,
		}
	}
	beside := func(level store.Level, name, title string) *Case {
		return &Case{
			Name: "reads-beside-" + name, Title: "2 readers beside one writer, " + title, Unit: "reads/s", Level: level, Callers: 3,
			Targets: []Target{{Ratio: 1}, {Against: "pebble", Metric: "commits/s", Ratio: 1}},
			Suits:   func(s store.Store) bool { return suitable(s) && suits[store.PointStore](s) },
			Run:     runReadsBesideWriter,
		}
	}
	return []*Case{
		point(1), point(2),
		beside(store.Process, "visible", "visible commits"),
		beside(store.Power, "durable", "durable commits"),
		{
			Name: "scan-100", Title: "prefix scan of 100", Unit: "scans/s", Callers: 1, Targets: []Target{{Ratio: 1.1}},
			Suits: func(s store.Store) bool { return suits[store.ScanStore](s) && suits[store.BatchWriter](s) },
			Run:   runScans,
		},
	}
}

// loaded opens a store and fills it.
func loaded(e *Env, key func([]byte, int) []byte) (store.ReadStore, error) {
	s, err := open[store.ReadStore](e)
	if err != nil {
		return nil, err
	}
	if err := load(s.(store.BatchWriter), e.Entries, key); err != nil {
		return nil, err
	}
	return s, expect(s, e.Entries)
}

// reader returns the work of one reader: one random entry after the other, each
// checked.
func reader(s store.ReadStore, entries, worker int) (measure.Work, error) {
	r, err := s.NewReader()
	if err != nil {
		return nil, err
	}
	key, buf := make([]byte, 0, keySize), make([]byte, 0, 2*valueSize)
	return func(i int) error {
		n := int(mix(uint64(worker)<<40|uint64(i)) % uint64(entries))
		val, err := r.Get(scattered(key, n), buf)
		if err != nil {
			return err
		}
		return check(val, n)
	}, nil
}

// readsPerTiming keeps the clock out of reads that take less than a microsecond.
const readsPerTiming = 8

func runReads(e *Env) (*Result, error) {
	s, err := loaded(e, scattered)
	if err != nil {
		return nil, err
	}
	work := make([]measure.Work, e.Case.Callers)
	for w := range work {
		if work[w], err = reader(s, e.Entries, w); err != nil {
			return nil, err
		}
	}
	window := e.window()
	window.Every = readsPerTiming
	f, err := window.Run(work)
	if err != nil {
		return nil, err
	}
	return result(f, 1), nil
}

// runReadsBesideWriter measures two readers while one caller commits new
// entries. Times are those of the readers; costs are per read.
func runReadsBesideWriter(e *Env) (*Result, error) {
	s, err := loaded(e, scattered)
	if err != nil {
		return nil, err
	}
	work := make([]measure.Work, 3)
	for w := range 2 {
		if work[w], err = reader(s, e.Entries, w); err != nil {
			return nil, err
		}
	}
	key, val := make([]byte, 0, keySize), make([]byte, 0, valueSize+8)
	work[2] = func(i int) error {
		n := e.Entries + i
		return s.(store.PointStore).Put(scattered(key, n), value(val, n))
	}
	window := e.window()
	window.Every = readsPerTiming
	f, err := window.Run(work)
	if err != nil {
		return nil, err
	}
	reads, commits := f.PerWorker[0]+f.PerWorker[1], f.PerWorker[2]
	if err := expect(s, e.Entries+commits); err != nil {
		return nil, err
	}
	f.Ops = reads
	r := result(f, 1)
	r.P50, r.P99 = micros(f.Quantile(0.5, 0, 1)), micros(f.Quantile(0.99, 0, 1))
	r.More["commits/s"] = float64(commits) / f.Elapsed.Seconds()
	return r, nil
}

func runScans(e *Env) (*Result, error) {
	s, err := loaded(e, grouped)
	if err != nil {
		return nil, err
	}
	r, err := s.NewReader()
	if err != nil {
		return nil, err
	}
	scan := r.(store.ScanReader)
	groups := e.Entries / groupSize
	prefix := make([]byte, 0, 8)
	f, err := e.window().Run([]measure.Work{func(i int) error {
		g := int(mix(uint64(i)) % uint64(groups))
		prefix = binary.BigEndian.AppendUint64(prefix[:0], mix(uint64(g)))
		n, wrong := 0, 0
		err := scan.Scan(prefix, groupSize, func(key, val []byte) {
			if !bytes.HasPrefix(key, prefix) || binary.BigEndian.Uint64(val) != uint64(g*groupSize+n) {
				wrong++
			}
			n++
		})
		if err == nil && (n != groupSize || wrong > 0) {
			err = fmt.Errorf("scan %d found %d entries, %d of them wrong", g, n, wrong)
		}
		return err
	}})
	if err != nil {
		return nil, err
	}
	return result(f, 1), nil
}
