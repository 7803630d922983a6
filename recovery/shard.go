package recovery

import (
	"context"
	"unsafe"

	"github.com/sourcegraph/conc"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/wal"
)

// gatherBytes is how much of the log is gathered before it is written to the
// trees, in bytes of frames and of what describes their effects. More makes fewer
// passes over the trees, and takes that much memory beside them.
const gatherBytes = 256 << 20

// shards apply the log on several goroutines. Effects on different spaces do not
// touch each other, so each shard owns some of the spaces and applies what
// concerns them; together they come to the state that one would.
type shards struct {
	base     uint64 // commits up to it are in the state already
	until    uint64 // commits behind it are left out
	all      []*shard
	gathered int // bytes sent since the last flush
	workers  conc.WaitGroup
}

type shard struct {
	working *state.Working
	bulk    *state.Bulk
	in      chan parcel
	err     error // read when the worker has ended
}

// parcel is a batch of frames for a shard, which may keep what it gathered until a
// parcel with flush comes.
type parcel struct {
	frames []wal.Frame
	flush  bool
}

// startShards starts n shards that continue an image, or nothing if it is nil.
// They end with finish.
func startShards(ctx context.Context, n int, base *state.Image, until uint64) *shards {
	g := &shards{until: until}
	if base == nil {
		base = state.NewWorking().Freeze()
	}
	g.base = base.Seq()
	for i := range n {
		working := base.Fork()
		s := &shard{working: working, bulk: state.NewBulk(working), in: make(chan parcel, batchesAhead)}
		g.all = append(g.all, s)
		owns := func(space catalog.SpaceID) bool { return g.owner(space) == i }
		g.workers.Go(func() {
			for p := range s.in {
				if s.err == nil && ctx.Err() == nil {
					s.err = g.apply(s, p, owns)
				}
			}
			if s.err == nil && ctx.Err() == nil {
				s.bulk.Flush()
			}
		})
	}
	return g
}

// owner returns the shard that a space belongs to.
func (g *shards) owner(space msgs.SpaceID) int { return int(uint64(space) % uint64(len(g.all))) }

func (g *shards) apply(s *shard, p parcel, owns func(catalog.SpaceID) bool) error {
	for i := range p.frames {
		for j := range p.frames[i].Sets {
			if set := &p.frames[i].Sets[j]; set.Seq > g.base && set.Seq <= g.until {
				if err := s.bulk.Add(set, owns); err != nil {
					return err
				}
			}
		}
	}
	if p.flush {
		s.bulk.Flush()
	}
	return nil
}

// send has all shards apply a batch, which is theirs from then on. They flush
// together, because whatever one of them has gathered keeps the memory of a whole
// segment.
func (g *shards) send(batch []wal.Frame) {
	for i := range batch {
		g.gathered += batch[i].Size
		for j := range batch[i].Sets {
			g.gathered += len(batch[i].Sets[j].Effects) * int(unsafe.Sizeof(msgs.Effect{}))
		}
	}
	p := parcel{frames: batch, flush: g.gathered >= gatherBytes}
	if p.flush {
		g.gathered = 0
	}
	for _, s := range g.all {
		s.in <- p
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
