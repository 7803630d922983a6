package aedb

import (
	"crypto/rand"
	"strings"
	"sync/atomic"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/reader"
	"github.com/empyrealapp/aedb-go/state"
)

// images gives out the states that reads see: a DB those that it publishes, a
// Reader those that it finds in a directory.
type images interface {
	image(Consistency) (*state.Image, error)
}

// readable is a store as those who read it see it, wherever its states come from.
type readable struct {
	images    images
	tuning    atomic.Pointer[Tuning]
	sealer    *reader.Sealer
	snapshots snapshots
	pins      pins
}

// init prepares the reading of a source of images.
func (r *readable) init(from images, t Tuning) error {
	r.images = from
	r.tune(t)
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		return errs.Wrap(errs.CodeInternal, err, "make the key for cursors")
	}
	var err error
	r.sealer, err = reader.NewSealer(key)
	return err
}

// tune makes a tuning count for what is done on the callers' goroutines.
func (r *readable) tune(t Tuning) {
	r.tuning.Store(&t)
	r.snapshots.limitTo(t.Reads.MaxSnapshots)
	r.pins.expireAfter(t.Reads.SnapshotAge)
}

// close lets all snapshots go.
func (r *readable) close() {
	r.snapshots.closeAll()
	r.pins.clear()
}

// as returns the session of a named caller.
func (r *readable) as(callerID string) ReadSession {
	s := ReadSession{store: r, caller: &msgs.Caller{ID: callerID}}
	if strings.TrimSpace(callerID) == "" || callerID == "system" {
		s.err = errs.New(errs.CodePermissionDenied, "the caller id is blank or reserved")
	}
	return s
}

// ReadSession is a store as one caller reads it. It is a small value, cheap to
// make, and safe for concurrent use.
type ReadSession struct {
	store  *readable
	caller *msgs.Caller // nil: anonymous
	err    error        // why nothing can be done with it
}

// Scope returns a handle on a scope, which need not exist.
func (s *ReadSession) Scope(project, scope string) *ReadScope {
	return &ReadScope{session: s, project: project, scope: scope}
}

func (s *ReadSession) callerID() string {
	if s.caller == nil {
		return ""
	}
	return s.caller.ID
}

// image returns the state that a read of the session sees.
func (s *ReadSession) image(c Consistency) (*state.Image, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.store.images.image(c)
}

// ReadScope reads one scope. It is safe for concurrent use, and worth keeping: it
// remembers what names mean.
type ReadScope struct {
	session        *ReadSession
	project, scope string
	names          reader.Names
}
