package bench

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// precision is the number of binary digits a duration is kept to: buckets are at
	// most 1/64 of their value wide.
	precision = 6

	// longest is where durations are cut off: 2^40 ns, 18 minutes.
	longest = 1<<40 - 1

	buckets = (40 - precision + 1) << precision
)

// Histogram counts durations in buckets of fixed relative width. The zero value is
// empty. It is safe for concurrent use and allocates nothing.
type Histogram struct {
	counts [buckets]atomic.Uint64
}

// bucketOf returns the bucket of a duration in nanoseconds: itself below 2^precision,
// and above by the place of the first binary digit and the precision digits after it.
func bucketOf(ns uint64) int {
	shift := max(bits.Len64(ns)-precision-1, 0)
	return shift<<precision + int(ns>>shift)
}

// upper returns the largest duration of a bucket, in nanoseconds.
func upper(bucket int) uint64 {
	shift := max(bucket>>precision-1, 0)
	digits := uint64(bucket - shift<<precision)
	return (digits+1)<<shift - 1
}

// Record counts one duration. Negative ones count as zero, those over 18 minutes as
// 18 minutes.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucketOf(uint64(min(max(d, 0), longest)))].Add(1)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 {
	var n uint64
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// Quantile returns a duration that at least the fraction q, from 0 to 1, of the
// recorded ones do not exceed: the true one or up to 1/64 more. It is zero if there
// are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.Count())))
	var below uint64
	for i := range h.counts {
		below += h.counts[i].Load()
		if below > 0 && below >= rank {
			return time.Duration(upper(i))
		}
	}
	return 0
}
