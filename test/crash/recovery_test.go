package crash

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// namedFate is what becomes of unsynced data and entries. keepsAll fates are
// those of a process that dies and leaves the machine alone.
type namedFate struct {
	name     string
	fate     vfs.Fate
	keepsAll bool
}

// fates returns those that a crash point is tried under.
func fates(seed uint64) []namedFate {
	all := []namedFate{
		{name: "all lost", fate: vfs.AllLost()},
		{name: "all kept", fate: vfs.AllKept(), keepsAll: true},
		{name: "data kept, entries lost", fate: vfs.Fate{Data: vfs.DataKept, Entries: vfs.EntriesLost}},
		{name: "data lost, entries kept", fate: vfs.Fate{Data: vfs.DataLost, Entries: vfs.EntriesKept}},
	}
	for i := range uint64(3) {
		all = append(all,
			namedFate{name: fmt.Sprintf("random parts %d", i), fate: vfs.RandomBlocks(3*seed+i, 50)},
			namedFate{name: fmt.Sprintf("torn write %d", i), fate: vfs.TornLastWrite(3*seed + i)})
	}
	return all
}

// recovered is what an opening after a crash came to.
type recovered struct {
	seq    uint64
	digest [32]byte
}

// atPrefix opens the store strictly and checks that its state is one of the
// history, not below what was promised. The store is left open.
func (h history) atPrefix(ctx context.Context, s *store, p promise, keepsAll bool) (recovered, error) {
	var r recovered
	if err := s.open(ctx); err != nil {
		return r, fmt.Errorf("strict open: %w", err)
	}
	var err error
	r.seq, r.digest, err = s.digest()
	switch {
	case err != nil:
		return r, err
	case r.seq > h.last():
		return r, fmt.Errorf("commit %d was never made; the last is %d", r.seq, h.last())
	case r.seq < p.durable:
		return r, fmt.Errorf("the store ends at commit %d: %v", r.seq, p)
	case keepsAll && r.seq < p.visible:
		return r, fmt.Errorf("nothing was lost, but the store ends at commit %d: %v", r.seq, p)
	case r.digest != h[r.seq]:
		return r, fmt.Errorf("the state at commit %d is not that of the history", r.seq)
	}
	// What is visible in Full mode is durable. In the others the end of the log may
	// have been found in the cache of the system only; the next sync tells.
	if d := s.db.Heads().DurableSeq; d > r.seq || s.cfg.Durability == aedb.Full && d < r.seq {
		return r, fmt.Errorf("the store opened at commit %d with a durable head at %d", r.seq, d)
	}
	return r, s.sound()
}

// sound checks that what readers see is what the engine's writes can lead to:
// every index equals one that is built anew, and so on.
func (s *store) sound() error {
	violations, err := s.db.CheckInvariants(aedb.AtLatest)
	if err != nil {
		return err
	}
	if len(violations) > 0 {
		return fmt.Errorf("%d violations, the first: %v", len(violations), violations[0])
	}
	return nil
}

// continues makes further commits, loses power with all that was not synced, and
// checks that what the recovery showed and what was added is still there.
func (s *store) continues(ctx context.Context) error {
	after, err := s.extend(ctx)
	if err != nil {
		return fmt.Errorf("commits after the recovery: %w", err)
	}
	again := s.afterPowerLoss(ctx, vfs.AllLost())
	if err := again.open(ctx); err != nil {
		return fmt.Errorf("strict open after a second crash: %w", err)
	}
	seq, digest, err := again.digest()
	if err == nil && (seq != after.seq || digest != after.digest) {
		err = fmt.Errorf("the second crash changed the state: it was at commit %d and is at %d", after.seq, seq)
	}
	return errors.Join(err, again.close(ctx))
}

// extend makes two commits that any state of the script allows, durable.
func (s *store) extend(ctx context.Context) (recovered, error) {
	if _, err := s.db.NoAuth().CreateProject(ctx, "afterwards"); err != nil {
		return recovered{}, err
	}
	app := s.scope("afterwards", "app")
	if _, err := app.CommitEnvelope(ctx, aedb.Envelope{
		Mutations: []aedb.Mutation{app.KvSet([]byte("still"), []byte("alive"))},
	}, aedb.Durable); err != nil {
		return recovered{}, err
	}
	seq, digest, err := s.digest()
	return recovered{seq, digest}, err
}

// afterPowerLoss takes the power from a store and returns what is found on the
// disk, as a store that is not open.
func (s *store) afterPowerLoss(ctx context.Context, fate vfs.Fate) *store {
	disk := s.fs.Crash(fate)
	_ = s.close(ctx) // only to end its goroutines: its disk is gone
	return s.on(disk)
}

// on returns a store like s on another disk, not yet open.
func (s *store) on(disk *vfs.Mem) *store {
	next := *s
	next.fs, next.db, next.promised = disk, nil, promise{}
	next.cfg.FS = disk
	return &next
}

// survives checks everything that must hold after a power loss with a fate; the
// disk of s is left alone, and has room afterwards.
func (h history) survives(s *store, p promise, f namedFate) error {
	next := s.on(s.fs.Clone(f.fate))
	next.fs.SetCapacity(0)
	return live(func(ctx context.Context) error {
		defer func() { _ = next.close(ctx) }() // a failed check leaves it open
		if _, err := h.atPrefix(ctx, next, p, f.keepsAll); err != nil {
			return err
		}
		return next.continues(ctx)
	})
}

// sweep calls visit for points at a distance, from a few goroutines, until it says
// that there is nothing any more. The first lies half of the distance behind the
// beginning, where a store is not there yet. It stops early when the test has failed
// so often that more would not tell more.
func sweep(t *testing.T, stride int64, visit func(point int64) (more bool, err error)) {
	t.Helper()
	const enough = 10
	var next, failures atomic.Int64
	var done atomic.Bool
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for !done.Load() && failures.Load() < enough {
				more, err := visit(1 + stride/2 + (next.Add(1)-1)*stride)
				if err != nil {
					failures.Add(1)
					t.Error(err)
				}
				if !more {
					done.Store(true)
				}
			}
		})
	}
	workers.Wait()
}
