package recovery

import (
	"context"
	"errors"
	"io/fs"

	"github.com/sourcegraph/conc"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/wal"
)

// maxReadAhead bounds how many segments are in memory at once. They are applied
// in order, which takes longer than reading them, so that more do not help.
const maxReadAhead = 4

// history is what the log turned out to be.
type history struct {
	// scans are the segments that had to be read, in order, and shards apply what
	// they hold.
	scans  []*scan
	shards *shards
	// sealed are the segments that count, whole or up to a place.
	sealed []msgs.Segment
	// next and previous are the number of the segment to be begun and the digest
	// that its header holds.
	next     uint64
	previous wal.Digest
	// reached is the seq that must follow the segments read so far; 0 before the
	// first.
	reached uint64
	// unsettled are the segments whose end is in doubt, or is to be cut off.
	unsettled []*scan
	// tail is what is in doubt of the last segment.
	tail tail
	// empty is the last segment if it holds no commit, or else nil.
	empty *scan
	// damage ends a permissive recovery before the end of the log, and dropped
	// are the segments from there on. The first of them may be kept in part; it
	// is then among the sealed and the unsettled too.
	damage  *Diagnostic
	dropped []*scan
}

// lastSegment returns the number of the segment that the log ends in, 0 if there
// is none.
func (h *history) lastSegment() uint64 {
	if n := len(h.sealed); n > 0 {
		return h.sealed[n-1].Number
	}
	return 0
}

// replayLog applies the log behind the base and finds out how it ends.
func (r *recoverer) replayLog(ctx context.Context) error {
	r.planLog()
	if len(r.log.scans) > 0 {
		if err := r.readLog(ctx); err != nil {
			return err
		}
		r.working = r.log.shards.working(r.seq, r.micros)
		r.log.shards = nil
		if err := r.working.LoadCatalog(); err != nil {
			return errs.Wrap(errs.CodeRecoveryIntegrity, err, "the catalog at commit %d cannot be read", r.seq)
		}
	}
	r.report.Seq = r.seq
	return r.checkEnd()
}

// checkEnd compares what was recovered with what is known to have been durable.
func (r *recoverer) checkEnd() error {
	h := &r.log
	seq := r.seq
	if h.reached != 0 && h.reached <= seq && h.damage == nil {
		// The checkpoint was written when the log below it was durable.
		d := r.diagnose(KindCheckpointNotReached, h.lastSegment(), "the log ends at commit %d, below the checkpoint at %d", h.reached-1, seq)
		if r.Mode == Strict {
			return d.refuse()
		}
		h.damage, h.dropped, h.unsettled, h.empty = d, h.scans, nil, nil
	}
	if seq < min(r.manifest.DurableSeq, r.examined.until()) {
		d := r.diagnose(KindDurableSeqNotFound, h.lastSegment(), "the log ends at commit %d", seq)
		if r.Mode == Strict {
			return d.refuse()
		}
		if h.damage == nil {
			r.warn(d.Error())
		}
	}
	if seq < r.ExpectSeq {
		return errs.New(errs.CodeRecoveryIntegrity, "the store in %s ends at commit %d, and commit %d was expected: "+
			"it was set back to an older state, or has lost its end", r.Dir, seq, r.ExpectSeq).On(r.Dir)
	}
	if r.baseLost && seq == 0 && len(r.files.segments) > 0 {
		return errs.New(errs.CodeRecoveryIntegrity, "no checkpoint in %s can be used, and the log does not reach back to the first commit (%s)", r.Dir, hint).On(r.Dir)
	}
	// Segments that do not lead up to the state are of no use for falling back to
	// an older checkpoint.
	if n := len(h.sealed); n > 0 && h.sealed[n-1].LastSeq != seq {
		h.sealed = nil
	}
	return nil
}

// planLog decides which segments are to be read: those that the manifest lists
// and that hold commits above the base, and all that it does not know yet.
// Others below them are left-overs that nothing refers to any more.
func (r *recoverer) planLog() {
	h := &r.log
	h.next = max(1, r.manifest.ActiveSegment)
	h.tail.durable = max(r.manifest.DurableSeq, r.seq)
	for i := range r.manifest.Segments {
		s := &r.manifest.Segments[i]
		if s.LastSeq > r.seq {
			h.scans = append(h.scans, newScan(s.Number, s))
		}
	}
	for _, number := range r.unlisted(h.next) {
		h.scans = append(h.scans, newScan(number, nil))
	}
	r.report.SegmentsSkipped = len(r.files.segments)
	if n := len(h.scans); n > 0 {
		h.scans[n-1].last = true
		// Where the log may begin is a matter of commits, see checkChain: segments
		// that the base covers may be gone.
		h.next = h.scans[0].number
	}
	h.sealed = r.covered(h.next)
	for i := range r.manifest.Segments {
		if s := &r.manifest.Segments[i]; s.Number == h.next-1 {
			h.previous = wal.Digest(s.Digest)
		}
	}
}

// unlisted returns the segments on disk from a number on. Some of those that the base
// covers may have been removed, and others not: then it is those behind the gap.
func (r *recoverer) unlisted(from uint64) []uint64 {
	var numbers []uint64
	for _, number := range r.files.segments {
		if number < from {
			continue
		}
		if n := len(numbers); n > 0 && numbers[n-1]+1 < number && r.followsBase(number) {
			numbers = nil
		}
		numbers = append(numbers, number)
	}
	return numbers
}

// followsBase reports whether a segment begins where the base ends or before.
func (r *recoverer) followsBase(number uint64) bool {
	data, err := r.readFile(wal.SegmentName(number), wal.HeaderSize)
	if err != nil {
		return false // reading the segment will tell
	}
	h, err := wal.ParseHeader(data)
	return err == nil && h.FirstSeq <= r.seq+1
}

// covered returns the listed segments directly below the one with the given
// number, as far as they are on disk without a gap. The base covers them, so they
// are not read; they are for falling back to older checkpoints.
func (r *recoverer) covered(number uint64) []msgs.Segment {
	present := make(map[uint64]bool, len(r.files.segments))
	for _, n := range r.files.segments {
		present[n] = true
	}
	var segments []msgs.Segment
	for _, s := range r.manifest.Segments {
		switch {
		case s.Number >= number:
		case !present[s.Number]:
			segments = nil
		default:
			segments = append(segments, msgs.Segment{
				Number: s.Number, FirstSeq: s.FirstSeq, LastSeq: s.LastSeq, Size: s.Size, Digest: s.Digest,
			})
		}
	}
	if n := len(segments); n > 0 && segments[n-1].Number != number-1 {
		return nil
	}
	return segments
}

// readLog reads and applies the segments in order, with some of them read ahead.
func (r *recoverer) readLog(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var readers conc.WaitGroup
	defer readers.Wait()
	defer cancel()
	for _, s := range r.log.scans {
		r.progress.Total += r.sizeOf(s)
	}
	r.log.shards = startShards(ctx, r.Parallelism, r.base, r.examined.until())
	err := r.readSegments(ctx, &readers)
	if err != nil {
		cancel()
	}
	if applyErr := r.log.shards.finish(); err == nil && applyErr != nil {
		err = errs.Wrap(errs.CodeRecoveryIntegrity, applyErr, "apply the log")
	}
	return err
}

func (r *recoverer) readSegments(ctx context.Context, readers *conc.WaitGroup) error {
	h := &r.log
	ahead := min(r.Parallelism+1, maxReadAhead)
	started := 0
	for i, s := range h.scans {
		for ; started < min(i+ahead, len(h.scans)); started++ {
			reader := h.scans[started]
			readers.Go(func() { reader.run(ctx, r) })
		}
		damage, err := r.readSegment(ctx, s)
		if err != nil {
			return err
		}
		if damage != nil {
			if r.Mode == Strict {
				return damage.refuse()
			}
			h.damage, h.dropped = damage, h.scans[i:]
			return nil
		}
		if !h.kept(s) {
			s.data = nil
		}
	}
	return nil
}

// sizeOf returns the size of a segment for the progress, 0 if it is not known.
func (r *recoverer) sizeOf(s *scan) int64 {
	if s.listed != nil {
		return s.listed.Size
	}
	f, err := r.FS.Open(r.path(s.name()))
	if err != nil {
		return 0
	}
	defer f.Close() // it was only read
	size, err := f.Size()
	if err != nil {
		return 0
	}
	return size
}

// readSegment checks and applies one segment. Damage is what strict recovery
// refuses and permissive recovery stops at; an error ends both.
func (r *recoverer) readSegment(ctx context.Context, s *scan) (*Diagnostic, error) {
	h := &r.log
	if s.number != h.next {
		return r.diagnose(KindSegmentMissing, h.next, "the log goes on with segment %d", s.number), nil
	}
	select {
	case <-s.opened:
	case <-ctx.Done():
		return nil, errs.FromContext(ctx, "replay the log")
	}
	if errors.Is(s.err, fs.ErrNotExist) {
		d := r.diagnose(KindSegmentMissing, s.number, "the manifest lists it")
		if s.listed != nil {
			d.compared(s.listed, 0, wal.Digest{})
		}
		return d, nil
	}
	if s.err != nil {
		return nil, s.err
	}
	damage, err := r.compareListed(s)
	if err != nil || damage != nil && r.Mode == Strict || r.lostWhole(damage) {
		return damage, err
	}
	if s.badErr != nil {
		switch {
		case !damaged(s.badErr):
			return nil, s.fail(s.badErr)
		case s.last && s.listed == nil && (wal.NeverWritten(s.data) || r.signed && wal.NeverSealed(s.data)):
			h.empty = s
			return nil, nil
		}
		return r.corrupt(s, s.badErr), nil
	}
	if r.signed && s.listed == nil && s.seal == nil {
		return nil, s.fail(errs.New(errs.CodeIntegrity, "it is not sealed, and the manifest does not list it"))
	}
	if d := r.checkChain(s); d != nil {
		return d, nil
	}
	if err := r.apply(ctx, s); err != nil {
		return nil, err
	}
	if damage == nil {
		damage = r.judge(s)
	}
	// One that the manifest lists stays, for its number is taken.
	if s.end.Frames == 0 && (s.last && s.listed == nil || damage != nil) {
		if damage == nil {
			h.empty, h.previous = s, s.header.Previous
		}
		return damage, nil
	}
	h.sealed = append(h.sealed, msgs.Segment{
		Number: s.number, FirstSeq: s.header.FirstSeq, LastSeq: s.end.NextSeq - 1,
		Size: int64(s.end.Offset), Digest: s.good,
	})
	h.next, h.previous, h.reached = s.number+1, s.good, s.end.NextSeq
	if int64(s.end.Offset) < s.size || s.listed == nil && s.last {
		h.unsettled = append(h.unsettled, s)
	}
	return damage, nil
}

// compareListed compares a segment with what the manifest says of it. Bytes that
// the manifest vouches for and that are others now refuse the store in both
// modes: that is not what a crash does.
func (r *recoverer) compareListed(s *scan) (*Diagnostic, error) {
	if s.listed == nil {
		return nil, nil
	}
	none := s.listed.Digest == manifest.Digest{}
	switch {
	case s.listed.Size == 0 && r.Mode == Strict:
		return r.diagnose(KindMissingSize, s.number, "the manifest does not say its size").compared(s.listed, s.size, s.digest), nil
	case none && r.Mode == Strict:
		return r.diagnose(KindMissingChecksum, s.number, "the manifest does not say its digest").compared(s.listed, s.size, s.digest), nil
	case s.size < s.listed.Size:
		return r.diagnose(KindSegmentTruncated, s.number, "it is cut short").compared(s.listed, s.size, s.digest), nil
	case s.size > s.listed.Size && r.Mode == Strict:
		return r.diagnose(KindSegmentTooLong, s.number, "it has grown since it was sealed").compared(s.listed, s.size, s.digest), nil
	case !none && s.listed.Size > 0 && s.digest != wal.Digest(s.listed.Digest):
		d := r.diagnose(KindChecksumMismatch, s.number, "its content has changed since it was sealed").
			compared(s.listed, s.size, s.digest)
		d.Offset = r.suspect(s)
		return r.mistrusted(d)
	}
	return nil, nil
}

// suspect returns where the good frames of a segment with another digest end, 0 if
// they all look good or none can be read.
func (r *recoverer) suspect(s *scan) int64 {
	_, end, err := wal.ScanSealed(s.data, r.Sealing.Ring, func(wal.Frame) error { return nil })
	if err == nil && end.Verdict == wal.Clean {
		return 0
	}
	return int64(end.Offset)
}

// checkChain checks that a segment belongs to the store and follows what is
// before it.
func (r *recoverer) checkChain(s *scan) *Diagnostic {
	h := &r.log
	broken := func(format string, args ...any) *Diagnostic {
		return r.diagnose(KindChainBroken, s.number, format, args...)
	}
	first := s == h.scans[0]
	switch {
	case s.header.Number != s.number:
		return broken("its header says segment %d", s.header.Number)
	case s.header.Incarnation != r.manifest.Incarnation:
		return broken("it is of another store, %s", manifest.Incarnation(s.header.Incarnation))
	case s.listed != nil && s.header.FirstSeq != s.listed.FirstSeq:
		return broken("it begins at commit %d; the manifest says %d", s.header.FirstSeq, s.listed.FirstSeq)
	case first && s.header.FirstSeq > r.seq+1:
		return r.diagnose(KindSegmentMissing, s.number-1, "the log begins at commit %d, and commit %d is the last before it", s.header.FirstSeq, r.seq)
	case !first && s.header.FirstSeq != h.reached:
		return broken("it begins at commit %d where %d is expected", s.header.FirstSeq, h.reached)
	case s.header.Previous != h.previous && (s.number == 1 || known(s.header.Previous) && known(h.previous)):
		return broken("the segment before it is not the one that it was chained to")
	}
	return nil
}

// known tells the digest of a segment from that of one which was not listed any more
// when its successor was begun, or looked at.
func known(d wal.Digest) bool { return d != wal.Digest{} }

// apply hands the good frames of a segment to the shards as they come.
func (r *recoverer) apply(ctx context.Context, s *scan) error {
	before := r.progress.Done
	for batch := range s.batches {
		r.log.shards.send(batch)
		for i := range batch {
			r.count(&batch[i])
			if s.last {
				r.log.tail.add(&batch[i])
			}
		}
		last := &batch[len(batch)-1]
		r.advance(before+int64(last.Offset+last.Size), r.seq)
	}
	if ctx.Err() != nil {
		return errs.FromContext(ctx, "replay the log")
	}
	r.progress.Done = before + s.size
	r.report.SegmentsReplayed++
	r.report.SegmentsSkipped--
	r.report.Bytes += int64(s.end.Offset)
	if s.scanErr != nil {
		return s.fail(s.scanErr)
	}
	return nil
}

// count takes note of the commits of a frame that are not in the base.
func (r *recoverer) count(f *wal.Frame) {
	r.report.Frames++
	for i := range f.Sets {
		set := &f.Sets[i]
		if set.Seq <= r.seq || set.Seq > r.examined.until() {
			continue
		}
		if r.report.FirstSeq == 0 {
			r.report.FirstSeq = set.Seq
		}
		r.seq, r.micros = set.Seq, set.Micros
		r.report.LastSeq = set.Seq
		r.report.Commits++
	}
}

// judge decides what the end of a segment means.
func (r *recoverer) judge(s *scan) *Diagnostic {
	switch {
	case s.end.Verdict == wal.Corrupt,
		s.end.Verdict == wal.Torn && (!s.last || s.listed != nil):
		return r.corrupt(s, s.end.Reason)
	case s.listed != nil && s.end.NextSeq != s.listed.LastSeq+1:
		return r.diagnose(KindChainBroken, s.number, "it ends at commit %d; the manifest says %d", s.end.NextSeq-1, s.listed.LastSeq)
	}
	return nil
}

func (r *recoverer) corrupt(s *scan, reason error) *Diagnostic {
	d := r.diagnose(KindSegmentCorrupt, s.number, "bytes that were durable are damaged")
	d.Offset = int64(s.end.Offset)
	d.cause = reason
	return d
}
