// Package measure times operations and counts what they cost: processor time,
// bytes written, allocations and the work of the garbage collector.
package measure

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets that are 1/32 of their value wide. It
// belongs to one goroutine.
type Histogram struct {
	counts [64 * subBuckets]uint32
	total  uint64
}

const (
	subBits    = 5
	subBuckets = 1 << subBits
)

// Record counts a duration.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))]++
	h.total++
}

func bucket(n uint64) int {
	if n < subBuckets {
		return int(n)
	}
	shift := bits.Len64(n) - subBits - 1
	return (shift+1)<<subBits + int(n>>shift)&(subBuckets-1)
}

// lowest is the smallest duration that falls into a bucket.
func lowest(b int) uint64 {
	if b < subBuckets {
		return uint64(b)
	}
	shift := b>>subBits - 1
	return uint64(subBuckets+b&(subBuckets-1)) << shift
}

// Add adds the counts of another histogram.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// Quantile returns the duration that a share q of the counted ones do not
// exceed, within the width of a bucket; 0 if nothing was counted.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); seen > rank {
			return time.Duration(lowest(i))
		}
	}
	return 0
}
