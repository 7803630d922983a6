package publisher

import (
	"encoding/binary"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const space msgs.SpaceID = 50

// chain makes commits as the applier does, and remembers the state after each.
type chain struct {
	working *state.Working
	image   *state.Image // the newest
	images  map[uint64]*state.Image
}

func newChain() *chain {
	c := &chain{working: state.NewWorking(), images: map[uint64]*state.Image{}}
	c.image = c.working.Freeze()
	c.images[0] = c.image
	return c
}

// commit makes one commit of some changes.
func (c *chain) commit(change func(w *state.Working)) msgs.Changeset {
	seq := c.working.Seq() + 1
	c.working.Begin(seq, int64(seq)*10)
	change(c.working)
	set := c.working.Commit()
	c.images[seq] = c.working.Freeze()
	return set
}

// epoch returns an epoch of n commits with their tickets, as it leaves the writer.
func (c *chain) epoch(n int) *msgs.Epoch {
	e := &msgs.Epoch{Bytes: int64(n) * 100}
	for range n {
		set := c.commit(func(w *state.Working) {
			key := fmt.Appendf(nil, "key-%d", w.Seq()%7)
			w.Put(space, key, binary.BigEndian.AppendUint64(nil, w.Seq()))
		})
		e.Sets = append(e.Sets, set)
		e.Answers = append(e.Answers, msgs.Answer{Ticket: msgs.NewTicket(nil, 0), Seq: set.Seq})
	}
	c.image = c.images[c.working.Seq()]
	e.Image, e.After = c.image, c.image.Moment()
	return e
}

// mustSync marks an epoch as one that waits for its sync.
func mustSync(e *msgs.Epoch) *msgs.Epoch {
	e.MustSync = true
	return e
}

func written(epochs ...*msgs.Epoch) *msgs.Publication { return &msgs.Publication{Epochs: epochs} }

func synced(seq uint64, epochs ...*msgs.Epoch) *msgs.Publication {
	return &msgs.Publication{Epochs: epochs, Durable: seq}
}

func answered(e *msgs.Epoch) bool {
	select {
	case <-e.Answers[0].Ticket.Done():
		return true
	default:
		return false
	}
}
