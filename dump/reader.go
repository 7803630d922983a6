package dump

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

// Read reads a dump to its end and returns the state, which has the digest that the
// header states.
//
// A dump that is cut short or changed, or whose state is another, is integrity_error;
// one that is none, or breaks the rules of the format, is decode; one of a newer version
// is unavailable. An error of in keeps its code, and is io if it has none. Errors name
// the line.
func Read(ctx context.Context, in io.Reader, progress Progress) (*state.Image, Header, error) {
	r := &reader{lines: newLines(in), ctx: ctx, progress: progress, working: state.NewWorking()}
	h, err := r.header()
	if err == nil {
		r.working.Begin(h.Seq, h.Micros)
		r.total = h.Entries
		err = r.spaces()
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, h, errs.FromContext(ctx, "read the dump")
		}
		return nil, h, errs.Wrap(errs.CodeOf(err), err, "line %d of the dump", r.lines.number)
	}
	image := r.working.Freeze()
	if digest := image.Digest(); hex.EncodeToString(digest[:]) != h.Digest || image.Entries() != h.Entries {
		return nil, h, errs.New(errs.CodeIntegrity, "the dump does not hold the state that its header states")
	}
	return image, h, nil
}

// ReadHeader reads the first line of a dump, which proves nothing of the rest.
func ReadHeader(in io.Reader) (Header, error) {
	return (&reader{lines: newLines(in)}).header()
}

type reader struct {
	lines    *lines
	ctx      context.Context // of one call of Read
	progress Progress
	working  *state.Working
	entries  int64
	total    int64 // as the header states it

	row  value.Row
	key  []byte
	data []byte
}

func (r *reader) header() (h Header, err error) {
	line, err := r.lines.next()
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(line, &h); err != nil || h.Format == 0 {
		return h, errs.New(errs.CodeDecode, "this is no dump")
	}
	if h.Format > Version {
		return h, errs.New(errs.CodeUnavailable, "the dump has version %d; this release reads up to %d", h.Format, Version)
	}
	return h, nil
}

func (r *reader) spaces() error {
	all, last := objectsOf(r.working.Catalog()), catalog.SpaceID(0)
	for {
		line, err := r.lines.next()
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(line, []byte(`{"space":`)) {
			return r.lines.end(line)
		}
		var s section
		if err := json.Unmarshal(line, &s); err != nil {
			return errs.New(errs.CodeDecode, "the line is not that of a space")
		}
		if s.Space <= last {
			return errs.New(errs.CodeDecode, "space %d stands behind space %d", s.Space, last)
		}
		last = s.Space
		tree, err := r.space(&s, all.of(s.Space).table)
		if err != nil {
			return err
		}
		r.working.LoadSpace(s.Space, tree)
		if s.Space == catalog.SpaceCatalog {
			if err := r.working.LoadCatalog(); err != nil {
				return errs.Wrap(errs.CodeDecode, err, "the schema cannot be read")
			}
			all = objectsOf(r.working.Catalog())
		}
	}
}

// space reads the entries of a space, which are rows if there is a table.
func (r *reader) space(s *section, t *catalog.Table) (*blocktree.Tree, error) {
	var b blocktree.Builder
	for range s.Entries {
		line, err := r.lines.next()
		if err != nil {
			return nil, err
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, errs.New(errs.CodeDecode, "the line is not that of an entry")
		}
		key, data, err := r.entry(&e, s.Space, t)
		if err != nil {
			return nil, err
		}
		if len(key) > blocktree.MaxKeySize {
			return nil, errs.Exceeded("key", "max_key_size", int64(len(key)), blocktree.MaxKeySize)
		}
		if !b.Append(key, data, e.At) {
			return nil, errs.New(errs.CodeDecode, "the keys of space %d do not ascend", s.Space)
		}
		if r.entries++; r.entries%progressEvery == 0 {
			if r.ctx.Err() != nil {
				return nil, r.ctx.Err()
			}
			if r.progress != nil {
				r.progress(r.entries, r.total)
			}
		}
	}
	return b.Finish(), nil
}

// entry returns the key and what is stored under it, good until the next call.
func (r *reader) entry(e *entry, space catalog.SpaceID, t *catalog.Table) (key, data []byte, err error) {
	switch {
	case e.Definition != nil && space == catalog.SpaceCatalog:
		stored, err := e.Definition.entry()
		return stored.Key, stored.Value, err
	case e.Row != nil && t != nil:
		return r.typed(e.Row, t)
	case e.Definition != nil || e.Row != nil || e.Key == nil:
		return nil, nil, errs.New(errs.CodeDecode, "the entry has no key")
	case e.Stored != nil:
		return e.Key, e.Stored, nil
	case e.Created != nil && e.Value != nil:
		return e.Key, record.AppendKV(nil, *e.Created, e.Value), nil
	}
	return nil, nil, errs.New(errs.CodeDecode, "the entry has no value")
}

func (r *reader) typed(cells []json.RawMessage, t *catalog.Table) (key, data []byte, err error) {
	if len(cells) != len(t.Columns) {
		return nil, nil, errs.New(errs.CodeDecode, "a row of %d cells in %s, which has %d columns", len(cells), t, len(t.Columns))
	}
	r.row = r.row[:0]
	for i, cell := range cells {
		v, err := value.ParseJSON(t.Columns[i].Kind, cell)
		if err != nil {
			return nil, nil, errs.Wrap(errs.CodeDecode, err, "the cell of %s in a row of %s", t.Columns[i].Name, t)
		}
		r.row = append(r.row, v)
	}
	r.key = record.AppendRowKeyOf(r.key[:0], t, r.row)
	r.data = record.AppendRow(r.data[:0], t, r.row)
	return r.key, r.data, nil
}

// lines reads a dump line by line and sums what it has read.
type lines struct {
	in     *bufio.Reader
	sum    *blake3.Hasher
	line   []byte
	number int64
}

func newLines(in io.Reader) *lines {
	return &lines{in: bufio.NewReaderSize(in, 64<<10), sum: blake3.New()}
}

var errCutShort = errs.New(errs.CodeIntegrity, "the dump is cut short")

// next returns the next line, good until the following call.
func (l *lines) next() ([]byte, error) {
	if l.number > 0 {
		_, _ = l.sum.Write(l.line) // it never fails
	}
	l.number++
	l.line = l.line[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		l.line = append(l.line, part...)
		switch {
		case err == nil:
			return l.line, nil
		case errors.Is(err, io.EOF):
			return nil, errCutShort
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, errs.Wrap(cmp.Or(errs.CodeOf(err), errs.CodeIO), err, "read the dump")
		case int64(len(l.line)) > MaxLineBytes:
			return nil, errs.Exceeded("line", "max_line_bytes", int64(len(l.line)), MaxLineBytes)
		}
	}
}

// end checks the last line, and that nothing follows it.
func (l *lines) end(line []byte) error {
	var t trailer
	if err := json.Unmarshal(line, &t); err != nil || t.Digest == "" {
		return errs.New(errs.CodeDecode, "the line is neither that of a space nor the last one")
	}
	if t.Lines != l.number-1 || t.Digest != hex.EncodeToString(l.sum.Sum(nil)) {
		return errs.New(errs.CodeIntegrity, "the dump has changed since it was written")
	}
	if _, err := l.in.ReadByte(); !errors.Is(err, io.EOF) {
		return errs.New(errs.CodeDecode, "something follows the last line")
	}
	return nil
}
