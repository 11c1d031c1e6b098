// Package ratio summarises measurements that were taken in pairs. It owns
// medians and spreads, and knows nothing of what was measured.
package ratio

import (
	"fmt"
	"slices"
)

// Summary is the middle and the ends of a list of ratios.
type Summary struct {
	Median, Min, Max float64
}

// Of summarises the ratios of each pair. The lists are of the same length, and
// not empty.
func Of(numerators, denominators []float64) Summary {
	ratios := make([]float64, len(numerators))
	for i, numerator := range numerators {
		ratios[i] = numerator / denominators[i]
	}
	return Summary{Median: Median(ratios), Min: slices.Min(ratios), Max: slices.Max(ratios)}
}

// String is what a reader needs of it: "0.93 (0.88–1.02)".
func (s Summary) String() string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Min, s.Max)
}

// Median is the middle value, or the mean of the two middle ones; 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}
