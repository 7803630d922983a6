// Package recoverytest is a store without a pipeline, for the tests of what
// happens to files: commits go through the real log, checkpoints through the
// real checkpointer and openings through the real recovery, all on the goroutine
// of the test, one call at a time. It remembers what every commit has led to, so
// that whatever a recovery returns can be held against it.
package recoverytest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/checkpointer"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/walwriter"
)

// Dir is the directory of every store, in its file system.
const Dir = "db"

// FirstSpace is the lowest of the spaces that commits write to.
const FirstSpace msgs.SpaceID = 100

// History is what the commits of a store have led to, over all its openings.
type History struct {
	// Digests are those of the image after each commit, by seq.
	Digests map[uint64][32]byte
	// Durable is the last commit that was acknowledged as durable.
	Durable uint64
	// Last is the last commit that was handed to the file system.
	Last uint64
}

// NewHistory returns the history of a store without commits.
func NewHistory() *History {
	return &History{Digests: map[uint64][32]byte{0: state.NewWorking().Freeze().Digest()}}
}

// Check returns an error unless the recovered state is a prefix of the history
// that holds every durable commit. What lies beyond it is forgotten.
func (h *History) Check(r *recovery.Recovered) error {
	seq := r.Working.Seq()
	switch {
	case seq < h.Durable:
		return errs.New(errs.CodeInternal, "recovered commit %d, but %d was acknowledged as durable", seq, h.Durable)
	case seq > h.Last:
		return errs.New(errs.CodeInternal, "recovered commit %d, but %d is the last", seq, h.Last)
	case r.Working.Freeze().Digest() != h.Digests[seq]:
		return errs.New(errs.CodeInternal, "the state at commit %d is not what it was", seq)
	case r.Active == nil && r.Next.FirstSeq != seq+1:
		return errs.New(errs.CodeInternal, "the next segment begins at commit %d after %d", r.Next.FirstSeq, seq)
	case r.Active != nil && r.Active.Segment.NextSeq() != seq+1:
		return errs.New(errs.CodeInternal, "the active segment goes on with commit %d after %d", r.Active.Segment.NextSeq(), seq)
	case r.Durable > seq || r.Active == nil && r.Durable != seq:
		return errs.New(errs.CodeInternal, "commit %d is said to be durable, and %d was recovered", r.Durable, seq)
	}
	h.Last, h.Durable = seq, max(h.Durable, r.Durable)
	return nil
}

// Options choose how a store works.
type Options struct {
	Mode recovery.Mode
	// Kept checkpoints; 0 stands for 2.
	Kept int
	// SegmentBytes is where segments are sealed; 0 stands for 512.
	SegmentBytes int64
	// Parallelism of the recovery; 0 stands for 2.
	Parallelism int
	// Sealing, Adopt and ExpectSeq are those of the recovery.
	Sealing   keys.Sealing
	Adopt     bool
	ExpectSeq uint64
	// Continue goes on with the last segment where the recovery leaves it.
	Continue bool
}

// Store is an open store.
type Store struct {
	Recovered *recovery.Recovered
	Keeper    *checkpointer.Checkpointer
	History   *History

	working  *state.Working
	log      *walwriter.Log
	writer   *walwriter.Writer
	file     msgs.File
	clock    vfs.Clock
	unsynced bool
}

// Clock returns a clock that makes runs repeatable.
func Clock() vfs.Clock {
	return vfs.NewManualClock(time.Unix(1_700_000_000, 0), time.Millisecond)
}

// Recover opens the directory without starting anything on it.
func Recover(fsys vfs.FS, o Options) (*recovery.Recovered, error) {
	if o.Parallelism == 0 {
		o.Parallelism = 2
	}
	return recovery.Open(context.Background(), recovery.Options{
		FS: fsys, Dir: Dir, Mode: o.Mode, Parallelism: o.Parallelism, Continue: o.Continue, Clock: Clock(),
		Sealing: o.Sealing, Adopt: o.Adopt, ExpectSeq: o.ExpectSeq,
	})
}

// Open opens a store and checks what was recovered against the history.
func Open(fsys vfs.FS, o Options, h *History) (*Store, error) {
	if o.Kept == 0 {
		o.Kept = 2
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 512
	}
	if err := fsys.MkdirAll(Dir); err != nil {
		return nil, err
	}
	r, err := Recover(fsys, o)
	if err != nil {
		return nil, err
	}
	if err := h.Check(r); err != nil {
		return nil, err
	}
	log, segment, err := r.OpenLog(walwriter.Storage{FS: fsys, Dir: Dir, Sealing: o.Sealing})
	if err != nil {
		return nil, err
	}
	s := &Store{Recovered: r, History: h, working: r.Working, log: log, file: log.File(), clock: Clock()}
	s.unsynced = h.Durable < h.Last
	s.writer = walwriter.NewWriter(segment, o.SegmentBytes, func() uint64 { return min(h.Durable, h.Last) })
	s.Keeper = checkpointer.New(checkpointer.Config{
		FS: fsys, Dir: Dir, Clock: s.clock, Kept: o.Kept, Concurrency: 1, Sealing: o.Sealing,
	}, r.Manifest, r.Sealed, r.Checkpoint)
	return s, nil
}

// Image returns the state as it is now.
func (s *Store) Image() *state.Image { return s.working.Freeze() }

// Put commits one put of a key.
func (s *Store) Put(space msgs.SpaceID, key, value string) error {
	return s.Commit(func(w *state.Working) { w.Put(space, []byte(key), []byte(value)) })
}

// PutMany makes n commits, each of a key named by its seq.
func (s *Store) PutMany(n int) error {
	for range n {
		seq := s.History.Last + 1
		if err := s.Put(FirstSpace+msgs.SpaceID(seq%3), fmt.Sprintf("key-%06d", seq), fmt.Sprintf("value-%d", seq)); err != nil {
			return err
		}
	}
	return nil
}

// Fill makes a commit of n puts to one space, which later commits are small
// against, so that their checkpoints are deltas.
func (s *Store) Fill(n int) error {
	return s.Commit(func(w *state.Working) {
		for i := range n {
			w.Put(FirstSpace, fmt.Appendf(nil, "fill-%06d", i), fmt.Appendf(nil, "%060d", i))
		}
	})
}

// Random makes a commit of some puts, deletes and now and then a drop.
func (s *Store) Random(rng *rand.Rand) error {
	return s.Commit(func(w *state.Working) {
		for range 1 + rng.IntN(4) {
			space := FirstSpace + msgs.SpaceID(rng.IntN(3))
			key := fmt.Appendf(nil, "k%d", rng.IntN(20))
			switch rng.IntN(12) {
			case 0:
				w.DropSpace(space)
			case 1, 2:
				w.Delete(space, key)
			default:
				w.Put(space, key, make([]byte, rng.IntN(60)))
			}
		}
	})
}

// Define commits a change of the catalog.
func (s *Store) Define(statement catalog.Statement) error {
	changed, change, err := s.working.Catalog().Apply(statement, 0)
	if err != nil {
		return err
	}
	return s.Commit(func(w *state.Working) {
		for _, e := range change.Entries {
			w.Put(catalog.SpaceCatalog, e.Key, e.Value)
		}
		for _, key := range change.Removed {
			w.Delete(catalog.SpaceCatalog, key)
		}
		w.SetCatalog(changed)
	})
}

// Commit makes one commit and appends it to the log.
func (s *Store) Commit(change func(*state.Working)) error {
	seq := s.working.Seq() + 1
	s.working.Begin(seq, int64(seq)*1000)
	change(s.working)
	set := s.working.Commit()
	image := s.working.Freeze()
	s.History.Digests[seq], s.History.Last = image.Digest(), seq
	plan, err := s.writer.Step(s.clock.Now(), []*msgs.Epoch{{Sets: []msgs.Changeset{set}}})
	if err != nil {
		return err
	}
	written, err := s.log.Perform(plan)
	if err != nil {
		return err
	}
	s.file = written.File
	if written.Retired != nil {
		if err := written.Retired.Close(); err != nil {
			return err
		}
	}
	s.unsynced = true
	s.Keeper.Step(time.Unix(1, 0), []*msgs.Progress{{Bytes: written.Bytes, Sealed: written.Sealed}})
	return nil
}

// Sync makes all commits durable.
func (s *Store) Sync() error {
	if !s.unsynced {
		return nil
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.unsynced = false
	s.History.Durable = s.History.Last
	return nil
}

// Checkpoint makes all commits durable and writes them to a checkpoint.
func (s *Store) Checkpoint() error {
	if err := s.Sync(); err != nil {
		return err
	}
	return s.Keeper.Take(context.Background(), s.Image()).Err
}

// Close ends the store in order: all commits are durable, and the manifest lists the
// whole log. A failure leaves what a crash would.
func (s *Store) Close() error {
	if err := s.Sync(); err != nil {
		return err
	}
	if err := s.log.Close(); err != nil {
		return err
	}
	s.Keeper.Ended(s.writer.Segment())
	return s.Keeper.Conclude()
}
