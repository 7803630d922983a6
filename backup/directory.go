package backup

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// copyBytes is the size of the pieces in which objects are copied.
const copyBytes = 256 << 10

// Directory is a Store in a directory: each object is a file of its name, mode
// 0600. It has no state, and several may work on one directory, also from several
// processes.
type Directory struct {
	fsys vfs.FS
	dir  string
}

// OpenDirectory returns the store in a directory, and makes that if it is not there.
// Its mode is 0700 from then on, whatever it was.
func OpenDirectory(fsys vfs.FS, dir string) (*Directory, error) {
	if dir == "" {
		return nil, errs.New(errs.CodeValidation, "the name of the directory is empty")
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, errs.Wrap(errs.CodeIO, err, "create the directory %s", dir).On(dir)
	}
	return &Directory{fsys, dir}, nil
}

// ReadDirectory returns the store in a directory that is there, and makes none: for
// reading, and for deleting.
func ReadDirectory(fsys vfs.FS, dir string) (*Directory, error) {
	if _, err := fsys.List(dir); err != nil {
		return nil, errs.Wrap(errs.CodeUnavailable, err, "there are no backups in %s", dir).On(dir)
	}
	return &Directory{fsys, dir}, nil
}

func (d *Directory) path(name string) string { return path.Join(d.dir, name) }

// Put implements Store: a temporary file is written, synced and renamed, and the
// directory synced. What an interrupted Put has left under its temporary name is
// listed as such, and replaced by the next one of the object.
func (d *Directory) Put(ctx context.Context, name string, in io.Reader) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if f, err := d.fsys.Open(d.path(name)); err == nil {
		return errs.Wrap(errs.CodeIO, errors.Join(fs.ErrExist, f.Close()), "put the object %s", name).On(name)
	}
	temp := d.path(name) + tempSuffix
	err := d.write(ctx, temp, in)
	if err == nil {
		err = d.fsys.Rename(temp, d.path(name))
	}
	if err == nil {
		err = d.fsys.SyncDir(d.dir)
	}
	if err != nil {
		_ = d.fsys.Remove(temp) // it means nothing, also if it stays
		return failed(err, "put the object %s", name).On(name)
	}
	return nil
}

// write makes what in yields the durable content of a new file.
func (d *Directory) write(ctx context.Context, name string, in io.Reader) error {
	if err := d.fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.fsys.Create(name)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(onlyWriter{io.NewOffsetWriter(f, 0)}, underContext(ctx, in), make([]byte, copyBytes))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// onlyWriter hides what else a writer can do.
type onlyWriter struct{ io.Writer }

// Get implements Store.
func (d *Directory) Get(_ context.Context, name string) (io.ReadCloser, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	f, err := d.fsys.Open(d.path(name))
	if err != nil {
		return nil, errs.Wrap(errs.CodeIO, err, "get the object %s", name).On(name)
	}
	size, err := f.Size()
	if err != nil {
		return nil, failed(errors.Join(err, f.Close()), "get the object %s", name).On(name)
	}
	return &fileReader{io.NewSectionReader(f, 0, size), f}, nil
}

// fileReader reads a file from its start.
type fileReader struct {
	*io.SectionReader
	file vfs.File
}

// Close implements io.Closer.
func (r *fileReader) Close() error { return r.file.Close() }

// List implements Store. Files whose name is none of an object, nor that of one with
// ".tmp" behind it, are passed over.
func (d *Directory) List(context.Context) ([]string, error) {
	names, err := d.fsys.List(d.dir)
	if err != nil {
		return nil, errs.Wrap(errs.CodeIO, err, "list the directory %s", d.dir).On(d.dir)
	}
	objects := names[:0]
	for _, name := range names {
		if CheckName(objectOf(name)) == nil {
			objects = append(objects, name)
		}
	}
	return objects, nil
}

// Delete implements Store.
func (d *Directory) Delete(_ context.Context, name string) error {
	if err := CheckName(objectOf(name)); err != nil {
		return err
	}
	err := d.fsys.Remove(d.path(name))
	if err == nil {
		err = d.fsys.SyncDir(d.dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errs.Wrap(errs.CodeIO, err, "delete the object %s", name).On(name)
	}
	return nil
}
