package crash

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// smallScript makes a store with two checkpoints, several segments, and commits
// behind the last checkpoint.
func smallScript() []step {
	var b script
	b.do("open", func(ctx context.Context, s *store) error { return s.open(ctx) })
	b.definitions()
	b.do("checkpoint", checkpointStep)
	b.keyValues()
	b.do("checkpoint again", checkpointStep)
	for i := range int64(8) {
		b.app(fmt.Sprintf("behind the checkpoint %d", i), func(app *aedb.Scope) []aedb.Mutation {
			return []aedb.Mutation{app.KvSet(key("tail/%d", i), filler(150, uint32(i))), app.Insert("accounts", account(i))}
		})
	}
	b.do("close", func(ctx context.Context, s *store) error { return s.close(ctx) })
	return b.steps
}

// ending is how a store came to be left.
type ending struct {
	name string
	tune func(*store)
	// onClose takes a checkpoint at the end; killed ends without a close.
	onClose, killed bool
}

// endings are those that make a difference to what the manifest vouches for.
var endings = []ending{
	{name: "closed with a checkpoint", onClose: true},
	{name: "closed without a checkpoint"},
	{name: "killed", killed: true},
	{name: "authenticated, closed without a checkpoint", tune: authenticated},
	{name: "authenticated, killed", tune: authenticated, killed: true},
	{name: "encrypted, closed with a checkpoint", tune: encrypted, onClose: true},
	{name: "encrypted, closed without a checkpoint", tune: encrypted},
	{name: "encrypted, killed", tune: encrypted, killed: true},
}

// rotten is a store that nobody has open, and that is to be damaged.
type rotten struct {
	*store
	h     history
	files []string
	// floor is the last commit that the manifest vouches for, tail the segment that a
	// killed store was writing: it may be cut short as by a crash, for there is nobody
	// to tell. A closed store has none.
	floor uint64
	tail  string
}

func newRotten(t *testing.T, end ending) *rotten {
	t.Helper()
	s := newStore(vfs.NewMem(), aedb.Full)
	s.cfg.SegmentBytes, s.cfg.Checkpoint.OnClose = 1<<10, end.onClose
	if end.tune != nil {
		end.tune(s)
	}
	steps := smallScript()
	if end.killed {
		steps = steps[:len(steps)-1]
	}
	h, err := record(s, steps)
	require.NoError(t, err)
	left := s
	if end.killed {
		left = s.on(s.fs.Crash(vfs.AllKept()))
		_ = s.close(t.Context()) // only to end its goroutines
	}
	r := &rotten{store: left, h: h}
	for _, name := range r.fs.Names() {
		if path.Base(name) == "LOCK" {
			continue
		}
		r.files = append(r.files, name)
		if _, ok := wal.ParseSegmentName(path.Base(name)); ok && end.killed {
			r.tail = name
		}
	}
	require.NoError(t, live(func(ctx context.Context) error {
		again := r.on(r.fs.Clone(vfs.AllKept()))
		if err := again.open(ctx); err != nil {
			return err
		}
		r.floor = again.db.Recovery().CheckpointSeq
		return again.close(ctx)
	}))
	return r
}

// names reports whether an error names a file of the store. Where one that is cut
// short does not lead up to the next, that may be either of them.
func (r *rotten) names(err error) bool {
	return slices.ContainsFunc(r.files, func(file string) bool {
		return strings.Contains(err.Error(), path.Base(file))
	})
}

// openWith opens the store with other content of one file. The
// store refuses, and names a file, or answers as if nothing had happened.
func (r *rotten) openWith(file string, d damaged) (refused bool, err error) {
	s := r.on(r.fs.Clone(vfs.AllKept()))
	if d.content == nil {
		if err := errors.Join(s.fs.Remove(file), s.fs.SyncDir(dir)); err != nil {
			return false, err
		}
	} else if err := s.fs.WriteFile(file, d.content); err != nil {
		return false, err
	}
	err = live(func(ctx context.Context) error {
		if err := s.open(ctx); err != nil {
			refused = true
			if vague := unclear(err); vague != nil {
				return vague
			}
			return errIf(!r.names(err), "the error names no file: %v", err)
		}
		seq, digest, err := s.digest()
		torn := s.db.Recovery().Torn
		err = errors.Join(err, s.close(ctx))
		switch {
		case err != nil:
			return err
		case seq > r.h.last() || digest != r.h[seq]:
			return fmt.Errorf("the state at commit %d is not that of the history", seq)
		case seq == r.h.last():
			return nil
		case file != r.tail || seq < r.floor:
			return fmt.Errorf("commits %d to %d are gone, though the manifest or a later segment vouches for them", seq+1, r.h.last())
		case torn.File != path.Base(file) && !d.cut:
			return fmt.Errorf("commits %d to %d are gone, and the report does not say so: %+v", seq+1, r.h.last(), torn)
		}
		return nil
	})
	return refused, err
}

// damaged is other content of a file, nil for no such file. A file that is cut may
// look as if it had never been longer.
type damaged struct {
	what    string
	content []byte
	cut     bool
}

// damage returns what may become of a file.
func damage(content []byte, stride, offset int) []damaged {
	all := []damaged{
		{what: "removed", cut: true},
		{what: "one byte longer", content: append(slices.Clone(content), 0xff)},
	}
	for at := offset % stride; at < len(content); at += stride {
		flipped := slices.Clone(content)
		flipped[at] ^= 1 << (at % 8)
		all = append(all,
			damaged{what: fmt.Sprintf("a bit of byte %d flipped", at), content: flipped},
			damaged{what: fmt.Sprintf("cut to %d bytes", at), content: append([]byte{}, content[:at]...), cut: true})
	}
	return all
}

func TestDamageToAnyFileIsRefusedOrHasNoEffect(t *testing.T) {
	seed := baseSeed(t)
	for _, end := range endings {
		t.Run(end.name, func(t *testing.T) {
			began := time.Now()
			r := newRotten(t, end)
			var opened, refused atomic.Int64
			sweep(t, 1, func(n int64) (bool, error) {
				if n > int64(len(r.files)) {
					return false, nil
				}
				file := r.files[n-1]
				content, err := r.fs.ReadFile(file)
				const enough = 5
				var failed []error
				for _, d := range damage(content, int(sized(1, 29, 499)), int(seed)) {
					no, err := r.openWith(file, d)
					opened.Add(1)
					if no {
						refused.Add(1)
					}
					if err != nil && len(failed) < enough {
						failed = append(failed, fmt.Errorf("%s of %d bytes, %s: %w", file, len(content), d.what, err))
					}
				}
				return true, errors.Join(append(failed, err)...)
			})
			t.Logf("%d files damaged in %d ways, %d refused, in %v", len(r.files), opened.Load(), refused.Load(), time.Since(began).Round(time.Millisecond))
		})
	}
}
