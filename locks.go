package aedb

import "github.com/empyrealapp/aedb-go/locks"

// Locks returns the object locks of the store: advisory locks in memory on keys
// of the application's choosing, with fencing tokens. Commits and reads do not
// look at them; see package locks. Tokens rise from opening to opening as the clock
// does, and never fall behind the time of the last commit. Close ends all waits,
// and what is still held is over with the process.
func (db *DB) Locks() *locks.Manager { return db.locks }

// LockKey returns the key under which an object of the scope is locked. The
// object need not be in the store.
func (s *Scope) LockKey(object string) locks.Key {
	return locks.Key{Project: s.project, Scope: s.scope, Object: object}
}

// lockFloor is where the tokens of an opening start: at its time, with room for
// two thousand tokens in each microsecond.
func lockFloor(micros int64) locks.Token { return locks.Token(micros) << 11 }
