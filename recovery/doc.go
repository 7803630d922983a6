// Package recovery opens a directory: it finds out what the store holds, proves
// it, rebuilds the state in memory, and repairs what a crash has left half done.
//
// Invariants:
//
//  1. Nothing is changed on disk before the whole state has been rebuilt. An
//     opening that is refused, fails or is cancelled leaves the directory as it
//     found it.
//  2. Every change after that is atomic or can be repeated: a crash at any point
//     leaves a directory that the next opening recovers to the same state.
//  3. Every commit up to Recovered.Durable is on stable storage when Open returns,
//     also where an earlier process was killed, or had a sync fail, before it was.
//     That is the whole state unless the caller goes on with the last segment: then
//     the first sync of the log that OpenLog returns makes the rest durable.
//  4. Strict recovery guesses nothing: any disagreement between manifest,
//     checkpoints and log that a crash cannot have caused refuses the store and
//     names the file. Permissive recovery returns the longest prefix of history
//     that is whole, never one with a hole, and says what it left out.
//  5. A key that is not there and a disk that fails are no damage: nothing is cut,
//     passed over or rebuilt for them. What a holder of the key did not write is
//     refused in both modes.
//  6. The state is a function of the bytes on disk. It depends neither on time
//     nor on the number of goroutines.
package recovery
