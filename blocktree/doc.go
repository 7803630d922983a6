// Package blocktree is the persistent ordered map that holds one key space of
// the store: byte-string keys, each with a value and the version (commit
// sequence number) that wrote it.
//
// Entries are packed into blocks of up to about 6 KiB, and the blocks are the
// values of a copy-on-write B-tree (tidwall/btree) keyed by the lowest key each
// block may hold. Against one tree item per entry this needs two heap objects
// for some forty entries instead of several for each, keeps a scan in
// consecutive memory, and makes the block the unit for whatever deals with the
// space in bulk.
//
// Invariants:
//
//  1. The blocks partition the key space. A block holds exactly the keys from
//     its low bound up to the low bound of its successor. The first low bound is
//     the empty string, so every key has a block as soon as there is one.
//  2. No block of a tree is empty; an empty tree has no blocks.
//  3. A block is changed in place only by the tree whose current generation
//     owns it. Snapshot starts a new generation, so whatever a frozen tree can
//     reach is immutable from then on, including the slices it hands out.
//
// A Tree is either writable, with a single owner that does all reading and
// writing, or frozen, for any number of concurrent readers and forks. Writing
// to a frozen tree is a broken invariant of the caller and panics.
package blocktree
