package cases

import (
	"fmt"

	"github.com/empyrealapp/aedb-go/test/peers/measure"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// rowWrites insert typed rows of 5 columns into a table with 2 indexes.
func rowWrites() []*Case {
	insert := func(callers int, ratio float64) *Case {
		return &Case{
			Name: fmt.Sprintf("row-insert-durable-%d", callers), Title: "typed row inserted durably, " + count(callers, "caller"),
			Unit: "commits/s", Level: store.Power, Callers: callers, Targets: []Target{{Ratio: ratio}},
			Suits: suits[store.RowWriter], Run: runRowInserts,
		}
	}
	return []*Case{
		insert(1, 1.1), insert(8, 4), insert(64, 15),
		{
			Name: "rows-load", Title: "typed rows, 1,000 per commit", Unit: "rows/s", Level: store.Process, Callers: 1,
			Targets: []Target{{Ratio: 1.5}}, Suits: suits[store.RowWriter], Run: runRowLoad,
		},
	}
}

func runRowInserts(e *Env) (*Result, error) {
	s, err := open[store.RowWriter](e)
	if err != nil {
		return nil, err
	}
	callers := e.Case.Callers
	work := make([]measure.Work, callers)
	for w := range work {
		one := make([]store.Row, 1)
		work[w] = func(i int) error {
			one[0] = row(i*callers+w, e.Entries)
			return s.InsertRows(one)
		}
	}
	f, err := e.window().Run(work)
	if err != nil {
		return nil, err
	}
	if err := expectRows(s, f.Ops); err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	if s, err = open[store.RowWriter](e); err != nil {
		return nil, err
	}
	if err := expectRows(s, f.Ops); err != nil {
		return nil, fmt.Errorf("after reopening: %w", err)
	}
	return result(f, 1), s.Close()
}

func runRowLoad(e *Env) (*Result, error) {
	s, err := open[store.RowWriter](e)
	if err != nil {
		return nil, err
	}
	batches := max(e.Entries/batchSize, 1)
	window := e.window()
	window.Ops = batches
	f, err := window.Run([]measure.Work{func(i int) error {
		return s.InsertRows(rowBatch(i*batchSize, batchSize, e.Entries))
	}})
	if err != nil {
		return nil, err
	}
	if err := expectRows(s, batches*batchSize); err != nil {
		return nil, err
	}
	return result(f, batchSize), s.Close()
}
