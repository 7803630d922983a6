package cases

import (
	"fmt"
	"strconv"

	"github.com/empyrealapp/aedb-go/test/peers/measure"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// rowsPerOwner is the number of rows that share a value of the first index.
const rowsPerOwner = 10

// rowRange is the number of rows that a range in index order is limited to.
const rowRange = 100

// owner returns the name of an owner.
func owner(n int) string {
	digits := strconv.Itoa(n)
	return "owner-" + "00000000"[min(len(digits), 8):] + digits
}

// row makes the i-th of n rows. Owners and amounts are scattered.
func row(i, n int) store.Row {
	return store.Row{
		ID: int64(i), Owner: owner(i % owners(n)), Amount: amount(i), Active: i%2 == 0,
		Note: "a note of some forty bytes, number " + strconv.Itoa(i%100000),
	}
}

func owners(n int) int { return max(n/rowsPerOwner, 1) }

// amounts are below this, so few rows share one.
const amountLimit = 1 << 40

func amount(i int) int64 { return int64(mix(uint64(i)) % amountLimit) }

// rows read typed rows from a loaded table.
func rows() []*Case {
	targets := []Target{{Against: "sqlite", Ratio: 4}, {Against: "go-memdb", Ratio: 1}}
	read := func(name, title, unit string, work func(r store.RowReader, n int) measure.Work) *Case {
		return &Case{
			Name: name, Title: title, Unit: unit, Callers: 1, Targets: targets, Suits: suits[store.RowStore],
			Run: func(e *Env) (*Result, error) { return runRowReads(e, work) },
		}
	}
	return []*Case{
		read("row-by-key", "typed row by primary key", "reads/s", byKey),
		read("row-by-index", "10 typed rows by index", "queries/s", byIndex),
		read("row-range", "range in index order, limit 100", "queries/s", byRange),
	}
}

func runRowReads(e *Env, work func(store.RowReader, int) measure.Work) (*Result, error) {
	s, err := open[store.RowStore](e)
	if err != nil {
		return nil, err
	}
	if err := loadRows(s, e.Entries); err != nil {
		return nil, err
	}
	r, err := s.NewRowReader()
	if err != nil {
		return nil, err
	}
	f, err := e.window().Run([]measure.Work{work(r, e.Entries)})
	if err != nil {
		return nil, err
	}
	return result(f, 1), nil
}

func byKey(r store.RowReader, n int) measure.Work {
	return func(i int) error {
		id := int(mix(uint64(i)) % uint64(n))
		found, err := r.ByID(int64(id))
		if err == nil && found != row(id, n) {
			err = fmt.Errorf("row %d is %+v", id, found)
		}
		return err
	}
}

func byIndex(r store.RowReader, n int) measure.Work {
	each := n / owners(n)
	return func(i int) error {
		o := int(mix(uint64(i)) % uint64(owners(n)))
		name, found := owner(o), 0
		err := r.ByOwner(name, func(r store.Row) {
			if r.Owner == name && r.Amount == amount(int(r.ID)) {
				found++
			}
		})
		if err == nil && found < each {
			err = fmt.Errorf("%s has %d right rows, not %d", name, found, each)
		}
		return err
	}
}

func byRange(r store.RowReader, n int) measure.Work {
	return func(i int) error {
		// The upper end is left out, so that there are always enough rows.
		least := int64(mix(uint64(i)) % (amountLimit / 2))
		last, found := least, 0
		err := r.FromAmount(least, rowRange, func(r store.Row) {
			if r.Amount >= last && r.Amount == amount(int(r.ID)) {
				found++
			}
			last = r.Amount
		})
		if err == nil && found != rowRange {
			err = fmt.Errorf("the range from %d has %d right rows", least, found)
		}
		return err
	}
}

func loadRows(s store.RowStore, n int) error {
	for first := 0; first < n; first += batchSize {
		if err := s.InsertRows(rowBatch(first, min(batchSize, n-first), n)); err != nil {
			return fmt.Errorf("load rows from %d: %w", first, err)
		}
	}
	return expectRows(s, n)
}

func rowBatch(first, size, n int) []store.Row {
	rows := make([]store.Row, size)
	for i := range rows {
		rows[i] = row(first+i, n)
	}
	return rows
}

func expectRows(s store.Store, n int) error {
	rs, ok := s.(store.RowStore)
	if !ok {
		return nil
	}
	switch found, err := rs.CountRows(); {
	case err != nil:
		return fmt.Errorf("count rows: %w", err)
	case found != n:
		return fmt.Errorf("the table has %d rows, %d were written", found, n)
	}
	return nil
}
