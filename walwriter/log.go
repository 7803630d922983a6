package walwriter

import (
	"errors"
	"path"
	"sync"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// Log is the active segment as a file. It belongs to the writer's goroutine; the
// files it hands out are synced and closed by the fsyncer's.
type Log struct {
	fs     vfs.FS
	dir    string
	file   *segmentFile
	name   string
	offset int64
	// left is a sealed file that the fsyncer has not been told of yet.
	left *segmentFile
}

// segmentFile is the file of a segment. The fsyncer syncs it whenever that is
// due, and the writer when it leaves it. Once a sync has failed there is no other:
// the next might succeed without having written anything.
type segmentFile struct {
	vfs.File
	mu     sync.Mutex
	failed error
}

// Sync implements msgs.File.
func (f *segmentFile) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = f.File.Sync()
	}
	return f.failed
}

// CreateLog begins a segment: its header and its directory entry are on stable
// storage when it returns.
func CreateLog(fs vfs.FS, dir string, h wal.Header) (*Log, *wal.Writer, error) {
	segment, header, err := wal.NewWriter(h)
	if err != nil {
		return nil, nil, err
	}
	l := &Log{fs: fs, dir: dir}
	if err := l.begin(h.Number, header); err != nil {
		return nil, nil, err
	}
	return l, segment, nil
}

// Perform carries out a plan and returns what the fsyncer has to know.
func (l *Log) Perform(p *Plan) (*msgs.Written, error) {
	for _, a := range p.Actions {
		var err error
		if a.Begin == nil {
			err = l.append(p.Data(a))
		} else {
			err = l.rotate(a.Begin.Number, p.Data(a))
		}
		if err != nil {
			return nil, err
		}
	}
	out := &msgs.Written{LastSeq: p.LastSeq, Bytes: p.Bytes, MustSync: p.MustSync, Sealed: p.Sealed, File: l.file}
	if l.left != nil {
		out.Retired, l.left = l.left, nil
	}
	return out, nil
}

func (l *Log) append(data []byte) error {
	if _, err := l.file.WriteAt(data, l.offset); err != nil {
		return errs.Wrap(errs.CodeIO, err, "append %d bytes at %d to %s", len(data), l.offset, l.name).On(l.name)
	}
	l.offset += int64(len(data))
	return nil
}

// rotate leaves the active segment for a new one. The old segment may hold what
// the fsyncer has yet to wait for, and the fsyncer will sync the new file only: so
// the old one is synced here.
func (l *Log) rotate(number uint64, header []byte) error {
	old, name := l.file, l.name
	if err := old.Sync(); err != nil {
		return errs.Wrap(errs.CodeIO, err, "sync the sealed segment %s", name).On(name)
	}
	if err := l.begin(number, header); err != nil {
		return err
	}
	if l.left == nil {
		l.left = old // the fsyncer may be using it, and closes it
		return nil
	}
	if err := old.Close(); err != nil { // begun by this very plan: nobody else has it
		return errs.Wrap(errs.CodeIO, err, "close the sealed segment %s", name).On(name)
	}
	return nil
}

// begin makes a new file the active segment. If it fails, the active segment is
// what it was.
func (l *Log) begin(number uint64, header []byte) error {
	name := wal.SegmentName(number)
	file, err := l.fs.Create(path.Join(l.dir, name))
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "create the segment %s", name).On(name)
	}
	next := Log{fs: l.fs, dir: l.dir, file: &segmentFile{File: file}, name: name, left: l.left}
	if err := next.settle(header); err != nil {
		_ = file.Close() // the store is broken already; nothing follows from this
		return err
	}
	*l = next
	return nil
}

// settle makes the header and the name of a new segment durable.
func (l *Log) settle(header []byte) error {
	if err := l.append(header); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return errs.Wrap(errs.CodeIO, err, "sync the header of %s", l.name).On(l.name)
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return errs.Wrap(errs.CodeIO, err, "sync the directory of %s", l.name).On(l.name)
	}
	return nil
}

// File returns the file of the active segment.
func (l *Log) File() msgs.File { return l.file }

// Close closes what the fsyncer was not given to close: the active segment, and a
// sealed one after a failure. Nobody may be using their files.
func (l *Log) Close() error {
	err := l.file.Close()
	if l.left != nil {
		err = errors.Join(err, l.left.Close())
	}
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "close the segment %s", l.name).On(l.name)
	}
	return nil
}
