package aedb

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/empyrealapp/aedb-go/backup"
	checkpoints "github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
)

// RestoreOptions say what is restored and how.
type RestoreOptions struct {
	// Options are the keys that the backups are verified and opened with.
	backup.Options
	// Target is the end of the newest backup by default.
	Target backup.Target
	// StoreKeys are the keys of the store that is made, as in Config.Keys, with which
	// it is opened later; none by default. Of the rest only Encrypt counts.
	StoreKeys KeyConfig
	// FS and Clock stand in for the operating system, for tests; nil is the real
	// one.
	FS    vfs.FS
	Clock vfs.Clock
}

// RestoreReport tells what was restored.
type RestoreReport struct {
	// Plan has the backups that were read, and the commit restored to.
	Plan backup.Plan
	// Seq is the last commit of the restored store, and Time the time of it.
	Seq  uint64
	Time time.Time
	// Digest is that of the restored state; see DB.Digest. It was compared with the
	// one recorded in the backup if Compared is true. Else none was recorded for
	// that commit.
	Digest   [32]byte
	Compared bool
	// Incarnation is the new identity of the store.
	Incarnation string
}

// restoreScratch is the name of the file that a checkpoint is copied to before it
// is read.
const restoreScratch = "restore.tmp"

// Restore makes a store in a directory of what a backup holds. The directory must
// be absent or empty, or hold the beginning of a restore that was interrupted. The
// store is a new one, with an identity of its own: it goes on from the commit that
// was restored to, and backups of it do not continue those of the old one.
// backup.MakePlan tells beforehand what would be done.
//
// Everything that is read is verified, and the state compared with the digest that
// the backup has of it. After an error there is no store in the directory, and
// nothing that would open as one.
//
// Errors: validation for a target that no backup leads to, or a directory that is
// not empty; integrity_error for a backup that is damaged; unavailable for one that
// takes another key or a newer version, and for a directory in use.
func Restore(ctx context.Context, from backup.Store, dir string, o RestoreOptions) (RestoreReport, error) {
	if dir == "" {
		return RestoreReport{}, errs.New(errs.CodeValidation, "the name of the directory is empty")
	}
	if o.FS == nil {
		o.FS = vfs.OS()
		if abs, err := filepath.Abs(dir); err == nil {
			dir = abs
		}
	}
	if o.Clock == nil {
		o.Clock = vfs.SystemClock()
	}
	if broken := o.StoreKeys.broken(); len(broken) > 0 {
		return RestoreReport{}, errs.Wrap(errs.CodeInvalidConfig, errors.Join(broken...), "the keys of the store cannot be used")
	}
	sealing, err := o.StoreKeys.sealing()
	if err != nil {
		return RestoreReport{}, err
	}
	defer sealing.Ring.Wipe()
	plan, err := backup.MakePlan(ctx, from, o.Target, o.Options)
	if err != nil {
		return RestoreReport{}, err
	}
	r := restoring{RestoreOptions: o, dir: dir, sealing: sealing}
	// To lock a directory changes it. Where no lock is yet, what is there is looked at
	// first; it is again under the lock.
	names, err := o.FS.List(dir)
	if err == nil && !slices.Contains(names, lockFile) {
		if _, _, err := r.leftOver(names); err != nil {
			return RestoreReport{}, err
		}
	}
	lock, err := lockDir(o.FS, dir)
	if err != nil {
		return RestoreReport{}, err
	}
	report, err := r.restore(ctx, from, &plan)
	if closeErr := lock.Close(); err == nil && closeErr != nil {
		err = errs.Wrap(errs.CodeIO, closeErr, "release the lock of %s", dir).On(dir)
	}
	return report, err
}

// restoring is one restore into a locked directory.
type restoring struct {
	RestoreOptions
	dir     string
	sealing keys.Sealing // of the store
}

func (r *restoring) path(name string) string { return path.Join(r.dir, name) }

func (r *restoring) restore(ctx context.Context, from backup.Store, plan *backup.Plan) (RestoreReport, error) {
	if err := r.begin(); err != nil {
		return RestoreReport{}, err
	}
	report, err := r.build(ctx, from, plan)
	if err == nil {
		err = r.unmark()
	}
	if err != nil {
		// What cannot be cleared away is still marked, and so does not open.
		return RestoreReport{}, errors.Join(err, r.clear())
	}
	return report, nil
}

// begin checks that the directory is there to be restored into, and marks it. From
// here on until the mark is gone, nothing in it opens.
func (r *restoring) begin() error {
	names, err := r.FS.List(r.dir)
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "list the directory %s", r.dir).On(r.dir)
	}
	marked, others, err := r.leftOver(names)
	if err != nil {
		return err
	}
	if marked {
		return r.removeAll(others)
	}
	f, err := r.FS.Create(r.path(recovery.RestoreMarker))
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "mark the directory %s", r.dir).On(r.dir)
	}
	_, err = f.WriteAt([]byte("A restore into this directory has not been finished. Restore into it again.\n"), 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = r.FS.SyncDir(r.dir)
	}
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "mark the directory %s", r.dir).On(r.dir)
	}
	return nil
}

// leftOver returns what a restore has left in the directory, and whether that is marked
// as its own. Anything else is refused.
func (r *restoring) leftOver(names []string) (marked bool, others []string, err error) {
	for _, name := range names {
		marked = marked || name == recovery.RestoreMarker
		if name != lockFile && name != recovery.RestoreMarker {
			others = append(others, name)
		}
	}
	for _, name := range others {
		if !marked || !ofRestore(name) {
			return false, nil, errs.New(errs.CodeValidation, "the directory %s is not empty: it holds %s", r.dir, name).On(r.dir)
		}
	}
	return marked, others, nil
}

// ofRestore tells whether a file is one that a restore makes.
func ofRestore(name string) bool {
	whole := strings.TrimSuffix(name, ".tmp")
	_, image := checkpoints.ParseFileName(whole)
	_, generation := manifest.ParseFileName(whole)
	return name == restoreScratch || image || generation
}

// build writes the store: the checkpoint, and the manifest last.
func (r *restoring) build(ctx context.Context, from backup.Store, plan *backup.Plan) (RestoreReport, error) {
	scratch := backup.Scratch{FS: r.FS, Name: r.path(restoreScratch)}
	if r.sealing.Encrypt {
		scratch.FS = vfs.NewMem() // nothing that is readable may reach the disk
		if err := scratch.FS.MkdirAll(r.dir); err != nil {
			return RestoreReport{}, errs.Wrap(errs.CodeInternal, err, "make room for a checkpoint in memory")
		}
	}
	image, err := backup.Rebuild(ctx, from, plan, scratch, r.Options)
	if err != nil {
		return RestoreReport{}, err
	}
	head := plan.Chain.Head()
	now := r.Clock.Now().UnixMicro()
	m := manifest.Manifest{
		Generation: 1, KeyEncoding: head.KeyEncoding, EverPermissive: head.EverPermissive,
		CreatedMicros: now, DurableSeq: image.Seq(), ActiveSegment: 1,
	}
	if _, err := rand.Read(m.Incarnation[:]); err != nil {
		return RestoreReport{}, errs.Wrap(errs.CodeInternal, err, "draw the identity of the store")
	}
	if image.Seq() > 0 { // before the first commit there is no checkpoint
		info, err := r.writeState(ctx, &m, image)
		if err != nil {
			return RestoreReport{}, err
		}
		m.Checkpoints = []manifest.Checkpoint{{
			File: info.File, Seq: image.Seq(), Size: info.Size, Digest: info.Digest, CreatedMicros: now,
			RawBytes: info.RawBytes,
		}}
	}
	if err := manifest.StoreSigned(r.FS, r.dir, m, r.sealing.Ring); err != nil {
		return RestoreReport{}, err
	}
	report := RestoreReport{
		Plan: *plan, Seq: image.Seq(), Time: time.UnixMicro(image.Micros()).UTC(),
		Compared: plan.State != nil, Incarnation: m.Incarnation.String(),
	}
	if report.Compared {
		report.Digest = *plan.State
	} else {
		report.Digest = image.Digest()
	}
	return report, nil
}

// writeState writes the checkpoint of the new store and reads it back.
func (r *restoring) writeState(ctx context.Context, m *manifest.Manifest, image *state.Image) (checkpoints.Info, error) {
	header := checkpoints.Header{
		KeyEncoding: m.KeyEncoding, Incarnation: m.Incarnation, Seq: image.Seq(), Micros: image.Micros(),
	}
	info, err := checkpoints.WriteSealed(ctx, r.FS, r.dir, header, r.sealing, r.Concurrency, func(w *checkpoints.Writer) error {
		return r.Fill(w, image, "")
	})
	if err != nil {
		return info, err
	}
	reader, err := checkpoints.OpenSealed(r.FS, r.path(info.File), r.sealing.Ring)
	if err != nil {
		return info, err
	}
	defer reader.Close() // it was only read
	return info, reader.Verify(ctx)
}

// unmark takes the mark away. The store is there when that is durable.
func (r *restoring) unmark() error {
	err := r.FS.Remove(r.path(recovery.RestoreMarker))
	if err == nil {
		err = r.FS.SyncDir(r.dir)
	}
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "take the mark off %s", r.dir).On(r.dir)
	}
	return nil
}

// clear leaves the directory empty after an error, the mark last.
func (r *restoring) clear() error {
	names, err := r.FS.List(r.dir)
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "list the directory %s", r.dir).On(r.dir)
	}
	var made []string
	for _, name := range names {
		if ofRestore(name) {
			made = append(made, name)
		}
	}
	if err := r.removeAll(made); err != nil {
		return err
	}
	if err := r.unmark(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeAll removes files for good.
func (r *restoring) removeAll(names []string) error {
	for _, name := range names {
		if err := r.FS.Remove(r.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errs.Wrap(errs.CodeIO, err, "remove %s", name).On(name)
		}
	}
	if err := r.FS.SyncDir(r.dir); err != nil {
		return errs.Wrap(errs.CodeIO, err, "sync the directory %s", r.dir).On(r.dir)
	}
	return nil
}

// RestoreArchive is Restore from an archive, such as backup.WriteArchive makes,
// which is read once from its beginning to its end. The objects in it pass through
// the store via: a backup.Directory, or a backup.Memory for what fits there. It is a
// validation error if that holds backups, which might be taken for those of the archive.
func RestoreArchive(ctx context.Context, in io.Reader, via backup.Store, dir string, o RestoreOptions) (RestoreReport, error) {
	there, err := backup.List(ctx, via, o.Options)
	if err != nil {
		return RestoreReport{}, err
	}
	if n := len(there.Backups) + len(there.Damaged); n > 0 {
		return RestoreReport{}, errs.New(errs.CodeValidation, "the store that the archive would pass through holds %d backups", n)
	}
	if _, err := backup.ReadArchive(ctx, in, via, o.Options); err != nil {
		return RestoreReport{}, err
	}
	return Restore(ctx, via, dir, o)
}
