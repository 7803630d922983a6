package cases

import (
	"github.com/empyrealapp/aedb-go/test/peers/measure"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// loads write all entries, 1,000 per commit, from one caller.
func loads() []*Case {
	return []*Case{
		{
			Name: "load-scattered", Title: "load, 1,000 per commit, scattered keys", Unit: "entries/s",
			Level: store.Process, Callers: 1, Targets: []Target{{Against: "pebble", Ratio: 1.1}},
			Suits: suits[store.BatchWriter],
			Run:   func(e *Env) (*Result, error) { return runLoad(e, scattered) },
		},
		{
			Name: "load-ordered", Title: "load, 1,000 per commit, in key order", Unit: "entries/s",
			Level: store.Process, Callers: 1, Targets: []Target{{Against: "pebble", Ratio: 1}},
			Suits: suits[store.BatchWriter],
			Run:   func(e *Env) (*Result, error) { return runLoad(e, ordered) },
		},
	}
}

func runLoad(e *Env, key func([]byte, int) []byte) (*Result, error) {
	s, err := open[store.BatchWriter](e)
	if err != nil {
		return nil, err
	}
	batches := max(e.Entries/batchSize, 1)
	window := e.window()
	window.Ops = batches
	f, err := window.Run([]measure.Work{func(i int) error {
		return s.PutBatch(batch(i*batchSize, batchSize, key))
	}})
	if err != nil {
		return nil, err
	}
	if err := expect(s, batches*batchSize); err != nil {
		return nil, err
	}
	if err := expectValues(s, 0, batches*batchSize, key); err != nil {
		return nil, err
	}
	return result(f, batchSize), s.Close()
}
