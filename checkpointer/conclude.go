package checkpointer

import (
	"slices"

	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Ended takes note that nothing is written any more: the segment that was active is
// on stable storage, cut to its size, and counts as sealed if it holds a commit.
func (c *Checkpointer) Ended(last msgs.Segment) {
	if last.LastSeq >= last.FirstSeq {
		c.seal([]msgs.Segment{last})
	}
}

// Conclude puts a manifest in force that lists the whole log and the pins, unless the
// one in force does, so that every byte of a store that was closed in order is vouched
// for.
// It is called last, after Ended. A failure harms nothing: then the end of the log is
// judged by itself, as after a crash.
func (c *Checkpointer) Conclude() error {
	m, oldest := c.manifest, uint64(0)
	if len(m.Checkpoints) > 0 {
		oldest = m.Checkpoints[0].Seq
	}
	m.Generation++
	m.CreatedMicros = c.cfg.Clock.Now().UnixMicro()
	if n := len(c.sealed); n > 0 {
		m.DurableSeq = max(m.DurableSeq, c.sealed[n-1].LastSeq)
	}
	m.ActiveSegment = c.active
	m.Pins = c.hold(oldest)
	m.Segments = c.listed(oldest, m.Pins)
	if slices.Equal(m.Segments, c.manifest.Segments) && slices.Equal(m.Pins, c.manifest.Pins) {
		return nil
	}
	if err := manifest.StoreSigned(c.cfg.FS, c.cfg.Dir, m, c.cfg.Sealing.Ring); err != nil {
		return err
	}
	c.manifest = m
	return nil
}
