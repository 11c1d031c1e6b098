package load_test

import (
	"math"
	"testing"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/load"
)

func TestHistogramQuantiles(t *testing.T) {
	var h load.Histogram
	for i := 1; i <= 1000; i++ {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	tests := map[float64]time.Duration{
		0:     time.Microsecond,
		0.5:   500 * time.Microsecond,
		0.99:  990 * time.Microsecond,
		1:     time.Millisecond,
		0.001: time.Microsecond,
	}
	for q, want := range tests {
		if got := h.Quantile(q); !near(got, want) {
			t.Errorf("quantile %v: got %v, want about %v", q, got, want)
		}
	}
}

// TestHistogramResolution records durations of every size and reads them back.
func TestHistogramResolution(t *testing.T) {
	for shift := range 63 {
		for _, offset := range []int64{-1, 0, 1} {
			d := time.Duration(int64(1)<<shift + offset)
			var h load.Histogram
			h.Record(d)
			if got := h.Quantile(0.5); !near(got, d) {
				t.Errorf("recorded %d ns, got %d", d, got)
			}
		}
	}
	var h load.Histogram
	h.Record(math.MaxInt64)
	h.Record(-1)
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("recorded a negative duration, got %v", got)
	}
	if got := h.Quantile(1); !near(got, math.MaxInt64) {
		t.Errorf("recorded the longest duration, got %v", got)
	}
}

func TestHistogramAdd(t *testing.T) {
	var a, b load.Histogram
	a.Record(time.Millisecond)
	b.Record(time.Second)
	b.Record(time.Second)
	a.Add(&b)
	if a.Count() != 3 || !near(a.Quantile(0.3), time.Millisecond) || !near(a.Quantile(0.5), time.Second) {
		t.Errorf("got %d durations, %v and %v", a.Count(), a.Quantile(0.3), a.Quantile(0.5))
	}
}

func TestHistogramEmpty(t *testing.T) {
	var h load.Histogram
	if h.Count() != 0 || h.Quantile(0.5) != 0 {
		t.Errorf("got %d durations, %v", h.Count(), h.Quantile(0.5))
	}
}

// near allows one part in a hundred.
func near(got, want time.Duration) bool {
	return math.Abs(float64(got-want)) <= 0.01*math.Abs(float64(want))
}
