package value

import (
	"encoding/binary"

	"github.com/empyrealapp/aedb-go/errs"
)

// ColumnID identifies a column of a table for as long as the table lives. Ids
// are never reused, so adding, dropping and renaming columns leaves stored
// rows as they are.
type ColumnID uint32

// Cell is the value of one column in one row.
type Cell struct {
	ID    ColumnID
	Value Value
}

// An encoded row is
//
//	form, number of cells, directory, content
//
// where the directory has one entry per cell, in ascending order of column id:
// the id, the kind and the end of the cell in content. A cell begins where the
// one before it ends.
//
//	form    number  entry
//	narrow  u8      id u8, then u16 little-endian: kind in 4 bits, end in 12
//	wide    u32     u64 little-endian: id in 32 bits, kind in 4, end in 28
//
// A row is narrow if ids, number and ends fit, and wide otherwise: each row has
// one encoding. Numbers are stored little-endian without their high zero
// bytes, so zero takes none: Integer and Timestamp zigzag-encoded, Float with
// its bytes reversed, because the low bits of its fraction are mostly zero.
// U256 and I256 are big-endian without the bytes that repeat the sign. Text,
// Json and Blob are raw, and Null is an entry without content.
const (
	rowNarrow = 1
	rowWide   = 2

	narrowHeader, narrowEntry = 2, 3
	wideHeader, wideEntry     = 5, 8

	maxNarrowCells   = 1<<8 - 1
	maxNarrowID      = 1<<8 - 1
	maxNarrowContent = 1<<12 - 1
)

// MaxRowContent is the greatest number of content bytes in a row. It is above
// what any transaction may carry, so whoever limits those need not check it.
const MaxRowContent = 1<<28 - 1

// AppendRow appends the encoding of a row to dst. The ids of cells must ascend
// strictly, and the sizes of their values must not exceed MaxRowContent
// together. A cell that is absent reads as a column added later.
func AppendRow(dst []byte, cells []Cell) []byte {
	content := 0
	for i := range cells {
		content += cellLen(&cells[i].Value)
	}
	last := ColumnID(0)
	if len(cells) > 0 {
		last = cells[len(cells)-1].ID
	}
	if fitsNarrow(len(cells), last, content) {
		dst = append(dst, rowNarrow, byte(len(cells)))
		end := 0
		for i := range cells {
			c := &cells[i]
			end += cellLen(&c.Value)
			word := uint16(c.Value.kind)<<12 | uint16(end)
			dst = append(dst, byte(c.ID), byte(word), byte(word>>8))
		}
	} else {
		dst = append(dst, rowWide)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(cells)))
		end := 0
		for i := range cells {
			c := &cells[i]
			end += cellLen(&c.Value)
			dst = binary.LittleEndian.AppendUint64(dst, uint64(c.ID)<<32|uint64(c.Value.kind)<<28|uint64(end))
		}
	}
	for i := range cells {
		dst = appendCell(dst, &cells[i].Value)
	}
	return dst
}

// fitsNarrow reports whether a row of n cells up to the id last, with the given
// number of content bytes, is narrow.
func fitsNarrow(n int, last ColumnID, content int) bool {
	return n <= maxNarrowCells && last <= maxNarrowID && content <= maxNarrowContent
}

// EncodedRow is a row as written by AppendRow. It is never modified. Its
// methods may be called concurrently and, whatever the bytes, do not panic.
type EncodedRow []byte

// Column returns the value of one column. It is false if the row has no such
// cell, which means that the column was added after the row was written, and if
// the cell is damaged. Only Text, Json, Blob, U256 and I256 allocate; the value
// does not share memory with the row.
func (r EncodedRow) Column(id ColumnID) (Value, bool) {
	kind, raw, ok := r.Bytes(id)
	if !ok || !validCell(kind, raw) {
		return Value{}, false
	}
	return loadCell(kind, raw), true
}

// Bytes returns the kind of one column's cell and its stored bytes, which share
// memory with the row and must not be modified. For Text, Json and Blob these
// are the content; for other kinds their form belongs to the encoding. It is
// false if the row has no such cell or is damaged.
func (r EncodedRow) Bytes(id ColumnID) (kind Kind, raw []byte, ok bool) {
	d, ok := r.directory()
	if !ok {
		return KindNull, nil, false
	}
	i, ok := d.find(id)
	if !ok {
		return KindNull, nil, false
	}
	return d.cell(i)
}

// Cells appends all cells of the row to dst, after checking it as Validate
// does.
func (r EncodedRow) Cells(dst []Cell) ([]Cell, error) {
	if err := r.Validate(); err != nil {
		return dst, err
	}
	d, _ := r.directory()
	for i := range d.n {
		kind, raw, _ := d.cell(i)
		dst = append(dst, Cell{ID: d.id(i), Value: loadCell(kind, raw)})
	}
	return dst, nil
}

// Open returns the row for reading several of its columns. A row without a
// directory reads as one without cells.
func (r EncodedRow) Open() OpenRow {
	d, _ := r.directory()
	return OpenRow{directory: d}
}

// OpenRow is an EncodedRow whose directory has been found. It remembers where it is:
// columns that are asked for in the order of their ids are found at once.
type OpenRow struct {
	directory
	next  int // the entry behind the last that was read
	start int // where its cell begins
}

// Borrow returns the value of one column, as EncodedRow.Column does, but Text,
// Json and Blob share the memory of the row: it is for rows whose bytes never
// change, and it keeps them alive. Of a damaged row whose columns are in no order,
// either may find what the other does not.
func (r *OpenRow) Borrow(id ColumnID) (Value, bool) {
	i, start := r.next, r.start
	if i >= r.n || r.id(i) != id {
		var ok bool
		if i, ok = r.find(id); !ok {
			return Value{}, false
		}
		if start = 0; i > 0 {
			_, start = r.end(i - 1)
		}
	}
	kind, end := r.end(i)
	if start > end || end > len(r.content) {
		return Value{}, false
	}
	r.next, r.start = i+1, end
	return borrowCell(kind, r.content[start:], end-start)
}

// Validate checks that the row is what AppendRow writes for its cells, to the
// byte. A failure has code decode. That Text is UTF-8 and Json parses is not
// the encoding's concern: see Check.
func (r EncodedRow) Validate() error {
	d, ok := r.directory()
	if !ok {
		return errs.New(errs.CodeDecode, "row of %d bytes has no directory", len(r))
	}
	last, end := ColumnID(0), 0
	for i := range d.n {
		id := d.id(i)
		if i > 0 && id <= last {
			return errs.New(errs.CodeDecode, "column %d does not follow column %d in row", id, last)
		}
		kind, raw, ok := d.cell(i)
		if !ok || !validCell(kind, raw) {
			return errs.New(errs.CodeDecode, "cell of column %d is damaged", id)
		}
		last, end = id, end+len(raw)
	}
	if end != len(d.content) {
		return errs.New(errs.CodeDecode, "row has %d bytes of content, its cells %d", len(d.content), end)
	}
	if d.wide == fitsNarrow(d.n, last, end) {
		return errs.New(errs.CodeDecode, "row of %d cells has the wrong form", d.n)
	}
	return nil
}

// directory is the outer frame of an encoded row. Its entries are in bounds of
// the row; what they say is not checked.
type directory struct {
	entries []byte
	content []byte
	n       int
	wide    bool
}

// directory splits the row. It is false, and of no cells, if the row is too
// short for the number of cells it claims.
func (r EncodedRow) directory() (d directory, ok bool) {
	header, size := 0, 0
	switch {
	case len(r) >= narrowHeader && r[0] == rowNarrow:
		d.n = int(r[1])
		header, size = narrowHeader, d.n*narrowEntry
	case len(r) >= wideHeader && r[0] == rowWide:
		n := binary.LittleEndian.Uint32(r[1:])
		if uint64(n) > uint64(len(r)/wideEntry) {
			return directory{}, false
		}
		d.n, d.wide = int(n), true
		header, size = wideHeader, d.n*wideEntry
	default:
		return d, false
	}
	if len(r)-header < size {
		return directory{}, false
	}
	d.entries, d.content = r[header:header+size], r[header+size:]
	return d, true
}

// find returns the position of the entry of id. Because ids ascend strictly, it
// is at most id less the first id, and just that as long as no id in between is
// missing: the usual row takes one look.
func (d *directory) find(id ColumnID) (int, bool) {
	if d.n == 0 {
		return 0, false
	}
	first := d.id(0)
	if id < first {
		return 0, false
	}
	high := d.n - 1
	if guess := uint32(id - first); guess <= uint32(high) {
		high = int(guess)
		if d.id(high) == id {
			return high, true
		}
	}
	low := 0
	for low <= high {
		mid := int(uint(low+high) >> 1)
		switch at := d.id(mid); {
		case at == id:
			return mid, true
		case at < id:
			low = mid + 1
		default:
			high = mid - 1
		}
	}
	return 0, false
}

// id returns the column of entry i.
func (d *directory) id(i int) ColumnID {
	if d.wide {
		return ColumnID(binary.LittleEndian.Uint32(d.entries[i*wideEntry+4:]))
	}
	return ColumnID(d.entries[i*narrowEntry])
}

// end returns the kind of entry i and where its cell ends in content.
func (d *directory) end(i int) (Kind, int) {
	if d.wide {
		word := binary.LittleEndian.Uint32(d.entries[i*wideEntry:])
		return Kind(word >> 28), int(word & MaxRowContent)
	}
	word := binary.LittleEndian.Uint16(d.entries[i*narrowEntry+1:])
	return Kind(word >> 12), int(word & maxNarrowContent)
}

// cell returns the kind and the bytes of entry i. It is false if they are not
// within content.
func (d *directory) cell(i int) (Kind, []byte, bool) {
	start := 0
	if i > 0 {
		_, start = d.end(i - 1)
	}
	kind, end := d.end(i)
	if start > end || end > len(d.content) {
		return KindNull, nil, false
	}
	return kind, d.content[start:end:end], true
}
