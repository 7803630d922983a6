package vfs

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
)

// DataFate says what a power loss leaves of the unsynced data of files.
type DataFate uint8

// Fates of unsynced data.
const (
	// DataLost leaves each file as its last sync left it.
	DataLost DataFate = iota
	// DataKept leaves each file as it was last seen.
	DataKept
	// DataRandom keeps or loses every unsynced block of 4096 bytes by itself,
	// and so unsynced truncations. A file is as long as the last block that was
	// kept demands; holes are zeros.
	DataRandom
	// DataTorn keeps all but a part of the last unsynced write of each file:
	// that is cut at its start or at a sector of 512 bytes within, and the rest
	// is what was there before, zeros or garbage. As far as a sector was written
	// with just what it held durably it keeps that: disks write sectors whole.
	DataTorn
	// DataSectors keeps or loses every sector of 512 bytes of every unsynced block
	// by itself, and otherwise does what DataRandom does: the power went while the
	// blocks were being written.
	DataSectors
)

// String returns the fate in lower case.
func (d DataFate) String() string {
	switch d {
	case DataLost:
		return "lost"
	case DataKept:
		return "kept"
	case DataRandom:
		return "random"
	case DataTorn:
		return "torn"
	case DataSectors:
		return "sectors"
	}
	return "unknown"
}

// EntryFate says what a power loss leaves of the unsynced entries of
// directories: files created, renamed and removed.
type EntryFate uint8

// Fates of unsynced entries.
const (
	// EntriesLost leaves each directory as its last SyncDir left it.
	EntriesLost EntryFate = iota
	// EntriesKept leaves each directory as it was last seen.
	EntriesKept
	// EntriesRandom keeps or loses every change by itself, with two limits: a
	// change is lost if an earlier one of the same name is, and a rename is
	// kept or lost whole.
	EntriesRandom
)

// String returns the fate in lower case.
func (e EntryFate) String() string {
	switch e {
	case EntriesLost:
		return "lost"
	case EntriesKept:
		return "kept"
	case EntriesRandom:
		return "random"
	}
	return "unknown"
}

// Fate says what a power loss leaves of what was not synced. The zero value
// loses it all. Equal fates of equal file systems give equal results.
type Fate struct {
	Data    DataFate
	Entries EntryFate
	// Seed fixes all random choices.
	Seed uint64
	// Percent is the chance, of 100, that a random choice keeps.
	Percent int
}

// AllLost loses unsynced data and entries.
func AllLost() Fate { return Fate{} }

// AllKept keeps unsynced data and entries: the system wrote all back in time.
func AllKept() Fate { return Fate{Data: DataKept, Entries: EntriesKept} }

// RandomBlocks keeps every unsynced block and entry with the given chance.
func RandomBlocks(seed uint64, percent int) Fate {
	return Fate{Data: DataRandom, Entries: EntriesRandom, Seed: seed, Percent: percent}
}

// MixedSectors keeps every sector of unsynced blocks, and every entry, with the
// given chance.
func MixedSectors(seed uint64, percent int) Fate {
	return Fate{Data: DataSectors, Entries: EntriesRandom, Seed: seed, Percent: percent}
}

// TornLastWrite keeps all but the end of the last unsynced write of each file.
func TornLastWrite(seed uint64) Fate {
	return Fate{Data: DataTorn, Entries: EntriesKept, Seed: seed, Percent: 50}
}

// String describes the fate, for the names of tests.
func (f Fate) String() string {
	return fmt.Sprintf("data=%v,entries=%v,percent=%d,seed=%d", f.Data, f.Entries, f.Percent, f.Seed)
}

// Crash loses the power, if it is not lost yet, and returns the file system
// that is found afterwards: with the same directories and capacity, without
// locks or an injector, and with all it holds durable. Every later call on m
// and on its files fails with ErrPowerLost.
func (m *Mem) Crash(fate Fate) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	return m.afterPowerLoss(fate)
}

// Clone returns what Crash would, and leaves m alive. The two share no state
// that either can change.
func (m *Mem) Clone(fate Fate) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.afterPowerLoss(fate)
}

func (m *Mem) afterPowerLoss(fate Fate) *Mem {
	after := &Mem{
		dirs:     maps.Clone(m.dirs),
		live:     make(map[string]*memFile),
		locks:    make(map[string]struct{}),
		capacity: m.capacity,
	}
	for name, f := range m.entriesAfterPowerLoss(fate) {
		// Choices hang on the name, so that the order of the map and of
		// concurrent calls does not matter.
		h := fnv.New64a()
		h.Write([]byte(name))
		rng := rand.New(rand.NewPCG(fate.Seed, h.Sum64()))
		after.live[name] = &memFile{content: f.content.afterPowerLoss(fate, rng)}
	}
	after.durable = maps.Clone(after.live)
	return after
}
