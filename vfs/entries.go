package vfs

import (
	"maps"
	"math/rand/v2"
	"path"
)

// link is what a name stands for after a change: a file, or nothing.
type link struct {
	name string
	file *memFile
}

// change is one change of entries, which survives a power loss whole or not at
// all: one link of a create or a remove, two of a rename.
type change []link

func (ch change) apply(entries map[string]*memFile) {
	for _, l := range ch {
		if l.file == nil {
			delete(entries, l.name)
		} else {
			entries[l.name] = l.file
		}
	}
}

// enter makes a change that waits for a SyncDir.
func (m *Mem) enter(links ...link) {
	ch := change(links)
	ch.apply(m.live)
	m.journal = append(m.journal, ch)
}

// commit makes durable the changes in a directory, and those elsewhere that
// they build upon: a rename out of another directory takes along what happened
// to its old name before.
func (m *Mem) commit(dir string) {
	needed := make(map[string]bool)
	due := make([]bool, len(m.journal))
	for i := len(m.journal) - 1; i >= 0; i-- {
		for _, l := range m.journal[i] {
			due[i] = due[i] || path.Dir(l.name) == dir || needed[l.name]
		}
		if due[i] {
			for _, l := range m.journal[i] {
				needed[l.name] = true
			}
		}
	}
	rest := m.journal[:0]
	for i, ch := range m.journal {
		if due[i] {
			ch.apply(m.durable)
		} else {
			rest = append(rest, ch)
		}
	}
	clear(m.journal[len(rest):])
	m.journal = rest
}

// entriesAfterPowerLoss returns what names would stand for. It may return a map
// of m's own, which the caller must not change.
func (m *Mem) entriesAfterPowerLoss(fate Fate) map[string]*memFile {
	switch fate.Entries {
	case EntriesLost:
		return m.durable
	case EntriesKept:
		return m.live
	}
	rng := rand.New(rand.NewPCG(fate.Seed, 0))
	entries := maps.Clone(m.durable)
	lost := make(map[string]bool) // Names of changes that were lost.
	for _, ch := range m.journal {
		keep := rng.IntN(100) < fate.Percent
		for _, l := range ch {
			keep = keep && !lost[l.name]
		}
		if keep {
			ch.apply(entries)
			continue
		}
		for _, l := range ch {
			lost[l.name] = true
		}
	}
	return entries
}
