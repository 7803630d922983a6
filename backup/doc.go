// Package backup holds the formats of backups and of archives, where they are
// kept, and what is made of them: chains, restored states, verdicts.
//
// A backup is a few objects in a Store, which is anything that can put, get, list
// and delete named byte strings. A full backup is a checkpoint; an incremental one
// is the commits that follow the backup before it, its parent, as pieces of log.
// Each has a manifest that says what it is of, and lists its objects with their
// digests.
//
// Invariants:
//
//  1. The manifest is put last. A backup without a manifest is none, whatever else
//     of it lies in the store.
//  2. A backup holds nothing that was not durable in the store it was taken of.
//  3. An incremental backup follows its parent without a gap and in the same
//     history: same incarnation, next commit, and the log still told of the
//     parent's last commit what the parent does. Its manifest holds the digest of
//     the parent's, so that a chain is what it was when it was made.
//  4. Nothing that was read is used before its digest was found to be that in the
//     manifest; nothing in a manifest before its own digest or signature fits.
//  5. No object is ever changed.
//
// The package starts no goroutine that outlives a call. The layout is described
// in docs/backup.md.
package backup
