// Package feed tells of commits in the order in which they were made: what was
// inserted, updated and deleted, and what was defined, as rows and entries rather
// than as effects on spaces.
//
// A subscription begins behind any commit that is retained. It reads old commits
// from the log, recent ones from memory, and then waits for new ones. The places
// hold the same commits under the same numbers, so that it goes from one to the
// other, and back when it has fallen behind, without a gap or a repeat.
//
// Invariants:
//
//  1. A subscription sees every visible commit behind its start once, in order.
//     What is no longer retained ends it with an error or, where that was asked
//     for, is told of with the number of commits missed. Nothing is passed over
//     silently.
//  2. What a commit replaced is told from what it did replace, never guessed. The
//     log does not hold it; commits read from there say so.
//  3. The schema in force at each effect is the one that its bytes are read with,
//     within a commit as well.
//  4. A subscription runs on its consumer's goroutine and holds no lock while the
//     consumer works. Nobody waits for it.
package feed
