package feed

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// Log is the archive in a store's directory: the segments of the log that are
// still there, and the checkpoints, which hold the schema. Files may be added and
// removed meanwhile. It is safe for concurrent use.
type Log struct {
	fsys  vfs.FS
	dir   string
	ring  *keys.Ring // nil for a store without keys
	marks marks
}

// NewLog returns the archive in a directory, of a store with the keys of the ring, or
// without any if that is nil.
func NewLog(fsys vfs.FS, dir string, ring *keys.Ring) *Log {
	return &Log{fsys: fsys, dir: dir, ring: ring}
}

// Base implements Archive: the newest checkpoint that can be read, or the empty
// schema before the first commit.
func (l *Log) Base(seq uint64) (uint64, *catalog.Catalog, error) {
	m, checkpoints, err := l.checkpoints()
	if err != nil {
		return 0, nil, err
	}
	for _, at := range slices.Backward(checkpoints) {
		if at > seq {
			continue
		}
		// One that has gone or is damaged leaves the one before, as in a recovery.
		if schema, err := l.schemaAt(at, &m); err == nil {
			return at, schema, nil
		}
	}
	return 0, catalog.New(), nil
}

// checkpoints returns the seqs of the checkpoints on disk, ascending, and the
// manifest in force. That lists the newest that counts; one below it that is not
// listed is kept to fall back to.
func (l *Log) checkpoints() (manifest.Manifest, []uint64, error) {
	m, _, err := manifest.LoadSigned(l.fsys, l.dir, l.ring, false)
	if err != nil || len(m.Checkpoints) == 0 {
		return m, nil, err
	}
	newest := m.Checkpoints[len(m.Checkpoints)-1].Seq
	seqs, err := checkpoint.List(l.fsys, l.dir)
	return m, slices.DeleteFunc(seqs, func(seq uint64) bool { return seq > newest }), err
}

// schemaAt reads the schema from a checkpoint.
func (l *Log) schemaAt(seq uint64, m *manifest.Manifest) (*catalog.Catalog, error) {
	name := checkpoint.FileName(seq)
	chain, err := checkpoint.OpenSealedChain(l.fsys, l.dir, name, l.ring)
	if err != nil {
		return nil, err
	}
	defer chain.Close()
	if h := chain.Newest().Header(); h.Incarnation != m.Incarnation || h.Seq != seq {
		return nil, errs.New(errs.CodeDecode, "checkpoint %s is of another store or commit", name).On(name)
	}
	if l.ring != nil && !slices.ContainsFunc(m.Listed(), func(c manifest.Checkpoint) bool {
		return c.Seq == seq && c.Digest == manifest.Digest(chain.Newest().Digest())
	}) {
		return nil, errs.New(errs.CodeIntegrity, "checkpoint %s is not what the manifest lists", name).On(name)
	}
	entries := map[string][]byte{}
	for _, r := range chain {
		if r.Drops(catalog.SpaceCatalog) {
			clear(entries)
		}
		for i, chunk := range r.Chunks() {
			if chunk.Space != catalog.SpaceCatalog {
				continue
			}
			if err := r.DecodeChunk(i, func(key, value []byte, version uint64) error {
				if version == 0 {
					delete(entries, string(key))
				} else {
					entries[string(key)] = bytes.Clone(value)
				}
				return nil
			}); err != nil {
				return nil, err
			}
		}
	}
	return load(entries)
}

// Oldest implements Archive: the oldest checkpoint that the log goes on from, or
// 0 if the log begins with the first commit.
func (l *Log) Oldest() (uint64, bool, error) {
	m, checkpoints, err := l.checkpoints()
	if err != nil {
		return 0, false, err
	}
	segments, err := l.segments(m.Incarnation)
	if err != nil || len(segments) == 0 {
		return 0, false, err
	}
	before := segments[0].NextSeq - 1
	if before == 0 {
		return 0, true, nil
	}
	for _, at := range checkpoints {
		if at < before {
			continue
		}
		if _, err := l.schemaAt(at, &m); err == nil {
			return at, true, nil
		}
	}
	return 0, false, nil
}

// Read implements Archive. It begins at the last place before the commit where any
// reading has ended, and has about a MiB of the log in memory.
//
// What follows the last commit asked for may be under way, or have been torn by a
// crash; how it ends is not looked at.
func (l *Log) Read(after, last uint64, visit func(*msgs.Changeset) error) error {
	m, _, err := manifest.LoadSigned(l.fsys, l.dir, l.ring, false)
	if err != nil {
		return err
	}
	segments, err := l.segments(m.Incarnation)
	if err != nil {
		return err
	}
	next := after + 1
	i := 0
	for i < len(segments) && segments[i].NextSeq <= next {
		i++
	}
	if i == 0 {
		return gone(next)
	}
	for _, begin := range segments[i-1:] {
		if next > last {
			return nil
		}
		if begin.NextSeq > next {
			number := begin.Header().Number
			return errs.New(errs.CodeIntegrity, "segment %d begins with commit %d where %d is expected",
				number, begin.NextSeq, next).On(wal.SegmentName(number))
		}
		if err := l.vouched(&m, &begin); err != nil {
			return err
		}
		at := l.marks.before(begin, next)
		err := l.readSegment(&at, func(f wal.Frame) error {
			for i := range f.Sets {
				if f.Sets[i].Seq < next {
					continue
				}
				if err := visit(&f.Sets[i]); err != nil {
					return err
				}
				next++
			}
			return nil
		})
		l.marks.add(at)
		switch {
		case errors.Is(err, ErrEnough):
			return nil
		case err != nil:
			return err
		}
	}
	if next <= last {
		return errs.New(errs.CodeIntegrity, "the log in %s ends before commit %d", l.dir, next).On(l.dir)
	}
	return nil
}

// vouched refuses a segment of a store with keys that is neither sealed nor, as those
// from before the store had keys are, what the manifest lists.
func (l *Log) vouched(m *manifest.Manifest, begin *wal.Place) error {
	if l.ring == nil || begin.Sealed() {
		return nil
	}
	number := begin.Header().Number
	name := wal.SegmentName(number)
	data, err := l.readFile(name, -1)
	if err == nil && !m.Vouches(number, data) {
		err = errs.New(errs.CodeIntegrity, "%s is not sealed, and not what the manifest lists", name).On(name)
	}
	return err
}

func gone(seq uint64) error {
	return errs.New(errs.CodeSeqGarbageCollected, "commit %d is no longer in the log", seq)
}

// readSegment reads on from a place in a segment, and moves it.
func (l *Log) readSegment(at *wal.Place, visit func(wal.Frame) error) error {
	name := wal.SegmentName(at.Header().Number)
	f, err := l.fsys.Open(path.Join(l.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return gone(at.NextSeq)
	}
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "open %s", name).On(name)
	}
	defer f.Close() // it was only read
	_, err = at.Read(f, visit)
	return err
}

// segments returns the beginnings of the segments of a store, ascending, from behind
// the last gap on. One without a whole header has no commits yet.
func (l *Log) segments(store manifest.Incarnation) ([]wal.Place, error) {
	numbers, err := wal.ListSegments(l.fsys, l.dir)
	if err != nil {
		return nil, err
	}
	var all []wal.Place
	for _, n := range numbers {
		data, err := l.readFile(wal.SegmentName(n), wal.HeaderSize+wal.SealSize)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		begin, err := wal.BeginSealed(data, l.ring)
		if code := errs.CodeOf(err); code == errs.CodeUnavailable || code == errs.CodeIntegrity {
			return nil, err
		}
		if h := begin.Header(); err != nil || h.Incarnation != store || h.Number != n {
			continue
		}
		if k := len(all); k > 0 && all[k-1].Header().Number+1 != n {
			all = all[:0]
		}
		all = append(all, begin)
	}
	return all, nil
}

// readFile returns the content of a file of the store, at most limit bytes of it
// unless that is negative.
func (l *Log) readFile(name string, limit int64) ([]byte, error) {
	data, err := vfs.ReadFile(l.fsys, path.Join(l.dir, name), limit)
	if err != nil {
		return nil, errs.Wrap(errs.CodeIO, err, "read %s", name).On(name)
	}
	return data, nil
}
