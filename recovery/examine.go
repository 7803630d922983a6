package recovery

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/wal"
)

// Passage says which part of history an examination replays. The zero value is all
// of it, from the newest checkpoint on.
type Passage struct {
	// Checkpoint is the highest seq of a checkpoint to begin with; 0 stands for the
	// newest.
	Checkpoint uint64
	// Until is the last commit to replay, not below that checkpoint; 0 stands for the
	// end of the log.
	Until uint64
}

// Examination is what the files of a store come to.
type Examination struct {
	// Image is the state.
	Image *state.Image
	// Manifest is the one that was used.
	Manifest manifest.Manifest
	// LogSeq is the last commit that was found in the log, which may be behind
	// Passage.Until; 0 if none was.
	LogSeq uint64
	// Report is that of an opening, with what would be cut off or given up as Torn and
	// Dropped.
	Report Report
}

// Examine goes through an opening and changes nothing: it only lists and reads.
// Options.Dir need not be locked, and Continue means nothing.
//
// In Permissive mode it goes further than Open. Where a sealed segment is not the one
// that the manifest vouches for, Open refuses the store; an examination ends in front
// of the first frame that does not verify, or of the segment, if all do.
//
// The store may be open elsewhere: an error may be due to a file that was there a
// moment ago, and the end of the log to a write that was under way. Errors are those of
// Open, and unavailable where there is no store.
func Examine(ctx context.Context, o Options, p Passage) (*Examination, error) {
	o.Parallelism = max(1, o.Parallelism)
	o.Continue = false
	r := &recoverer{Options: o, report: Report{Mode: o.Mode}, examined: &p}
	steps := []func(context.Context) error{
		PhaseManifest: r.findManifest, PhaseCheckpoint: r.loadBase, PhaseLog: r.replayLog,
	}
	for i, step := range steps {
		if ctx.Err() != nil {
			return nil, errs.FromContext(ctx, "examine the store in "+o.Dir)
		}
		began := o.Clock.Now()
		r.enter(Phase(i))
		err := step(ctx)
		if errors.Is(err, fs.ErrNotExist) && Phase(i) == PhaseManifest || r.report.Created {
			return nil, errs.Wrap(errs.CodeUnavailable, err, "there is no store in %s", o.Dir).On(o.Dir)
		}
		if err != nil {
			return nil, err
		}
		r.report.Durations[i] = o.Clock.Now().Sub(began)
	}
	if err := r.foresee(); err != nil {
		return nil, err
	}
	r.tell()
	return &Examination{
		Image: r.working.Freeze(), Manifest: r.manifest, LogSeq: max(1, r.log.reached) - 1, Report: r.report,
	}, nil
}

// upTo returns the checkpoints that an examination may begin with.
func (p *Passage) upTo(all []manifest.Checkpoint) []manifest.Checkpoint {
	if p == nil || p.Checkpoint == 0 {
		return all
	}
	i := slices.IndexFunc(all, func(c manifest.Checkpoint) bool { return c.Seq > p.Checkpoint })
	if i < 0 {
		return all
	}
	return all[:i]
}

// until returns the last commit that is replayed.
func (p *Passage) until() uint64 {
	if p == nil || p.Until == 0 {
		return ^uint64(0)
	}
	return p.Until
}

// foresee reports what a repair would cut off or give up.
func (r *recoverer) foresee() error {
	h := &r.log
	for _, s := range h.unsettled {
		r.reportTorn(s, int64(s.end.Offset))
	}
	if h.empty != nil {
		r.reportTorn(h.empty, 0)
	}
	if h.damage == nil {
		return nil
	}
	dropped := &Dropped{Reason: h.damage.refuse(), FromSeq: r.seq + 1}
	for _, s := range h.dropped {
		data, kept, err := r.lost(s)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if kept == 0 || kept < len(data) {
			dropped.Files = append(dropped.Files, s.name())
			dropped.Bytes += int64(len(data) - kept)
		}
	}
	r.report.Dropped = dropped
	return nil
}

// mistrusted decides how far a sealed segment that is not what the manifest vouches
// for is replayed: Open refuses it, and so does an examination in Strict mode.
func (r *recoverer) mistrusted(d *Diagnostic) (*Diagnostic, error) {
	if r.examined == nil || r.Mode == Strict {
		return nil, d.refuse()
	}
	return d, nil
}

// lostWhole reports whether damage leaves nothing of a segment to be replayed.
func (r *recoverer) lostWhole(d *Diagnostic) bool {
	return d != nil && d.Kind == KindChecksumMismatch && d.Offset <= wal.HeaderSize
}
