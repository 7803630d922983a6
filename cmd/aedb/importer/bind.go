package importer

import (
	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// binding turns records into rows of a table.
type binding struct {
	source   string
	table    aedb.TableInfo
	position map[string]int
	// missing is the row of a record without cells: defaults, else Null.
	missing  aedb.Row
	null     *string
	maxBytes int
}

func newBinding(source string, table aedb.TableInfo, null *string, maxBytes int) *binding {
	b := &binding{
		source: source, table: table, null: null, maxBytes: maxBytes,
		position: make(map[string]int, len(table.Columns)),
		missing:  make(aedb.Row, len(table.Columns)),
	}
	for i, c := range table.Columns {
		b.position[c.Name] = i
		if c.Default != nil {
			b.missing[i] = *c.Default
		}
	}
	return b
}

// row returns the row of a record, with one value for each column of the table,
// and about how many bytes it takes.
func (b *binding) row(rec Record) (row aedb.Row, size int, err error) {
	row = make(aedb.Row, len(b.missing))
	copy(row, b.missing)
	for i, cell := range rec.Cells {
		name := rec.Columns[i]
		p, ok := b.position[name]
		if !ok {
			return nil, 0, b.failed(rec, name, errs.New(errs.CodeUnknownColumn, "table %s has no such column", b.table.Name))
		}
		if row[p], err = b.value(b.table.Columns[p].Kind, cell); err != nil {
			return nil, 0, b.failed(rec, name, err)
		}
		size += len(cell.Text) + 16
	}
	for p, c := range b.table.Columns {
		if err := value.Check(c.Name, c.Kind, c.Nullable, b.maxBytes, row[p]); err != nil {
			return nil, 0, b.failed(rec, c.Name, err)
		}
	}
	return row, size, nil
}

func (b *binding) value(kind aedb.Type, cell Cell) (aedb.Value, error) {
	switch {
	case isNull(cell, b.null):
		return aedb.Null(), nil
	case cell.JSON:
		return value.ParseJSON(kind, []byte(cell.Text))
	}
	return value.Parse(kind, cell.Text)
}

// failed says where in the source a cell is that does not fit.
func (b *binding) failed(rec Record, column string, err error) error {
	return errs.Wrap(errs.CodeOf(err), err, "%s line %d, column %s", b.source, rec.Line, column).On(column)
}
