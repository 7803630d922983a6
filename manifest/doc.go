// Package manifest holds the root of trust of a store: which checkpoints and
// log segments count, with their sizes and digests, and what the store is.
//
// A manifest is a generation: a file of its own, named by a number that rises,
// readable by people (JSON) and closed by a digest of every byte before it.
//
// Invariants:
//
//  1. A generation is never changed. A new one is written beside the old ones,
//     synced, renamed into place and made durable before anything is removed, so
//     a crash at any point leaves the old one or the new one.
//  2. The generation before the newest is kept. Whatever either of them lists
//     must stay on disk; that is the business of whoever removes files.
//  3. A generation that fails its digest is passed over and reported. One that
//     is whole but of a newer format is never passed over: an older one would
//     be a step back in history.
//  4. With keys a generation is signed, and only signed ones count; without keys
//     only others do. So a store that was signed once stays signed.
//
// The layout is described in docs/format.md.
package manifest
