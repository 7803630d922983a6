package recovery

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/wal"
)

// RestoreMarker is the name of the file that lies in a directory while a store is
// being restored into it. Until that is done there is no store to open.
const RestoreMarker = "RESTORING"

const (
	// keyEncoding is the version of the encoding of keys that this release writes
	// and reads.
	keyEncoding = 1
	// tempSuffix ends the name of a file that was being written.
	tempSuffix = ".tmp"
)

// listing is what a directory holds, each ascending.
type listing struct {
	segments    []uint64 // by number
	checkpoints []uint64 // by commit seq
	generations []uint64 // of the manifest
	temps       []string
}

func (r *recoverer) list() error {
	names, err := r.FS.List(r.Dir)
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "list the directory %s", r.Dir).On(r.Dir)
	}
	// The names are sorted, and so are the numbers in them: they are padded to
	// a width that no store outgrows.
	for _, name := range names {
		if name == RestoreMarker {
			return errs.New(errs.CodeUnavailable, "%s holds the beginning of a restore that was not finished; restore into it again", r.Dir).On(r.Dir)
		}
		if n, ok := wal.ParseSegmentName(name); ok {
			r.files.segments = append(r.files.segments, n)
		} else if seq, ok := checkpoint.ParseFileName(name); ok {
			r.files.checkpoints = append(r.files.checkpoints, seq)
		} else if g, ok := manifest.ParseFileName(name); ok {
			r.files.generations = append(r.files.generations, g)
		} else if isTemp(name) {
			r.files.temps = append(r.files.temps, name)
		}
	}
	r.report.Segments = len(r.files.segments)
	return nil
}

// isTemp reports whether a name is that of one of the store's files on its way
// into place.
func isTemp(name string) bool {
	whole, ok := strings.CutSuffix(name, tempSuffix)
	if !ok {
		return false
	}
	_, segment := wal.ParseSegmentName(whole)
	_, image := checkpoint.ParseFileName(whole)
	_, generation := manifest.ParseFileName(whole)
	return segment || image || generation
}

// findManifest finds the manifest, or what stands in for it.
func (r *recoverer) findManifest(context.Context) error {
	if err := r.list(); err != nil {
		return err
	}
	ring := r.Sealing.Ring
	m, found, err := manifest.LoadSigned(r.FS, r.Dir, ring, r.Adopt)
	for _, rejected := range found.Rejected {
		r.report.RejectedManifests = append(r.report.RejectedManifests, Rejection(rejected))
		r.warn(fmt.Sprintf("manifest %s cannot be used: %v", rejected.File, rejected.Err))
		r.rewrite = true
	}
	switch {
	case err == nil:
		r.report.Generation = m.Generation
		r.signed = found.Key != ""
		r.rewrite = r.rewrite || found.Key != ring.Current()
		if ring != nil && !r.signed {
			r.warn("the store was not signed; it is adopted as it is")
		}
	case errors.Is(err, manifest.ErrNone) && len(r.files.segments) == 0 && len(r.files.checkpoints) == 0:
		m, err = r.create()
	case errors.Is(err, manifest.ErrNone) && (r.Mode == Strict || ring != nil):
		// A manifest is durable before the first segment is begun, so this is not
		// what a crash leaves. Where it would be signed, nothing can take its place.
		return errs.New(errs.CodeUnavailable, "%s holds a log or checkpoints but no manifest", r.Dir).On(r.Dir)
	case r.Mode == Permissive && ring == nil && (errors.Is(err, manifest.ErrNone) || errs.CodeOf(err) == errs.CodeRecoveryIntegrity):
		m, err = r.rebuild()
	}
	if err != nil {
		return err
	}
	if m.KeyEncoding != keyEncoding {
		return errs.New(errs.CodeUnavailable, "the store in %s has key encoding %d; this version reads %d", r.Dir, m.KeyEncoding, keyEncoding).On(r.Dir)
	}
	if m.EverPermissive && r.Mode == Strict {
		return errs.New(errs.CodeUnavailable, "the store in %s is not to be trusted (trust_mode): "+
			"it was opened in permissive recovery, which may have given up commits", r.Dir).On(r.Dir)
	}
	r.rewrite = r.rewrite || r.Mode == Permissive && !m.EverPermissive
	r.manifest = m
	r.report.Incarnation = m.Incarnation
	return nil
}

// create returns the manifest of a new store.
func (r *recoverer) create() (manifest.Manifest, error) {
	r.rewrite, r.report.Created = true, true
	m := manifest.Manifest{KeyEncoding: keyEncoding, ActiveSegment: 1}
	return m, newIncarnation(&m)
}

func newIncarnation(m *manifest.Manifest) error {
	if _, err := rand.Read(m.Incarnation[:]); err != nil {
		return errs.Wrap(errs.CodeInternal, err, "draw the identity of a new store")
	}
	return nil
}

// rebuild makes a manifest from the files that are there. The newest checkpoint
// that can be opened, or else the first segment, says which store they are of.
func (r *recoverer) rebuild() (manifest.Manifest, error) {
	r.warn("there is no manifest to use; it is rebuilt from the files in the directory")
	r.rewrite = true
	m := manifest.Manifest{KeyEncoding: keyEncoding, ActiveSegment: 1}
	if n := len(r.files.generations); n > 0 {
		m.Generation = r.files.generations[n-1]
	}
	if len(r.files.segments) > 0 {
		m.ActiveSegment = r.files.segments[0]
	}
	var headers []checkpoint.Header
	for _, seq := range r.files.checkpoints {
		c, header, err := r.describe(seq)
		if !damaged(err) {
			return m, err
		}
		if err != nil {
			r.rejectCheckpoint(checkpoint.FileName(seq), err)
			r.baseLost = true
			continue
		}
		m.Retain(append(m.Checkpoints, c))
		headers = append(headers, header)
	}
	if n := len(headers); n > 0 {
		m.Incarnation, m.KeyEncoding = headers[n-1].Incarnation, headers[n-1].KeyEncoding
		return m, nil
	}
	for _, number := range r.files.segments {
		if data, err := r.readFile(wal.SegmentName(number), wal.HeaderSize); err == nil {
			if h, err := wal.ParseHeader(data); err == nil {
				m.Incarnation = h.Incarnation
				return m, nil
			}
		}
	}
	return m, newIncarnation(&m)
}

// describe opens a checkpoint, with all that it builds on, to learn what a manifest
// would say of it.
func (r *recoverer) describe(seq uint64) (manifest.Checkpoint, checkpoint.Header, error) {
	name := checkpoint.FileName(seq)
	chain, err := checkpoint.OpenChain(r.FS, r.Dir, name)
	if err != nil {
		return manifest.Checkpoint{}, checkpoint.Header{}, err
	}
	defer chain.Close()
	newest := chain.Newest()
	h := newest.Header()
	return manifest.Checkpoint{
		File: name, Seq: seq, Size: newest.Size(), Digest: newest.Digest(), CreatedMicros: h.Micros,
		Base: h.Base.Seq, RawBytes: newest.RawBytes(),
	}, h, nil
}
