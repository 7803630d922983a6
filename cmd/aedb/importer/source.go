package importer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/empyrealapp/aedb-go/errs"
)

// Format is how rows are written in a source.
type Format string

// Formats.
const (
	// Auto goes by the name of the file, else by its first line.
	Auto Format = "auto"
	// TSV is CSV with tabs in place of the commas.
	TSV Format = "tsv"
	// CSV has one row a line, the first of which names the columns. A field that
	// has commas, quotes or line breaks in it stands in double quotes.
	CSV Format = "csv"
	// JSONL has one JSON object a line, from column names to values.
	JSONL Format = "jsonl"
)

// Compression says whether a source is to be unpacked.
type Compression string

// Compressions.
const (
	// DetectGzip looks at the first bytes.
	DetectGzip Compression = "auto"
	// Gzip is a source packed by gzip, of one member or several.
	Gzip Compression = "yes"
	// Plain is a source taken as it is.
	Plain Compression = "no"
)

// Source is an open file of rows.
type Source struct {
	// Name of the file, for messages.
	Name string
	// Size is the number of bytes in the file; 0 if it cannot be known.
	Size int64
	// Format is never Auto.
	Format Format

	file *os.File // nil for a stream given by the caller
	read atomic.Int64
	data *bufio.Reader
}

// OpenSource opens a file, or takes stdin for the path "-".
func OpenSource(path string, stdin io.Reader, format Format, compression Compression) (*Source, error) {
	s := &Source{Name: path, Format: format}
	raw := stdin
	if path == "-" {
		s.Name = "standard input"
	} else {
		file, err := os.Open(path)
		if err != nil {
			return nil, errs.Wrap(errs.CodeValidation, err, "open the file to import").On(path)
		}
		s.file, raw = file, file
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			s.Size = info.Size()
		}
	}
	if err := s.unpack(raw, compression); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.Format == Auto {
		s.Format = s.detect(path)
	}
	return s, nil
}

// BytesRead returns how much of the file has been read, before unpacking. It may
// be called while the source is read.
func (s *Source) BytesRead() int64 { return s.read.Load() }

// Close closes the file.
func (s *Source) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

const lookAhead = 64 << 10

var (
	gzipMagic     = []byte{0x1f, 0x8b}
	byteOrderMark = []byte("\ufeff")
)

// unpack sets up data, the text of the source.
func (s *Source) unpack(raw io.Reader, compression Compression) error {
	packed := bufio.NewReaderSize(counted{raw, &s.read}, lookAhead)
	s.data = packed
	if compression == DetectGzip {
		compression = Plain
		if start, _ := packed.Peek(len(gzipMagic)); bytes.Equal(start, gzipMagic) {
			compression = Gzip
		}
	}
	if compression == Gzip {
		text, err := gzip.NewReader(packed)
		if err != nil {
			return errs.Wrap(errs.CodeValidation, err, "unpack %s", s.Name).On(s.Name)
		}
		s.data = bufio.NewReaderSize(text, lookAhead)
	}
	if start, _ := s.data.Peek(len(byteOrderMark)); bytes.Equal(start, byteOrderMark) {
		if _, err := s.data.Discard(len(byteOrderMark)); err != nil {
			return s.failed(err)
		}
	}
	return nil
}

// detect finds the format by the extension of the path, else by the first line.
func (s *Source) detect(path string) Format {
	name := strings.TrimSuffix(strings.ToLower(path), ".gz")
	switch filepath.Ext(name) {
	case ".tsv", ".tab":
		return TSV
	case ".csv":
		return CSV
	case ".jsonl", ".ndjson":
		return JSONL
	}
	start, _ := s.data.Peek(lookAhead)
	line, _, _ := bytes.Cut(start, []byte("\n"))
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")):
		return JSONL
	case bytes.ContainsRune(line, '\t'):
		return TSV
	}
	return CSV
}

// failed wraps an error of reading the file.
func (s *Source) failed(err error) error {
	return errs.Wrap(errs.CodeValidation, err, "read %s", s.Name).On(s.Name)
}

// counted counts the bytes that are read through it.
type counted struct {
	io.Reader
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}
