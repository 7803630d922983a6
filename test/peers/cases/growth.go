package cases

import (
	"fmt"

	"github.com/empyrealapp/aedb-go/test/peers/measure"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// growth shows how the cost of a visible commit and of a read grows with what is
// in the store: entries, tables, snapshots that are held.
func growth() []*Case {
	grow := func(name, title string, shape shape) *Case {
		return &Case{
			Name: "growth-" + name, Title: "visible commit beside " + title, Unit: "us (p50)", Lower: true,
			Level: store.Process, Callers: 1, Subjects: true, Suits: suits[store.TableMaker],
			Run: func(e *Env) (*Result, error) { return runGrowth(e, shape) },
		}
	}
	var out []*Case
	for _, percent := range []int{1, 10, 100, 500} {
		out = append(out, grow(fmt.Sprintf("entries-%d%%", percent), fmt.Sprintf("%d %% of the entries", percent), shape{percent: percent, tables: 1}))
	}
	for _, tables := range []int{1, 100, 10_000} {
		out = append(out, grow(fmt.Sprintf("tables-%d", tables), count(tables, "table"), shape{percent: 10, tables: tables}))
	}
	for _, snapshots := range []int{0, 100, 1000} {
		out = append(out, grow(fmt.Sprintf("snapshots-%d", snapshots), count(snapshots, "retained snapshot"),
			shape{percent: 10, tables: 1, snapshots: snapshots}))
	}
	return out
}

// shape is what a store has been filled with.
type shape struct {
	percent   int // of Env.Entries
	tables    int
	snapshots int // each holds a state of its own
}

func runGrowth(e *Env, shape shape) (*Result, error) {
	s, err := open[store.TableMaker](e)
	if err != nil {
		return nil, err
	}
	if err := s.MakeTables(shape.tables); err != nil {
		return nil, err
	}
	entries := max(e.Entries*shape.percent/100, batchSize)
	if err := load(s.(store.BatchWriter), entries, scattered); err != nil {
		return nil, err
	}
	put := s.(store.PointStore).Put
	for i := range shape.snapshots {
		release, err := s.HoldSnapshot()
		if err != nil {
			return nil, err
		}
		defer release()
		if err := put(scattered(nil, i%entries), value(nil, i%entries)); err != nil {
			return nil, err
		}
	}
	key, val := make([]byte, 0, keySize), make([]byte, 0, valueSize+8)
	commits, err := e.window().Run([]measure.Work{func(i int) error {
		n := int(mix(uint64(i)) % uint64(entries)) // overwrites keep the size
		return put(scattered(key, n), value(val, n))
	}})
	if err != nil {
		return nil, err
	}
	read, err := reader(s.(store.ReadStore), entries, 0)
	if err != nil {
		return nil, err
	}
	reads, err := measure.Window{Duration: e.Duration, Every: readsPerTiming}.Run([]measure.Work{read})
	if err != nil {
		return nil, err
	}
	if err := expect(s, entries); err != nil {
		return nil, err
	}
	r := result(commits, 1)
	r.More["commits/s"] = r.Value
	r.More["read us"] = 1e6 / reads.PerSecond()
	r.Value = r.P50
	return r, nil
}
