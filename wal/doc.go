// Package wal is the write-ahead log as bytes: segments made of a header and of
// frames, one frame for every epoch of commits. It holds no goroutine and no
// open file; whoever writes, syncs or maps the bytes does so elsewhere.
//
// Invariants:
//
//  1. A frame checks itself: its CRC covers its length, its predecessor's CRC
//     and its payload, and starts from the CRC of the segment's header, which no
//     two segments share. Bytes left over from an earlier life of a recycled
//     file are therefore never taken for a frame.
//  2. A frame names its predecessor: it stores the CRC of the frame before it
//     (the first one, of the header). A frame that was removed, repeated or
//     moved breaks the chain.
//  3. Commit sequence numbers are contiguous within a frame, from frame to
//     frame, and from segment to segment.
//  4. A segment names its predecessor: its header holds the BLAKE3 digest of the
//     whole segment before it.
//  5. A frame says which commits were durable when it was written. That decides
//     what damage means: bytes that a later frame proves to have been synced are
//     corrupt, bytes that nobody ever promised are a torn tail (see Scan).
//  6. In a sealed segment each frame carries a tag that only a holder of the key
//     can make, for this offset of this segment. The checksum, which needs no key,
//     still tells torn from whole; what is whole and does not fit its tag is forged.
//     No nonce is used twice, also where a torn place is written again.
//
// The layout is described byte by byte in docs/format.md.
package wal
