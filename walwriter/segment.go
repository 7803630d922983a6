package walwriter

import (
	"errors"
	"io/fs"
	"path"
	"sync"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// segmentFile is the file of a segment. The fsyncer syncs it whenever that is
// due, and the writer when it leaves it. Once a sync has failed no other is begun:
// the next might succeed without having written anything.
//
// Syncs that are under way at once are made by handles of their own. Each handle
// is told of data that was lost while it was open, also if another sync met the
// failure first, so whichever returns without an error vouches for all that was
// written before it began.
type segmentFile struct {
	vfs.File // what the writer writes to
	// idle are the handles that no sync is using. Who holds one may sync it.
	idle chan vfs.File

	mu      sync.Mutex
	failure error // of the first sync that failed; guarded by mu
}

// open opens a segment, by the given way, for as many syncs at once as may be.
func (s *Storage) open(name string, how func(string) (vfs.File, error)) (*segmentFile, error) {
	name = path.Join(s.Dir, name)
	first, err := how(name)
	if err != nil {
		return nil, err
	}
	handles := []vfs.File{first}
	for s.FS.ReportsApart() && len(handles) < s.Syncs {
		handle, err := s.FS.OpenReadWrite(name)
		if err != nil {
			return nil, errors.Join(err, closeAll(handles))
		}
		handles = append(handles, handle)
	}
	f := &segmentFile{File: first, idle: make(chan vfs.File, len(handles))}
	for _, handle := range handles {
		f.idle <- handle
	}
	return f, nil
}

// Sync implements msgs.File. It waits while as many syncs as may be are under way.
func (f *segmentFile) Sync() error {
	handle, open := <-f.idle
	if !open {
		return fs.ErrClosed
	}
	defer func() { f.idle <- handle }()
	if err := f.outcome(nil); err != nil {
		return err
	}
	var err error = errNoReturn // and so it stays if the call panics
	defer func() { _ = f.outcome(err) }()
	err = handle.Sync()
	return f.outcome(err)
}

// outcome takes note of the end of a sync, and returns the first failure there was.
func (f *segmentFile) outcome(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure == nil {
		f.failure = err
	}
	return f.failure
}

// failed reports whether a sync has failed.
func (f *segmentFile) failed() bool { return f.outcome(nil) != nil }

// Close implements msgs.File. It waits for the syncs that are under way.
func (f *segmentFile) Close() error {
	var handles []vfs.File
	for range cap(f.idle) {
		handle, open := <-f.idle
		if !open {
			return fs.ErrClosed
		}
		handles = append(handles, handle)
	}
	close(f.idle)
	return closeAll(handles)
}

func closeAll(handles []vfs.File) (err error) {
	for _, handle := range handles {
		err = errors.Join(err, handle.Close())
	}
	return err
}

var errNoReturn = errs.New(errs.CodeIO, "an earlier sync of the file did not come to an end")
