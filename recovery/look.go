package recovery

import (
	"context"
	"errors"
	"io/fs"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/wal"
)

// Start is where the log of a store can be read on from by one that only looks.
type Start struct {
	// Working is the state of the newest checkpoint that can be used, or empty.
	Working *state.Working
	// Manifest is the one in force.
	Manifest manifest.Manifest
	// Segments are those, by number and ascending, that may hold commits behind the
	// checkpoint. There are none in a store that nothing was written to yet: then the
	// log begins with Manifest.ActiveSegment or a later one.
	Segments []uint64
	Report   Report
}

// Look finds the newest checkpoint of a store and where the log goes on behind it,
// and changes nothing: it only lists and reads. Options.Dir need not be locked, and
// Continue means nothing.
//
// The store may be open elsewhere, and its files come and go: an error may be due to
// one that was there a moment ago. Whoever finds that manifest.Newest has moved on
// meanwhile looks again.
//
// Errors are those of Open, and unavailable where there is no store.
func Look(ctx context.Context, o Options) (*Start, error) {
	o.Parallelism = max(1, o.Parallelism)
	r := &recoverer{Options: o, report: Report{Mode: o.Mode}}
	r.enter(PhaseManifest)
	err := r.findManifest(ctx)
	if errors.Is(err, fs.ErrNotExist) || r.report.Created {
		return nil, errs.Wrap(errs.CodeUnavailable, err, "there is no store in %s", o.Dir).On(o.Dir)
	}
	if err != nil {
		return nil, err
	}
	r.enter(PhaseCheckpoint)
	if err := r.loadBase(ctx); err != nil {
		return nil, err
	}
	// The files were listed before the manifest was read, and the log has grown since
	// then.
	if r.files.segments, err = wal.ListSegments(o.FS, o.Dir); err != nil {
		return nil, err
	}
	r.planLog()
	start := &Start{Working: r.working, Manifest: r.manifest, Report: r.report}
	for _, s := range r.log.scans {
		start.Segments = append(start.Segments, s.number)
	}
	return start, nil
}
