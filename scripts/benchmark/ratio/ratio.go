// Package ratio summarises pairs of measurements. It computes medians and spreads, and does not
// know the meaning of the measurements.
package ratio

import (
	"fmt"
	"slices"
)

// Summary is the median, minimum and maximum of a list of ratios.
type Summary struct {
	Median, Min, Max float64
}

// Of summarises the ratios of pairs. The lists have the same length and are not empty.
func Of(numerators, denominators []float64) Summary {
	ratios := make([]float64, len(numerators))
	for i, numerator := range numerators {
		ratios[i] = numerator / denominators[i]
	}
	return Summary{Median: Median(ratios), Min: slices.Min(ratios), Max: slices.Max(ratios)}
}

// String returns a text such as "0.93 (0.88–1.02)".
func (s Summary) String() string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Min, s.Max)
}

// Median returns the middle value, or the mean of the two middle values, or 0 if there are
// none.
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
