package recovery

import (
	"context"

	"github.com/sourcegraph/conc"

	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/wal"
)

// shards apply the log on several goroutines. Effects on different spaces do not
// touch each other, so each shard owns some of the spaces and applies what
// concerns them, in the order of the log; together they come to the state that
// one would.
type shards struct {
	base    uint64 // commits up to it are in the state already
	all     []*shard
	workers conc.WaitGroup
}

type shard struct {
	working *state.Working
	in      chan []wal.Frame
	own     []msgs.Effect // of the commit at hand; reused
	err     error         // read when the worker has ended
}

// startShards starts n shards that continue an image, or nothing if it is nil.
// They end with finish.
func startShards(ctx context.Context, n int, base *state.Image) *shards {
	g := &shards{}
	if base == nil {
		base = state.NewWorking().Freeze()
	}
	g.base = base.Seq()
	for i := range n {
		s := &shard{working: base.Fork(), in: make(chan []wal.Frame, batchesAhead)}
		g.all = append(g.all, s)
		g.workers.Go(func() {
			for batch := range s.in {
				if s.err == nil && ctx.Err() == nil {
					s.err = g.apply(i, s, batch)
				}
			}
		})
	}
	return g
}

// owner returns the shard that a space belongs to.
func (g *shards) owner(space msgs.SpaceID) int { return int(uint64(space) % uint64(len(g.all))) }

func (g *shards) apply(index int, s *shard, batch []wal.Frame) error {
	for i := range batch {
		for j := range batch[i].Sets {
			set := &batch[i].Sets[j]
			if set.Seq <= g.base {
				continue
			}
			s.own = s.own[:0]
			for _, e := range set.Effects {
				if g.owner(e.Space) == index {
					s.own = append(s.own, e)
				}
			}
			if err := s.working.Replay(&msgs.Changeset{Seq: set.Seq, Micros: set.Micros, Effects: s.own}); err != nil {
				return err
			}
		}
	}
	return nil
}

// send has all shards apply a batch, which is theirs from then on.
func (g *shards) send(batch []wal.Frame) {
	for _, s := range g.all {
		s.in <- batch
	}
}

// finish waits until everything that was sent is applied.
func (g *shards) finish() error {
	for _, s := range g.all {
		close(s.in)
	}
	g.workers.Wait()
	for _, s := range g.all {
		if s.err != nil {
			return s.err
		}
	}
	return nil
}

// working puts the parts together, as the state at a commit. It is called after
// finish, once.
func (g *shards) working(seq uint64, micros int64) *state.Working {
	w := state.NewWorking()
	w.Begin(seq, micros)
	for i, s := range g.all {
		for id, tree := range s.working.Freeze().Spaces() {
			if g.owner(id) == i {
				w.LoadSpace(id, tree.Fork())
			}
		}
	}
	return w
}
