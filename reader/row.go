package reader

import (
	"slices"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// GetRow reads the row with the given primary-key values into row, which has a
// place for each column, and returns its version. It is false if there is none.
// The values may share the memory of the source.
func GetRow(src Source, rec Recorder, t *catalog.Table, key []value.Value, row value.Row) (version uint64, ok bool) {
	rowKey := record.AppendRowKey(make([]byte, 0, 64), key)
	if rec != nil {
		rec.Point(t.ID, rowKey)
	}
	data, version, ok := src.Get(t.ID, rowKey)
	if !ok {
		return 0, false
	}
	r := record.Row{Table: t, Key: rowKey, Data: data}
	r.BorrowAll(row)
	return version, true
}

func spaceOf(t *catalog.Table, x *catalog.Index) catalog.SpaceID {
	if x == nil {
		return t.ID
	}
	return x.ID
}

// view is the row that a scan stands on. Its columns are decoded when they are
// asked for, and share the memory of the source.
type view struct {
	row   record.Row
	index *catalog.Index // of the path; nil for the primary key
	// covered is set if the index entry holds all columns that will be asked
	// for. The row is not fetched then.
	covered bool
	entry   []byte
}

// set moves the view to an entry of the path. The row of an index's entry is data.
func (v *view) set(entry, rowKey, data []byte) {
	v.entry, v.row.Key, v.row.Data = entry, rowKey, data
}

// column returns the value of the column at a position.
func (v *view) column(position int) value.Value {
	if !v.covered || v.row.Table.KeyOrdinal(position) >= 0 {
		return v.row.Borrow(position)
	}
	return record.BorrowElement(v.entry, slices.Index(v.index.Columns, position))
}

// read fills dst with the columns at some positions.
func (v *view) read(dst value.Row, positions []int) {
	if !v.covered {
		v.row.BorrowEach(dst, positions)
		return
	}
	for i, position := range positions {
		dst[i] = v.column(position)
	}
}
