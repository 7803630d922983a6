package aedb

// Digest returns a BLAKE3 hash of the whole state at one snapshot, and the
// commit seq of that snapshot, which the hash covers too: every entry of every
// table, index and key-value space, the schema, events and remembered requests.
// Equal digests mean equal databases, however each came about: by commits, by
// replaying the log, or from a checkpoint. It reads everything, on the caller's
// goroutine, and holds up nobody.
func (db *DB) Digest(c Consistency) (seq uint64, digest [32]byte, err error) {
	image, err := db.image(c)
	if err != nil {
		return 0, digest, err
	}
	return image.Seq(), image.Digest(), nil
}
