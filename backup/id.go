package backup

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Kind is what a backup is.
type Kind string

// Kinds of backups.
const (
	// Full is the whole state at one commit.
	Full Kind = "full"
	// Incremental is the commits that follow another backup.
	Incremental Kind = "incr"
)

const (
	manifestSuffix   = ".manifest"
	checkpointSuffix = ".checkpoint"
)

// newID returns the name of a backup up to a commit: the kind, the seq, and 8
// random digits, as in full-0000000000000042-9f3a61c0.
func newID(kind Kind, seq uint64) string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails: the program would have been stopped
	return formatID(kind, seq, hex.EncodeToString(random[:]))
}

func formatID(kind Kind, seq uint64, random string) string {
	return fmt.Sprintf("%s-%016d-%s", kind, seq, random)
}

// parseID returns what a backup's name says of it, and false for every name that
// newID does not produce.
func parseID(id string) (kind Kind, seq uint64, ok bool) {
	parts := strings.Split(id, "-")
	if len(parts) != 3 || parts[0] != string(Full) && parts[0] != string(Incremental) {
		return "", 0, false
	}
	random, err := hex.DecodeString(parts[2])
	if err != nil || len(random) != 4 {
		return "", 0, false
	}
	kind = Kind(parts[0])
	seq, err = strconv.ParseUint(parts[1], 10, 64)
	return kind, seq, err == nil && formatID(kind, seq, strings.ToLower(parts[2])) == id
}

// logName returns the name of the n-th piece of log of a backup, from 1.
func logName(id string, n int) string { return fmt.Sprintf("%s.log-%06d", id, n) }

// backupOf returns the backup that an object belongs to by its name, and whether
// it is its manifest. It is false for names that no backup gives.
func backupOf(name string) (id string, isManifest, ok bool) {
	id, suffix, _ := strings.Cut(name, ".")
	kind, _, ok := parseID(id)
	if !ok {
		return "", false, false
	}
	switch suffix = "." + suffix; {
	case suffix == manifestSuffix:
		return id, true, true
	case kind == Full:
		return id, false, suffix == checkpointSuffix
	default:
		digits, found := strings.CutPrefix(suffix, ".log-")
		n, err := strconv.Atoi(digits)
		return id, false, found && err == nil && n > 0 && logName(id, n) == name
	}
}
