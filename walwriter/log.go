package walwriter

import (
	"errors"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// Storage says where the segments of a log are kept and how their files grow.
type Storage struct {
	FS  vfs.FS
	Dir string
	// Prezero is how many bytes of zeros are written ahead of the frames, so that
	// a sync finds the size and the blocks of the file settled and has only the
	// data to write. The sync that comes after the zeros pays for them. 0 lets the
	// file grow with each write, which is cheaper where syncs are rare.
	Prezero int64
	// SegmentBytes is the size at which segments are sealed: no zeros are written
	// beyond it. 0 stands for no limit.
	SegmentBytes int64
	// Syncs is how many syncs of a segment may be under way at once; 0 stands for
	// 1. It is 1 on a file system that does not report apart.
	Syncs int
	// Sealing says how the segments that are begun are sealed.
	Sealing keys.Sealing
}

// Log is the active segment as a file. It belongs to the writer's goroutine; the
// files it hands out are synced and closed by the fsyncer's.
type Log struct {
	storage Storage
	file    *segmentFile
	name    string
	offset  int64 // where the next frame goes
	// zeroed is where the zeros behind the frames end. It is at offset or below it
	// where there are none.
	zeroed int64
	// appending is true if zeros could not be written ahead in this segment.
	appending bool
	// interrupted is true while a plan is performed, and after one has failed.
	interrupted bool
	// left is a sealed file that the fsyncer has not been told of yet.
	left *segmentFile
}

// CreateLog begins a segment: its header and its directory entry are on stable
// storage when it returns.
func (s Storage) CreateLog(h wal.Header) (*Log, *wal.Writer, error) {
	segment, header, err := wal.NewSealedWriter(h, s.Sealing)
	if err != nil {
		return nil, nil, err
	}
	l := &Log{storage: s}
	if err := l.begin(h.Number, header); err != nil {
		return nil, nil, err
	}
	return l, segment, nil
}

// ContinueLog goes on with the segment that an earlier process has left, as the
// writer from wal.ContinueWriter says: the next frame goes to segment.Size().
//
// What lies behind that offset must be zeros, durably: this cuts it off, but the
// cut is not durable before the next sync, and until then a power cut may bring it
// back behind new frames. A torn tail has to be cut, and the cut synced, before.
//
// The doubtful bytes are the end of the segment as it was read, as far as it is
// not known to be on stable storage. A process that was killed, or whose sync has
// failed, may have left them in the cache of the system marked as written though
// they are not, so that no sync would write them. They are written again in place
// and are as unsynced as a fresh write when this returns: the fsyncer has to learn
// of them, by a msgs.Written with their number in Bytes and the last commit of the
// segment, before it calls any of their commits durable.
func (s Storage) ContinueLog(segment *wal.Writer, doubtful []byte) (*Log, error) {
	name, end := wal.SegmentName(segment.Header().Number), segment.Size()
	file, err := s.open(name, s.FS.OpenReadWrite)
	if err != nil {
		return nil, errs.Wrap(errs.CodeIO, err, "open the segment %s", name).On(name)
	}
	l := &Log{storage: s, file: file, name: name, offset: end - int64(len(doubtful))}
	if err := l.resume(doubtful, end); err != nil {
		_ = file.Close() // the error before says more
		return nil, err
	}
	return l, nil
}

// resume makes the file end behind the doubtful bytes, which it writes again.
func (l *Log) resume(doubtful []byte, end int64) error {
	size, err := l.file.Size()
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "get the size of %s", l.name).On(l.name)
	}
	if size < end || l.offset < wal.HeaderSize {
		return errs.New(errs.CodeIO, "the segment %s has %d bytes and cannot be continued at %d", l.name, size, end).On(l.name)
	}
	if size > end {
		if err := l.file.Truncate(end); err != nil {
			return errs.Wrap(errs.CodeIO, err, "cut the segment %s to %d bytes", l.name, end).On(l.name)
		}
	}
	if len(doubtful) == 0 {
		return nil
	}
	return l.write(doubtful)
}

// Perform carries out a plan and returns what the fsyncer has to know.
func (l *Log) Perform(p *Plan) (*msgs.Written, error) {
	l.interrupted = true
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
	l.interrupted = false
	out := &p.pack().written
	*out = msgs.Written{LastSeq: p.LastSeq, Bytes: p.Bytes, MustSync: p.MustSync, Sealed: p.Sealed, File: l.file}
	if l.left != nil {
		out.Retired, l.left = l.left, nil
	}
	return out, nil
}

// leastUses is how many writes zeros have to serve. Writes so large that these
// would soon be used up go without: the disk would take everything twice, and too
// many syncs would be those that pay for zeros.
const leastUses = 64

// append writes data behind the frames, and zeros behind the data where none are
// left.
func (l *Log) append(data []byte) error {
	if err := l.write(data); err != nil {
		return err
	}
	if l.offset >= l.zeroed && int64(len(data)) < l.storage.Prezero/leastUses && !l.appending {
		l.prezero()
	}
	return nil
}

func (l *Log) write(data []byte) error {
	if _, err := l.file.WriteAt(data, l.offset); err != nil {
		return errs.Wrap(errs.CodeIO, err, "append %d bytes at %d to %s", len(data), l.offset, l.name).On(l.name)
	}
	l.offset += int64(len(data))
	return nil
}

// zeros is one page. A system may keep in its cache, and count as written when one
// byte of it changes, units as large as the writes that made them: so zeros are
// written page by page.
var zeros [4 << 10]byte

// prezero writes zeros ahead of the frames. They say nothing, so failing to write
// them fails nothing: the rest of the segment is appended to the file, and if the
// disk has no room for the frames either, or is broken, their write tells.
func (l *Log) prezero() {
	end := l.offset + l.storage.Prezero
	if limit := l.storage.SegmentBytes; limit > 0 {
		end = min(end, limit)
	}
	for l.zeroed = l.offset; l.zeroed < end; {
		page := int64(len(zeros))
		n, err := l.file.WriteAt(zeros[:min(page-l.zeroed%page, end-l.zeroed)], l.zeroed)
		l.zeroed += int64(n)
		if err != nil {
			l.appending = true
			return
		}
	}
}

// cut takes away the zeros behind the frames. That is durable after the next sync;
// until then either end is a clean one.
func (l *Log) cut() error {
	if l.zeroed <= l.offset {
		return nil
	}
	if err := l.file.Truncate(l.offset); err != nil {
		return errs.Wrap(errs.CodeIO, err, "cut the segment %s to %d bytes", l.name, l.offset).On(l.name)
	}
	l.zeroed = l.offset
	return nil
}

// rotate leaves the active segment for a new one. The old segment may hold what
// the fsyncer has yet to wait for, and the fsyncer will sync the new file only: so
// the old one is synced here. With that sync its size is settled too, before there
// is a successor or a manifest that states it.
func (l *Log) rotate(number uint64, header []byte) error {
	old, name := l.file, l.name
	if err := l.cut(); err != nil {
		return err
	}
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
	file, err := l.storage.open(name, l.storage.FS.Create)
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "create the segment %s", name).On(name)
	}
	next := Log{storage: l.storage, file: file, name: name, left: l.left}
	if err := next.settle(header); err != nil {
		_ = file.Close() // the store is broken already; nothing follows from this
		return err
	}
	*l = next
	return nil
}

// settle makes the header and the name of a new segment durable, and the zeros
// that are written ahead.
func (l *Log) settle(header []byte) error {
	if err := l.append(header); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return errs.Wrap(errs.CodeIO, err, "sync the header of %s", l.name).On(l.name)
	}
	if err := l.storage.FS.SyncDir(l.storage.Dir); err != nil {
		return errs.Wrap(errs.CodeIO, err, "sync the directory of %s", l.name).On(l.name)
	}
	return nil
}

// File returns the file of the active segment.
func (l *Log) File() msgs.File { return l.file }

// Close ends the log. It cuts the active segment to its size, durably, unless a
// plan or a sync of it has failed, and closes what the fsyncer was not given to
// close: that segment, and a sealed one after a failure. Nobody may be using their
// files. An error harms nothing that is durable.
func (l *Log) Close() error {
	err := errors.Join(l.finish(), l.file.Close())
	if l.left != nil {
		err = errors.Join(err, l.left.Close())
	}
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "close the segment %s", l.name).On(l.name)
	}
	return nil
}

// finish makes the segment end where its frames do.
func (l *Log) finish() error {
	if l.zeroed <= l.offset || l.interrupted || l.file.failed() {
		return nil
	}
	if err := l.cut(); err != nil {
		return err
	}
	return l.file.Sync()
}
