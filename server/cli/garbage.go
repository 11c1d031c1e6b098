package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// gcPercent is twice Go's default. What lives is a MiB, so that it is the percentage of the
	// smallest heap that Go collects, 4 MiB, which decides how often that is done: each time
	// costs as much as hundreds of small requests.
	gcPercent = 200

	// maxGarbage is about how much may wait to be collected, in bytes, however much lives:
	// with thousands of connections most of what lives are buffers, which are looked at fast.
	maxGarbage = 16 << 20
)

// boundGarbage keeps small what waits to be collected, unless the environment says how the
// collector is to work.
func boundGarbage() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(gcPercent)
	afterCollection(gcPercent)
}

// afterCollection adapts the collector to what lives, each time that it has run.
func afterCollection(percent int) {
	type sentinel struct{ _ *sentinel } // a pointer keeps it out of a block with others
	runtime.AddCleanup(&sentinel{}, func(before int) {
		now := percentFor(scanned())
		if now != before {
			debug.SetGCPercent(now)
		}
		afterCollection(now)
	}, percent)
}

// percentFor is the share of what was scanned that may be garbage.
func percentFor(scanned uint64) int {
	const whole = 100
	return int(min(gcPercent, maxGarbage*whole/max(scanned, 1)+1))
}

// scanned is what the last collection found alive, with the stacks and globals that Go adds
// before it takes the percentage, in bytes.
func scanned() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	var sum uint64
	for _, sample := range samples {
		sum += sample.Value.Uint64()
	}
	return sum
}
