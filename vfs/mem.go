package vfs

import (
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

const (
	// maxFileSize bounds the page table of a file in memory.
	maxFileSize = 64 << 30
	// freeUnlimited is what Free returns without a capacity.
	freeUnlimited = 1 << 40
)

// Mem is a file system in memory that models durability: it knows what was
// synced, can lose power, and can fail calls. It is meant for tests and for
// stores that need not outlive the process. It is safe for concurrent use.
//
// Data is durable after File.Sync, an entry of a directory (a file created,
// renamed or removed) after FS.SyncDir of that directory; a directory is
// durable at once. Names are relative to one root: "a/b" and "/a/b" are the
// same file. There is no renaming or removing of directories.
type Mem struct {
	mu       sync.Mutex
	dead     bool
	dirs     map[string]struct{}
	live     map[string]*memFile // what names stand for
	durable  map[string]*memFile // what they would after a power loss
	journal  []change            // what leads from durable to live
	locks    map[string]struct{}
	capacity int64

	inject     Injector
	ops, reads int64
}

var _ FS = (*Mem)(nil)

// memFile is a file apart from its name: it outlives its removal while it is
// open, or while the removal is not durable.
type memFile struct {
	content content
	// failures counts the syncs that have failed, failure is the last of them.
	failures int
	failure  error
}

// root is the cleaned name of the root directory, and of no other.
const root = "."

// NewMem returns an empty file system of unlimited capacity.
func NewMem() *Mem {
	return &Mem{
		dirs:    map[string]struct{}{root: {}},
		live:    make(map[string]*memFile),
		durable: make(map[string]*memFile),
		locks:   make(map[string]struct{}),
	}
}

func cleanName(name string) string {
	return path.Clean(strings.TrimLeft(path.Clean("/"+name), "/"))
}

func (m *Mem) isDir(name string) bool {
	_, ok := m.dirs[name]
	return ok
}

// checkDir fails if name is not a directory.
func (m *Mem) checkDir(kind OpKind, name string) error {
	if m.isDir(name) {
		return nil
	}
	for at := name; at != root; at = path.Dir(at) {
		if m.live[at] != nil {
			return pathError(kind, name, syscall.ENOTDIR)
		}
	}
	return pathError(kind, name, fs.ErrNotExist)
}

// lookup returns the file of a name.
func (m *Mem) lookup(kind OpKind, name string) (*memFile, error) {
	if f := m.live[name]; f != nil {
		return f, nil
	}
	if m.isDir(name) {
		return nil, pathError(kind, name, syscall.EISDIR)
	}
	if err := m.checkDir(kind, path.Dir(name)); err != nil {
		return nil, err
	}
	return nil, pathError(kind, name, fs.ErrNotExist)
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = cleanName(name)
	if _, err := m.begin(OpCreate, name, 0, 0); err != nil {
		return nil, err
	}
	if m.live[name] != nil || m.isDir(name) {
		return nil, pathError(OpCreate, name, fs.ErrExist)
	}
	if err := m.checkDir(OpCreate, path.Dir(name)); err != nil {
		return nil, err
	}
	f := &memFile{}
	m.enter(link{name, f})
	return &memHandle{mem: m, file: f, name: name, writable: true}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

// OpenReadWrite implements FS.
func (m *Mem) OpenReadWrite(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, writable bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = cleanName(name)
	if _, err := m.begin(OpOpen, name, 0, 0); err != nil {
		return nil, err
	}
	f, err := m.lookup(OpOpen, name)
	if err != nil {
		return nil, err
	}
	return &memHandle{mem: m, file: f, name: name, writable: writable, told: f.failures}, nil
}

// ReportsApart implements FS.
func (m *Mem) ReportsApart() bool { return true }

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = cleanName(name)
	if _, err := m.begin(OpRemove, name, 0, 0); err != nil {
		return err
	}
	if _, err := m.lookup(OpRemove, name); err != nil {
		return err
	}
	m.enter(link{name, nil})
	return nil
}

// Rename implements FS. A rename between two directories is durable once either
// of them is synced.
func (m *Mem) Rename(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	oldname, newname = cleanName(oldname), cleanName(newname)
	if _, err := m.begin(OpRename, oldname, 0, 0); err != nil {
		return err
	}
	f, err := m.lookup(OpRename, oldname)
	if err != nil {
		return err
	}
	if m.isDir(newname) {
		return pathError(OpRename, newname, fs.ErrExist)
	}
	if err := m.checkDir(OpRename, path.Dir(newname)); err != nil {
		return err
	}
	if oldname != newname {
		m.enter(link{oldname, nil}, link{newname, f})
	}
	return nil
}

// List implements FS.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = cleanName(dir)
	if _, err := m.begin(OpList, dir, 0, 0); err != nil {
		return nil, err
	}
	if err := m.checkDir(OpList, dir); err != nil {
		return nil, err
	}
	names := []string{}
	for name := range m.live {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	for name := range m.dirs {
		if name != root && path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = cleanName(dir)
	if _, err := m.begin(OpMkdir, dir, 0, 0); err != nil {
		return err
	}
	return m.mkdirAll(dir)
}

func (m *Mem) mkdirAll(dir string) error {
	for at := dir; at != root; at = path.Dir(at) {
		if m.live[at] != nil {
			return pathError(OpMkdir, dir, syscall.ENOTDIR)
		}
	}
	for at := dir; at != root; at = path.Dir(at) {
		m.dirs[at] = struct{}{}
	}
	return nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = cleanName(dir)
	if _, err := m.begin(OpSyncDir, dir, 0, 0); err != nil {
		return err
	}
	if err := m.checkDir(OpSyncDir, dir); err != nil {
		return err
	}
	m.commit(dir)
	return nil
}

// Lock implements FS. A lock is held until its Close or until the power is lost.
func (m *Mem) Lock(name, owner string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = cleanName(name)
	if _, err := m.begin(OpLock, name, 0, 0); err != nil {
		return nil, err
	}
	if m.isDir(name) {
		return nil, pathError(OpLock, name, syscall.EISDIR)
	}
	if err := m.checkDir(OpLock, path.Dir(name)); err != nil {
		return nil, err
	}
	f := m.live[name]
	if _, held := m.locks[name]; held {
		e := &LockedError{Name: name}
		if f != nil {
			e.Owner = string(f.content.bytes())
		}
		return nil, e
	}
	if f == nil {
		f = &memFile{}
		m.enter(link{name, f})
	}
	f.content.truncate(0)
	f.content.writeAt([]byte(owner), 0)
	m.locks[name] = struct{}{}
	return &memLock{mem: m, file: f, name: name}, nil
}

// Free implements FS: what the capacity leaves, or a TiB without one.
func (m *Mem) Free(dir string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = cleanName(dir)
	if m.dead {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: ErrPowerLost}
	}
	if !m.isDir(dir) {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: fs.ErrNotExist}
	}
	if m.capacity == 0 {
		return freeUnlimited, nil
	}
	return m.room(), nil
}

// SetCapacity bounds the sum of the sizes of all files, in bytes: a write that
// would exceed it writes what fits and fails with syscall.ENOSPC, a truncate
// fails whole. A capacity of 0 is none.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = max(0, bytes)
}

// room returns by how much files may still grow.
func (m *Mem) room() int64 {
	if m.capacity == 0 {
		return math.MaxInt64
	}
	room := m.capacity
	for _, f := range m.live {
		room -= f.content.liveSize
	}
	return max(0, room)
}

// ReadFile returns what a reader would see of a file, in a new slice. Like
// WriteFile and Names it is for tests: it is not counted, does not fail by
// injection, and also works on a Mem that lost its power.
func (m *Mem) ReadFile(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.lookup(OpOpen, cleanName(name))
	if err != nil {
		return nil, err
	}
	return f.content.bytes(), nil
}

// WriteFile makes data the content of a file, creates it and its directories if
// need be, and syncs both the file and its directory.
func (m *Mem) WriteFile(name string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = cleanName(name)
	if m.isDir(name) {
		return pathError(OpCreate, name, syscall.EISDIR)
	}
	dir := path.Dir(name)
	if err := m.mkdirAll(dir); err != nil {
		return err
	}
	f := m.live[name]
	if f == nil {
		f = &memFile{}
		m.enter(link{name, f})
	}
	f.content.truncate(0)
	f.content.writeAt(data, 0)
	f.content.sync()
	m.commit(dir)
	return nil
}

// Names returns the names of all files, cleaned and without a leading slash,
// sorted.
func (m *Mem) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.live))
	for name := range m.live {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

type memLock struct {
	mem      *Mem
	file     *memFile
	name     string
	released bool
}

func (l *memLock) Close() error {
	l.mem.mu.Lock()
	defer l.mem.mu.Unlock()
	switch {
	case l.mem.dead:
		return pathError(OpLock, l.name, ErrPowerLost)
	case l.released:
		return pathError(OpLock, l.name, fs.ErrClosed)
	}
	l.released = true
	l.file.content.truncate(0)
	delete(l.mem.locks, l.name)
	return nil
}
