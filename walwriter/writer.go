// Package walwriter holds the two stages that make commits outlive the process:
// the writer, which appends epochs to the log, and the fsyncer, which puts what
// was appended on stable storage, for as many epochs at once as are waiting.
//
// Invariants:
//
//  1. The log holds the commits in seq order, each once, without a gap. An epoch
//     is one frame; what is waiting together is one write. Of volatile commits it
//     holds the seqs alone, and these in the frame of a later epoch.
//  2. A segment is on stable storage, cut to its size, and so is its successor's
//     header and directory entry, before the first frame is written to the
//     successor. Zeros written ahead are found in the last segment only.
//  3. Nothing is called durable before a sync that began after its write has
//     returned without an error.
//  4. A write, sync or rotation that fails ends the pipeline. No sync is ever begun
//     on a file after one has failed, by neither stage, for nobody knows what is on
//     disk then: a second sync may succeed and mean nothing. Opening the store
//     again finds out.
//  5. Several syncs may be under way at once, but what waits for them comes out in
//     the order in which they began.
//
// The log sits behind two small pieces, Plan (what is to be written) and Log
// (the files), so that a replicated log could take the place of the files.
package walwriter

import (
	"sync/atomic"
	"time"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/wal"
)

// Writer decides what is written where. It belongs to one goroutine and touches
// no file. Aging is for any goroutine.
type Writer struct {
	segment  *wal.Writer
	maxBytes int64
	maxAge   time.Duration // 0 for any
	// filled is when the active segment was created, if it holds commits, in
	// microseconds since the Unix epoch; else 0. It is kept up to date under maxAge.
	filled  atomic.Int64
	durable func() uint64
	plan    Plan
	// held are volatile commits whose seqs the log has yet to be told of, so that
	// those of the next frame go on from the one before.
	held []msgs.Changeset
}

// heldMost bounds the volatile commits of which the log is not told.
const heldMost = 1024

// NewWriter returns a writer that continues the segment, and begins another when
// it has reached maxBytes. durable gives the last seq known to be synced; it is
// called in each step and must not wait.
func NewWriter(segment *wal.Writer, maxBytes int64, durable func() uint64) *Writer {
	return &Writer{segment: segment, maxBytes: maxBytes, durable: durable}
}

// SealAfter has a segment that holds commits sealed at that age, by the first epoch
// from then on that asks for a sync; other commits need not pay for it. It is called
// before the first step.
func (w *Writer) SealAfter(age time.Duration) {
	w.maxAge = age
	w.noteAge()
}

// Aging tells when the active segment comes of age, and false where it has no commits
// or no age matters.
func (w *Writer) Aging() (at time.Time, ok bool) {
	created := w.filled.Load()
	return time.UnixMicro(created).Add(w.maxAge), created != 0
}

func (w *Writer) noteAge() {
	if w.maxAge == 0 {
		return
	}
	h, created := w.segment.Header(), int64(0)
	if w.segment.NextSeq() > h.FirstSeq {
		created = h.CreatedMicros
	}
	w.filled.Store(created)
}

// aged reports whether the active segment has come of age with commits of an earlier
// step.
func (w *Writer) aged(now time.Time) bool {
	at, ok := w.Aging()
	return ok && !now.Before(at)
}

// Plan is what a step decides: some actions on the log, in order, and what may
// go on when they are done. It is valid until the next step.
type Plan struct {
	Actions []Action
	Epochs  []*msgs.Epoch
	// LastSeq is the last commit in the log after the actions.
	LastSeq uint64
	// Bytes that the actions append.
	Bytes    int64
	MustSync bool
	Sealed   []msgs.Segment

	buf    []byte  // all data of the plan; Actions refer to parts of it
	parcel *parcel // made when it is needed
}

// parcel is what goes on to later stages, in one piece of memory. They keep it longer
// than the plan is valid.
type parcel struct {
	publication msgs.Publication
	written     msgs.Written
	epoch       [1]*msgs.Epoch
}

func (p *Plan) pack() *parcel {
	if p.parcel == nil {
		p.parcel = new(parcel)
	}
	return p.parcel
}

// take makes a copy of a batch the epochs of the plan.
func (p *Plan) take(batch []*msgs.Epoch) {
	if len(batch) == 1 {
		p.Epochs = p.pack().epoch[:0]
	}
	p.Epochs = append(p.Epochs, batch...)
}

// Action is one thing to do to the log: to append data to the active segment, or
// to seal it and begin the next.
type Action struct {
	from, to int
	// Begin is the segment to be begun, or nil to append.
	Begin *wal.Header
}

// Data returns what an action appends: frames, or the header of the new segment.
func (p *Plan) Data(a Action) []byte { return p.buf[a.from:a.to] }

// keptBuffer bounds the memory for encoded epochs that stays allocated.
const keptBuffer = 4 << 20

// Step encodes epochs for the log.
func (w *Writer) Step(now time.Time, batch []*msgs.Epoch) (*Plan, error) {
	p := &w.plan
	if cap(p.buf) > keptBuffer {
		p.buf = nil
	}
	*p = Plan{Actions: p.Actions[:0], buf: p.buf[:0]}
	p.take(batch)
	durable := w.durable()
	for _, e := range batch {
		p.MustSync = p.MustSync || e.MustSync
		sets := w.logged(e)
		if len(sets) > 0 && w.segment.Size() >= w.maxBytes || e.MustSync && w.aged(now) {
			if err := w.rotate(now); err != nil {
				return nil, err
			}
		}
		if len(sets) == 0 {
			continue
		}
		before := len(p.buf)
		if err := w.encode(durable, sets); err != nil {
			return nil, err
		}
		e.Bytes = int64(len(p.buf) - before)
		w.extend(before)
	}
	p.LastSeq = w.segment.NextSeq() - 1
	w.noteAge()
	return p, nil
}

// logged returns what the log has to hold when the epoch is written: what was held
// back and its own commits, or nothing yet.
func (w *Writer) logged(e *msgs.Epoch) []msgs.Changeset {
	if e.Unlogged() && !e.MustSync && len(w.held) < heldMost {
		for i := range e.Sets {
			w.held = append(w.held, msgs.Changeset{Seq: e.Sets[i].Seq, Micros: e.Sets[i].Micros, Volatile: true})
		}
		return nil
	}
	if len(w.held) == 0 || len(e.Sets) == 0 && !e.MustSync {
		return e.Sets
	}
	sets := append(w.held, e.Sets...)
	w.held = nil
	return sets
}

// Last returns what is still to be written at the end of the stage: the seqs of
// volatile commits, so that none is used again. It returns nil if there is nothing.
func (w *Writer) Last(now time.Time) (*Plan, error) {
	if len(w.held) == 0 {
		return nil, nil
	}
	p, err := w.Step(now, []*msgs.Epoch{{MustSync: true}})
	if err != nil {
		return nil, err
	}
	p.Epochs = nil // nobody waits for this one
	return p, nil
}

// Segment describes the active segment, with all that was planned for it. When
// every plan was performed, it is what a manifest may list.
func (w *Writer) Segment() msgs.Segment { return w.segment.Segment() }

// encode appends the epoch as one frame, or as several where one would be too
// large.
func (w *Writer) encode(durable uint64, sets []msgs.Changeset) error {
	buf, err := w.segment.AppendFrame(w.plan.buf, w.segment.Header().Term, durable, sets)
	if err == nil {
		w.plan.buf = buf
		return nil
	}
	if len(sets) == 1 || errs.CodeOf(err) != errs.CodeLimitExceeded {
		return err
	}
	half := len(sets) / 2
	if err := w.encode(durable, sets[:half]); err != nil {
		return err
	}
	return w.encode(durable, sets[half:])
}

// extend adds the data from an offset on to the plan, joined to the action
// before if that appends too.
func (w *Writer) extend(from int) {
	p := &w.plan
	p.Bytes += int64(len(p.buf) - from)
	if n := len(p.Actions); n > 0 && p.Actions[n-1].Begin == nil {
		p.Actions[n-1].to = len(p.buf)
		return
	}
	p.Actions = append(p.Actions, Action{from: from, to: len(p.buf)})
}

func (w *Writer) rotate(now time.Time) error {
	sealed := w.segment.Segment()
	segment, header, err := w.segment.Successor(now.UnixMicro())
	if err != nil {
		return err
	}
	p := &w.plan
	w.segment = segment
	w.noteAge()
	p.Sealed = append(p.Sealed, sealed)
	from := len(p.buf)
	p.buf = append(p.buf, header...)
	next := segment.Header()
	p.Actions = append(p.Actions, Action{from: from, to: len(p.buf), Begin: &next})
	p.Bytes += int64(len(header))
	return nil
}

// Abort answers what is in an epoch that may or may not have reached the log.
func Abort(e *msgs.Epoch, cause error) {
	for _, a := range e.Answers {
		if a.Err != nil {
			a.Ticket.Reject(errs.Wrap(errs.CodeUnavailable, cause, "the store takes no more commits; this one has no effect"))
			continue
		}
		a.Ticket.Reject(errs.Wrap(errs.CodeIndeterminate, cause,
			"the log failed while this commit was on its way; reopening the store tells whether it is there"))
	}
}
