package follower

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// Damage is a place in the log that cannot be read, and that no crash and no writer
// can have left. It is the cause of a recovery_integrity error, for errors.As.
type Damage struct {
	// File is the base name of the segment, Offset where in it.
	File   string
	Offset int64
	Reason error
}

// Error implements error.
func (d *Damage) Error() string {
	return fmt.Sprintf("%s at offset %d: %v", d.File, d.Offset, d.Reason)
}

// Unwrap returns the reason.
func (d *Damage) Unwrap() error { return d.Reason }

// replica is a state with the place in the log that it has come to.
type replica struct {
	fsys        vfs.FS
	dir         string
	ring        *keys.Ring // nil for a store without keys
	manifest    manifest.Manifest
	incarnation manifest.Incarnation
	promised    uint64 // what the manifest says was durable
	active      uint64 // the first segment that may follow, if there is none yet
	last        uint64 // the newest segment when the replica was made

	working *state.Working
	spoiled bool   // a commit was applied in part
	schema  bool   // the catalog has changed since the last freeze
	number  uint64 // the segment being read; 0 before there is one
	place   wal.Place
	begun   bool // place is set
	judged  int  // the offset at which the tail of the segment was judged

	durable      uint64 // the last commit known to be durable
	checkpoint   *state.Image
	image        *state.Image
	durableImage *state.Image
	candidate    *state.Image // shown before, and not known to be durable then
}

// loadReplica returns the replica of the newest checkpoint.
func loadReplica(ctx context.Context, o recovery.Options) (*replica, error) {
	start, err := recovery.Look(ctx, o)
	if err != nil {
		return nil, err
	}
	r := &replica{
		fsys: o.FS, dir: o.Dir, ring: o.Sealing.Ring, manifest: start.Manifest,
		incarnation: start.Manifest.Incarnation,
		promised:    start.Manifest.DurableSeq, active: max(1, start.Manifest.ActiveSegment),
		working: start.Working, judged: -1, durable: max(start.Manifest.DurableSeq, start.Working.Seq()),
	}
	if n := len(start.Segments); n > 0 {
		r.number, r.last = start.Segments[0], start.Segments[n-1]
	}
	r.image = r.working.Freeze()
	r.durableImage, r.candidate = r.image, r.image
	if start.Report.CheckpointFile != "" {
		r.checkpoint = r.image
	}
	return r, nil
}

// follow reads the log to its present end.
func (r *replica) follow(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return errs.FromContext(ctx, "following the log")
		}
		if on, err := r.readSegment(); err != nil || !on {
			return err
		}
	}
}

// readSegment reads the segment as far as it goes, and tells whether there is
// another one to go on with.
func (r *replica) readSegment() (on bool, err error) {
	if r.number == 0 {
		if err := r.findSegment(); err != nil || r.number == 0 {
			return false, err
		}
	}
	f, err := r.fsys.Open(r.path(r.number))
	if err != nil {
		return false, errs.Wrap(errs.CodeIO, err, "open %s", wal.SegmentName(r.number)).On(wal.SegmentName(r.number))
	}
	defer f.Close() // it is only read
	if on, err := r.enter(f); err != nil || !on {
		return false, err
	}
	more, err := r.read(f)
	if err != nil {
		return false, err
	}
	next, err := r.peek(r.number + 1)
	if err != nil {
		return false, err
	}
	if next == nil {
		return false, r.judge(f, more)
	}
	// The next segment was begun when this one was whole, and on stable storage.
	if _, err := r.read(f); err != nil {
		return false, err
	}
	if r.place.NextSeq != next.NextSeq {
		return false, r.damage(errs.New(errs.CodeDecode, "the frames end at commit %d; the next segment begins with %d", r.place.NextSeq-1, next.NextSeq))
	}
	r.number, r.place, r.judged = r.number+1, *next, -1
	r.durable = max(r.durable, next.NextSeq-1)
	return true, nil
}

// findSegment finds the first segment of a log that had none.
func (r *replica) findSegment() error {
	numbers, err := wal.ListSegments(r.fsys, r.dir)
	for _, n := range numbers {
		if n >= r.active {
			r.number = n
			break
		}
	}
	return err
}

// enter makes sure that a file is the segment that the place is in, or begins with
// it. It returns false for a segment that is only being made.
func (r *replica) enter(f vfs.File) (bool, error) {
	p, err := r.begin(f, r.number)
	switch {
	case err != nil:
		return false, err
	case p == nil:
		return false, nil
	case r.begun && !r.place.SameSegment(p) && r.place.Offset == p.Offset && r.place.NextSeq == p.NextSeq:
		// Opening the store has begun anew what had no frames, and none of it was read.
		r.place, r.judged = *p, -1
	case r.begun && !r.place.SameSegment(p):
		return false, r.damage(errs.New(errs.CodeDecode, "another segment has taken its place"))
	case !r.begun && p.NextSeq > r.working.Seq()+1:
		r.place = *p
		return false, r.damage(errs.New(errs.CodeDecode, "the log begins with commit %d, and commit %d is the last before it", p.NextSeq, r.working.Seq()))
	case !r.begun:
		r.place, r.begun = *p, true
	}
	size, err := f.Size()
	if err != nil {
		return false, errs.Wrap(errs.CodeIO, err, "size of %s", wal.SegmentName(r.number))
	}
	if size < int64(r.place.Offset) {
		return false, r.damage(errs.New(errs.CodeDecode, "the segment has been cut to %d bytes", size))
	}
	return true, nil
}

// begin returns the place behind the header of a segment, nil if there is no header
// yet.
func (r *replica) begin(f vfs.File, number uint64) (*wal.Place, error) {
	head := make([]byte, wal.HeaderSize+wal.SealSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errs.Wrap(errs.CodeIO, err, "read the header of %s", wal.SegmentName(number))
	}
	p, err := wal.BeginSealed(head[:n], r.ring)
	if errs.CodeOf(err) == errs.CodeDecode {
		size, sizeErr := f.Size()
		if sizeErr == nil && (size <= wal.HeaderSize || r.ring != nil && size <= wal.HeaderSize+wal.SealSize) {
			return nil, nil
		}
		data, readErr := vfs.ReadFile(r.fsys, r.path(number), -1)
		if readErr == nil && (wal.NeverWritten(data) || r.ring != nil && wal.NeverSealed(data)) {
			return nil, nil
		}
	}
	if err == nil {
		h := p.Header()
		switch {
		case h.Number != number:
			err = errs.New(errs.CodeDecode, "its header says segment %d", h.Number)
		case h.Incarnation != r.incarnation:
			err = errs.New(errs.CodeDecode, "it is of another store, %s", manifest.Incarnation(h.Incarnation))
		}
	}
	if err == nil && r.ring != nil && !p.Sealed() {
		// From before the store had keys: the manifest has to vouch for it.
		data, readErr := vfs.ReadFile(r.fsys, r.path(number), -1)
		if err = readErr; err == nil && !r.manifest.Vouches(number, data) {
			err = errs.New(errs.CodeIntegrity, "%s is not sealed, and the manifest does not list it", wal.SegmentName(number)).On(wal.SegmentName(number))
		}
	}
	if errs.CodeOf(err) == errs.CodeDecode {
		return nil, damaged(number, 0, err)
	}
	return &p, err
}

// peek returns the place behind the header of a segment, nil if the segment has not
// been begun.
func (r *replica) peek(number uint64) (*wal.Place, error) {
	f, err := r.fsys.Open(r.path(number))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errs.Wrap(errs.CodeIO, err, "open %s", wal.SegmentName(number)).On(wal.SegmentName(number))
	}
	defer f.Close() // it is only read
	return r.begin(f, number)
}

// read applies the frames that are there.
func (r *replica) read(f vfs.File) (more bool, err error) {
	more, err = r.place.Read(f, r.apply)
	if errs.CodeOf(err) == errs.CodeDecode {
		err = r.damage(err)
	}
	return more, err
}

// judge looks at what follows the last whole frame of the last segment: once per
// place, and behind zeros only the first time, as no writer leaves any in front of a
// frame.
func (r *replica) judge(f vfs.File, more bool) error {
	if r.judged == r.place.Offset || r.judged >= 0 && !more {
		return nil
	}
	for {
		from := r.place.Offset
		end, err := r.place.Judge(f, r.apply)
		if errs.CodeOf(err) == errs.CodeDecode {
			return r.damage(err)
		}
		if err != nil {
			return err
		}
		// A writer may have been at it while the bytes were read. What still is
		// not there after later bytes have been seen never was.
		if end.Verdict == wal.Corrupt && (end.Frames > 0 || r.judged != from) {
			r.judged = r.place.Offset
			continue
		}
		r.judged = r.place.Offset
		if end.Verdict == wal.Corrupt {
			return r.damage(end.Reason)
		}
		return nil
	}
}

// apply makes the commits of a frame part of the state.
func (r *replica) apply(f wal.Frame) error {
	for i := range f.Sets {
		set := &f.Sets[i]
		if set.Seq <= r.working.Seq() {
			continue // the checkpoint has it
		}
		if err := r.working.Replay(set); err != nil {
			r.spoiled = true
			return err
		}
		for j := range set.Effects {
			r.schema = r.schema || set.Effects[j].Space == catalog.SpaceCatalog
		}
	}
	r.durable = max(r.durable, f.Durable)
	return nil
}

// arrived checks that a new replica has come as far as the store is known to be.
func (r *replica) arrived() error {
	switch seq := r.working.Seq(); {
	case r.number < r.last && !r.unbegun(r.last):
		return damaged(r.number+1, 0, errs.New(errs.CodeDecode, "it is missing; the log goes on to segment %d", r.last))
	case r.begun && r.place.NextSeq <= seq:
		return r.damage(errs.New(errs.CodeDecode, "the log ends at commit %d, below the checkpoint at %d", r.place.NextSeq-1, seq))
	case seq < r.promised:
		return r.damage(errs.New(errs.CodeDecode, "the log ends at commit %d; commit %d was durable", seq, r.promised))
	}
	return nil
}

// unbegun tells whether a segment, without a header, is what comes after the one that
// was read and after all that the manifest lists: then it was only being made.
func (r *replica) unbegun(number uint64) bool {
	if number != r.number+1 || number < r.active {
		return false
	}
	f, err := r.fsys.Open(r.path(number))
	if err != nil {
		return false
	}
	defer f.Close() // it is only read
	p, err := r.begin(f, number)
	return p == nil && err == nil
}

// freeze makes the image of the state as it is now.
func (r *replica) freeze() error {
	if r.schema {
		if err := r.working.LoadCatalog(); err != nil {
			return r.damage(errs.Wrap(errs.CodeDecode, err, "the catalog at commit %d cannot be read", r.working.Seq()))
		}
		r.schema = false
	}
	if r.image.Seq() != r.working.Seq() {
		r.image = r.working.Freeze()
	}
	// Images between the durable one and the candidate are not kept: three are
	// enough for the durable one to move on with every second freeze at the least.
	if r.candidate.Seq() <= r.durable {
		r.durableImage, r.candidate = r.candidate, r.image
	}
	if r.image.Seq() <= r.durable {
		r.durableImage = r.image
	}
	return nil
}

func (r *replica) path(number uint64) string { return path.Join(r.dir, wal.SegmentName(number)) }

func (r *replica) damage(reason error) error {
	return damaged(r.number, r.place.Offset, reason)
}

func damaged(number uint64, offset int, reason error) error {
	name := wal.SegmentName(number)
	return errs.Wrap(errs.CodeRecoveryIntegrity, &Damage{name, int64(offset), reason}, "the log cannot be read on").On(name)
}
