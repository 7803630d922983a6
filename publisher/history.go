package publisher

import (
	"sort"
	"sync"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

// History answers for states of the recent past, each commit's own, although
// images are published per epoch only. It keeps the changesets of recent commits
// and two images to start from: the state at seq n is the nearest older image
// with the changesets in between applied to a fork of it.
//
// The older image is let go when the newer one covers half of the history, so
// between half and the whole of the limits is available at any time, and one epoch
// more where that is large. Memory is bounded by this and by the blocks that the
// two images do not share with the head. It is safe for concurrent use.
type History struct {
	maxCommits int
	maxBytes   int64

	mu    sync.Mutex
	older era
	newer era
}

// era is a base image with the commits that follow it.
type era struct {
	base  *state.Image
	sets  []msgs.Changeset
	bytes int64
}

// effectOverhead is what an effect takes besides its key and value, in bytes.
const effectOverhead = 64

// NewHistory returns a history that starts at an image and keeps up to so many
// commits, and so many bytes of changes.
func NewHistory(image *state.Image, maxCommits int, maxBytes int64) *History {
	h := &History{maxCommits: maxCommits, maxBytes: maxBytes}
	h.older.base, h.newer.base = image, image
	return h
}

// Add appends the commits of an epoch, which led to the image.
func (h *History) Add(sets []msgs.Changeset, image *state.Image) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := &h.newer
	e.sets = append(e.sets, sets...)
	for i := range sets {
		for j := range sets[i].Effects {
			e.bytes += effectOverhead + int64(len(sets[i].Effects[j].Key)+len(sets[i].Effects[j].Value))
		}
	}
	if len(e.sets) >= max(h.maxCommits/2, 1) || e.bytes >= h.maxBytes/2 {
		h.older = h.newer
		h.newer = era{base: image}
	}
}

// At returns the state at a seq that is not above the newest commit added. A seq
// that is no longer covered fails with seq_garbage_collected.
func (h *History) At(seq uint64) (*state.Image, error) {
	base, sets, err := h.path(seq)
	if err != nil || len(sets) == 0 {
		return base, err
	}
	w := base.Fork()
	for i := range sets {
		if err := w.Replay(&sets[i]); err != nil {
			return nil, err
		}
	}
	if err := w.LoadCatalog(); err != nil {
		return nil, err
	}
	return w.Freeze(), nil
}

// path returns an image and the commits that lead from it to the seq.
func (h *History) path(seq uint64) (*state.Image, []msgs.Changeset, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := &h.newer
	if seq < e.base.Seq() {
		e = &h.older
	}
	if seq < e.base.Seq() {
		return nil, nil, errs.New(errs.CodeSeqGarbageCollected,
			"commit %d is no longer retained; the oldest is %d", seq, h.older.base.Seq())
	}
	n := sort.Search(len(e.sets), func(i int) bool { return e.sets[i].Seq > seq })
	return e.base, e.sets[:n:n], nil
}

// Oldest returns the oldest seq that At can answer for.
func (h *History) Oldest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.older.base.Seq()
}
