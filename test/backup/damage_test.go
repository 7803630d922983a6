package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/vfs"
)

// chain takes a full backup and two incremental ones.
func chain(t testing.TB, to backup.Store, o aedb.BackupOptions) (*aedb.DB, backup.Chain) {
	t.Helper()
	db := open(t, vfs.NewMem())
	putMany(t, db, 30)
	o.KeepLog = keepLog
	c := backup.Chain{full(t, db, to, o)}
	for range 2 {
		putMany(t, db, 20)
		c = append(c, incremental(t, db, to, *c.Head(), o))
	}
	return db, c
}

// refused checks that neither a restore nor a verification passes a store of
// backups, and that the restore leaves nothing behind.
func refused(t testing.TB, set backup.Store, id string, o backup.Options, code errs.Code) {
	t.Helper()
	fsys := vfs.NewMem()
	_, err := aedb.Restore(ctx, set, dir, aedb.RestoreOptions{Options: o, Target: backup.Target{Backup: id}, FS: fsys})
	require.Error(t, err)
	require.Equal(t, code, errs.CodeOf(err), "%v", err)
	for _, name := range fsys.Names() {
		require.Equal(t, "LOCK", strings.TrimPrefix(name, dir+"/"))
	}
	verdict, err := backup.Verify(ctx, set, backup.VerifyOptions{Options: o, Backup: id})
	if err == nil {
		require.False(t, verdict.OK())
	}
}

func TestAnyDamageToAnObjectIsDetected(t *testing.T) {
	seed := baseSeed(t)
	key := ring(t, "key")
	for name, o := range map[string]backup.Options{
		"plain": {}, "signed": {Keys: key}, "sealed": {Keys: key, Seal: true},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			var set backup.Memory
			_, c := chain(t, &set, aedb.BackupOptions{Options: o})
			names, err := set.List(ctx)
			require.NoError(t, err)
			require.Len(t, names, 6)
			damages := map[string]func([]byte) []byte{
				"missing":   func([]byte) []byte { return nil },
				"empty":     func([]byte) []byte { return []byte{} },
				"cut short": func(b []byte) []byte { return b[:len(b)-1] },
				"longer":    func(b []byte) []byte { return append(b, 0) },
				"first bit": func(b []byte) []byte { b[0] ^= 1; return b },
				"last bit":  func(b []byte) []byte { b[len(b)-1] ^= 0x80; return b },
				"a bit":     func(b []byte) []byte { b[rng.IntN(len(b))] ^= 1 << rng.IntN(8); return b },
				"a line":    func(b []byte) []byte { return bytes.Replace(b, []byte("\n"), nil, 1) },
			}
			for _, object := range names {
				for what, damage := range damages {
					if what == "a line" && !strings.HasSuffix(object, ".manifest") {
						continue
					}
					bad := copied(t, &set, func(name string, data []byte) []byte {
						if name == object {
							return damage(data)
						}
						return data
					})
					code := errs.CodeIntegrity
					if what == "missing" && object == c.Head().ID+".manifest" {
						code = errs.CodeValidation // there is no such backup
					}
					t.Run(object+" "+what, func(t *testing.T) { refused(t, bad, c.Head().ID, o, code) })
				}
			}
		})
	}
}

// Objects of the right kind and content in the wrong place are refused as well.
func TestExchangedObjectsAreDetected(t *testing.T) {
	var set, other backup.Memory
	_, c := chain(t, &set, aedb.BackupOptions{})
	db, d := chain(t, &other, aedb.BackupOptions{})
	m, n := c[1].Objects[0].Name, c[2].Objects[0].Name
	logs := map[string][]byte{m: content(t, &set, n), n: content(t, &set, m)}
	refused(t, copied(t, &set, func(name string, data []byte) []byte {
		if log, ok := logs[name]; ok {
			return log
		}
		return data
	}), c.Head().ID, backup.Options{}, errs.CodeIntegrity)

	foreign := content(t, &other, d[0].ID+".manifest")
	refused(t, copied(t, &set, func(name string, data []byte) []byte {
		if name == c[0].ID+".manifest" {
			return foreign
		}
		return data
	}), c.Head().ID, backup.Options{}, errs.CodeIntegrity)

	_, err := db.BackupIncremental(ctx, &set, c[2], aedb.BackupOptions{})
	require.ErrorIs(t, err, errs.ErrValidation, "the parent is of another store")
}

// A parent that was taken again, or signed again over other content, is not the one
// that its child was made on.
func TestChildOfAnotherManifestIsRefused(t *testing.T) {
	var set backup.Memory
	_, c := chain(t, &set, aedb.BackupOptions{})
	for i := range 2 {
		bad := copied(t, &set, func(name string, data []byte) []byte {
			if name != c[i].ID+".manifest" {
				return data
			}
			m := c[i]
			m.CreatedMicros++
			data, err := backup.Encode(&m, nil)
			require.NoError(t, err)
			return data
		})
		refused(t, bad, c.Head().ID, backup.Options{}, errs.CodeIntegrity)
	}
}

func TestKeysDecideWhatIsRead(t *testing.T) {
	right, wrong := ring(t, "right"), ring(t, "wrong")
	var signed, plain backup.Memory
	_, c := chain(t, &signed, aedb.BackupOptions{Options: backup.Options{Keys: right, Seal: true}})
	refused(t, &signed, c.Head().ID, backup.Options{}, errs.CodeUnavailable)
	refused(t, &signed, c.Head().ID, backup.Options{Keys: wrong}, errs.CodeUnavailable)
	_, report := restored(t, &signed, aedb.RestoreOptions{Options: backup.Options{Keys: right}})
	require.True(t, report.Compared)

	forged, err := keys.NewRing(keys.Key{ID: "right", Secret: bytes.Repeat([]byte("?"), 32)})
	require.NoError(t, err)
	refused(t, &signed, c.Head().ID, backup.Options{Keys: forged}, errs.CodeIntegrity)

	_, d := chain(t, &plain, aedb.BackupOptions{})
	refused(t, &plain, d.Head().ID, backup.Options{Keys: right}, errs.CodeIntegrity)

	names, err := signed.List(ctx)
	require.NoError(t, err)
	for _, name := range names {
		if !strings.HasSuffix(name, ".manifest") {
			require.NotContains(t, string(content(t, &signed, name)), "value-", "%s is sealed", name)
		}
	}
	_, err = open(t, vfs.NewMem()).BackupFull(ctx, &backup.Memory{}, aedb.BackupOptions{Options: backup.Options{Seal: true}})
	require.ErrorIs(t, err, errs.ErrInvalidConfig)
}

func TestListTellsWhatIsUnfinishedAndDamaged(t *testing.T) {
	var set backup.Memory
	_, c := chain(t, &set, aedb.BackupOptions{})
	bad := copied(t, &set, func(name string, data []byte) []byte {
		switch name {
		case c[2].ID + ".manifest":
			return nil
		case c[1].ID + ".manifest":
			return data[1:]
		}
		return data
	})
	require.NoError(t, bad.Put(ctx, "notes.txt", strings.NewReader("not ours")))
	l, err := backup.List(ctx, bad, backup.Options{})
	require.NoError(t, err)
	require.Len(t, l.Backups, 1)
	require.Equal(t, c[0].ID, l.Backups[0].ID)
	require.Len(t, l.Damaged, 1)
	require.Equal(t, c[1].ID, l.Damaged[0].Name)
	require.Equal(t, []string{c[2].Objects[0].Name}, l.Unfinished)
}

func TestBackupsAreDeletedFromTheEndOfAChain(t *testing.T) {
	var set backup.Memory
	_, c := chain(t, &set, aedb.BackupOptions{})
	require.ErrorIs(t, backup.Delete(ctx, &set, c[1].ID, backup.Options{}), errs.ErrValidation)
	require.ErrorIs(t, backup.Delete(ctx, &set, "../x", backup.Options{}), errs.ErrValidation)
	for i := len(c) - 1; i >= 0; i-- {
		require.NoError(t, backup.Delete(ctx, &set, c[i].ID, backup.Options{}))
		if i > 0 {
			_, report := restored(t, &set, aedb.RestoreOptions{})
			require.Equal(t, c[i-1].Seq, report.Seq)
		}
	}
	names, err := set.List(ctx)
	require.NoError(t, err)
	require.Empty(t, names)
	_, err = aedb.Restore(ctx, &set, dir, aedb.RestoreOptions{FS: vfs.NewMem()})
	require.ErrorIs(t, err, errs.ErrValidation)
}

// A backup that cannot be read here may be read elsewhere, and what it builds on is
// not deleted under it.
func TestParentOfABackupThatCannotBeReadIsNotDeleted(t *testing.T) {
	key := ring(t, "key")
	o := aedb.BackupOptions{Options: backup.Options{Keys: key}}
	var signed backup.Memory
	_, c := chain(t, &signed, o)
	for name, other := range map[string]backup.Options{"no keys": {}, "another key": {Keys: ring(t, "other")}} {
		t.Run(name, func(t *testing.T) {
			err := backup.Delete(ctx, &signed, c.Base().ID, other)
			require.ErrorIs(t, err, errs.ErrValidation)
			require.ErrorContains(t, err, c[1].ID)
			_, report := restored(t, &signed, aedb.RestoreOptions{Options: o.Options})
			require.Equal(t, c.Head().Seq, report.Seq)
		})
	}
	for _, m := range slices.Backward(c) {
		require.NoError(t, backup.Delete(ctx, &signed, m.ID, backup.Options{}), "from the end it goes without keys too")
	}
}

// unreadable is a store that fails to get one object.
type unreadable struct {
	backup.Store
	name string
}

func (s unreadable) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == s.name {
		return nil, errors.New("out of order for the moment")
	}
	return s.Store.Get(ctx, name)
}

func TestNothingIsDeletedWhileItIsNotKnownWhatBuildsOnIt(t *testing.T) {
	var set backup.Memory
	_, c := chain(t, &set, aedb.BackupOptions{})
	err := backup.Delete(ctx, unreadable{&set, c[1].ID + ".manifest"}, c.Base().ID, backup.Options{})
	require.ErrorIs(t, err, errs.ErrIO)
	_, report := restored(t, &set, aedb.RestoreOptions{})
	require.Equal(t, c.Head().Seq, report.Seq)

	// One that is damaged past reading can never be restored, and keeps nothing.
	lost := copied(t, &set, func(name string, data []byte) []byte {
		if name == c[1].ID+".manifest" || name == c[2].ID+".manifest" {
			return data[:20]
		}
		return data
	})
	require.NoError(t, backup.Delete(ctx, lost, c.Base().ID, backup.Options{}))
}

// What builds on damage cannot be restored either, and is named too.
func TestEveryBackupThatCannotBeRestoredIsNamed(t *testing.T) {
	var set backup.Memory
	_, c := chain(t, &set, aedb.BackupOptions{})
	named := func(set backup.Store) (ids []string) {
		verdict, err := backup.Verify(ctx, set, backup.VerifyOptions{})
		require.NoError(t, err)
		for _, d := range verdict.Damaged {
			ids = append(ids, d.Name)
		}
		return ids
	}
	spoilt := func(spoil ...string) backup.Store {
		return copied(t, &set, func(name string, data []byte) []byte {
			if slices.Contains(spoil, name) {
				data[len(data)/2] ^= 1
			}
			return data
		})
	}
	require.ElementsMatch(t, []string{c[0].ID, c[1].ID, c[2].ID}, named(spoilt(c[0].Objects[0].Name)))
	require.ElementsMatch(t, []string{c[1].ID, c[2].ID}, named(spoilt(c[1].Objects[0].Name)))

	// The last one was made on another manifest of the one before it: what is before it is
	// a chain of its own, and read.
	other := copied(t, spoilt(c[0].Objects[0].Name), func(name string, data []byte) []byte {
		if name != c[1].ID+".manifest" {
			return data
		}
		m := c[1]
		m.CreatedMicros++
		data, err := backup.Encode(&m, nil)
		require.NoError(t, err)
		return data
	})
	require.ElementsMatch(t, []string{c[0].ID, c[1].ID, c[2].ID}, named(other))
}
