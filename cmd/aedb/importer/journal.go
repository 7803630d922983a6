package importer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/empyrealapp/aedb-go/errs"
)

// Journal is the record of an import's progress, which lets it be resumed: a text
// file whose first line says what is imported into where, and every other line is
// one batch on stable storage, as the numbers of its first and last row and its
// commit seq. A batch's line is written after its commit, so a row that the
// journal lacks may be in the store all the same: who resumes must upsert.
type Journal struct {
	file *os.File
	// done are the rows that are listed, ascending, with no two adjacent.
	done []span
	// last is the greatest commit seq listed.
	last uint64
}

// entry is a line of a journal: first row, last row, commit seq.
const entry = "%d %d %d"

// span is the rows from first to last.
type span struct{ first, last int }

// CreateJournal begins a journal. The title, one line, says what is imported into
// where. The file must not exist, or be empty.
func CreateJournal(path, title string) (*Journal, error) {
	return openJournal(path, title, false)
}

// ResumeJournal opens the journal of an import that was broken off, or begins one.
// A journal with another title is refused.
func ResumeJournal(path, title string) (*Journal, error) {
	return openJournal(path, title, true)
}

func openJournal(path, title string, resume bool) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return nil, errs.Wrap(errs.CodeValidation, err, "open the journal").On(path)
	}
	j := &Journal{file: file}
	if err := j.load(title, resume); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return j, nil
}

// load reads what is there and cuts off a line that was not finished. A file that
// is no journal of this import is left alone.
func (j *Journal) load(title string, resume bool) error {
	path := j.file.Name()
	content, err := io.ReadAll(j.file)
	if err != nil {
		return errs.Wrap(errs.CodeValidation, err, "read the journal").On(path)
	}
	if len(content) > 0 && !resume {
		return errs.New(errs.CodeValidation, "the journal %s exists already", path).On(path)
	}
	first, rest, begun := strings.Cut(string(content), "\n")
	if begun && first != title || !strings.HasPrefix(title, first) {
		return errs.New(errs.CodeValidation, "%s is not the journal of this import, which begins with %q", path, title).On(path)
	}
	for n := 2; ; n++ {
		line, more, whole := strings.Cut(rest, "\n")
		if !whole {
			break
		}
		rest = more
		var s span
		var seq uint64
		_, err := fmt.Sscanf(line, entry, &s.first, &s.last, &seq)
		if err != nil || s.first < 1 || s.last < s.first || line != fmt.Sprintf(entry, s.first, s.last, seq) {
			return errs.New(errs.CodeValidation, "line %d of the journal %s is not first row, last row and seq", n, path).On(path)
		}
		j.done = append(j.done, s)
		j.last = max(j.last, seq)
	}
	j.done = merge(j.done)
	if !begun {
		rest = first
	}
	if err := j.file.Truncate(int64(len(content) - len(rest))); err != nil {
		return errs.Wrap(errs.CodeValidation, err, "cut the journal back to its last whole line").On(path)
	}
	if !begun {
		return j.write("%s\n", title)
	}
	return nil
}

// merge sorts spans and joins those that touch or overlap.
func merge(spans []span) (out []span) {
	slices.SortFunc(spans, func(a, b span) int { return a.first - b.first })
	for _, s := range spans {
		if n := len(out); n > 0 && s.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, s.last)
			continue
		}
		out = append(out, s)
	}
	return out
}

// Covers reports whether a row was listed when the journal was opened.
func (j *Journal) Covers(row int) bool {
	_, found := slices.BinarySearchFunc(j.done, row, func(s span, row int) int {
		switch {
		case s.last < row:
			return -1
		case s.first > row:
			return 1
		}
		return 0
	})
	return found
}

// LastSeq returns the greatest commit seq that was listed when the journal was
// opened; 0 if none was.
func (j *Journal) LastSeq() uint64 { return j.last }

// Add enters a batch, which must be on stable storage. All rows in between that
// are not of the batch must be listed already, or not be wanted.
func (j *Journal) Add(first, last int, seq uint64) error {
	return j.write(entry+"\n", first, last, seq)
}

// write appends a line with one call, so that a process that is killed leaves it
// whole or not at all.
func (j *Journal) write(format string, args ...any) error {
	if _, err := fmt.Fprintf(j.file, format, args...); err != nil {
		return errs.Wrap(errs.CodeIO, err, "write the journal").On(j.file.Name())
	}
	return nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }
