// Package blocktree is the persistent ordered map that holds one key space of
// the store: byte-string keys, each with a value and the version (commit
// sequence number) that wrote it.
//
// It is a copy-on-write B+tree. A leaf is a small directory of some fifty
// entries, and the entries themselves stand in a buffer of a few KiB that all
// versions of the leaf share: what is written is appended, what is replaced stays
// where it is. So the first write to a leaf after a snapshot copies the
// directory, a few hundred bytes, and not the data, and an old snapshot that
// somebody keeps holds directories, not copies of the store.
//
// Invariants:
//
//  1. The leaves partition the key space. A leaf holds exactly the keys from its
//     low bound, the separator before it, up to the next. No leaf is empty; an
//     empty tree has none.
//  2. A node or leaf is changed in place only by the tree whose current generation
//     owns it. Snapshot and Fork start a new generation, so whatever a frozen tree
//     can reach is immutable from then on.
//  3. The free tail of a buffer belongs to whoever claims it first, whichever tree
//     that is. Nothing that was written to a buffer is ever overwritten: the slices
//     that reads hand out stay as they are for as long as somebody holds them, also
//     those of a writable tree.
//
// A Tree is either writable, with a single owner that does all reading and
// writing, or frozen, for any number of concurrent readers and forks. Writing
// to a frozen tree is a broken invariant of the caller and panics.
package blocktree
