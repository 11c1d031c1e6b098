package load

import (
	"math"
	"math/bits"
	"time"
)

// The histogram divides each power of two nanoseconds into subs buckets, so that the error of a
// quantile is below one percent.
const (
	subBits = 6
	subs    = 1 << subBits
	buckets = (64 - subBits) * subs
)

// Histogram counts durations in a fixed amount of memory. The zero value is empty and ready for
// use.
type Histogram struct {
	counts [buckets]uint32
	total  uint64
}

// Record counts one duration; a negative duration counts as 0.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucket(uint64(max(0, d)))]++
	h.total++
}

// Add adds the counts of other.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// Count returns the number of recorded durations.
func (h *Histogram) Count() uint64 {
	return h.total
}

// Quantile returns the duration that a share q of the recorded durations does not exceed, or 0
// if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.total)))
	rank = min(max(rank, 1), h.total)
	seen := uint64(0)
	for i, n := range h.counts {
		seen += uint64(n)
		if n > 0 && seen >= rank {
			return middle(i)
		}
	}
	return 0
}

// bucket returns the index of v's bucket. Each value below subs has its own bucket; for larger
// values, the highest bits after the leading bit select the bucket.
func bucket(v uint64) int {
	if v < subs {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return shift*subs + int(v>>shift)
}

// middle returns the middle of a bucket's values.
func middle(i int) time.Duration {
	if i < 2*subs {
		return time.Duration(i)
	}
	shift := i/subs - 1
	lowest := uint64(subs+i%subs) << shift
	return time.Duration(lowest + (uint64(1)<<shift)/2)
}
