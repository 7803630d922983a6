package locks

import (
	"cmp"
	"fmt"
	"slices"
)

// Key names what is locked. It need not exist in the store. Object may be any
// bytes. A key for the whole store leaves Project and Scope empty.
type Key struct {
	Project, Scope, Object string
}

// Compare orders keys by project, then scope, then object, each bytewise. This
// is the canonical order, in which [Guard.LockAll] takes locks.
func (k Key) Compare(other Key) int {
	return cmp.Or(
		cmp.Compare(k.Project, other.Project),
		cmp.Compare(k.Scope, other.Scope),
		cmp.Compare(k.Object, other.Object),
	)
}

// String returns the key for people, its object quoted.
func (k Key) String() string {
	return fmt.Sprintf("%s/%s/%q", k.Project, k.Scope, k.Object)
}

// Mode says with whom a lock can be shared.
type Mode uint8

// Modes of a lock.
const (
	// Exclusive excludes every other guard.
	Exclusive Mode = iota
	// Shared excludes guards that want the key exclusively.
	Shared
)

// String returns the mode in lower case.
func (m Mode) String() string {
	switch m {
	case Exclusive:
		return "exclusive"
	case Shared:
		return "shared"
	}
	return "unknown"
}

// covers reports whether a lock held in mode m serves one who asks for wanted.
func (m Mode) covers(wanted Mode) bool { return m == Exclusive || wanted == Shared }

// Token is a fencing token: the number of a grant, rising from grant to grant.
// Whoever remembers the largest token seen, and refuses smaller ones, refuses
// holders that lost their lock without noticing. Zero is no token.
type Token uint64

// Want is one lock asked of [Guard.LockAll]. Its zero mode is Exclusive.
type Want struct {
	Key  Key
	Mode Mode
}

// canonical returns wants in canonical order, each key once, in the stronger of
// the modes asked for. The argument is left as it is.
func canonical(wants []Want) []Want {
	ordered := slices.Clone(wants)
	slices.SortFunc(ordered, func(a, b Want) int {
		return cmp.Or(a.Key.Compare(b.Key), cmp.Compare(a.Mode, b.Mode))
	})
	return slices.CompactFunc(ordered, func(a, b Want) bool { return a.Key == b.Key })
}
