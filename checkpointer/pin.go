package checkpointer

import (
	"slices"

	"github.com/empyrealapp/aedb-go/manifest"
)

// Pin keeps the log from a commit on from being released, in place of an earlier
// pin of the same name. From the next checkpoint on the manifest holds it, and so
// does the next opening of the store. A pin that comes to hold more than its bytes
// beside what recovery needs is given up, and counted.
func (c *Checkpointer) Pin(p manifest.Pin) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.pinned(p.Name); i >= 0 {
		c.pins[i] = p
		return
	}
	c.pins = append(c.pins, p)
}

// Unpin takes a pin away, if there is one of that name.
func (c *Checkpointer) Unpin(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.pinned(name); i >= 0 {
		c.pins = slices.Delete(c.pins, i, i+1)
	}
}

// pinned returns the index of the pin of a name, -1 if there is none. The caller
// holds mu.
func (c *Checkpointer) pinned(name string) int {
	return slices.IndexFunc(c.pins, func(p manifest.Pin) bool { return p.Name == name })
}

// hold returns the pins that count for the next generation, whose recovery needs
// the log above floor. It gives up those that have become too expensive.
func (c *Checkpointer) hold(floor uint64) []manifest.Pin {
	c.mu.Lock()
	defer c.mu.Unlock()
	needed, most := c.needed(floor), int64(0)
	kept := c.pins[:0]
	for _, p := range c.pins {
		var held int64
		for _, s := range c.sealed[min(needed, c.neededBy(p)):needed] {
			held += s.Size
		}
		if held > p.MaxBytes {
			c.stats.PinsBroken++
			continue
		}
		kept, most = append(kept, p), max(most, held)
	}
	c.pins, c.stats.PinnedBytes = kept, most
	return slices.Clone(kept)
}

// neededBy returns the index of the first sealed segment that a pin holds.
func (c *Checkpointer) neededBy(p manifest.Pin) int { return c.needed(max(1, p.Seq) - 1) }

// firstKept returns the index of the first sealed segment that a recovery from a
// checkpoint of the given seq reads, or one of the pins holds.
func (c *Checkpointer) firstKept(seq uint64, pins []manifest.Pin) int {
	first := c.needed(seq)
	for _, p := range pins {
		first = min(first, c.neededBy(p))
	}
	return first
}
