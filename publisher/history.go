package publisher

import (
	"slices"
	"sort"
	"sync"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

// History answers for states of the recent past, each commit's own, although
// images are published per epoch only. It keeps the changesets of recent commits,
// which know what they replaced: the state at seq n is the newest image with the
// commits above n taken back on a fork of it.
//
// A commit that drops a space cannot be taken back. The image before its epoch is
// kept as a landmark, for as long as the history reaches there: states before it
// are found from the landmark backwards, those within the epoch from it onwards.
//
// But for landmarks, memory is bounded by the limits. It is safe for concurrent
// use.
type History struct {
	mu         sync.Mutex // guards the following
	maxCommits int
	maxBytes   int64
	sets       []msgs.Changeset // in order; those before first are let go
	first      int
	bytes      int64
	floor      moment // the state before the first set
	head       *state.Image
	landmarks  []landmark // in order
}

// moment is a seq with the time of that commit.
type moment struct {
	seq    uint64
	micros int64
}

// landmark is the image before an epoch in which a space was dropped.
type landmark struct {
	image *state.Image
	last  uint64 // seq of the epoch
}

// setOverhead and effectOverhead are what a changeset and each of its effects
// take besides keys and values, in bytes.
const (
	setOverhead    = 64
	effectOverhead = 96
)

// NewHistory returns a history that starts at an image and keeps up to so many
// commits, and so many bytes of changes.
func NewHistory(image *state.Image, maxCommits int, maxBytes int64) *History {
	return &History{
		maxCommits: maxCommits, maxBytes: maxBytes,
		head: image, floor: moment{image.Seq(), image.Micros()},
	}
}

// Add appends the commits of an epoch, which led to the image.
func (h *History) Add(sets []msgs.Changeset, image *state.Image) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if slices.ContainsFunc(sets, dropsSpace) {
		h.landmarks = append(h.landmarks, landmark{h.head, image.Seq()})
	}
	h.head = image
	h.sets = append(h.sets, sets...)
	for i := range sets {
		h.bytes += sizeOf(&sets[i])
	}
	h.trim()
}

// Limit changes how much is kept, from now on.
func (h *History) Limit(maxCommits int, maxBytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.maxCommits, h.maxBytes = maxCommits, maxBytes
	h.trim()
}

// trim lets go of what is beyond the limits. The caller holds mu.
func (h *History) trim() {
	for n := len(h.sets) - h.first; n > 0 && (n > h.maxCommits || h.bytes > h.maxBytes || h.cut()); n-- {
		h.forget()
	}
}

// cut tells whether the history begins within an epoch that a landmark stands
// before: what is left of it cannot be reached. The caller holds mu.
func (h *History) cut() bool {
	return len(h.landmarks) > 0 && h.landmarks[0].image.Seq() < h.floor.seq
}

func dropsSpace(set msgs.Changeset) bool {
	return slices.ContainsFunc(set.Effects, func(e msgs.Effect) bool { return e.Op == msgs.EffectDropSpace })
}

// sizeOf returns the memory that a changeset holds.
func sizeOf(set *msgs.Changeset) int64 {
	n := int64(setOverhead)
	for i := range set.Effects {
		n += effectOverhead + int64(len(set.Effects[i].Key)+len(set.Effects[i].Value)+len(set.Prior(i).Value))
	}
	return n
}

// forget lets go of the oldest commit. The caller holds mu.
func (h *History) forget() {
	old := &h.sets[h.first]
	h.bytes -= sizeOf(old)
	h.floor = moment{old.Seq, old.Micros}
	*old = msgs.Changeset{}
	h.first++
	if h.first > len(h.sets)/2 {
		h.sets, h.first = slices.Delete(h.sets, 0, h.first), 0
	}
	for len(h.landmarks) > 0 && h.landmarks[0].last <= h.floor.seq {
		h.landmarks = slices.Delete(h.landmarks, 0, 1)
	}
}

// At returns the state at a seq that is not above the newest commit added. A seq
// that is no longer covered fails with seq_garbage_collected.
func (h *History) At(seq uint64) (*state.Image, error) {
	way, err := h.wayTo(seq)
	if err != nil || len(way.sets) == 0 {
		return way.from, err
	}
	w := way.from.Fork()
	if way.back {
		for i := len(way.sets) - 1; i >= 0; i-- {
			before := way.to
			if i > 0 {
				before = moment{way.sets[i-1].Seq, way.sets[i-1].Micros}
			}
			w.Revert(&way.sets[i], before.seq, before.micros)
		}
	} else {
		for i := range way.sets {
			if err := w.Replay(&way.sets[i]); err != nil {
				return nil, err
			}
		}
	}
	if err := w.LoadCatalog(); err != nil {
		return nil, err
	}
	return w.Freeze(), nil
}

// way is how to get to a state: from an image through some commits, taking them
// back or making them again.
type way struct {
	from *state.Image
	sets []msgs.Changeset
	back bool
	to   moment
}

func (h *History) wayTo(seq uint64) (way, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq < h.floor.seq {
		return way{}, errs.New(errs.CodeSeqGarbageCollected,
			"commit %d is no longer retained; the oldest is %d", seq, h.floor.seq)
	}
	from := h.head
	for i := len(h.landmarks) - 1; i >= 0; i-- {
		l := &h.landmarks[i]
		if l.image.Seq() >= seq {
			from = l.image
			continue
		}
		if seq < l.last {
			return way{from: l.image, sets: h.between(l.image.Seq(), seq)}, nil
		}
		break
	}
	to := h.floor
	if i := h.index(seq); i > h.first {
		to = moment{h.sets[i-1].Seq, h.sets[i-1].Micros}
	}
	return way{from: from, sets: h.between(seq, from.Seq()), back: true, to: to}, nil
}

// between returns the commits above after, up to last. What the history keeps may
// be overwritten when mu is free again, hence the copy.
func (h *History) between(after, last uint64) []msgs.Changeset {
	return slices.Clone(h.sets[h.index(after):h.index(last)])
}

// index returns the place of the first commit above seq.
func (h *History) index(seq uint64) int {
	kept := h.sets[h.first:]
	return h.first + sort.Search(len(kept), func(i int) bool { return kept[i].Seq > seq })
}

// After returns up to limit commits that follow a seq, in order, and none if there
// are none yet. The changesets are shared. A seq whose next commit is no longer
// retained fails with seq_garbage_collected.
func (h *History) After(seq uint64, limit int) ([]msgs.Changeset, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq < h.floor.seq {
		return nil, errs.New(errs.CodeSeqGarbageCollected,
			"the commits after %d are no longer retained; the oldest is %d", seq, h.floor.seq+1)
	}
	from := h.index(seq)
	return slices.Clone(h.sets[from:min(from+limit, len(h.sets))]), nil
}

// Oldest returns the oldest seq that At can answer for.
func (h *History) Oldest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.floor.seq
}
