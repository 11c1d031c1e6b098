package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

const (
	// gcPercent is twice Go's default. The live heap is about 1 MiB, so this is the percentage of
	// Go's minimum heap of 4 MiB, which decides how often Go collects. Each collection costs as
	// much as hundreds of small requests.
	gcPercent = 200

	// maxGarbage is the approximate maximum of uncollected garbage, in bytes, for any live heap.
	// With thousands of connections most of the live heap is buffers, which are scanned fast.
	maxGarbage = 16 << 20

	// calm is the time without a collection after which the process gives back the memory of an
	// earlier load.
	calm = 20 * time.Second

	// little is an amount of memory, in bytes, that is not worth a collection.
	little = 2 << 20
)

// boundGarbage limits uncollected garbage, unless GOGC is set.
func boundGarbage() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(gcPercent)
	newCollector(calm, debug.FreeOSMemory).afterCollection()
}

// collector follows the collections of garbage.
type collector struct {
	percent int
	calm    time.Duration
	timer   *time.Timer // fires when there has been no collection for a while

	free      func()      // collects, and gives memory back
	settled   uint64      // the memory after that
	releasing atomic.Bool // the next collection is part of that
}

// newCollector returns a collector that calls free when there has been no collection for a while.
func newCollector(calm time.Duration, free func()) *collector {
	c := &collector{percent: gcPercent, calm: calm, free: free}
	c.timer = time.AfterFunc(calm, c.release)
	c.timer.Stop()
	return c
}

// afterCollection adapts the process to the live heap after each collection.
func (c *collector) afterCollection() {
	type sentinel struct{ _ *sentinel } // the pointer prevents allocation in a block with others
	runtime.AddCleanup(&sentinel{}, func(c *collector) {
		if now := percentFor(scanned()); now != c.percent {
			debug.SetGCPercent(now)
			c.percent = now
		}
		if !c.releasing.CompareAndSwap(true, false) {
			c.timer.Reset(c.calm)
		}
		c.afterCollection()
	}, c)
}

// release gives memory back to the system, unless there is little since the last time.
func (c *collector) release() {
	if held() > c.settled+little {
		c.releasing.Store(true)
		c.free()
		c.settled = held()
	}
}

// held returns the memory that the heap takes from the system.
func held() uint64 {
	return sumOf("/memory/classes/heap/objects:bytes", "/memory/classes/heap/free:bytes")
}

// percentFor returns the percentage for the collector.
func percentFor(scanned uint64) int {
	const whole = 100
	return int(min(gcPercent, maxGarbage*whole/max(scanned, 1)+1))
}

// scanned returns the size, in bytes, on which Go applies the percentage: the live heap after the
// last collection, the stacks and the globals.
func scanned() uint64 {
	return sumOf("/gc/heap/live:bytes", "/gc/scan/stack:bytes", "/gc/scan/globals:bytes")
}

// sumOf returns the sum of metrics of the runtime.
func sumOf(names ...string) uint64 {
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	metrics.Read(samples)
	var sum uint64
	for _, sample := range samples {
		sum += sample.Value.Uint64()
	}
	return sum
}
