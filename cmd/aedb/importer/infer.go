package importer

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// SampleRows is how many rows at the beginning of a source the types of columns
// are inferred from.
const SampleRows = 1000

// Schema says what the caller knows of a table that is to be made from a source.
type Schema struct {
	// Header are the columns, in order; for JSONL, nil.
	Header []string
	// Types of columns, for those that are not to be inferred.
	Types map[string]aedb.Type
	// Nullable columns, besides those that are null in the sample.
	Nullable []string
	// Null is the text that stands for Null, nil if none does. JSON has its own.
	Null *string
}

// Columns returns the columns of a table that holds the sample. A type is inferred
// as the first of Boolean, Integer, Float, Text and Json that keeps every value as
// it is written: numbers as JSON has them, so that 007 is Text.
func (s Schema) Columns(sample []Record) ([]aedb.ColumnSpec, error) {
	names := slices.Clone(s.Header)
	if names == nil {
		for _, rec := range sample {
			for _, name := range rec.Columns {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	if len(names) == 0 {
		return nil, errs.New(errs.CodeValidation, "the source is empty: there is nothing to make columns of")
	}
	for name := range s.Types {
		if !slices.Contains(names, name) {
			return nil, unknown(name)
		}
	}
	for _, name := range s.Nullable {
		if !slices.Contains(names, name) {
			return nil, unknown(name)
		}
	}
	specs := make([]aedb.ColumnSpec, len(names))
	for i, name := range names {
		kind, null := s.infer(name, sample)
		if given, ok := s.Types[name]; ok {
			kind = given
		}
		specs[i] = aedb.ColumnSpec{Name: name, Kind: kind, Nullable: null || slices.Contains(s.Nullable, name)}
	}
	return specs, nil
}

func unknown(column string) error {
	return errs.New(errs.CodeUnknownColumn, "the source has no column %q", column).On(column)
}

// candidates is a set of types that a column may have.
type candidates uint8

const (
	maybeBoolean candidates = 1 << iota
	maybeInteger
	maybeFloat
	maybeText
	maybeJSON
)

// preference lists the types in the order in which they are chosen.
var preference = []struct {
	set  candidates
	kind aedb.Type
}{
	{maybeBoolean, aedb.TypeBoolean},
	{maybeInteger, aedb.TypeInteger},
	{maybeFloat, aedb.TypeFloat},
	{maybeText, aedb.TypeText},
	{maybeJSON, aedb.TypeJSON},
}

// infer returns the type of a column and whether it is null somewhere.
func (s Schema) infer(name string, sample []Record) (kind aedb.Type, null bool) {
	left, seen := ^candidates(0), false
	for _, rec := range sample {
		i := slices.Index(rec.Columns, name)
		if i < 0 || isNull(rec.Cells[i], s.Null) {
			null = true
			continue
		}
		seen = true
		left &= classify(rec.Cells[i])
	}
	if !seen {
		return aedb.TypeText, null
	}
	for _, p := range preference {
		if left&p.set != 0 {
			return p.kind, null
		}
	}
	return aedb.TypeJSON, null // unreachable: either Text or Json is always left
}

// isNull reports whether a cell stands for Null.
func isNull(c Cell, null *string) bool {
	if c.JSON {
		return c.Text == "null"
	}
	return null != nil && c.Text == *null
}

// classify returns the types that keep a cell as it is written.
func classify(c Cell) candidates {
	always := maybeText
	if c.JSON {
		always = maybeJSON
	}
	switch {
	case c.Text == "true" || c.Text == "false":
		return always | maybeBoolean
	case c.JSON && c.Text[0] == '"':
		return always | maybeText
	}
	return always | number(c.Text)
}

// decimal is a number as JSON writes it; the groups are its fraction and exponent.
var decimal = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// exactFloat is the magnitude up to which every whole number is a Float.
const exactFloat = 1 << 53

// number returns the types of number that a text fits.
func number(text string) candidates {
	parts := decimal.FindStringSubmatch(text)
	if parts == nil {
		return 0
	}
	if parts[1] == "" && parts[2] == "" {
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil || strconv.FormatInt(n, 10) != text:
			return 0
		case n < -exactFloat || n > exactFloat:
			return maybeInteger
		}
		return maybeInteger | maybeFloat
	}
	if _, err := value.Parse(aedb.TypeFloat, text); err != nil {
		return 0
	}
	return maybeFloat
}
