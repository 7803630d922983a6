// Package keys holds the secrets of a store, and derives from them what each file
// is authenticated or encrypted with.
//
// A [Ring] has one current key, under which everything new is made, and any number
// of old ones, which still verify and decrypt what was made under them. Changing
// the key of a store is putting a new one in front of the ring. An old one can go
// when no file names it any more.
//
// Invariants:
//
//  1. A secret is never used itself. Each purpose and each file has its own key,
//     derived with HKDF-SHA-256 from the secret, the purpose, the salt of the file
//     and the header of the file. A byte string that was authenticated for one
//     place is therefore worth nothing in another.
//  2. No nonce is used twice under one key. A file has a random salt of 32 bytes,
//     and so keys that no other file has; within the file, places are numbered.
//     Whoever may write one place twice has to make the second attempt under
//     another salt or another nonce: see [Nonces].
//  3. A file names its key by the key's ID, which is no secret. A key that is not
//     in the ring is unavailable, never damage; a tag that does not fit is an
//     integrity error, never passed over.
//  4. Secrets are copied in, and wiped by [Ring.Wipe]. The expanded keys inside the
//     ciphers of the standard library cannot be: they are gone when the collector
//     has taken them.
package keys
