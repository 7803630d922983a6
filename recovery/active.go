package recovery

import (
	"errors"
	"slices"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/wal"
	"github.com/empyrealapp/aedb-go/walwriter"
)

// Active is the last segment of the log where it was left to be gone on with.
type Active struct {
	// Segment goes on behind the last good frame.
	Segment *wal.Writer
	// Doubtful is the end of the segment, as far as it is not known to be on stable
	// storage. The commits in it are those above Recovered.Durable.
	Doubtful []byte
}

// OpenLog opens the log for writing. It creates the segment Next, or goes on with
// the Active one: then what is doubtful has been written again when it returns, but
// not been synced. The caller either syncs the log, which makes the recovered
// state durable, or begins with a durable head at Durable, which the first sync of
// the log moves.
//
// That is enough for a durable head to be true. A sync that failed in an earlier
// process may have left pages in the cache of the system that are marked as
// written and are not on the disk; no sync would write those. Frames say which
// commits had been synced when they were written: all bytes behind these have been
// made dirty again, so that a sync writes each one of them or fails.
func (r *Recovered) OpenLog(s walwriter.Storage) (*walwriter.Log, *wal.Writer, error) {
	if r.Active == nil {
		return s.CreateLog(r.Next)
	}
	log, err := s.ContinueLog(r.Active.Segment, r.Active.Doubtful)
	if err != nil {
		return nil, nil, err
	}
	return log, r.Active.Segment, nil
}

// tail follows the frames of the last segment to tell where the ones begin that
// are not known to be on stable storage.
type tail struct {
	durable uint64 // the last commit that is known to be
	frames  []frameEnd
}

// frameEnd is the place of a frame and its last commit.
type frameEnd struct {
	offset int
	seq    uint64
}

// add takes the next frame.
func (t *tail) add(f *wal.Frame) {
	t.durable = max(t.durable, f.Durable)
	t.frames = append(t.frames, frameEnd{f.Offset, f.Sets[len(f.Sets)-1].Seq})
	known := 0
	for known < len(t.frames) && t.frames[known].seq <= t.durable {
		known++
	}
	t.frames = t.frames[known:]
}

// begin returns the offset of the first frame that is in doubt, or else end.
func (t *tail) begin(end int) int {
	if len(t.frames) == 0 {
		return end
	}
	return t.frames[0].offset
}

// leaveActive decides whether a segment can be left to be gone on with, and does
// so. Not the one that a manifest to be written would have to list, nor one with
// anything but zeros behind its frames. Nor one that the base covers: behind a new
// one it need not be read again.
func (r *recoverer) leaveActive(s *scan) bool {
	h := &r.log
	if !r.Continue || r.rewrite || h.damage != nil || s.segment == nil || r.report.LastSeq < s.header.FirstSeq {
		return false
	}
	h.sealed = h.sealed[:len(h.sealed)-1]
	h.next = s.number
	r.active = &Active{Segment: s.segment, Doubtful: s.data[h.tail.begin(s.end.Offset):s.end.Offset]}
	return true
}

// settle makes a segment end, durably, where its good frames do. What is in doubt
// of them is written again first, in place: the same bytes, so that a crash on the
// way leaves them as they were or as they should be.
//
// A segment that ends there already is synced too: an opening that was interrupted may
// have cut it, and what it cut off must not come back behind what is going to be
// written.
func (r *recoverer) settle(s *scan) error {
	end := s.end.Offset
	from := end
	if s.last {
		from = r.log.tail.begin(end)
	}
	r.rewrite = r.rewrite || from < end || int64(end) < s.size
	f, err := r.FS.OpenReadWrite(r.path(s.name()))
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "open %s to settle its end", s.name()).On(s.name())
	}
	if from < end {
		_, err = f.WriteAt(s.data[from:end], int64(from))
	}
	if err == nil && int64(end) < s.size {
		err = f.Truncate(int64(end))
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errs.Wrap(errs.CodeIO, err, "settle the end of %s at %d", s.name(), end).On(s.name())
	}
	return nil
}

// secure makes durable what an opening that was interrupted may have left undone: a
// torn end that was cut off the segment, and the removal of an empty one behind it.
// Neither may come back behind what is going to be written. It says nothing about the
// frames: see Recovered.OpenLog.
func (r *recoverer) secure(s *scan) error {
	f, err := r.FS.OpenReadWrite(r.path(s.name()))
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "sync the end of %s", s.name()).On(s.name())
	}
	return r.syncDir()
}

// kept reports whether the bytes of a segment are needed after it was applied.
func (h *history) kept(s *scan) bool { return slices.Contains(h.unsettled, s) }
