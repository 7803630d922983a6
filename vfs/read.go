package vfs

import (
	"errors"
	"fmt"
	"io"
)

// ReadFile returns the content of a file, at most limit bytes of it unless that is
// negative. What it allocates is bounded by the size of the file. Errors of the
// file system are wrapped.
func ReadFile(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("size of %s: %w", name, err)
	}
	if limit >= 0 {
		size = min(size, limit)
	}
	data := make([]byte, size)
	if n, err := f.ReadAt(data, 0); n < len(data) || err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%d of %d bytes of %s: %w", n, size, name, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return data, nil
}
