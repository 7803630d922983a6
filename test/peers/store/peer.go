package store

// Role tells what a figure is for.
type Role uint8

// Roles.
const (
	// Rival is a store that does the same work.
	Rival Role = iota
	// Limit does part of the work only, with nothing in the way: the bare disk or
	// a bare tree.
	Limit
	// Subject is AEDB, in one of its ways of use.
	Subject
)

// Peer is something to be measured.
type Peer struct {
	Name string
	Role Role
	// Package is the module whose version the report names.
	Package string
	// Levels are the guarantees that can be asked for, with the one that is really
	// given and how. A level that is missing cannot be had.
	Levels map[Level]Guarantee
	// Open opens the store in a directory, which exists.
	Open func(dir string, l Level) (Store, error)
	// Group marks a peer whose Put waits for company: it is left out of cases with
	// one caller, where there is none.
	Group bool
	// Only are beginnings of the names of the cases in which the peer differs from
	// another way of using the same store; none is all.
	Only []string
}

// Guarantee is what a peer gives when a level is asked for.
type Guarantee struct {
	Given Level
	// How names the setting and what else should be known.
	How string
}

// Offers reports whether the peer can be asked for the level.
func (p *Peer) Offers(l Level) bool {
	_, ok := p.Levels[l]
	return ok
}
