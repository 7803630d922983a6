package cases

import (
	"fmt"

	"github.com/empyrealapp/aedb-go/test/peers/measure"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// puts are commits of one new entry each, scattered, into a store that begins
// empty.
func puts() []*Case {
	put := func(level store.Level, name, title string, callers int, targets ...Target) *Case {
		return &Case{
			Name: fmt.Sprintf("put-%s-%d", name, callers), Title: fmt.Sprintf("%s put per commit, %s", title, count(callers, "caller")),
			Unit: "commits/s", Level: level, Callers: callers, Targets: targets,
			Suits: suits[store.PointStore], Run: runPuts,
		}
	}
	return []*Case{
		put(store.Power, "durable", "durable", 1, Target{Ratio: 1.1}, Target{Against: "limit", Ratio: 0.85}),
		put(store.Power, "durable", "durable", 8, Target{Ratio: 1.2}),
		put(store.Power, "durable", "durable", 64, Target{Ratio: 1.15}),
		put(store.Process, "visible", "visible", 1, Target{Against: "buntdb", Ratio: 1.1}),
		put(store.Process, "visible", "visible", 64, Target{Ratio: 2.5}),
		{
			Name: "put-visible-inflight", Title: "visible put per commit, 1 caller with 256 in flight", Unit: "commits/s",
			Level: store.Process, Callers: 1, Targets: []Target{{Against: "pebble", Ratio: 0.9}},
			Suits: suits[store.PointStore], Run: runInflight,
		},
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Worker w of several makes the entries w<<32 and following.
const workerShift = 32

func runPuts(e *Env) (*Result, error) {
	s, err := open[store.PointStore](e)
	if err != nil {
		return nil, err
	}
	work := make([]measure.Work, e.Case.Callers)
	for w := range work {
		key, val := make([]byte, 0, keySize), make([]byte, 0, valueSize+8)
		work[w] = func(i int) error {
			n := w<<workerShift | i
			return s.Put(scattered(key, n), value(val, n))
		}
	}
	f, err := e.window().Run(work)
	if err != nil {
		return nil, err
	}
	return result(f, 1), verifyPuts(e, s, f)
}

// verifyPuts checks the store, closes it, opens it again and checks once more.
func verifyPuts(e *Env, s store.PointStore, f *measure.Figures) error {
	if err := expect(s, f.Ops); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if level, _ := e.Case.Asked(e.Peer); level == store.Memory {
		return nil
	}
	s, err := open[store.PointStore](e)
	if err != nil {
		return err
	}
	if err := expect(s, f.Ops); err != nil {
		return fmt.Errorf("after reopening: %w", err)
	}
	for w, n := range f.PerWorker {
		if err := expectValues(s, w<<workerShift, n, scattered); err != nil {
			return fmt.Errorf("after reopening: %w", err)
		}
	}
	return s.Close()
}

// inflight is the number of commits that one caller has under way at once.
const inflight = 256

// runInflight keeps commits in flight. A store whose Put has to be waited for
// does one after the other.
func runInflight(e *Env) (*Result, error) {
	s, err := open[store.PointStore](e)
	if err != nil {
		return nil, err
	}
	key, val := make([]byte, 0, keySize), make([]byte, 0, valueSize+8)
	work := func(i int) error { return s.Put(scattered(key, i), value(val, i)) }
	var waits [inflight]func() error
	if async, ok := s.(store.AsyncPutter); ok {
		work = func(i int) error {
			wait := &waits[i%inflight]
			if *wait != nil {
				if err := (*wait)(); err != nil {
					return err
				}
			}
			var err error
			*wait, err = async.PutAsync(scattered(key, i), value(val, i))
			return err
		}
	}
	f, err := e.window().Run([]measure.Work{work})
	if err != nil {
		return nil, err
	}
	for _, wait := range waits {
		if wait != nil {
			if err := wait(); err != nil {
				return nil, err
			}
		}
	}
	return result(f, 1), verifyPuts(e, s, f)
}
