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
// images are published per epoch at most. It keeps the changesets of recent commits,
// which know what they replaced: the state at seq n is a later image with the commits
// above n taken back on a fork of it.
//
// But for spaces that were dropped, memory is bounded by the limits. It is safe for
// concurrent use.
type History struct {
	mu         sync.Mutex // guards the following
	maxCommits int
	maxBytes   int64
	sets       []msgs.Changeset // in order; those before first are let go
	first      int
	bytes      int64
	floor      msgs.Moment // before the first set
}

// setOverhead and effectOverhead are what a changeset and each of its effects
// take besides keys and values, in bytes.
const (
	setOverhead    = 64
	effectOverhead = 96
)

// NewHistory returns a history that starts at a moment and keeps up to so many
// commits, and so many bytes of changes.
func NewHistory(start msgs.Moment, maxCommits int, maxBytes int64) *History {
	return &History{maxCommits: maxCommits, maxBytes: maxBytes, floor: start}
}

// Add appends the commits of an epoch.
func (h *History) Add(sets []msgs.Changeset) {
	h.mu.Lock()
	defer h.mu.Unlock()
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
	for n := len(h.sets) - h.first; n > 0 && (n > h.maxCommits || h.bytes > h.maxBytes); n-- {
		h.forget()
	}
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
	h.floor = old.Moment()
	*old = msgs.Changeset{}
	h.first++
	if h.first > len(h.sets)/2 {
		h.sets, h.first = slices.Delete(h.sets, 0, h.first), 0
	}
}

// At returns the state at a seq, by way of a published image that is not older. A seq
// that is no longer covered fails with seq_garbage_collected.
func (h *History) At(seq uint64, from *state.Image) (*state.Image, error) {
	if from.Seq() == seq {
		return from, nil
	}
	sets, to, err := h.between(seq, from.Seq())
	if err != nil {
		return nil, err
	}
	w := from.Fork()
	for i := len(sets) - 1; i >= 0; i-- {
		before := to
		if i > 0 {
			before = sets[i-1].Moment()
		}
		w.Revert(&sets[i], before)
	}
	return w.Freeze(), nil
}

// between returns the commits above seq, up to last, and the moment at seq. What the
// history keeps may be overwritten when mu is free again, hence the copy.
func (h *History) between(seq, last uint64) (sets []msgs.Changeset, at msgs.Moment, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq < h.floor.Seq {
		return nil, at, errs.New(errs.CodeSeqGarbageCollected,
			"commit %d is no longer retained; the oldest is %d", seq, h.floor.Seq)
	}
	at = h.floor
	first := h.index(seq)
	if first > h.first {
		at = h.sets[first-1].Moment()
	}
	return slices.Clone(h.sets[first:h.index(last)]), at, nil
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
	if seq < h.floor.Seq {
		return nil, errs.New(errs.CodeSeqGarbageCollected,
			"the commits after %d are no longer retained; the oldest is %d", seq, h.floor.Seq+1)
	}
	from := h.index(seq)
	return slices.Clone(h.sets[from:min(from+limit, len(h.sets))]), nil
}

// Oldest returns the oldest seq that At can answer for.
func (h *History) Oldest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.floor.Seq
}
