package ratio_test

import (
	"testing"

	"gcp-metadata-emulator/scripts/benchmark/ratio"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{3, 1}, 2},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 100, 2}, 3},
	}
	for _, test := range tests {
		if got := ratio.Median(test.values); got != test.want {
			t.Errorf("median of %v: got %v, want %v", test.values, got, test.want)
		}
	}
}

func TestMedianKeepsOrder(t *testing.T) {
	values := []float64{3, 1, 2}
	ratio.Median(values)
	if values[0] != 3 || values[1] != 1 || values[2] != 2 {
		t.Errorf("the values became %v", values)
	}
}

// TestOf has a noisy second round: Of must use the ratio of each pair, not the ratio of the
// medians.
func TestOf(t *testing.T) {
	got := ratio.Of([]float64{90, 10, 50, 88}, []float64{100, 10, 100, 80})
	want := ratio.Summary{Median: 0.95, Min: 0.5, Max: 1.1}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if text := got.String(); text != "0.95 (0.50–1.10)" {
		t.Errorf("got %q", text)
	}
}
