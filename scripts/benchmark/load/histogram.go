package load

import (
	"math"
	"math/bits"
	"time"
)

// Each power of two nanoseconds is divided into this many buckets, so that a
// quantile is off by less than one part in a hundred.
const (
	subBits = 6
	subs    = 1 << subBits
	buckets = (64 - subBits) * subs
)

// Histogram counts durations in a fixed amount of memory. Its zero value is
// empty and ready.
type Histogram struct {
	counts [buckets]uint32
	total  uint64
}

// Record counts one duration; a negative one counts as none.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucket(uint64(max(0, d)))]++
	h.total++
}

// Add counts everything that other has counted.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// Count is the number of durations recorded.
func (h *Histogram) Count() uint64 {
	return h.total
}

// Quantile is the duration that a share q of those recorded does not exceed,
// and 0 when there are none.
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

// bucket is the index under which v is counted. Values below subs have a
// bucket each; above, the highest bits after the leading one choose.
func bucket(v uint64) int {
	if v < subs {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return shift*subs + int(v>>shift)
}

// middle is the middle of a bucket's values.
func middle(i int) time.Duration {
	if i < 2*subs {
		return time.Duration(i)
	}
	shift := i/subs - 1
	lowest := uint64(subs+i%subs) << shift
	return time.Duration(lowest + (uint64(1)<<shift)/2)
}
