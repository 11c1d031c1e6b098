//go:build unix

package server_test

import (
	"net/http"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// BenchmarkAround measures the part of a request that stands around the handler of its surface, by the CPU
// time of the process and by allocations. Command benchmark in scripts reads its output.
func BenchmarkAround(b *testing.B) {
	handler, all := operations(b)
	for _, o := range all {
		b.Run(o.name, func(b *testing.B) {
			repeated := func(call func()) cost {
				return usedBy(b, func() {
					for range b.N {
						call()
					}
				})
			}
			whole := repeated(func() { handler.ServeHTTP(discard{http.Header{}}, o.request) })
			alone := repeated(func() { _, _ = o.handle(o.request) })
			b.ReportMetric((whole.cpu-alone.cpu).Seconds()*float64(time.Second)/float64(b.N), "around-ns/op")
			const ofHTTP = 1 // the empty header, which net/http makes
			b.ReportMetric((whole.allocations-alone.allocations)/float64(b.N)-ofHTTP, "around-allocs/op")
		})
	}
}

// cost is the process's use of the machine.
type cost struct {
	cpu                time.Duration
	allocations, bytes float64
}

// usedBy returns the cost of a call.
func usedBy(t testing.TB, call func()) cost {
	t.Helper()
	before := used(t)
	call()
	after := used(t)
	return cost{after.cpu - before.cpu, after.allocations - before.allocations, after.bytes - before.bytes}
}

// used returns the cost of the process so far.
func used(t testing.TB) cost {
	t.Helper()
	var times syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &times); err != nil {
		t.Fatal(err)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return cost{time.Duration(times.Utime.Nano() + times.Stime.Nano()), float64(memory.Mallocs), float64(memory.TotalAlloc)}
}
