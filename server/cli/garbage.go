package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// gcPercent is twice Go's default. The live heap is about 1 MiB, so this is the percentage of
	// Go's minimum heap of 4 MiB, which decides how often Go collects. Each collection costs as
	// much as hundreds of small requests.
	gcPercent = 200

	// maxGarbage is the approximate maximum of uncollected garbage, in bytes, for any live heap.
	// With thousands of connections most of the live heap is buffers, which are scanned fast.
	maxGarbage = 16 << 20
)

// boundGarbage limits uncollected garbage, unless GOGC is set.
func boundGarbage() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(gcPercent)
	afterCollection(gcPercent)
}

// afterCollection adapts the collector to the live heap after each collection.
func afterCollection(percent int) {
	type sentinel struct{ _ *sentinel } // the pointer prevents allocation in a block with others
	runtime.AddCleanup(&sentinel{}, func(before int) {
		now := percentFor(scanned())
		if now != before {
			debug.SetGCPercent(now)
		}
		afterCollection(now)
	}, percent)
}

// percentFor returns the percentage for the collector.
func percentFor(scanned uint64) int {
	const whole = 100
	return int(min(gcPercent, maxGarbage*whole/max(scanned, 1)+1))
}

// scanned returns the size, in bytes, on which Go applies the percentage: the live heap after the
// last collection, the stacks and the globals.
func scanned() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	var sum uint64
	for _, sample := range samples {
		sum += sample.Value.Uint64()
	}
	return sum
}
