package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"gcp-metadata-emulator/scripts/benchmark/load"
	"gcp-metadata-emulator/scripts/benchmark/ratio"
)

// unavailable is the text for a figure that the system does not give.
const unavailable = "not available"

// comparison divides a measurement of one server by another's.
func comparison(one, other []float64) string {
	if slices.Contains(one, 0) || slices.Contains(other, 0) {
		return unavailable
	}
	return ratio.Of(one, other).String()
}

// mallocs names the number of allocations so far in the metrics of a process, which are at metricsPath.
const (
	metricsPath = "/emulator/metrics"
	mallocs     = "go_memstats_mallocs_total"
)

// allocated returns the number of the server's allocations so far, or not a number if it is not known.
func (s *subject) allocated(ctx context.Context) float64 {
	if !s.counted {
		return math.NaN()
	}
	answer, err := s.server.once(ctx, load.Request{Method: "GET", Target: metricsPath})
	if err != nil {
		return math.NaN()
	}
	for line := range bytes.Lines(answer.Body) {
		if number, ok := bytes.CutPrefix(line, []byte(mallocs+" ")); ok {
			count, err := strconv.ParseFloat(string(bytes.TrimSpace(number)), 64)
			if err == nil {
				return count
			}
		}
	}
	return math.NaN()
}

// allocations describes the allocations per request of two servers.
func allocations(ours, theirs *subject) string {
	our, their := ratio.Median(ours.allocations), ratio.Median(theirs.allocations)
	if math.IsNaN(our) || math.IsNaN(their) {
		return unavailable
	}
	return fmt.Sprintf("%.1f, %.1f", our, their)
}
