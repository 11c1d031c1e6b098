package keys_test

import (
	"sync/atomic"
	"testing"
	"time"
)

// The ring reports waits for keys that it has to generate, and no others.
func TestReportWaits(t *testing.T) {
	t.Parallel()
	ring := newRing(t, "", time.Now)
	var waits atomic.Int64
	ring.ReportWaits(func(took time.Duration) {
		if took <= 0 {
			t.Errorf("a wait took %v", took)
		}
		waits.Add(1)
	})
	for range 2 {
		if _, err := ring.Google().Active(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waits := waits.Load(); waits != 1 {
			t.Errorf("%d waits", waits)
		}
	}
}
