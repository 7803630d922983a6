package importer

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"slices"

	"github.com/empyrealapp/aedb-go/errs"
)

// Record is one row as it stands in a source: parallel slices of column names and
// cells.
type Record struct {
	// Row counts the rows of the source from 1, the header not included.
	Row int
	// Line is where the row begins, from 1.
	Line    int
	Columns []string
	Cells   []Cell
}

// Cell is one value as it stands in a source.
type Cell struct {
	Text string
	// JSON is whether Text is JSON, and not the value itself.
	JSON bool
}

// Records reads the rows of a source. It belongs to one goroutine.
type Records struct {
	read  func() (Record, error)
	ahead []Record
	rows  int
}

// NewRecords starts reading. Columns are the names in the header, nil in JSONL,
// which has none.
func NewRecords(s *Source) (r *Records, columns []string, err error) {
	if s.Format == JSONL {
		return &Records{read: jsonl(s)}, nil, nil
	}
	return delimited(s)
}

// Next returns the next row, and io.EOF after the last. Every other error tells
// the line.
func (r *Records) Next() (Record, error) {
	if len(r.ahead) > 0 {
		next := r.ahead[0]
		r.ahead = r.ahead[1:]
		return next, nil
	}
	rec, err := r.read()
	if err != nil {
		return Record{}, err
	}
	r.rows++
	rec.Row = r.rows
	return rec, nil
}

// Peek returns the next rows, at most n, which Next returns again.
func (r *Records) Peek(n int) ([]Record, error) {
	for len(r.ahead) < n {
		rec, err := r.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		r.rows++
		rec.Row = r.rows
		r.ahead = append(r.ahead, rec)
	}
	return r.ahead[:min(n, len(r.ahead))], nil
}

// delimited reads CSV and TSV.
func delimited(s *Source) (*Records, []string, error) {
	lines := csv.NewReader(s.data)
	if s.Format == TSV {
		lines.Comma = '\t'
	}
	header, err := lines.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, errs.New(errs.CodeValidation, "%s is empty: the first line must name the columns", s.Name).On(s.Name)
	}
	if err != nil {
		return nil, nil, malformed(s, err)
	}
	for i, name := range header {
		if slices.Contains(header[:i], name) {
			return nil, nil, errs.New(errs.CodeValidation, "%s names the column %q twice", s.Name, name).On(name)
		}
	}
	read := func() (Record, error) {
		fields, err := lines.Read()
		if err != nil {
			return Record{}, malformed(s, err)
		}
		line, _ := lines.FieldPos(0)
		rec := Record{Line: line, Columns: header, Cells: make([]Cell, len(fields))}
		for i, f := range fields {
			rec.Cells[i].Text = f
		}
		return rec, nil
	}
	return &Records{read: read}, header, nil
}

// malformed puts the errors of the csv package into our words; io.EOF stays.
func malformed(s *Source, err error) error {
	var syntax *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.As(err, &syntax):
		return errs.Wrap(errs.CodeValidation, syntax.Err, "%s line %d, byte %d", s.Name, syntax.Line, syntax.Column).On(s.Name)
	}
	return s.failed(err)
}

// jsonl reads JSON Lines. Empty lines are passed over.
func jsonl(s *Source) func() (Record, error) {
	line := 0
	return func() (Record, error) {
		for {
			text, err := s.data.ReadBytes('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return Record{}, s.failed(err)
			}
			line++
			if len(bytes.TrimSpace(text)) > 0 {
				rec, err := object(text)
				if err != nil {
					return Record{}, errs.Wrap(errs.CodeValidation, err, "%s line %d is not a JSON object", s.Name, line).On(s.Name)
				}
				rec.Line = line
				return rec, nil
			}
			if err != nil {
				return Record{}, io.EOF
			}
		}
	}
}

// object reads the members of one JSON object in their order.
func object(text []byte) (rec Record, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return Record{}, errors.Join(errors.New("it does not begin with {"), err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return Record{}, err
		}
		var member json.RawMessage
		if err := d.Decode(&member); err != nil {
			return Record{}, err
		}
		column, _ := name.(string) // the decoder admits nothing else here
		if slices.Contains(rec.Columns, column) {
			return Record{}, errs.New(errs.CodeValidation, "it has %q twice", column)
		}
		rec.Columns = append(rec.Columns, column)
		rec.Cells = append(rec.Cells, Cell{Text: string(member), JSON: true})
	}
	if _, err := d.Token(); err != nil {
		return Record{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Record{}, errors.New("something follows the object")
	}
	return rec, nil
}
