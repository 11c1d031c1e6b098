package load_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/load"
)

func TestRepeat(t *testing.T) {
	t.Parallel()
	var calls [3]atomic.Int64
	result, err := load.Repeat(t.Context(), load.Limits{Connections: 3, Duration: time.Minute, Requests: 100},
		func(_ context.Context, worker int) error {
			calls[worker].Add(1)
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	if sum := calls[0].Load() + calls[1].Load() + calls[2].Load(); sum != 100 || result.Latencies.Count() != 100 {
		t.Errorf("%d calls, %d counted", sum, result.Latencies.Count())
	}
}

func TestRepeatEndsWithTheFirstFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	_, err := load.Repeat(t.Context(), load.Limits{Connections: 2, Duration: time.Minute, Requests: 1 << 40},
		func(ctx context.Context, worker int) error {
			if worker == 1 {
				return broken
			}
			return ctx.Err()
		})
	if !errors.Is(err, broken) {
		t.Errorf("ended with %v", err)
	}
}
