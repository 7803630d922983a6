package pipeline

import (
	"github.com/empyrealapp/aedb-go/publisher"
	"github.com/empyrealapp/aedb-go/walwriter"
)

// Rules are what a durability mode means to the stages: who hears of what was
// written, when the log is synced, and what may be published.
type Rules struct {
	Outlet walwriter.Outlet
	Sync   walwriter.Policy
	// Syncs is how many syncs of the log may be under way at once.
	Syncs   int
	Publish publisher.Rule
	// Lazy has images made only for those who look. It suits modes in which readers at the
	// durable head need no others than those who look at the visible one, or than what an
	// epoch brings that was synced for somebody.
	Lazy bool
}

// batchImages is how many published images Batch mode keeps for readers at the
// durable head until a sync passes them.
const batchImages = 32

// Rules returns the rules of the configured mode.
func (c *Config) Rules() Rules {
	switch c.Durability {
	case Full:
		return Rules{
			Outlet:  walwriter.Outlet{SyncFirst: true},
			Sync:    walwriter.Policy{Always: true},
			Syncs:   2,
			Publish: publisher.Rule{SyncFirst: true},
			Lazy:    true,
		}
	case Batch:
		return Rules{
			Sync:    walwriter.Policy{Interval: c.BatchInterval, Bytes: c.BatchBytes},
			Publish: publisher.Rule{Images: batchImages},
		}
	}
	// Only epochs that ask for it are synced, and they bring their own image.
	return Rules{Outlet: walwriter.Outlet{OnDemand: true}, Lazy: true}
}

// ReportBytes is the growth of the log that is worth a message to the
// checkpointer: a part of what makes a checkpoint due.
func (c *Config) ReportBytes() int64 {
	due := c.CheckpointBytes
	if due == 0 {
		due = c.SegmentBytes
	}
	return max(due/16, 1)
}
