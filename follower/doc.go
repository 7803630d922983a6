// Package follower shows the state of a store that another process, or another
// opening in this one, may be writing to. It loads the newest checkpoint, replays
// the log behind it, and then reads on as the log grows.
//
// Invariants:
//
//  1. It only lists and reads. Nothing is created, locked, repaired or removed, and
//     no state of the directory can make it do so.
//  2. What it shows is the state after some commit of the log, whole, and the seq
//     never falls but where the log itself was cut: by a repair that gave up commits,
//     or a power cut that it survived.
//  3. The end of the log is not an error. Zeros, half a frame, a segment without a
//     header are what a writer has under way, or what a crash has left of it.
//  4. Where it cannot go on it says why, keeps what it has shown last, and tries
//     again from the newest checkpoint.
//
// A log holds commits before they are durable, and cannot tell which of them the
// writer has made visible. Frames say what was durable when they were written; from
// that a follower knows a second, older state that no crash can undo.
package follower
