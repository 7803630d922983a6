package reader

import (
	"context"
	"iter"
	"slices"
	"unsafe"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// GetRow returns the row with the given primary-key values, and false if there
// is none. The row shares memory with the source.
func GetRow(src Source, rec Recorder, t *catalog.Table, key ...value.Value) (record.Row, bool) {
	rowKey := record.AppendRowKey(nil, key)
	if rec != nil {
		rec.Point(t.ID, rowKey)
	}
	data, _, ok := src.Get(t.ID, rowKey)
	return record.Row{Table: t, Key: rowKey, Data: data}, ok
}

// PrefixRange returns the range of the keys, of a table or an index, that begin
// with the given values. Without values it is everything.
func PrefixRange(values ...value.Value) KeyRange {
	prefix := value.AppendKeyRow(nil, values...)
	return KeyRange{Start: prefix, End: value.PrefixEnd(prefix)}
}

// ScanRows yields the rows of a table whose keys lie in a range, in ascending or
// descending order. The rows share memory with the source. After an error,
// which comes with a zero Row, it ends.
func ScanRows(ctx context.Context, src Source, rec Recorder, t *catalog.Table, r KeyRange, descending bool) iter.Seq2[record.Row, error] {
	return scanRows(ctx, src, rec, t, nil, r, descending)
}

// ScanIndex is ScanRows for the entries of an index of the table.
func ScanIndex(ctx context.Context, src Source, rec Recorder, t *catalog.Table, x *catalog.Index, r KeyRange, descending bool) iter.Seq2[record.Row, error] {
	return scanRows(ctx, src, rec, t, x, r, descending)
}

func scanRows(ctx context.Context, src Source, rec Recorder, t *catalog.Table, x *catalog.Index, r KeyRange, descending bool) iter.Seq2[record.Row, error] {
	return func(yield func(record.Row, error) bool) {
		s := scan{
			ctx: ctx, src: src, rec: rec, space: spaceOf(t, x),
			ranges: []KeyRange{r}, way: way{backward: descending},
		}
		v := view{row: record.Row{Table: t}, index: x}
		err := s.run(func(key, val []byte, _ uint64) (bool, error) {
			if err := v.load(src, rec, key, val); err != nil {
				return false, err
			}
			return yield(v.row, nil), nil
		})
		if err != nil {
			yield(record.Row{}, err)
		}
	}
}

func spaceOf(t *catalog.Table, x *catalog.Index) catalog.SpaceID {
	if x == nil {
		return t.ID
	}
	return x.ID
}

// view is the row that a scan stands on. Its columns are decoded when they are
// asked for.
type view struct {
	row   record.Row
	index *catalog.Index // of the path; nil for the primary key
	// covered is set if the index entry holds all columns that will be asked
	// for. The row is not fetched then.
	covered bool
	entry   []byte
}

// load moves the view to the entry of a path.
func (v *view) load(src Source, rec Recorder, key, val []byte) error {
	if v.index == nil {
		v.row.Key, v.row.Data = key, val
		return nil
	}
	rowKey, err := record.IndexedRowKey(v.index, key, val)
	if err != nil {
		return err
	}
	v.row.Key, v.entry = rowKey, key
	if v.covered {
		return nil
	}
	if rec != nil {
		rec.Point(v.row.Table.ID, rowKey)
	}
	data, _, ok := src.Get(v.row.Table.ID, rowKey)
	if !ok {
		return errs.New(errs.CodeIntegrity, "index %q of table %s points to a row that does not exist",
			v.index.Name, v.row.Table).On(v.index.Name)
	}
	v.row.Data = data
	return nil
}

// column returns a value that the caller may keep.
func (v *view) column(position int) value.Value {
	if v.covered && v.row.Table.KeyOrdinal(position) < 0 {
		rest := v.entry[len(elements(v.entry, slices.Index(v.index.Columns, position))):]
		if val, _, err := value.DecodeKey(rest); err == nil {
			return val
		}
		return value.Null()
	}
	return v.row.Column(position)
}

// borrow returns a value that is good until the view moves: text is not copied,
// so that rows a filter turns away cost no allocation.
func (v *view) borrow(position int) value.Value {
	t := v.row.Table
	if v.covered || t.KeyOrdinal(position) >= 0 {
		return v.column(position)
	}
	c := &t.Columns[position]
	if c.Kind != value.KindText && c.Kind != value.KindJSON {
		return v.row.Column(position)
	}
	kind, raw, ok := v.row.Data.Bytes(c.ID)
	if !ok || kind != c.Kind {
		return v.row.Column(position)
	}
	text := unsafe.String(unsafe.SliceData(raw), len(raw))
	if kind == value.KindJSON {
		return value.JSON(text)
	}
	return value.Text(text)
}
