package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsCoverEveryDurationOnce(t *testing.T) {
	for bucket := range buckets {
		top := upper(bucket)
		if got := bucketOf(top); got != bucket {
			t.Fatalf("%d ns ends bucket %d, but is in %d", top, bucket, got)
		}
		if got := bucketOf(top + 1); got != bucket+1 {
			t.Fatalf("%d ns follows bucket %d, but is in %d", top+1, bucket, got)
		}
	}
	if top := upper(buckets - 1); top != longest {
		t.Errorf("the last bucket ends with %d ns, want %d", top, longest)
	}
}

func TestQuantileIsWithinThePrecision(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 100, 9999} {
		var h Histogram
		var all []float64
		for range n {
			d := math.Exp(random.Float64() * math.Log(longest)) // every magnitude alike
			h.Record(time.Duration(d))
			all = append(all, math.Floor(d))
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.001, 0.5, 0.9, 0.99, 0.999, 1} {
			want := all[max(int(math.Ceil(q*float64(n))), 1)-1]
			got := float64(h.Quantile(q))
			if got < want || got > want*(1+1.0/64) {
				t.Errorf("quantile %v of %d: %v ns, want %v or up to 1/64 more", q, n, got, want)
			}
		}
		if h.Count() != uint64(n) {
			t.Errorf("counted %d of %d", h.Count(), n)
		}
	}
}

func TestHistogramTakesAnything(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
	h.Record(-time.Second)
	if got := h.Quantile(1); got != 0 {
		t.Errorf("a negative duration counts as %v", got)
	}
	h.Record(math.MaxInt64)
	if got := h.Quantile(1); got != longest {
		t.Errorf("the longest duration counts as %v", got)
	}
}
