package crash

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// faultsOf returns the ways in which a call can fail.
func faultsOf(op vfs.Op) []vfs.Fault {
	switch op.Kind {
	case vfs.OpWrite:
		return []vfs.Fault{
			{Err: syscall.EIO},
			{Err: syscall.ENOSPC, Short: int(op.Size / 2)},
			{Err: syscall.EIO, Short: int(op.Size)}, // all is written, and it fails nevertheless
		}
	case vfs.OpSync:
		return []vfs.Fault{{Err: syscall.EIO}, {Err: syscall.EIO, DropUnsynced: true}, {Err: syscall.ENOSPC}}
	case vfs.OpOpen, vfs.OpRead, vfs.OpList:
		return []vfs.Fault{{Err: syscall.EIO}}
	}
	return []vfs.Fault{{Err: syscall.EIO}, {Err: syscall.ENOSPC}}
}

// trouble is what goes wrong on a disk during a run of the script.
type trouble struct {
	// happened describes it, "" if it has not come yet.
	happened func() string
	// mayBreak reports whether it may break the pipeline: if not, commits have to
	// go on as if nothing had been.
	mayBreak func() bool
	// relieve ends it; it is called before the store is opened again.
	relieve func(ctx context.Context, s *store) error
}

// failOnce makes the n-th call of a disk fail once, in the given one of the ways
// it can; the calls that change something and those that look are counted apart.
func failOnce(disk *vfs.Mem, mutating bool, n int64, way int) *trouble {
	var hit atomic.Pointer[vfs.Op]
	disk.SetInjector(func(op vfs.Op) vfs.Fault {
		ways := faultsOf(op)
		if op.Kind.Mutates() != mutating || op.N != n || way >= len(ways) {
			return vfs.Fault{}
		}
		hit.Store(&op)
		return ways[way]
	})
	return &trouble{
		happened: func() string {
			if op := hit.Load(); op != nil {
				return fmt.Sprintf("%s failed with %+v", describe(op), faultsOf(*op)[way])
			}
			return ""
		},
		mayBreak: func() bool {
			op := hit.Load()
			_, segment := wal.ParseSegmentName(path.Base(op.Name))
			return segment || op.Kind == vfs.OpSyncDir
		},
		relieve: func(context.Context, *store) error { return nil },
	}
}

// endure runs the script through trouble and checks what is promised of every
// failure: it is a clear error; a commit that fails has broken the pipeline, and
// then no later one succeeds and readers go on; what fails beside the log
// breaks nothing; and a restart finds everything that was acknowledged.
func (h history) endure(s *store, steps []step, tr *trouble) error {
	return live(func(ctx context.Context) error {
		defer func() { _ = s.close(ctx) }() // a failed check leaves it open
		for i := range steps {
			_, err := s.run(ctx, steps[i:i+1])
			switch {
			case err == nil:
				continue
			case tr.happened() == "":
				return fmt.Errorf("nothing went wrong, but: %w", err)
			}
			if vague := unclear(err); vague != nil {
				return vague
			}
			switch {
			case s.db == nil: // it could not be closed in order, or not opened
				if again := h.restart(ctx, s, tr); again != nil {
					return fmt.Errorf("reopened after (%w): %w", err, again)
				}
			case s.db.Err() != nil:
				return h.broken(ctx, s, tr)
			case !strings.HasPrefix(steps[i].name, "checkpoint"):
				return fmt.Errorf("the pipeline works, but: %w", err)
			}
		}
		if err := s.close(ctx); err != nil {
			return err
		}
		return h.settled(ctx, s, tr)
	})
}

// restart opens the store on the same machine: nothing that was written is lost.
func (h history) restart(ctx context.Context, s *store, tr *trouble) error {
	if err := tr.relieve(ctx, s); err != nil {
		return err
	}
	r, err := h.atPrefix(ctx, s, s.promised, true)
	if err == nil && r.seq != s.promised.visible {
		err = fmt.Errorf("the store ends at commit %d: %v", r.seq, s.promised)
	}
	return err
}

// broken checks a store whose pipeline has broken down.
func (h history) broken(ctx context.Context, s *store, tr *trouble) error {
	if !tr.mayBreak() {
		return fmt.Errorf("this broke the pipeline, but has nothing to do with the log: %w", s.db.Err())
	}
	before := s.db.Heads()
	for range 2 {
		_, err := s.db.NoAuth().CreateProject(ctx, "late")
		if err == nil || aedb.ClassOf(err) != aedb.ClassUnavailable {
			return fmt.Errorf("a commit after the breakdown: %w", errors.Join(err, errIf(err == nil, "it was acknowledged")))
		}
	}
	if _, err := s.db.Flush(ctx); err == nil {
		return errors.New("a flush after the breakdown succeeded")
	}
	if after := s.db.Heads(); after != before {
		return fmt.Errorf("the heads moved after the breakdown, from %+v to %+v", before, after)
	}
	if seq, digest, err := s.digest(); err != nil || seq != before.VisibleSeq || digest != h[seq] {
		return errors.Join(err, fmt.Errorf("readers see a state at commit %d that is not that of the history", seq))
	}
	if err := s.close(ctx); err != nil {
		if vague := unclear(err); vague != nil {
			return vague
		}
	}
	return h.settled(ctx, s, tr)
}

// settled checks a store that was closed, in order or not: after a power loss,
// and after a restart of the process alone.
func (h history) settled(ctx context.Context, s *store, tr *trouble) error {
	for _, f := range []namedFate{
		{name: "all lost", fate: vfs.AllLost()},
		{name: "random parts", fate: vfs.RandomBlocks(s.promised.visible, 50)},
		{name: "torn write", fate: vfs.TornLastWrite(s.promised.visible)},
	} {
		if err := h.survives(s, s.promised, f); err != nil {
			return fmt.Errorf("then power was lost, %s: %w", f.name, err)
		}
	}
	s.fs.SetInjector(nil)
	if err := tr.relieve(ctx, s); err != nil {
		return err
	}
	if _, err := h.atPrefix(ctx, s, s.promised, true); err != nil {
		return fmt.Errorf("then the process was restarted: %w", err)
	}
	return s.continues(ctx)
}

func TestAnyCallThatFailsOnceLosesNothingThatWasPromised(t *testing.T) {
	steps := fullScript()
	h := model(t, steps)
	for _, p := range append(setups[:4:4], setups[5], setups[7]) {
		t.Run(p.name, func(t *testing.T) {
			began := time.Now()
			var runs atomic.Int64
			for _, mutating := range []bool{true, false} {
				for way := range 3 {
					apart := sized(1, 17*max(1, p.sparse), 67*max(1, p.sparse))
					if !mutating { // there are few, and one way to fail
						if way > 0 {
							break
						}
						apart = sized(1, 3*max(1, p.sparse), 7*max(1, p.sparse))
					}
					sweep(t, apart, func(n int64) (bool, error) {
						s := p.on(vfs.NewMem())
						tr := failOnce(s.fs, mutating, n, way)
						if err := h.endure(s, steps, tr); err != nil {
							return true, fmt.Errorf("%s: %s: %w", p.name, tr.happened(), err)
						}
						if tr.happened() != "" {
							runs.Add(1)
						}
						calls := s.fs.Reads()
						if mutating {
							calls = s.fs.Ops()
						}
						return n < calls, nil
					})
				}
			}
			t.Logf("%d calls failed in %v", runs.Load(), time.Since(began).Round(time.Millisecond))
		})
	}
}
