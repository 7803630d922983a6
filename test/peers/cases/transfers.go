package cases

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/empyrealapp/aedb-go/test/peers/measure"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// transfers read two balances, check one of them and write both, in one durable
// commit. Accounts are a tenth of the entries, so callers seldom meet.
func transfers() []*Case {
	transfer := func(callers int, ratio float64) *Case {
		return &Case{
			Name: fmt.Sprintf("transfer-durable-%d", callers), Title: "durable transfer, " + count(callers, "caller"),
			Unit: "commits/s", Level: store.Power, Callers: callers,
			Targets: []Target{{Ratio: ratio}, {Of: "aedb-update", Against: "aedb", Ratio: 0.75}},
			Suits:   func(s store.Store) bool { return suits[store.Transferer](s) && suits[store.BatchWriter](s) },
			Run:     runTransfers,
		}
	}
	return []*Case{transfer(1, 1.1), transfer(8, 1.1), transfer(64, 1.4)}
}

const firstBalance = 100

func runTransfers(e *Env) (*Result, error) {
	s, err := open[store.Transferer](e)
	if err != nil {
		return nil, err
	}
	accounts := max(e.Entries/10, 10)
	for first := 0; first < accounts; first += batchSize {
		n := min(batchSize, accounts-first)
		keys, vals := batch(first, n, scattered)
		for i := range vals {
			vals[i] = binary.BigEndian.AppendUint64(nil, firstBalance)
		}
		if err := s.(store.BatchWriter).PutBatch(keys, vals); err != nil {
			return nil, err
		}
	}
	work := make([]measure.Work, e.Case.Callers)
	for w := range work {
		from, to := make([]byte, 0, keySize), make([]byte, 0, keySize)
		work[w] = func(i int) error {
			n := mix(uint64(w<<workerShift | i))
			x := int(n % uint64(accounts))
			y := (x + 1 + int(n>>32)%(accounts-1)) % accounts
			err := s.Transfer(scattered(from, x), scattered(to, y), 1+n>>16%3)
			if errors.Is(err, store.ErrPoor) {
				return nil
			}
			return err
		}
	}
	f, err := e.window().Run(work)
	if err != nil {
		return nil, err
	}
	return result(f, 1), verifySum(s, accounts)
}

// verifySum checks that no money was made or lost, then closes the store.
func verifySum(s store.Transferer, accounts int) error {
	rs, ok := s.(store.ReadStore)
	if !ok {
		return s.Close()
	}
	r, err := rs.NewReader()
	if err != nil {
		return err
	}
	var sum uint64
	changed := 0
	for i := range accounts {
		val, err := r.Get(scattered(nil, i), nil)
		if err != nil {
			return fmt.Errorf("account %d: %w", i, err)
		}
		n := binary.BigEndian.Uint64(val)
		sum += n
		if n != firstBalance {
			changed++
		}
	}
	if want := uint64(accounts) * firstBalance; sum != want || changed == 0 {
		return fmt.Errorf("the balances add up to %d, not %d; %d have changed", sum, want, changed)
	}
	return errors.Join(r.Close(), s.Close())
}
