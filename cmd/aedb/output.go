package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// rowWriter writes the rows of a query in one format.
type rowWriter interface {
	begin(columns []query.Column) error
	row(row aedb.Row) error
	end() error
}

// delimitedWriter writes CSV and TSV, with Null as the empty field.
type delimitedWriter struct {
	out    *csv.Writer
	fields []string
}

func newDelimitedWriter(out io.Writer, comma rune) *delimitedWriter {
	w := &delimitedWriter{out: csv.NewWriter(out)}
	w.out.Comma = comma
	return w
}

func (w *delimitedWriter) begin(columns []query.Column) error {
	w.fields = make([]string, len(columns))
	for i, c := range columns {
		w.fields[i] = c.Name
	}
	return w.out.Write(w.fields)
}

func (w *delimitedWriter) row(row aedb.Row) error {
	for i, v := range row {
		w.fields[i] = ""
		if !v.IsNull() {
			w.fields[i] = v.String()
		}
	}
	return w.out.Write(w.fields)
}

func (w *delimitedWriter) end() error {
	w.out.Flush()
	return w.out.Error()
}

// jsonWriter writes JSON Lines: one object a row, its members in the order of the
// columns.
type jsonWriter struct {
	out   io.Writer
	names [][]byte // each as a JSON string and a colon
	line  []byte
}

func (w *jsonWriter) begin(columns []query.Column) error {
	for _, c := range columns {
		name, err := json.Marshal(c.Name)
		if err != nil {
			return err
		}
		w.names = append(w.names, append(name, ':'))
	}
	return nil
}

func (w *jsonWriter) row(row aedb.Row) error {
	w.line = append(w.line[:0], '{')
	for i, v := range row {
		if i > 0 {
			w.line = append(w.line, ',')
		}
		w.line = append(w.line, w.names[i]...)
		w.line = value.AppendJSON(w.line, v)
	}
	w.line = append(w.line, "}\n"...)
	_, err := w.out.Write(w.line)
	return err
}

func (w *jsonWriter) end() error { return nil }

// tableWriter writes a table for people, once all rows are there.
type tableWriter struct {
	out   io.Writer
	table table.Writer
	rows  int
}

func newTableWriter(out io.Writer) *tableWriter {
	return &tableWriter{out: out, table: plainTable()}
}

// plainTable returns an empty table in the style of all our output.
func plainTable() table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault // names of columns stay as they are
	return t
}

// maxCell is the width at which the text of a cell is broken.
const maxCell = 60

func (w *tableWriter) begin(columns []query.Column) error {
	header := make(table.Row, len(columns))
	configs := make([]table.ColumnConfig, len(columns))
	for i, c := range columns {
		header[i] = c.Name
		configs[i] = table.ColumnConfig{Number: i + 1, WidthMax: maxCell, AlignHeader: text.AlignLeft}
		if isNumber(c.Kind) {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
	}
	w.table.AppendHeader(header)
	w.table.SetColumnConfigs(configs)
	return nil
}

func (w *tableWriter) row(row aedb.Row) error {
	cells := make(table.Row, len(row))
	for i, v := range row {
		cells[i] = "NULL"
		if !v.IsNull() {
			cells[i] = v.String()
		}
	}
	w.table.AppendRow(cells)
	w.rows++
	return nil
}

func (w *tableWriter) end() error {
	_, err := fmt.Fprintf(w.out, "%s\n%d rows\n", w.table.Render(), w.rows)
	return err
}

func isNumber(kind aedb.Type) bool {
	switch kind {
	case aedb.TypeU8, aedb.TypeU64, aedb.TypeInteger, aedb.TypeU256, aedb.TypeI256, aedb.TypeFloat:
		return true
	}
	return false
}
