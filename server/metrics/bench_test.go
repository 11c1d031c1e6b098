package metrics_test

import (
	"testing"
	"time"

	"gcp-metadata-emulator/server/metrics"
)

// Every request that is answered waits for this.
func BenchmarkObserve(b *testing.B) {
	requests := metrics.NewRequests([]string{"mds.ping", "mds.token", "unknown"})
	b.ReportAllocs()
	for b.Loop() {
		requests.Observe("mds.token", 200, 250*time.Microsecond)
	}
}

func BenchmarkObserveParallel(b *testing.B) {
	requests := metrics.NewRequests([]string{"mds.ping", "mds.token", "unknown"})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			requests.Observe("mds.token", 200, 250*time.Microsecond)
		}
	})
}
