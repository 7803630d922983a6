// Package checkpoint reads and writes checkpoints: the whole state of a store at
// one commit seq, as a file of compressed chunks, or as a chain of such files: a
// full one, and then deltas, each with what has changed since the file before.
//
// Invariants:
//
//  1. A checkpoint is never changed. It is written under a temporary name, synced
//     and renamed; under its own name it is whole.
//  2. Every byte is covered, and read once. The directory at the end holds the
//     digest of each chunk; the digest of the checkpoint covers the header and
//     the directory, and so, through it, all bytes. Open checks the second,
//     DecodeChunk the first, so that opening costs no more than the directory.
//  3. Entries ascend by space, then by key, without repetition, within a chunk
//     and from chunk to chunk. A chunk holds entries of one space.
//  4. Chunks stand alone: they can be decoded in any order and in parallel.
//  5. A delta names the digest of what it builds on, so the digest of a checkpoint
//     covers every byte of its chain.
//  6. An encrypted checkpoint is verified without its key: digests are of what is
//     stored.
//
// The layout is described byte by byte in docs/format.md.
package checkpoint
