package backup

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
)

const (
	// partBytes is the size of the parts in which an object lies in an archive. The
	// format wants sizes before contents, and this much is held in memory to know
	// them.
	partBytes = 4 << 20
	// maxObjectBytes bounds an object that is read from an archive.
	maxObjectBytes = 1 << 40
)

// Archive writes backups as one stream: a tar file of their objects, in parts. It
// is a Sink, so that a backup can be taken right into it. Nothing is kept
// elsewhere on the way. It is not safe for concurrent use.
type Archive struct {
	tar    *tar.Writer
	sealed *keys.StreamWriter // nil if it is not sealed
	part   []byte
}

// NewArchive begins an archive. With a ring it is sealed whole under the current
// key; this is beside the sealing of single objects, and either is enough.
func NewArchive(out io.Writer, ring *keys.Ring) (*Archive, error) {
	a := &Archive{part: make([]byte, partBytes)}
	if ring.Current() != "" {
		sealed, err := keys.NewStreamWriter(out, ring)
		if err != nil {
			return nil, failed(err, "begin an archive")
		}
		a.sealed, out = sealed, sealed
	}
	a.tar = tar.NewWriter(out)
	return a, nil
}

// Put implements Sink. An object is there, for a reader, when Close has returned.
func (a *Archive) Put(ctx context.Context, name string, in io.Reader) error {
	if _, _, ok := backupOf(name); !ok {
		return errs.New(errs.CodeValidation, "%.200q is not an object of a backup", name)
	}
	in = underContext(ctx, in)
	for n := 1; ; n++ {
		size, err := io.ReadFull(in, a.part)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return failed(err, "archive %s", name).On(name)
		}
		if size == 0 && n > 1 {
			return nil
		}
		header := tar.Header{Typeflag: tar.TypeReg, Name: partName(name, n), Size: int64(size), Mode: 0o600, Format: tar.FormatPAX}
		err = a.tar.WriteHeader(&header)
		if err == nil {
			_, err = a.tar.Write(a.part[:size])
		}
		if err != nil {
			return failed(err, "archive %s", name).On(name)
		}
		if last {
			return nil
		}
	}
}

// Close writes the end of the archive. It does not close the writer beneath.
func (a *Archive) Close() error {
	err := a.tar.Close()
	if err == nil && a.sealed != nil {
		err = a.sealed.Close()
	}
	if err != nil {
		return failed(err, "end an archive")
	}
	return nil
}

func partName(object string, n int) string { return fmt.Sprintf("%s/%06d", object, n) }

// parsePart returns the object and the number in the name of a part, and false for
// every name that partName does not give to an object of a backup.
func parsePart(name string) (object string, n int, ok bool) {
	object, digits, _ := strings.Cut(name, "/")
	_, _, ok = backupOf(object)
	n, err := strconv.Atoi(digits)
	return object, n, ok && err == nil && n > 0 && partName(object, n) == name
}

// WriteArchive writes a chain of backups as an archive, sealed whole if
// Options.Seal. What is read is verified; after an error the archive is not whole.
func WriteArchive(ctx context.Context, from Store, chain Chain, out io.Writer, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	var ring *keys.Ring
	if o.Seal {
		ring = o.Keys
	}
	a, err := NewArchive(out, ring)
	if err != nil {
		return err
	}
	var done, total int64
	for i := range chain {
		total += chain[i].Bytes()
	}
	for i := range chain {
		m := &chain[i]
		for j := range m.Objects {
			object := &m.Objects[j]
			o.tell(CopyObjects, m.ID, done, total)
			err := readObject(ctx, from, o, false, object, func(in io.Reader) error {
				return a.Put(ctx, object.Name, io.LimitReader(in, object.Size))
			})
			if err != nil {
				return err
			}
			done += object.Size
		}
		if err := putManifest(ctx, a, m, o.Keys); err != nil {
			return err
		}
	}
	o.tell(CopyObjects, "", done, total)
	return a.Close()
}

// ReadArchive puts the objects of an archive into a store and returns the backups
// in it, in order. Their names are those they had, and none of them may be in the
// store yet. Restore and Verify check what they hold.
//
// It refuses, with errs.CodeIntegrity, whatever WriteArchive does not write: other
// names, links and directories, parts that are too large, out of order or missing,
// backups without a manifest, an archive without its end. After an error nothing that it has put is left in the
// store, as far as it can be deleted.
func ReadArchive(ctx context.Context, in io.Reader, into Store, o Options) (ids []string, err error) {
	buffered := bufio.NewReaderSize(underContext(ctx, in), copyBytes)
	start, err := buffered.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, failed(err, "read an archive")
	}
	err = open(buffered, o, keys.IsStream(start), func(content io.Reader) error {
		in := &endReader{in: content}
		r := archiveReader{in: in, tar: tar.NewReader(in), into: into, options: o}
		if err := r.read(ctx); err != nil {
			takeBack(ctx, into, r.names)
			return err
		}
		ids = r.ids
		return nil
	})
	if err != nil {
		return nil, failed(err, "read an archive")
	}
	return ids, nil
}

// archiveReader reads one archive.
type archiveReader struct {
	in      *endReader
	tar     *tar.Reader // of in
	into    Store
	options Options

	object string // of the part that the tar reader stands at, "" at the end
	part   int
	done   int64
	names  []string // put
	ids    []string // of the backups put
}

func (r *archiveReader) read(ctx context.Context) error {
	if err := r.next(); err != nil {
		return err
	}
	open := map[string]bool{} // backups whose manifest has not come
	for r.object != "" {
		name := r.object
		if r.part != 1 {
			return damaged(name, "%s begins with part %d", name, r.part)
		}
		r.names = append(r.names, name)
		if err := r.into.Put(ctx, name, &objectReader{archive: r, name: name}); err != nil {
			r.names = r.names[:len(r.names)-1] // it was there before, or is not there
			return failed(err, "put %s", name).On(name)
		}
		if r.object == name {
			return damaged(name, "the store took %s without reading all of it", name)
		}
		id, isManifest, _ := backupOf(name)
		open[id] = !isManifest
		if isManifest {
			r.ids = append(r.ids, id)
		}
		r.options.tell(CopyObjects, id, r.done, 0)
	}
	for id, unfinished := range open {
		if unfinished {
			return damaged(id, "the archive ends before the manifest of backup %s", id)
		}
	}
	if len(r.ids) == 0 {
		return errs.New(errs.CodeIntegrity, "there is no backup in the archive")
	}
	return nil
}

// endReader tells whether more was asked of a reader than it has.
type endReader struct {
	in    io.Reader
	ended bool
}

// Read implements io.Reader.
func (r *endReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.ended = r.ended || n == 0 && errors.Is(err, io.EOF)
	return n, err
}

// next goes on to the next part.
func (r *archiveReader) next() error {
	h, err := r.tar.Next()
	if errors.Is(err, io.EOF) && r.in.ended {
		// Package tar takes this for the end. The backups up to here may well make a chain,
		// which is not the one that was archived.
		return errs.New(errs.CodeIntegrity, "the archive is cut short: its end is missing")
	}
	if errors.Is(err, io.EOF) {
		r.object, r.part = "", 0
		return nil
	}
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errs.Wrap(errs.CodeIntegrity, err, "it is no archive, or is damaged")
	}
	if err != nil {
		return err
	}
	object, part, ok := parsePart(h.Name)
	switch {
	case !ok:
		return errs.New(errs.CodeIntegrity, "the entry %.200q is not part of a backup", h.Name)
	case h.Typeflag != tar.TypeReg:
		return errs.New(errs.CodeIntegrity, "the entry %s is of type %q, not a file", h.Name, h.Typeflag)
	case h.Size > partBytes:
		return errs.New(errs.CodeIntegrity, "the entry %s has %d bytes, more than %d", h.Name, h.Size, partBytes)
	}
	r.object, r.part = object, part
	return nil
}

// objectReader reads one object over all its parts, and leaves the archive at the
// first part of the next.
type objectReader struct {
	archive *archiveReader
	name    string
	n       int64
	err     error
}

// Read implements io.Reader.
func (o *objectReader) Read(p []byte) (int, error) {
	for o.err == nil {
		n, err := o.archive.tar.Read(p)
		o.n += int64(n)
		o.archive.done += int64(n)
		switch {
		case o.n > maxObjectBytes:
			o.err = damaged(o.name, "%s has more than %d bytes", o.name, int64(maxObjectBytes))
		case errors.Is(err, io.EOF):
			o.err = o.nextPart()
		case errors.Is(err, io.ErrUnexpectedEOF):
			o.err = errs.Wrap(errs.CodeIntegrity, err, "%s is cut short", o.name).On(o.name)
		default:
			o.err = err
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, o.err
}

// nextPart returns io.EOF behind the last part.
func (o *objectReader) nextPart() error {
	at := o.archive.part
	if err := o.archive.next(); err != nil {
		return err
	}
	switch {
	case o.archive.object != o.name:
		return io.EOF
	case o.archive.part != at+1:
		return damaged(o.name, "part %d of %s follows part %d", o.archive.part, o.name, at)
	}
	return nil
}
