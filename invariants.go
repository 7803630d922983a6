package aedb

import "github.com/empyrealapp/aedb-go/invariant"

// Violation is one thing in a snapshot that the engine's own writes cannot have
// led to. It does not hold user data but for the key concerned.
type Violation = invariant.Violation

// CheckInvariants reads one snapshot whole and returns what is wrong in it: rows
// and indexes that do not agree, entries that do not decode or that nothing owns.
// A store that works as it should has no violations; at most
// invariant.MaxViolations are reported. It runs on the caller's goroutine and
// holds up nobody.
func (db *DB) CheckInvariants(c Consistency) ([]Violation, error) {
	image, err := db.image(c)
	if err != nil {
		return nil, err
	}
	return invariant.Check(image), nil
}
