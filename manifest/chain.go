package manifest

import (
	"slices"

	"github.com/empyrealapp/aedb-go/errs"
)

// FeatureDeltas is the feature of a manifest that lists checkpoints which build on
// others.
const FeatureDeltas uint64 = 1 << 1

// Listed returns the checkpoints whose files have to stay, ascending by seq: those
// retained, and what they build on.
func (m *Manifest) Listed() []Checkpoint { return slices.Concat(m.Bases, m.Checkpoints) }

// Chain returns a retained checkpoint with all that it builds on: a full one, and
// then each behind the one that it builds on.
func (m *Manifest) Chain(c Checkpoint) []Checkpoint {
	chain := []Checkpoint{c}
	for _, before := range slices.Backward(m.Listed()) {
		if before.Seq == chain[len(chain)-1].Base {
			chain = append(chain, before)
		}
	}
	slices.Reverse(chain)
	return chain
}

// Retain makes checkpoints those retained, ascending. What they build on is taken
// from what was listed until now; the rest of that is no longer listed.
func (m *Manifest) Retain(checkpoints []Checkpoint) {
	needed := map[uint64]bool{}
	for _, c := range checkpoints {
		needed[c.Base] = true
	}
	before := slices.DeleteFunc(m.Listed(), func(c Checkpoint) bool {
		return len(checkpoints) == 0 || c.Seq >= checkpoints[0].Seq
	})
	m.Bases = nil
	for _, c := range slices.Backward(before) {
		if needed[c.Seq] {
			needed[c.Base] = true
			m.Bases = append(m.Bases, c)
		}
	}
	slices.Reverse(m.Bases)
	m.Checkpoints = slices.Clone(checkpoints)
	m.FeatureFlags &^= FeatureDeltas
	for _, c := range checkpoints {
		if c.Base != 0 {
			m.FeatureFlags |= FeatureDeltas
		}
	}
}

// validateChains checks that every checkpoint builds on one that is listed before
// it, and that readers who do not know of that are kept away.
func (m *Manifest) validateChains() error {
	seqs := map[uint64]bool{}
	for i, c := range m.Listed() {
		switch {
		case c.RawBytes < 0:
			return errs.New(errs.CodeValidation, "checkpoint %s has %d bytes of entries", c.File, c.RawBytes)
		case i < len(m.Bases) && (len(m.Checkpoints) == 0 || c.Seq >= m.Checkpoints[0].Seq):
			return errs.New(errs.CodeValidation, "checkpoint %d is listed as a base and not below all that are retained", c.Seq)
		case c.Base != 0 && !seqs[c.Base]:
			return errs.New(errs.CodeValidation, "checkpoint %d builds on %d, which is not listed before it", c.Seq, c.Base)
		case c.Base != 0 && m.FeatureFlags&FeatureDeltas == 0:
			return errs.New(errs.CodeValidation, "checkpoint %d builds on another, and the feature is not set", c.Seq)
		}
		seqs[c.Seq] = true
	}
	return nil
}
