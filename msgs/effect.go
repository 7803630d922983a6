package msgs

import "github.com/empyrealapp/aedb-go/catalog"

// SpaceID names one ordered key space of the store; see catalog.SpaceID.
type SpaceID = catalog.SpaceID

// EffectOp is what an effect does. The numbers are part of the log format.
type EffectOp uint8

// Operations of effects.
const (
	// EffectPut sets Key to Value; the entry's version becomes the commit seq.
	EffectPut EffectOp = 1
	// EffectDelete removes Key.
	EffectDelete EffectOp = 2
	// EffectDropSpace removes the whole space.
	EffectDropSpace EffectOp = 3
)

// Effect is one physical change of one key space: what the log holds, what
// recovery replays, what a follower would apply. Applying effects in order
// needs no validation, no catalog and no clock.
type Effect struct {
	Op    EffectOp
	Space SpaceID
	Key   []byte // shared, never modified
	Value []byte // shared, never modified; only for EffectPut
}

// Prior is what an effect replaced: the value and the version of the entry before
// it. The zero Prior says that there was no entry.
type Prior struct {
	Value   []byte // shared, never modified
	Version uint64
}

// Dropped is the content of a space before an effect that has dropped it.
type Dropped struct {
	// Effect is the place of the effect in its changeset.
	Effect int
	// Space is the content, as package state keeps it.
	Space any
}

// Changeset is everything that one commit changed. Changesets are immutable
// once the applier has built them.
type Changeset struct {
	// Seq is the commit sequence number: contiguous, from 1.
	Seq uint64
	// Micros is the time the sequencer stamped on the epoch, in microseconds
	// since the Unix epoch.
	Micros int64
	// Volatile says that the log holds the seq of the commit but not its effects;
	// see the write class. What comes from the log has none.
	Volatile bool
	// Effects are the changes in the order in which they were made.
	Effects []Effect
	// Priors are what the effects replaced, one for each, or nil if there was
	// nothing before any of them. They are for who goes back in time, and are known
	// only where the commit was made: the log does not hold them. That of an
	// EffectDropSpace is in Dropped.
	Priors []Prior
	// Dropped are the spaces that effects have dropped, in order. Like Priors they are
	// known only where the commit was made.
	Dropped []Dropped
	// Catalog is the schema after the commit. Like Priors it is known only where
	// the commit was made, and nil else.
	Catalog *catalog.Catalog
}

// Moment returns the moment right after the commit.
func (c *Changeset) Moment() Moment { return Moment{Seq: c.Seq, Micros: c.Micros, Catalog: c.Catalog} }

// Moment is a point of history: a commit with what is known of it beside its content.
type Moment struct {
	// Seq is the commit.
	Seq uint64
	// Micros is its time, in microseconds since the Unix epoch; 0 before the first.
	Micros int64
	// Catalog is the schema after it.
	Catalog *catalog.Catalog
}

// Prior returns what effect i replaced.
func (c *Changeset) Prior(i int) Prior {
	if c.Priors == nil {
		return Prior{}
	}
	return c.Priors[i]
}
