package msgs

import (
	"context"
	"time"

	"github.com/empyrealapp/aedb-go/catalog"
)

// Request is an envelope on its way, as the caller's goroutine has prepared it.
// It belongs to the stage that holds it.
type Request struct {
	// Ctx ends the caller's interest. A request that has not been sequenced when
	// it ends is dropped.
	Ctx context.Context
	// Ticket is answered exactly once.
	Ticket *Ticket
	// Caller is the id of who asks, "" for the anonymous caller.
	Caller string

	Mutations []Mutation

	// Catalog is what the following were bound to. Operations may be shorter
	// than Mutations: those after a definition are bound when it has happened.
	Catalog    *catalog.Catalog
	Operations []Operation
	Conditions []Condition
	Reads      Dependencies

	// Replies are what its mutations have to tell, in their order. Set where it is
	// performed; of no meaning if that failed.
	Replies []Reply

	// Idempotency is the stored key of the request, or nil.
	Idempotency []byte
	Fingerprint [32]byte

	WriteClass WriteClass
	// Patient says that the caller's goroutine carries the request itself, and that
	// nothing but its answer ends the caller's wait: it may be carried into a sync.
	Patient bool
	// Flush asks for nothing but that all before it becomes durable.
	Flush bool
	// Size is the number of bytes counted against the admission limit.
	Size int64
	// Admitted is when the request was admitted, before it waits for the sequencer.
	Admitted time.Time

	// room serves requests of one mutation, which most are.
	room struct {
		mutations  [1]Mutation
		operations [1]Operation
		put        [1]PutKey
	}
	promise Ticket
}

// Promise gives the request its ticket, which is part of it: see NewTicket.
func (r *Request) Promise(share Share) *Ticket {
	r.promise.share, r.promise.size = share, r.Size
	r.Ticket = &r.promise
	return r.Ticket
}

// Done lets go of what the request was to do. Its ticket is part of it, and callers may
// hold on to that for long.
func (r *Request) Done() {
	r.Ctx, r.Catalog = nil, nil
	r.Mutations, r.Operations, r.Conditions, r.Reads = nil, nil, nil, Dependencies{}
	r.Replies, r.Idempotency = nil, nil
	r.room.mutations[0], r.room.operations[0], r.room.put[0] = nil, nil, PutKey{}
}

// RoomForPut returns memory for one bound put of a request of one mutation.
func (r *Request) RoomForPut() []PutKey { return r.room.put[:0] }

// Take makes a copy of the mutations those of the request, and room for as many
// operations.
func (r *Request) Take(mutations []Mutation) {
	if len(mutations) == 1 {
		r.Mutations, r.Operations = r.room.mutations[:0], r.room.operations[:0]
	} else {
		r.Operations = make([]Operation, 0, len(mutations))
	}
	r.Mutations = append(r.Mutations, mutations...)
}

// Epoch is a group of requests that share one log write, one sync and one
// publication. The sequencer makes it, and the same value travels down the
// pipeline; each stage fills its own part and gives the epoch away.
type Epoch struct {
	// Number counts epochs since the store was opened, from 1.
	Number uint64
	// Micros is the time of every commit in the epoch, in microseconds since
	// the Unix epoch; it never goes back.
	Micros int64
	// Requests in commit order. The applier sets it to nil.
	Requests []*Request
	// MustSync asks for stable storage before publication, in every mode.
	MustSync bool
	// Patient is that of its request, if there is only one.
	Patient bool

	// Sets are the commits of the epoch, with contiguous seqs. Set by the applier.
	Sets []Changeset
	// After is the moment after the epoch. Set by the applier.
	After Moment
	// Image is the state then, or nil: where nobody looks, none is made. Before is the
	// state before the epoch, if that has to be kept as the last one that is durable;
	// mostly nil. Set by the applier.
	Image, Before Image
	// Answers are given when the epoch is published. Set by the applier.
	Answers []Answer

	// Bytes is what the epoch takes in the log. Set by the writer.
	Bytes int64

	// Passage is when the epoch left each stage.
	Passage Passage

	// room serves epochs of one request, which are the most where callers are few.
	room struct {
		requests [1]*Request
		sets     [1]Changeset
		answers  [1]Answer
	}
}

// Add puts a request at the end of the epoch.
func (e *Epoch) Add(r *Request) {
	if e.Requests == nil {
		e.Requests = e.room.requests[:0]
	}
	e.Requests = append(e.Requests, r)
	e.Patient = r.Patient && len(e.Requests) == 1
	e.MustSync = e.MustSync || r.Flush || r.WriteClass == Economic
}

// Prepare makes room for the commits of the epoch and its answers, one for each
// request.
func (e *Epoch) Prepare() {
	if len(e.Requests) == 1 {
		e.Sets, e.Answers = e.room.sets[:0], e.room.answers[:]
		return
	}
	e.Sets = make([]Changeset, 0, len(e.Requests))
	e.Answers = make([]Answer, len(e.Requests))
}

// Unlogged reports whether the log need not have any commit of the epoch: all are
// volatile, or there are none.
func (e *Epoch) Unlogged() bool {
	for i := range e.Sets {
		if !e.Sets[i].Volatile {
			return false
		}
	}
	return true
}

// LastSeq returns the last commit up to the end of the epoch.
func (e *Epoch) LastSeq() uint64 { return e.After.Seq }

// Image is a published state of the database, as far as the pipeline is
// concerned.
type Image interface {
	// Seq is the last commit that the image contains.
	Seq() uint64
}

// Answer is the answer to one request, held back until what it was decided on
// is published.
type Answer struct {
	Ticket *Ticket
	// Caller is that of the request.
	Caller string
	// Err refuses the request, which has no effect; nil for a success.
	Err     error
	Seq     uint64
	Outcome Outcome
	// Replies and RepliesLost are those of the Result.
	Replies     []Reply
	RepliesLost bool
	// Admitted is when the request was admitted.
	Admitted time.Time
}

// Passage holds the moments at which an epoch left each stage.
type Passage struct {
	Sequenced, Applied, Written, Synced, Published time.Time
}

// Written is what the fsyncer receives: what has been appended to the log.
type Written struct {
	// Epochs that wait for the sync; nil in the modes that publish without it.
	Epochs []*Epoch
	// LastSeq is the last commit appended so far.
	LastSeq uint64
	// Bytes were appended by this message.
	Bytes int64
	// MustSync asks for a sync, in every mode.
	MustSync bool
	// File is what the bytes were written to.
	File File
	// Retired is the file of a segment sealed before, which is synced and can be
	// closed now; nil mostly.
	Retired File
	// Sealed describes the segments sealed with this message.
	Sealed []Segment
}

// File is an open segment, as far as the fsyncer is concerned.
type File interface {
	Sync() error
	Close() error
}

// Publication is what the publisher receives: epochs that may be published as
// far as the log is concerned, the seq up to which the log is on stable
// storage, or both.
type Publication struct {
	Epochs []*Epoch
	// Durable is the last commit on stable storage; 0 if nothing new is known.
	Durable uint64
	// Sealed describes segments that were sealed on the way.
	Sealed []Segment
}

// Segment describes a sealed segment of the log.
type Segment struct {
	Number uint64
	// FirstSeq and LastSeq are the commits it holds; LastSeq = FirstSeq - 1 for
	// a segment without any.
	FirstSeq, LastSeq uint64
	Size              int64
	Digest            [32]byte
}

// Progress is what the checkpointer receives: how the log has grown, and
// requests for a checkpoint.
type Progress struct {
	// Bytes appended to the log since the last message.
	Bytes int64
	// Sealed segments since the last message.
	Sealed []Segment
	// Reply asks for a checkpoint now; nil for mere progress. It has room for
	// one answer.
	Reply chan CheckpointReply
}

// CheckpointReply answers a request for a checkpoint.
type CheckpointReply struct {
	// Seq is what the newest checkpoint shows.
	Seq uint64
	Err error
}
