package recovery

import (
	"context"
	"path"
	"time"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// progressInterval is the least time between two calls of OnProgress within a
// phase.
const progressInterval = 100 * time.Millisecond

// Mode chooses what opening a damaged store does.
type Mode uint8

// Modes.
const (
	// Strict refuses a store in which anything that was durable is damaged.
	Strict Mode = iota
	// Permissive opens the longest prefix of history that is whole. It marks the
	// store for ever, and Strict refuses it from then on.
	Permissive
)

// String returns the mode in lower case.
func (m Mode) String() string {
	if m == Permissive {
		return "permissive"
	}
	return "strict"
}

// Options say what to open and how.
type Options struct {
	FS vfs.FS
	// Dir is the directory, which exists and is locked by the caller.
	Dir  string
	Mode Mode
	// Parallelism is how many goroutines may decode files; below 1 stands for 1.
	Parallelism int
	// Continue leaves the last segment to be gone on with where that can be done,
	// and what is in doubt of it unsynced; see Recovered.OpenLog. Else the whole
	// recovered state is durable when Open returns, and a new segment is begun.
	Continue bool
	Clock    vfs.Clock
	// Sealing has the keys of the store, and says how the manifest and the segments
	// after the recovery are to be protected.
	Sealing keys.Sealing
	// Adopt takes a store that is not signed, and signs it. It needs a key.
	Adopt bool
	// ExpectSeq refuses a store that ends below this commit.
	ExpectSeq uint64
	// OnProgress, if set, is called now and then by the goroutine that called
	// Open, and at the beginning and the end of each phase.
	OnProgress func(Progress)
}

// Recovered is an open store before anything runs on it. Nothing in it is shared
// with this package.
type Recovered struct {
	// Working is the state, with its catalog.
	Working *state.Working
	// Checkpoint is the state of the checkpoint that the recovery began with, nil
	// if there was none.
	Checkpoint *state.Image
	// Manifest is the one in force.
	Manifest manifest.Manifest
	// Sealed are the segments that are on disk and count, ascending and without a
	// gap up to Next.
	Sealed []msgs.Segment
	// Active is the segment to go on with, nil if none is being written.
	Active *Active
	// Next is the segment to be begun if there is none.
	Next wal.Header
	// Durable is the last commit that is known to be on stable storage. It is below
	// the state only if Active holds doubtful bytes.
	Durable uint64
	Report  Report
}

// Open recovers the store in a directory, or makes a new one where there is none.
//
// Errors: recovery_integrity, with a Diagnostic where it is about the log, for a
// store that is damaged; unavailable for one that was written by a newer version,
// has no manifest, was opened in permissive recovery before, needs a key that is not
// in the ring, or has keys and was never signed; integrity_error for what verifies but
// for the key, in both modes; canceled or timeout for the end of the context; io for
// files that cannot be read or written.
func Open(ctx context.Context, o Options) (*Recovered, error) {
	o.Parallelism = max(1, o.Parallelism)
	r := &recoverer{Options: o, report: Report{Mode: o.Mode}}
	steps := [phases]func(context.Context) error{
		PhaseManifest:   r.findManifest,
		PhaseCheckpoint: r.loadBase,
		PhaseLog:        r.replayLog,
		PhaseRepair:     r.repair,
	}
	for i, step := range steps {
		if ctx.Err() != nil {
			return nil, errs.FromContext(ctx, "recover the store in "+o.Dir)
		}
		began := o.Clock.Now()
		r.enter(Phase(i))
		if err := step(ctx); err != nil {
			return nil, err
		}
		r.report.Durations[i] = o.Clock.Now().Sub(began)
		r.tell()
	}
	r.report.KeysInUse = r.keysInUse()
	found := &Recovered{
		Working: r.working, Checkpoint: r.base, Manifest: r.manifest,
		Sealed: r.log.sealed, Active: r.active, Durable: r.seq, Report: r.report,
	}
	switch {
	case r.active == nil:
		found.Next = r.nextHeader()
	case len(r.active.Doubtful) > 0:
		found.Durable = r.log.tail.durable
	}
	return found, nil
}

// recoverer is one call of Open. Its fields belong to the goroutine of the call.
type recoverer struct {
	Options
	report   Report
	progress Progress
	told     time.Time // when progress was last told
	examined *Passage  // nil if the store is being opened

	files    listing
	manifest manifest.Manifest
	// rewrite asks for a new generation of the manifest: the one in force is
	// missing, damaged, says what is no longer so, or is to be signed by another key.
	rewrite bool
	// signed is true if the manifest in force is: what it does not list has to be
	// sealed.
	signed bool

	base     *state.Image // nil if the recovery began with nothing
	baseLost bool         // though the manifest lists checkpoints
	working  *state.Working
	seq      uint64 // the last commit in the state, and its time
	micros   int64
	log      history
	active   *Active
}

func (r *recoverer) path(name string) string { return path.Join(r.Dir, name) }

func (r *recoverer) warn(message string) {
	r.report.Warnings = append(r.report.Warnings, message)
}

// enter begins a phase.
func (r *recoverer) enter(p Phase) {
	r.progress = Progress{Phase: p, Seq: r.progress.Seq}
	r.tell()
}

// advance counts bytes of the present phase as done.
func (r *recoverer) advance(done int64, seq uint64) {
	r.progress.Done, r.progress.Seq = done, seq
	if r.OnProgress != nil && time.Since(r.told) >= progressInterval {
		r.tell()
	}
}

func (r *recoverer) tell() {
	if r.OnProgress != nil {
		r.told = time.Now()
		r.OnProgress(r.progress)
	}
}
