// Package checkpointer holds the stage that writes checkpoints: it decides when
// one is due, streams what has changed in the published image since the checkpoint
// before to a file, lets a new manifest name it, and removes what no recovery can
// need any more. Nothing stands still meanwhile. Every now and then the whole image
// is written, so that a recovery never has much more to read than that.
//
// Invariants:
//
//  1. A file is removed only after a manifest that does without it is on stable
//     storage, and only if the generation before, to which a recovery can fall
//     back, does without it too.
//  2. A failure at any step leaves the manifest in force, and all it names, as
//     they were, or the new ones, and the next attempt starts over.
//  3. Equal images on equal bases give equal files, unless they are encrypted: a
//     checkpoint that is written again replaces itself.
//  4. When nothing is written any more, a last manifest lists the whole log.
package checkpointer
