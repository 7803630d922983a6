package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// A backup goes through a pipe into a restored store, and lies nowhere between.
func TestBackupGoesThroughAPipe(t *testing.T) {
	key := ring(t, "key")
	for name, o := range map[string]backup.Options{
		"plain": {}, "signed": {Keys: key}, "sealed": {Keys: key, Seal: true},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, vfs.NewMem())
			putMany(t, db, 50)
			in, out := io.Pipe()
			taken := make(chan error, 1)
			go func() {
				taken <- func() error {
					ring := o.Keys
					if !o.Seal {
						ring = nil
					}
					archive, err := backup.NewArchive(out, ring)
					if err != nil {
						return err
					}
					if _, err = db.BackupFull(ctx, archive, aedb.BackupOptions{Options: backup.Options{Keys: o.Keys}}); err != nil {
						return err
					}
					if err := archive.Close(); err != nil {
						return err
					}
					return out.Close()
				}()
			}()
			fsys := vfs.NewMem()
			report, err := aedb.RestoreArchive(ctx, in, &backup.Memory{}, dir, aedb.RestoreOptions{Options: o, FS: fsys})
			require.NoError(t, err)
			require.NoError(t, <-taken)
			_, state := digest(t, db)
			require.Equal(t, state, report.Digest)
		})
	}
}

func archived(t testing.TB, o backup.Options) []byte {
	t.Helper()
	var set backup.Memory
	_, c := chain(t, &set, aedb.BackupOptions{Options: backup.Options{Keys: o.Keys}})
	var out bytes.Buffer
	require.NoError(t, backup.WriteArchive(ctx, &set, c, &out, o))
	return out.Bytes()
}

func TestArchiveHoldsAWholeChain(t *testing.T) {
	key := ring(t, "key")
	for _, o := range []backup.Options{{}, {Keys: key}, {Keys: key, Seal: true}} {
		data := archived(t, o)
		var into backup.Memory
		ids, err := backup.ReadArchive(ctx, bytes.NewReader(data), &into, o)
		require.NoError(t, err)
		require.Len(t, ids, 3)
		verdict, err := backup.Verify(ctx, &into, backup.VerifyOptions{Options: o, Rebuild: true})
		require.NoError(t, err)
		require.True(t, verdict.OK())
		require.Equal(t, 1, verdict.Compared)
		if o.Seal {
			require.NotContains(t, string(data), "aedb-backup")
			_, err := backup.ReadArchive(ctx, bytes.NewReader(data), &backup.Memory{}, backup.Options{Keys: ring(t, "other")})
			require.ErrorIs(t, err, errs.ErrUnavailable)
		}
	}
}

// An archive that was cut anywhere, or of which any bit was changed, does not lead
// to a store; what was put of it is taken back if it cannot be read.
func TestDamagedArchiveIsRefused(t *testing.T) {
	key := ring(t, "key")
	for name, o := range map[string]backup.Options{"plain": {}, "sealed": {Keys: key, Seal: true}} {
		t.Run(name, func(t *testing.T) {
			data := archived(t, o)
			step := max(1, len(data)/200)
			try := func(changed []byte) {
				into := &backup.Memory{}
				fsys := vfs.NewMem()
				report, err := aedb.RestoreArchive(ctx, bytes.NewReader(changed), into, dir, aedb.RestoreOptions{Options: o, FS: fsys})
				if err == nil { // a bit that nothing depends on
					require.Len(t, changed, len(data), "a cut archive")
					require.Len(t, report.Plan.Chain, 3)
					require.True(t, report.Compared)
					return
				}
				require.Contains(t, []errs.Code{errs.CodeIntegrity, errs.CodeUnavailable, errs.CodeValidation}, errs.CodeOf(err), "%v", err)
				for _, name := range fsys.Names() {
					require.True(t, strings.HasSuffix(name, "LOCK"), name)
				}
			}
			for at := 0; at < len(data); at += step {
				try(data[:at])
				changed := bytes.Clone(data)
				changed[at] ^= 0x10
				try(changed)
			}
		})
	}
}

// An archive that ends between two backups holds a chain that is whole and shorter. The
// end of the archive tells that it is not all.
func TestArchiveThatEndsBetweenTwoBackupsIsCutShort(t *testing.T) {
	data := archived(t, backup.Options{})
	const block = 512
	for end := 0; end < len(data); end += block {
		into := &backup.Memory{}
		_, err := backup.ReadArchive(ctx, bytes.NewReader(data[:end]), into, backup.Options{})
		require.ErrorIs(t, err, errs.ErrIntegrity, "cut to %d of %d bytes", end, len(data))
		left, err := into.List(ctx)
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// A newer backup that lies where the archive passes through is not what was asked for.
func TestArchiveIsNotRestoredByWayOfOtherBackups(t *testing.T) {
	data := archived(t, backup.Options{})
	db := open(t, vfs.NewMem())
	putMany(t, db, 3)
	var via backup.Memory
	full(t, db, &via, aedb.BackupOptions{})
	before, err := via.List(ctx)
	require.NoError(t, err)
	_, err = aedb.RestoreArchive(ctx, bytes.NewReader(data), &via, dir, aedb.RestoreOptions{FS: vfs.NewMem(), Target: backup.Target{Time: time.Now().Add(time.Hour)}})
	require.ErrorIs(t, err, errs.ErrValidation)
	after, err := via.List(ctx)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// ending is a store in which nothing can be deleted any more after a while.
type ending struct {
	backup.Store
	deletions int
}

func (s *ending) Delete(ctx context.Context, name string) error {
	if s.deletions--; s.deletions < 0 {
		return errors.New("no more")
	}
	return s.Store.Delete(ctx, name)
}

// Wherever the clearing away of a damaged archive ends, what is left is no backup or a
// whole one.
func TestBackupsOfADamagedArchiveAreTakenBackFromTheEnd(t *testing.T) {
	data := archived(t, backup.Options{})
	for deletions := range 6 {
		into := &ending{&backup.Memory{}, deletions}
		_, err := backup.ReadArchive(ctx, bytes.NewReader(data[:len(data)-1024]), into, backup.Options{})
		require.ErrorIs(t, err, errs.ErrIntegrity)
		verdict, err := backup.Verify(ctx, into, backup.VerifyOptions{})
		require.NoError(t, err)
		require.Empty(t, verdict.Damaged, "after %d deletions", deletions)
	}
}

func TestForeignEntriesOfAnArchiveAreRefused(t *testing.T) {
	const object = "full-0000000000000001-00000000.checkpoint"
	regular := func(name string) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 1, Mode: 0o600}
	}
	link := tar.Header{Typeflag: tar.TypeSymlink, Name: object + "/000001", Linkname: "/etc/passwd"}
	hard := tar.Header{Typeflag: tar.TypeLink, Name: object + "/000001", Linkname: "/etc/passwd"}
	directory := tar.Header{Typeflag: tar.TypeDir, Name: object + "/"}
	large := regular(object + "/000001")
	large.Size = 5 << 20
	for name, headers := range map[string][]tar.Header{
		"no archive":        {},
		"a file":            {regular("notes.txt")},
		"an absolute name":  {regular("/" + object + "/000001")},
		"a way up":          {regular("../" + object + "/000001")},
		"a way through":     {regular(object + "/../000001")},
		"a backslash":       {regular(`full\000001`)},
		"another object":    {regular("full-0000000000000001-00000000.other/000001")},
		"a link":            {link},
		"a hard link":       {hard},
		"a directory":       {directory},
		"no first part":     {regular(object + "/000002")},
		"a gap":             {regular(object + "/000001"), regular(object + "/000003")},
		"a repeated part":   {regular(object + "/000001"), regular(object + "/000001")},
		"a number in short": {regular(object + "/1")},
		"too large a part":  {large},
		"no manifest":       {regular(object + "/000001")},
	} {
		t.Run(name, func(t *testing.T) {
			var data bytes.Buffer
			w := tar.NewWriter(&data)
			for _, h := range headers {
				require.NoError(t, w.WriteHeader(&h))
				_, err := w.Write(make([]byte, h.Size))
				require.NoError(t, err)
			}
			require.NoError(t, w.Close())
			var into backup.Memory
			_, err := backup.ReadArchive(ctx, &data, &into, backup.Options{})
			require.ErrorIs(t, err, errs.ErrIntegrity)
			left, err := into.List(ctx)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestEndOfTheContextEndsABackupAndARestore(t *testing.T) {
	var set backup.Memory
	db, c := chain(t, &set, aedb.BackupOptions{})
	over, cancel := context.WithCancel(ctx)
	cancel()
	_, err := db.BackupFull(over, &backup.Memory{}, aedb.BackupOptions{})
	require.ErrorIs(t, err, errs.ErrCanceled)
	put(t, db, "more", "1")
	_, err = db.BackupIncremental(over, &backup.Memory{}, *c.Head(), aedb.BackupOptions{})
	require.ErrorIs(t, err, errs.ErrCanceled)
	fsys := vfs.NewMem()
	_, err = aedb.Restore(over, &set, dir, aedb.RestoreOptions{FS: fsys})
	require.ErrorIs(t, err, errs.ErrCanceled)
	require.ErrorIs(t, backup.WriteArchive(over, &set, c, io.Discard, backup.Options{}), errs.ErrCanceled)
}
