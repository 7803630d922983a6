package recovery

import (
	"context"
	"errors"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

const (
	// batchBytes is how many bytes of frames travel together from a scan to the
	// replay.
	batchBytes = 32 << 10
	// batchesAhead is how many batches a scan may be ahead of the replay.
	batchesAhead = 4
)

// scan reads one segment on a goroutine of its own: the file, its digest, its
// header, and then its frames, which it hands to the replay while that is still
// applying earlier ones.
type scan struct {
	number uint64
	// listed is what the manifest says of the segment; nil if it is not listed.
	listed *manifest.Segment
	// last is true for the last segment of the log.
	last bool

	// opened is closed when the following are set.
	opened chan struct{}
	err    error      // of reading the file
	size   int64      // of the file
	data   []byte     // its content, as far as it counts
	digest wal.Digest // of that, if the segment is listed
	header wal.Header
	seal   *wal.Seal // nil if it is not sealed
	badErr error     // of the header or the seal

	// batches are the good frames. When it is closed, the following are set.
	batches chan []wal.Frame
	end     wal.End
	good    wal.Digest // of the content up to end.Offset
	// segment goes on with the last segment; nil for others, where it has something
	// else than zeros behind its frames, and where it is sealed in another way than
	// what is written from now on.
	segment *wal.Writer
	scanErr error
}

func newScan(number uint64, listed *manifest.Segment) *scan {
	return &scan{
		number: number, listed: listed,
		opened: make(chan struct{}), batches: make(chan []wal.Frame, batchesAhead),
	}
}

// name returns the base name of the segment.
func (s *scan) name() string { return wal.SegmentName(s.number) }

// fail names the segment in an error of it.
func (s *scan) fail(err error) error {
	return errs.Wrap(errs.CodeOf(err), err, "%s", s.name()).On(s.name())
}

// run reads the segment.
func (s *scan) run(ctx context.Context, r *recoverer) {
	defer close(s.batches)
	s.open(r)
	close(s.opened)
	if s.err == nil && s.badErr == nil {
		s.scan(ctx, r.Sealing)
	}
}

func (s *scan) open(r *recoverer) {
	if s.data, s.err = r.readFile(s.name(), -1); s.err != nil {
		return
	}
	s.size = int64(len(s.data))
	if s.listed != nil && s.listed.Size > 0 && s.listed.Size < s.size {
		s.data = s.data[:s.listed.Size]
	}
	if s.listed != nil {
		s.digest = wal.DigestOf(s.data)
	}
	s.header, s.seal, s.badErr = wal.Open(s.data, r.Sealing.Ring)
}

func (s *scan) scan(ctx context.Context, sealing keys.Sealing) {
	var batch []wal.Frame
	size := 0
	send := func() error {
		select {
		case s.batches <- batch:
			batch, size = nil, 0
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_, s.end, s.scanErr = wal.ScanSealed(s.data, sealing.Ring, func(f wal.Frame) error {
		if err := checkKeys(&f); err != nil {
			return err
		}
		batch = append(batch, f)
		if size += f.Size; size < batchBytes {
			return nil
		}
		return send()
	})
	if len(batch) > 0 {
		if err := send(); err != nil && s.scanErr == nil {
			s.scanErr = err
		}
	}
	if errors.Is(s.scanErr, errBadKey) {
		s.scanErr = nil
		s.end.Verdict, s.end.Reason = wal.Corrupt, errBadKey
	}
	s.sum(sealing)
}

// sum finds the digest of the good frames, which for the last segment is that of
// the writer that goes on with it.
func (s *scan) sum(sealing keys.Sealing) {
	switch {
	case s.scanErr != nil:
	case s.last && s.listed == nil && s.end.Verdict == wal.Clean && s.seal.Fits(sealing):
		if s.segment, s.scanErr = wal.ContinueSealedWriter(s.data, s.end, sealing); s.scanErr == nil {
			s.good = s.segment.Digest()
		}
	case s.listed != nil && s.end.Offset == len(s.data):
		s.good = s.digest
	default:
		s.good = wal.DigestOf(s.data[:s.end.Offset])
	}
}

var errBadKey = errs.New(errs.CodeDecode, "a key is longer than any that was ever written")

// checkKeys refuses a frame with a key that no tree can hold.
func checkKeys(f *wal.Frame) error {
	for i := range f.Sets {
		for j := range f.Sets[i].Effects {
			if len(f.Sets[i].Effects[j].Key) > blocktree.MaxKeySize {
				return errBadKey
			}
		}
	}
	return nil
}

// readFile reads a file of the store, at most limit bytes of it unless that is
// negative.
func (r *recoverer) readFile(name string, limit int64) ([]byte, error) {
	data, err := vfs.ReadFile(r.FS, r.path(name), limit)
	if err != nil {
		return nil, errs.Wrap(errs.CodeIO, err, "read %s", name).On(name)
	}
	return data, nil
}
