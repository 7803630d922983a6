package vfs

import (
	"errors"
	"io/fs"
)

// ErrPowerLost is what every call on a Mem and on its files fails with after
// the power was lost.
var ErrPowerLost = errors.New("power lost")

// OpKind names a call on a Mem or on one of its files.
type OpKind uint8

// Kinds of calls. Those before OpOpen change something or make it durable, and
// Ops counts them; the others only look, and Reads counts them. Size, Free and
// Close are neither counted nor made to fail.
const (
	OpCreate OpKind = iota
	OpWrite
	OpSync
	OpTruncate
	OpRename
	OpRemove
	OpMkdir
	OpSyncDir
	OpLock
	OpOpen
	OpRead
	OpList
)

var opNames = [...]string{
	OpCreate: "create", OpWrite: "write", OpSync: "sync", OpTruncate: "truncate",
	OpRename: "rename", OpRemove: "remove", OpMkdir: "mkdir", OpSyncDir: "syncdir",
	OpLock: "lock", OpOpen: "open", OpRead: "read", OpList: "list",
}

// String returns the name of the call in lower case.
func (k OpKind) String() string {
	if int(k) < len(opNames) {
		return opNames[k]
	}
	return "unknown"
}

// Mutates reports whether the call changes something or makes it durable.
func (k OpKind) Mutates() bool { return k < OpOpen }

// Op is one call, told to an Injector before it has any effect.
type Op struct {
	Kind OpKind
	// Name is the file or directory, cleaned and without a leading slash; of a
	// rename the old name.
	Name string
	// N is the ordinal of the call, from 1, among those that change something
	// or among those that only look (see OpKind). It is what Ops or Reads
	// return after it.
	N int64
	// Offset and Size are those of a read or a write, in bytes; Size is also
	// the new size of a truncate.
	Offset, Size int64
}

// Fault is what becomes of a call. The zero value lets it happen.
type Fault struct {
	// Err, if not nil, makes the call fail with it, wrapped in *fs.PathError,
	// and without any effect but those that follow.
	Err error
	// Short is how many bytes a write that fails has written nevertheless.
	Short int
	// DropUnsynced makes a sync that fails forget the unsynced data of its
	// file: it stays readable, but later syncs succeed without writing it, and
	// a power loss loses it. This is what Linux does after EIO.
	DropUnsynced bool
	// CrashNow loses the power before the call: it and all that follow fail
	// with ErrPowerLost. Crash or Clone then give what is left.
	CrashNow bool
}

// Injector decides what becomes of a call. Calls come one at a time; it must
// not call the Mem.
type Injector func(Op) Fault

// begin counts a call and lets the injector have its say. An error is what the
// call has to return; the Fault says what a write or a sync still does before
// that. It needs m.mu.
func (m *Mem) begin(kind OpKind, name string, off, size int64) (Fault, error) {
	if m.dead {
		return Fault{}, pathError(kind, name, ErrPowerLost)
	}
	count := &m.ops
	if !kind.Mutates() {
		count = &m.reads
	}
	*count++
	if m.inject == nil {
		return Fault{}, nil
	}
	fault := m.inject(Op{Kind: kind, Name: name, N: *count, Offset: off, Size: size})
	switch {
	case fault.CrashNow:
		m.dead = true
		return Fault{}, pathError(kind, name, ErrPowerLost)
	case fault.Err != nil:
		return fault, pathError(kind, name, fault.Err)
	}
	return Fault{}, nil
}

func pathError(kind OpKind, name string, err error) error {
	return &fs.PathError{Op: kind.String(), Path: name, Err: err}
}

// SetInjector has f decide what becomes of every call from now on; nil lets
// them all happen.
func (m *Mem) SetInjector(f Injector) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inject = f
}

// Ops returns the number of calls that changed something or made it durable,
// also of those that failed.
func (m *Mem) Ops() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// Reads returns the number of opens, reads and listings, also of those that
// failed.
func (m *Mem) Reads() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads
}
