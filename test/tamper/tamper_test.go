package tamper

import (
	"context"
	"errors"
	"path"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// outcome is what a strict opening of a changed store comes to.
type outcome string

const (
	refused    outcome = "refused"           // with a reason that names a file of the store
	unaffected outcome = "as if nothing was" // from another copy of the same
	shorter    outcome = "shorter"           // an earlier state of the same history
	deceived   outcome = "deceived"          // a state that never was
)

func observe(t *testing.T, s *store) (outcome, error) {
	t.Helper()
	db, err := s.open()
	if err != nil {
		require.Contains(t, []errs.Code{errs.CodeRecoveryIntegrity, errs.CodeIntegrity, errs.CodeUnavailable}, errs.CodeOf(err), "%v", err)
		return refused, err
	}
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	seq, digest, err := db.Digest(aedb.AtLatest)
	require.NoError(t, err)
	switch {
	case seq == s.seq && digest == s.digest:
		return unaffected, nil
	case seq < s.seq:
		return shorter, nil
	}
	return deceived, nil
}

func TestWhatTamperingWithOneStoreComesTo(t *testing.T) {
	type change = func(t *testing.T, s *store)
	on := func(prefix string, before int, f func([]byte) []byte) change {
		return func(t *testing.T, s *store) { s.edit(t, s.newest(prefix, before), f) }
	}
	half := func(b []byte) []byte { return b[:len(b)/2] }
	swapped := func(prefix string) change {
		return func(t *testing.T, s *store) {
			a, b := s.newest(prefix, 0), s.newest(prefix, 1)
			x, y := s.read(t, a), s.read(t, b)
			require.NoError(t, s.WriteFile(a, y))
			require.NoError(t, s.WriteFile(b, x))
		}
	}
	removed := func(prefix string, before int) change {
		return func(t *testing.T, s *store) { s.remove(t, s.newest(prefix, before)) }
	}
	// foreign puts the file of the same name of another store with the same keys in.
	foreign := func(prefix string) change {
		return func(t *testing.T, s *store) {
			other := &store{Mem: vfs.NewMem(), keys: s.keys}
			db, err := other.open()
			require.NoError(t, err)
			_, err = db.NoAuth().CreateProject(t.Context(), "bank")
			require.NoError(t, err)
			write(t, db, 1, 60)
			_, err = db.Checkpoint(t.Context())
			require.NoError(t, err)
			require.NoError(t, db.Close(context.Background()))
			require.NoError(t, s.WriteFile(s.newest(prefix, 0), other.read(t, other.newest(prefix, 0))))
		}
	}
	every := func(f func([]byte) []byte) change {
		return func(t *testing.T, s *store) {
			for _, name := range s.named("manifest-") {
				s.edit(t, name, f)
			}
		}
	}
	for _, c := range []struct {
		name   string
		killed bool
		change change
		// plain is what it comes to without keys, keyed with them.
		plain, keyed outcome
	}{
		{"a bit of a segment", false, on("wal-", 1, flip(30)), refused, refused},
		{"a bit of the last segment", false, on("wal-", 0, flip(30)), refused, refused},
		{"a bit of the newest checkpoint", false, on("checkpoint-", 0, flip(100)), unaffected, unaffected},
		{"a bit of the newest manifest", false, on("manifest-", 0, flip(200)), unaffected, unaffected},
		{"a bit of both manifests", false, every(flip(200)), refused, refused},

		{"segment cut short", false, on("wal-", 1, half), refused, refused},
		{"last segment cut short", false, on("wal-", 0, half), refused, refused},
		{"newest checkpoint cut short", false, on("checkpoint-", 0, half), unaffected, unaffected},
		{"newest manifest cut short", false, on("manifest-", 0, half), unaffected, unaffected},

		{"segment removed", false, removed("wal-", 1), refused, refused},
		{"last segment removed", false, removed("wal-", 0), refused, refused},
		{"newest checkpoint removed", false, removed("checkpoint-", 0), unaffected, unaffected},
		{"newest manifest removed", false, removed("manifest-", 0), unaffected, unaffected},

		{"two segments swapped", false, swapped("wal-"), refused, refused},
		{"two checkpoints swapped", false, swapped("checkpoint-"), refused, refused},
		{"two manifests swapped", false, swapped("manifest-"), refused, refused},

		{"segment of another store", false, foreign("wal-"), refused, refused},
		{"checkpoint of another store", false, foreign("checkpoint-"), unaffected, unaffected},

		{"value in the log, with its checksum", false, on("wal-", 0, forgeLastFrame), refused, refused},
		{"value in the log, with its checksum and all digests", false, func(t *testing.T, s *store) {
			s.relist(t, s.newest("wal-", 0), forgeLastFrame)
		}, deceived, refused},
		{"value in the end of the log that nothing lists, with its checksum", true, on("wal-", 0, forgeLastFrame), deceived, refused},
		{"newest manifest rewritten, with its digest", false, on("manifest-", 0, refit(`"ever_permissive": false`, `"ever_permissive": true`)), refused, unaffected},
		{"both manifests rewritten, with their digests", false, every(refit(`"durable_seq": `, `"durable_seq": 1`)), refused, refused},
		{"newest manifest without a signature", false, on("manifest-", 0, unsigned), unaffected, unaffected},
		{"both manifests without a signature", false, every(unsigned), unaffected, refused},

		// Whoever can write to the directory can take away what nothing vouches for.
		{"end of the log that nothing lists cut off", true, on("wal-", 0, cutLastFrame), shorter, shorter},
		{"newest manifest and last segment removed", false, func(t *testing.T, s *store) {
			s.remove(t, s.newest("wal-", 0))
			s.remove(t, s.newest("manifest-", 0))
		}, shorter, shorter},
	} {
		for _, way := range ways {
			t.Run(c.name+"/"+way, func(t *testing.T) {
				s := newStore(t, way, c.killed)
				c.change(t, s)
				want := c.keyed
				if way == "no key" {
					want = c.plain
				}
				got, err := observe(t, s)
				require.Equal(t, want, got, "%v", err)
			})
		}
	}
}

// unsigned makes a manifest one of the version without signatures.
func unsigned(b []byte) []byte {
	b = refit(`"format_version": 2`, `"format_version": 1`)(b)
	end := len(b) - len("\"\n  }\n}\n")
	for at := range b {
		if string(b[at:min(len(b), at+len(`"blake3": "`))]) == `"blake3": "` {
			return append(b[:at+len(`"blake3": "`)+64:end], "\"\n  }\n}\n"...)
		}
	}
	return b
}

// An older copy of the whole directory is one that was good. Only a caller who
// remembers more than the directory can tell.
func TestOlderCopyOfTheDirectoryIsRefusedOnlyByWhoExpectsMore(t *testing.T) {
	for _, way := range ways {
		s := newStore(t, way, false)
		older := s.copied()
		db, err := s.open()
		require.NoError(t, err)
		write(t, db, 51, 60)
		require.NoError(t, db.Close(t.Context()))

		got, err := observe(t, older.copied())
		require.Equal(t, unaffected, got, "%v", err)
		expect := func(c *aedb.Config) { c.Keys.ExpectSeq = s.seq + 9 }
		_, err = older.open(expect)
		require.ErrorIs(t, err, aedb.ErrRecoveryIntegrity)
		db, err = s.open(expect)
		require.NoError(t, err)
		require.NoError(t, db.Close(t.Context()))
	}
}

func TestKeysOfAClosedStoreAreGone(t *testing.T) {
	s := newStore(t, "encrypted", false)
	secret := s.keys.Ring[0].Secret
	db, err := s.open()
	require.NoError(t, err)
	require.NotEmpty(t, db.Recovery().KeysInUse)
	require.NoError(t, db.Close(t.Context()))
	require.NotEqual(t, make([]byte, len(secret)), secret, "the caller's copy is the caller's")
	db, err = s.open()
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
}

// The content of an encrypted store is in none of its files.
func TestNothingOfAnEncryptedStoreIsInTheClear(t *testing.T) {
	for _, way := range ways {
		found := 0
		s := newStore(t, way, true)
		for _, name := range s.Names() {
			if contains(s.read(t, name), "account/", "balance=", "bank") {
				require.NotEqual(t, "encrypted", way, "%s", path.Base(name))
				found++
			}
		}
		require.Equal(t, way != "encrypted", found > 0)
	}
}

func contains(data []byte, texts ...string) bool {
	for _, text := range texts {
		for at := range data {
			if at+len(text) <= len(data) && string(data[at:at+len(text)]) == text {
				return true
			}
		}
	}
	return false
}

func TestStoreIsAdoptedOnceAndStaysSigned(t *testing.T) {
	s := newStore(t, "no key", false)
	signed := keysFor("encrypted")
	s.keys = signed
	_, err := s.open()
	require.ErrorIs(t, err, aedb.ErrUnavailable)
	require.ErrorContains(t, err, "adopt")

	s.keys.Adopt = true
	db, err := s.open()
	require.NoError(t, err)
	write(t, db, 51, 55)
	want, digest, err := db.Digest(aedb.AtLatest)
	require.NoError(t, err)
	left := &store{Mem: s.Crash(vfs.AllLost()), keys: signed}
	_ = db.Close(t.Context()) // only to end its goroutines

	db, err = left.open()
	require.NoError(t, err)
	seq, got, err := db.Digest(aedb.AtLatest)
	require.NoError(t, err)
	require.Equal(t, want, seq)
	require.Equal(t, digest, got)
	require.NoError(t, db.Close(t.Context()))
	left.keys = aedb.KeyConfig{}
	_, err = left.open()
	require.ErrorIs(t, err, aedb.ErrUnavailable)
	require.ErrorContains(t, err, `"k1"`)
}

// Reads of the past go through the files too.
func TestChangesAreReadFromSealedFiles(t *testing.T) {
	s := newStore(t, "encrypted", false)
	db, err := s.open()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range db.NoAuth().Changes(ctx, s.seq-20, aedb.ChangeOptions{}) {
		if err != nil {
			require.True(t, errors.Is(err, aedb.ErrCanceled), "%v", err)
			break
		}
		if n++; n == 20 {
			cancel()
		}
	}
	require.Equal(t, 20, n)
	require.NoError(t, db.Close(context.Background()))
}

// What the store was before it had keys is vouched for by the manifest, also while
// it is open.
func TestChangesAreNotReadFromForgedFiles(t *testing.T) {
	for _, forged := range []bool{false, true} {
		s := newStore(t, "no key", false)
		s.keys = keysFor("authenticated")
		s.keys.Adopt = true
		db, err := s.open()
		require.NoError(t, err)
		if forged {
			s.edit(t, s.newest("wal-", 1), forgeLastFrame)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var end error
		for d, err := range db.NoAuth().Changes(ctx, s.seq-5, aedb.ChangeOptions{}) {
			if end = err; err == nil && d.Seq == s.seq {
				cancel()
			}
		}
		cancel()
		if forged {
			require.ErrorIs(t, end, aedb.ErrIntegrity)
		} else {
			require.ErrorIs(t, end, aedb.ErrCanceled)
		}
		require.NoError(t, db.Close(context.Background()))
	}
}

func TestReaderShowsAStoreWithKeys(t *testing.T) {
	for _, way := range ways {
		s := newStore(t, way, false)
		db, err := s.open()
		require.NoError(t, err)
		cfg := aedb.DefaultConfig()
		cfg.FS, cfg.Keys, cfg.FollowInterval = s.Mem, s.keys, 0
		r, err := aedb.OpenReader(t.Context(), dir, cfg)
		require.NoError(t, err)
		write(t, db, 51, 60)
		seq, err := r.Refresh(t.Context())
		require.NoError(t, err)
		require.Equal(t, s.seq+9, seq)
		require.NoError(t, r.Close())
		if way != "no key" {
			cfg.Keys = aedb.KeyConfig{}
			_, err = aedb.OpenReader(t.Context(), dir, cfg)
			require.ErrorIs(t, err, aedb.ErrUnavailable)
		}
		require.NoError(t, db.Close(t.Context()))
	}
}
