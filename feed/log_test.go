package feed_test

import (
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/feed"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestLogIsReadOnFromWhereAReadingEnded(t *testing.T) {
	s := newStore(t)
	for range 2000 {
		s.commit(func(w *state.Working) { w.Put(catalog.FirstUserSpace, []byte("k"), make([]byte, 4000)) })
	}
	log := feed.NewLog(s.fsys, dir, nil)
	read := func(after, last uint64) (bytes int64) {
		s.fsys.SetInjector(func(op vfs.Op) vfs.Fault {
			if op.Kind == vfs.OpRead {
				bytes += op.Size
			}
			return vfs.Fault{}
		})
		defer s.fsys.SetInjector(nil)
		next := after + 1
		require.NoError(t, log.Read(after, last, func(set *msgs.Changeset) error {
			require.Equal(t, next, set.Seq)
			if next++; set.Seq == last {
				return feed.ErrEnough
			}
			return nil
		}))
		require.Equal(t, last+1, next)
		return bytes
	}
	require.Greater(t, read(1500, 1510), int64(6<<20), "the first time from the start of the segment")
	require.Less(t, read(1510, 1520), int64(3<<20))
	require.Less(t, read(1700, 1710), int64(3<<20))
	require.Greater(t, read(1000, 1010), int64(4<<20), "no mark is in front of it")
	require.Less(t, read(1010, 1020), int64(3<<20))
}

// What a visitor fails with is its own: a file that it misses is none of the log.
func TestErrorOfAVisitorIsReturnedAsItIs(t *testing.T) {
	s := newStore(t)
	s.commit(define(catalog.CreateProject{Project: "p"}))
	seq := s.commit(set("app", "k", "1"))
	s.forget(seq)
	failure := errs.Wrap(errs.CodeIO, fs.ErrNotExist, "the visitor's own")
	err := feed.NewLog(s.fsys, dir, nil).Read(0, seq, func(*msgs.Changeset) error { return failure })
	require.ErrorIs(t, err, errs.ErrIO)
	require.NotErrorIs(t, err, errs.ErrSeqGarbageCollected)
}
