// Package locks provides object locks: advisory locks in memory on keys of the
// application's choosing, with which it serialises sections of its own. Neither
// reads nor commits look at them, nothing of them is logged, and none outlives
// the process.
//
// A [Manager] owns the locks of one store. A [Guard] is the set of locks of one
// logical transaction; the ways to end a transaction are all one here, Release:
//
//	guard := manager.Guard(ctx)
//	defer guard.Release()
//	token, err := guard.Lock(ctx, key, locks.Exclusive)
//
// Whoever wants the section to end only when its effect is safe releases after
// the commit is durable. A guard is also released when its context ends, even if
// the section it protects is still running; what such a straggler writes to a
// third party can be refused there by its [Token].
//
// # Promises
//
//   - A key is held by one guard in mode [Exclusive], or by any number of guards
//     in mode [Shared], or by none.
//   - A key is granted in the order in which it was asked for. Who asks for a
//     shared lock waits behind an exclusive request that came first, so neither
//     mode starves. There is one exception: an upgrade, which never waits.
//   - Tokens rise: each fresh grant gets a larger one than any grant before it,
//     of any key.
//   - What was granted, queued or refused is decided under the mutex of the key's
//     shard. Keys of different shards share nothing but two atomic counters.
//   - A key that nobody holds or waits for is in no table. Locks and waits
//     together are bounded, and so are the waits for one key.
//   - There is no goroutine behind a lock or a wait.
//
// # Deadlock
//
// LockAll takes its keys in their canonical order, that of [Key.Compare]. Guards
// that hold nothing when they call it, or only keys below those they ask for,
// cannot wait for each other in a ring: who waits for a key waits for guards that
// hold it or that came first, and all of those can be waiting only for this key
// or for greater ones. A guard that waits for a smaller key than one it holds can
// be part of a ring; the end of its wait, by its context or by the limit on
// waits, breaks it.
package locks
