package backup

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/empyrealapp/aedb-go/errs"
)

// Memory is a Store in memory. The zero value is empty and ready for use.
type Memory struct {
	mu      sync.Mutex
	objects map[string][]byte // never modified
}

// Put implements Store.
func (m *Memory) Put(ctx context.Context, name string, in io.Reader) error {
	if err := CheckName(name); err != nil {
		return err
	}
	content, err := io.ReadAll(underContext(ctx, in))
	if err != nil {
		return failed(err, "put the object %s", name).On(name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.objects[name]; taken {
		return errs.Wrap(errs.CodeIO, fs.ErrExist, "put the object %s", name).On(name)
	}
	if m.objects == nil {
		m.objects = map[string][]byte{}
	}
	m.objects[name] = content
	return nil
}

// Get implements Store.
func (m *Memory) Get(_ context.Context, name string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	content, ok := m.objects[name]
	if !ok {
		return nil, errs.Wrap(errs.CodeIO, fs.ErrNotExist, "get the object %s", name).On(name)
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

// List implements Store.
func (m *Memory) List(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.objects)), nil
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, name)
	return nil
}

// contextReader fails when its context has ended.
type contextReader struct {
	ctx context.Context
	in  io.Reader
}

func underContext(ctx context.Context, in io.Reader) io.Reader { return contextReader{ctx, in} }

// Read implements io.Reader.
func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, errs.FromContext(r.ctx, "copy an object")
	}
	return r.in.Read(p)
}
