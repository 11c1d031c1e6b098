package load

import (
	"context"
	"sync"
	"sync/atomic"
)

// Repeat is Run with a function instead of a template. Each of limits.Connections workers calls
// it again and again, with the worker's number.
func Repeat(ctx context.Context, limits Limits, call func(ctx context.Context, worker int) error) (*Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := Now()
	end := begin.Add(limits.Duration)
	ctx, late := context.WithDeadline(ctx, end.Add(grace))
	defer late()
	budget := &atomic.Int64{}
	budget.Store(limits.Requests)
	workers := make([]worker, limits.Connections)
	var running sync.WaitGroup
	for i := range workers {
		running.Go(func() {
			w := &workers[i]
			w.last = begin
			for (w.last.Before(end) || w.latencies.Count() == 0) && budget.Add(-1) >= 0 {
				if err := call(ctx, i); err != nil {
					cancel(err)
					return
				}
				answered := Now()
				w.latencies.Record(answered.Sub(w.last))
				w.last = answered
			}
		})
	}
	running.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	result := &Result{}
	for i := range workers {
		result.Latencies.Add(&workers[i].latencies)
		result.Elapsed = max(result.Elapsed, workers[i].last.Sub(begin))
	}
	return result, nil
}
