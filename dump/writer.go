package dump

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"strconv"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

// Origin says where a state comes from.
type Origin struct {
	// Incarnation is the identity of the store.
	Incarnation string
	// Permissive is true if it was read in permissive recovery.
	Permissive bool
}

// Progress is called now and then with the number of entries done and of all, on the
// goroutine of the caller. It may be nil.
type Progress func(done, total int64)

// progressEvery is the number of entries between two calls of Progress, and between two
// looks at the context.
const progressEvery = 4096

// Write writes the state and returns the header. It reads the state twice: the digest
// comes first. Errors of out are io errors; the context is looked at now and then.
func Write(ctx context.Context, out io.Writer, image *state.Image, from Origin, progress Progress) (Header, error) {
	digest := image.Digest()
	h := Header{
		Format: Version, Seq: image.Seq(), Micros: image.Micros(),
		Incarnation: from.Incarnation, Digest: hex.EncodeToString(digest[:]),
		Entries: image.Entries(), Permissive: from.Permissive,
	}
	all := objectsOf(image.Catalog())
	for id, o := range all {
		switch o.kind {
		case kindKeys:
			h.Keys += image.Len(id)
		case kindRows:
			h.Tables++
			h.Rows += image.Len(id)
		}
	}
	sum := blake3.New()
	w := &writer{out: bufio.NewWriterSize(io.MultiWriter(out, sum), 64<<10), total: h.Entries, progress: progress}
	if err := w.json(h); err != nil {
		return h, err
	}
	for id, tree := range image.Spaces() {
		if err := w.space(ctx, id, all.of(id), tree); err != nil {
			return h, err
		}
	}
	if err := w.flush(); err != nil { // the digest is of what went through
		return h, err
	}
	if err := w.json(trailer{Lines: w.lines, Digest: hex.EncodeToString(sum.Sum(nil))}); err != nil {
		return h, err
	}
	return h, w.flush()
}

type writer struct {
	out      *bufio.Writer
	line     []byte // of the entry being written
	lines    int64
	entries  int64
	total    int64
	progress Progress

	row    value.Row
	parsed value.Row
	key    []byte
	data   []byte
}

func (w *writer) json(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return errs.Wrap(errs.CodeEncode, err, "encode a line of the dump")
	}
	return w.put(append(line, '\n'))
}

func (w *writer) put(line []byte) error {
	w.lines++
	if _, err := w.out.Write(line); err != nil {
		return errs.Wrap(errs.CodeIO, err, "write the dump")
	}
	return nil
}

func (w *writer) flush() error {
	if err := w.out.Flush(); err != nil {
		return errs.Wrap(errs.CodeIO, err, "write the dump")
	}
	return nil
}

func (w *writer) space(ctx context.Context, id catalog.SpaceID, o object, tree *blocktree.Tree) error {
	s := section{Space: id, Object: o.name, Kind: o.kind, Entries: tree.Len()}
	if o.table != nil {
		for _, c := range o.table.Columns {
			s.Columns = append(s.Columns, column{c.Name, c.Kind.String()})
		}
	}
	if err := w.json(s); err != nil {
		return err
	}
	c := tree.Cursor()
	for c.First(); c.Valid(); c.Next() {
		if err := w.put(w.entry(o, c.Key(), c.Value(), c.Version())); err != nil {
			return err
		}
		if w.entries++; w.entries%progressEvery == 0 {
			if ctx.Err() != nil {
				return errs.FromContext(ctx, "write the dump")
			}
			if w.progress != nil {
				w.progress(w.entries, w.total)
			}
		}
	}
	return nil
}

// entry returns the line of an entry, good until the next call.
func (w *writer) entry(o object, key, stored []byte, version uint64) []byte {
	w.line = append(w.line[:0], `{"at":`...)
	w.line = strconv.AppendUint(w.line, version, 10)
	switch o.kind {
	case kindSchema:
		if d, ok := define(key, stored); ok {
			begun := len(w.line)
			w.line = append(append(append(w.line, `,"definition":`...), d...), "}\n"...)
			if json.Valid(w.line) { // see typed
				return w.line
			}
			w.line = w.line[:begun]
		}
	case kindRows:
		if w.typed(o.table, key, stored) {
			return w.line
		}
	case kindKeys:
		created, payload, err := record.SplitKV(stored)
		if err == nil && bytes.Equal(record.AppendKV(nil, created, payload), stored) {
			w.line = append(w.line, `,"created":`...)
			w.line = strconv.AppendUint(w.line, created, 10)
			return w.bytes("value", key, payload)
		}
	}
	return w.bytes("stored", key, stored)
}

func (w *writer) bytes(name string, key, val []byte) []byte {
	w.line = append(w.line, `,"key":"`...)
	w.line = hex.AppendEncode(w.line, key)
	w.line = append(w.line, `","`...)
	w.line = append(w.line, name...)
	w.line = append(w.line, `":"`...)
	w.line = hex.AppendEncode(w.line, val)
	w.line = append(w.line, "\"}\n"...)
	return w.line
}

// typed adds a row as its cells, if the very same bytes come out of them again, and
// else leaves the line as it was.
func (w *writer) typed(t *catalog.Table, key, stored []byte) bool {
	begun := len(w.line)
	r := record.Row{Table: t, Key: key, Data: stored}
	w.row = r.Values(w.row[:0])
	w.parsed = w.parsed[:0]
	documents := false
	w.line = append(w.line, `,"row":[`...)
	for i, v := range w.row {
		if i > 0 {
			w.line = append(w.line, ',')
		}
		documents = documents || v.Kind() == value.KindJSON
		from := len(w.line)
		w.line = value.AppendJSON(w.line, v)
		back, err := value.ParseJSON(t.Columns[i].Kind, w.line[from:])
		if err != nil || bytes.IndexByte(w.line[from:], '\n') >= 0 {
			w.line = w.line[:begun]
			return false
		}
		w.parsed = append(w.parsed, back)
	}
	w.line = append(w.line, "]}\n"...)
	w.key = record.AppendRowKeyOf(w.key[:0], t, w.parsed)
	w.data = record.AppendRow(w.data[:0], t, w.parsed)
	// A document that is nested as deep as a reader goes is too deep within a line.
	if !bytes.Equal(w.key, key) || !bytes.Equal(w.data, stored) || documents && !json.Valid(w.line) {
		w.line = w.line[:begun]
		return false
	}
	return true
}
