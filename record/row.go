// Package record says how rows, index entries, key-value entries and the
// engine's own records are laid out as entries of spaces. It is the one place
// that knows both a table's definition and the bytes.
//
// Layouts (the bytes are in docs/format.md):
//
//   - A row is an entry of its table's space. The key is the encoded primary
//     key; the value holds the other columns by column id. Adding or dropping a
//     column touches no row.
//   - An index entry's key starts with the encoded indexed columns. In a unique
//     index, when none of them is Null, that is the whole key and the value is
//     the row's key; otherwise the row's key follows and the value is empty.
//   - A key-value entry's key is the user's, verbatim; its value is the seq of
//     the first write and then the user's bytes.
package record

import (
	"slices"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/value"
)

// AppendRowKey appends the key under which the row with the given primary-key
// values is stored.
func AppendRowKey(dst []byte, key []value.Value) []byte {
	return value.AppendKeyRow(dst, key...)
}

// AppendRowKeyOf appends the key of a full row.
func AppendRowKeyOf(dst []byte, t *catalog.Table, row value.Row) []byte {
	for _, p := range t.PrimaryKey {
		dst = value.AppendKey(dst, row[p])
	}
	return dst
}

// AppendRow appends the stored value of a full row.
func AppendRow(dst []byte, t *catalog.Table, row value.Row) []byte {
	var few [16]value.Cell
	cells := few[:0]
	for _, p := range t.Stored() {
		cells = append(cells, value.Cell{ID: t.Columns[p].ID, Value: row[p]})
	}
	return value.AppendRow(dst, cells)
}

// Row is a stored row, whose columns are decoded when they are asked for. Key
// and Data are those of the entry. Damaged bytes read as Null.
type Row struct {
	Table *catalog.Table
	Key   []byte
	Data  value.EncodedRow
}

// Column returns the value of the column at a position.
func (r Row) Column(position int) value.Value {
	if k := r.Table.KeyOrdinal(position); k >= 0 {
		rest := r.Key
		for ; k > 0; k-- {
			var err error
			if rest, err = value.SkipKey(rest); err != nil {
				return value.Null()
			}
		}
		v, _, err := value.DecodeKey(rest)
		if err != nil {
			return value.Null()
		}
		return v
	}
	c := &r.Table.Columns[position]
	v, ok := r.Data.Column(c.ID)
	if !ok && c.Default != nil {
		return *c.Default // written before the column was added
	}
	return v
}

// Borrow returns the value of the column at a position, as Column does, but it
// may share the memory of Key and Data. These must never change, and stay alive
// as long as the value is held.
func (r *Row) Borrow(position int) value.Value {
	if k := r.Table.KeyOrdinal(position); k >= 0 {
		return BorrowElement(r.Key, k)
	}
	cells := r.Data.Open()
	return borrowCell(&cells, &r.Table.Columns[position])
}

// BorrowElement returns the n-th element of an encoded key, or Null if there is
// none. The value may share the memory of the key.
func BorrowElement(key []byte, n int) value.Value {
	for ; n > 0; n-- {
		var err error
		if key, err = value.SkipKey(key); err != nil {
			return value.Null()
		}
	}
	v, _, err := value.BorrowKey(key)
	if err != nil {
		return value.Null()
	}
	return v
}

func borrowCell(cells *value.OpenRow, c *catalog.Column) value.Value {
	v, ok := cells.Borrow(c.ID)
	if !ok && c.Default != nil {
		return *c.Default // written before the column was added
	}
	return v
}

// BorrowAll decodes the whole row into dst, which has a Null for each column,
// under the rules of Borrow.
func (r *Row) BorrowAll(dst value.Row) {
	rest := r.Key
	for _, p := range r.Table.PrimaryKey {
		v, next, err := value.BorrowKey(rest)
		if err != nil {
			break
		}
		dst[p], rest = v, next
	}
	cells := r.Data.Open()
	for _, p := range r.Table.Stored() {
		dst[p] = borrowCell(&cells, &r.Table.Columns[p])
	}
}

// BorrowEach decodes the columns at some positions into dst, which has a place
// for each of them, under the rules of Borrow.
func (r *Row) BorrowEach(dst value.Row, positions []int) {
	cells := r.Data.Open()
	for i, p := range positions {
		if k := r.Table.KeyOrdinal(p); k >= 0 {
			dst[i] = BorrowElement(r.Key, k)
		} else {
			dst[i] = borrowCell(&cells, &r.Table.Columns[p])
		}
	}
}

// Values decodes the whole row into dst, which is grown as needed and
// overwritten.
func (r Row) Values(dst value.Row) value.Row {
	dst = slices.Grow(dst[:0], len(r.Table.Columns))[:len(r.Table.Columns)]
	clear(dst)
	rest := r.Key
	for _, p := range r.Table.PrimaryKey {
		v, next, err := value.DecodeKey(rest)
		if err != nil {
			break
		}
		dst[p], rest = v, next
	}
	for _, p := range r.Table.Stored() {
		dst[p] = r.Column(p)
	}
	return dst
}
