package verification

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/invariant"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// attempts bounds how often a verification begins anew because the store has changed
// its files meanwhile. Checkpoints, which do that, are seldom.
const attempts = 5

// Verify checks the store in o.Dir, which need not be locked. The state is recovered
// in o.Mode. Memory is that of two states, and one segment.
//
// Errors: unavailable where there is no store, or a key or a newer version is needed;
// io for files that cannot be read; canceled or timeout for the end of the context.
func Verify(ctx context.Context, o recovery.Options) (Report, error) {
	for i := 1; ; i++ {
		before := manifests(o)
		v := &verifier{Options: o, report: Report{
			Checks: []Check{}, Violations: []string{}, Manifests: []Manifest{}, Checkpoints: []Checkpoint{}, Segments: []Segment{},
		}}
		err := v.run(ctx)
		if err == nil && v.report.OK || i == attempts || slices.Equal(before, manifests(o)) {
			return v.report, err
		}
	}
}

// manifests lists the generations: when they are the same, no file was released.
func manifests(o recovery.Options) (names []string) {
	all, err := o.FS.List(o.Dir)
	if err != nil {
		return nil
	}
	for _, name := range all {
		if _, ok := manifest.ParseFileName(name); ok {
			names = append(names, name)
		}
	}
	return names
}

// verifier is one attempt.
type verifier struct {
	recovery.Options
	report Report
}

func (v *verifier) run(ctx context.Context) error {
	found, err := recovery.Examine(ctx, v.Options, recovery.Passage{})
	if err != nil && !isFinding(err) {
		return err
	}
	v.recovered(found, err)
	if err := v.manifests(); err != nil {
		return err
	}
	if found != nil {
		if err := v.checkpoints(ctx, found); err != nil {
			return err
		}
	}
	if err := v.segments(ctx); err != nil {
		return err
	}
	if found != nil {
		v.invariants(found.Image)
	}
	v.report.OK = !slices.ContainsFunc(v.report.Checks, func(c Check) bool { return !c.OK })
	return nil
}

// isFinding tells whether an error says something of the store.
func isFinding(err error) bool {
	switch errs.CodeOf(err) {
	case errs.CodeRecoveryIntegrity, errs.CodeIntegrity, errs.CodeDecode:
		return true
	}
	return false
}

// conclude adds a check, whose detail tells the problems, if there are any.
func (v *verifier) conclude(name, detail string, problems ...string) {
	if len(problems) > 0 {
		detail = problems[0]
		if n := len(problems) - 1; n > 0 {
			detail = fmt.Sprintf("%s, and %d more", detail, n)
		}
	}
	v.report.Checks = append(v.report.Checks, Check{Name: name, OK: len(problems) == 0, Detail: detail})
	v.report.Violations = append(v.report.Violations, problems...)
}

func (v *verifier) recovered(found *recovery.Examination, err error) {
	if err != nil {
		v.conclude(CheckRecovery, "", err.Error())
		return
	}
	r, image := found.Report, found.Image
	v.report.Recovery, v.report.Incarnation = r, r.Incarnation.String()
	v.report.Seq, v.report.Digest = image.Seq(), digestOf(image)
	v.report.Counts = Count(image)
	var problems []string
	for _, rejected := range r.RejectedCheckpoints {
		problems = append(problems, fmt.Sprintf("%s: %v", rejected.File, rejected.Err))
	}
	if r.Dropped != nil {
		problems = append(problems, fmt.Sprintf("history from commit %d on is damaged: %v", r.Dropped.FromSeq, r.Dropped.Reason))
	}
	base := "nothing"
	if r.CheckpointFile != "" {
		base = r.CheckpointFile
	}
	v.conclude(CheckRecovery, fmt.Sprintf("commit %d, from %s and %d commits of the log", r.Seq, base, r.Commits), problems...)
}

// manifests reads every generation, also those that a recovery does not come to.
func (v *verifier) manifests() error {
	var problems []string
	for _, name := range manifests(v.Options) {
		data, err := vfs.ReadFile(v.FS, path.Join(v.Dir, name), -1)
		if errors.Is(err, fs.ErrNotExist) {
			continue // replaced meanwhile
		}
		if err != nil {
			return errs.Wrap(errs.CodeIO, err, "read %s", name).On(name)
		}
		one := Manifest{File: name}
		if _, _, err := manifest.DecodeSigned(data, v.Sealing.Ring); err != nil {
			one.Problem = err.Error()
			problems = append(problems, name+": "+one.Problem)
		}
		v.report.Manifests = append(v.report.Manifests, one)
	}
	v.conclude(CheckManifests, fmt.Sprintf("%d generations", len(v.report.Manifests)), problems...)
	return nil
}

// checkpoints replays the history from each checkpoint to the same commit.
func (v *verifier) checkpoints(ctx context.Context, found *recovery.Examination) error {
	var problems []string
	for _, c := range slices.Backward(found.Manifest.Checkpoints) {
		one := Checkpoint{File: c.File, Seq: c.Seq}
		if c.File == found.Report.CheckpointFile {
			one.Digest = v.report.Digest // just that was replayed
		} else if err := v.replay(ctx, &one); err != nil {
			return err
		}
		if one.Problem != "" {
			problems = append(problems, c.File+": "+one.Problem)
		}
		v.report.Checkpoints = append(v.report.Checkpoints, one)
	}
	slices.Reverse(v.report.Checkpoints)
	v.conclude(CheckCheckpoints, fmt.Sprintf("%d checkpoints lead to one state", len(v.report.Checkpoints)), problems...)
	return nil
}

func (v *verifier) replay(ctx context.Context, c *Checkpoint) error {
	found, err := recovery.Examine(ctx, v.Options, recovery.Passage{Checkpoint: c.Seq, Until: v.report.Seq})
	switch {
	case err != nil && !isFinding(err):
		return err
	case err != nil:
		c.Problem = err.Error()
	case found.Report.CheckpointFile != c.File:
		c.Problem = "it cannot be used"
		if n := len(found.Report.RejectedCheckpoints); n > 0 {
			c.Problem = found.Report.RejectedCheckpoints[0].Err.Error()
		}
	default:
		c.Digest = digestOf(found.Image)
		if found.Image.Seq() != v.report.Seq || c.Digest != v.report.Digest {
			c.Problem = fmt.Sprintf("it leads to another state, at commit %d", found.Image.Seq())
		}
	}
	return nil
}

// segments reads every segment by itself, also those that no recovery needs.
func (v *verifier) segments(ctx context.Context) error {
	numbers, err := wal.ListSegments(v.FS, v.Dir)
	if err != nil {
		return err
	}
	var problems []string
	for i, number := range numbers {
		if ctx.Err() != nil {
			return errs.FromContext(ctx, "read the segments in "+v.Dir)
		}
		s, there, err := v.segment(number, i == len(numbers)-1)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		if s.Problem != "" {
			problems = append(problems, s.File+": "+s.Problem)
		}
		v.report.Segments = append(v.report.Segments, s)
	}
	v.conclude(CheckSegments, fmt.Sprintf("%d segments", len(v.report.Segments)), problems...)
	return nil
}

// segment reads one. It is not there if it was released after it was listed.
func (v *verifier) segment(number uint64, last bool) (s Segment, there bool, err error) {
	s.File = wal.SegmentName(number)
	data, err := vfs.ReadFile(v.FS, path.Join(v.Dir, s.File), -1)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, errs.Wrap(errs.CodeIO, err, "read %s", s.File).On(s.File)
	}
	s.Bytes = int64(len(data))
	if last && wal.NeverSealed(data) {
		s.Unfinished = true
		return s, true, nil
	}
	h, end, err := wal.ScanSealed(data, v.Sealing.Ring, func(wal.Frame) error { return nil })
	s.Frames, s.FirstSeq = end.Frames, h.FirstSeq
	switch {
	case err != nil:
		s.Problem = err.Error()
		return s, true, nil
	case end.NextSeq > 0:
		s.LastSeq = end.NextSeq - 1
	}
	switch {
	case end.Verdict == wal.Clean:
	case end.Verdict == wal.Torn && last:
		s.Unfinished = true
	default:
		s.Problem = fmt.Sprintf("%s at offset %d: %v", end.Verdict, end.Offset, end.Reason)
	}
	return s, true, nil
}

func (v *verifier) invariants(image *state.Image) {
	var problems []string
	for _, violation := range invariant.Check(image) {
		problems = append(problems, violation.String())
	}
	c := v.report.Counts
	v.conclude(CheckInvariants, fmt.Sprintf("%d tables, %d rows, %d keys", c.Tables, c.Rows, c.Keys), problems...)
}

// Count returns how much an image holds.
func Count(image *state.Image) (c Counts) {
	for p := range image.Catalog().Projects() {
		for s := range image.Catalog().Scopes(p) {
			c.Keys += image.Len(s.ID)
			for t := range image.Catalog().Tables(s) {
				c.Tables++
				c.Rows += image.Len(t.ID)
			}
		}
	}
	return c
}

func digestOf(image *state.Image) string {
	d := image.Digest()
	return hex.EncodeToString(d[:])
}
