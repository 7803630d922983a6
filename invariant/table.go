package invariant

import (
	"bytes"
	"errors"
	"math"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// table checks the rows of a table by themselves and against its indexes: every
// row has its entry in every index, no two rows share one, and there are no
// other entries.
func (c *checker) table(t *catalog.Table) {
	object := t.String()
	defined := c.definedAt(t)
	entries := make([]int, len(t.Indexes)) // right ones, per index
	var cells []value.Cell
	c.claim(t.ID, object, func(key, val []byte, version uint64) {
		row := record.Row{Table: t, Key: key, Data: val}
		err := checkKey(t, key)
		if err == nil {
			cells, err = checkCells(t, row, cells[:0])
		}
		if err != nil {
			c.report(t.ID, object, key, "%v", err)
		}
		for i, x := range t.Indexes {
			if c.hasEntry(x, row, version, defined) {
				entries[i]++
			} else {
				c.report(x.ID, object+"."+x.Name, key, "a row has no entry of its own in the index")
			}
		}
	})
	for i, x := range t.Indexes {
		c.claim(x.ID, object+"."+x.Name, func([]byte, []byte, uint64) {})
		if n := c.image.Len(x.ID); n != entries[i] {
			c.report(x.ID, object+"."+x.Name, nil, "%d entries, but %d rows with an entry", n, entries[i])
		}
	}
}

// hasEntry reports whether the index has the entry of just this row. It is as old
// as the row, or older if the row has changed elsewhere since, or as old as the
// index, if that was built from rows that were there.
func (c *checker) hasEntry(x *catalog.Index, row record.Row, version, defined uint64) bool {
	want := record.Index(x, row.Column, row.Key)
	got, written, ok := c.image.Get(x.ID, want.Key)
	return ok && bytes.Equal(got, want.Value) && written <= max(version, defined)
}

// definedAt returns the last commit that changed the definition of a table.
func (c *checker) definedAt(t *catalog.Table) uint64 {
	key, _ := c.image.Catalog().Definition(t.ID)
	_, version, _ := c.image.Get(catalog.SpaceCatalog, key)
	return version
}

var (
	errKey   = errors.New("the key is not the encoding of a primary key")
	errCells = errors.New("the row does not hold the columns of its table")
	errCell  = errors.New("a cell holds what its column does not allow")
)

// checkKey checks that a row's key is that of primary-key values.
func checkKey(t *catalog.Table, key []byte) error {
	vals, rest, err := value.DecodeKeyRow(key, len(t.PrimaryKey))
	if err != nil || len(rest) > 0 || !bytes.Equal(record.AppendRowKey(nil, vals), key) {
		return errKey
	}
	for i, p := range t.PrimaryKey {
		if allowed(&t.Columns[p], vals[i]) != nil {
			return errCell
		}
	}
	return nil
}

// checkCells checks the columns outside the key. The cells are scratch space.
func checkCells(t *catalog.Table, row record.Row, cells []value.Cell) ([]value.Cell, error) {
	cells, err := row.Data.Cells(cells)
	if err != nil {
		return cells, err
	}
	if len(cells) != len(t.Stored()) {
		return cells, errCells
	}
	for i, p := range t.Stored() {
		if cells[i].ID != t.Columns[p].ID {
			return cells, errCells
		}
		if allowed(&t.Columns[p], cells[i].Value) != nil {
			return cells, errCell
		}
	}
	return cells, nil
}

// allowed checks a value as a write of it was checked. Limits may have been other
// ones then.
func allowed(col *catalog.Column, v value.Value) error {
	return value.Check(col.Name, col.Kind, col.Nullable, math.MaxInt, v)
}
