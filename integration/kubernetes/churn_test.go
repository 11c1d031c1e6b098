//go:build cluster

package kubernetes_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// churn makes and removes many pods, and compares memory and the time of a look-up.
func (s *scene) churn(count int) {
	s.t.Helper()
	s.account("churned", google)
	address := func(i int) string { return fmt.Sprintf("127.5.%d.%d", i/250, 1+i%250) }
	s.mustPod("first", "churned", address(0))
	s.expect(address(0), google)
	s.api.forget()
	few, before, others := s.cost(address(0)), heap(), s.watcher.Addresses()-1

	begin := time.Now()
	s.each(1, count, func(ctx context.Context, i int) error {
		return s.pod(ctx, "pod-"+strconv.Itoa(i), "churned", address(i), func(*corev1.Pod) {})
	})
	s.settle(func() bool { return s.watcher.Addresses() == others+count })
	s.expect(address(count-1), google)
	made := time.Since(begin)
	s.api.forget()
	many, during := s.cost(address(count/2)), heap()
	s.each(1, count, func(ctx context.Context, i int) error { return s.remove(ctx, "pod-"+strconv.Itoa(i)) })
	s.settle(func() bool { return s.watcher.Addresses() == others+1 })
	s.expect(address(count-1), "")
	s.api.forget()
	after := heap()
	s.t.Logf("%d pods made in %v; a look-up takes %v among few and %v among all; heap %.1f MiB before, %.1f MiB with them (%.1f KiB for each), %.1f MiB after",
		count, made, few, many, mib(before), mib(during), (mib(during)-mib(before))*1024/float64(count), mib(after))
	if most := 20 * few; many > most {
		s.t.Errorf("a look-up takes %v among few pods and %v among %d, want at most %v", few, many, count, most)
	}
	const slack = 8 << 20
	if after > before+slack {
		s.t.Errorf("the pods are gone, and the heap has grown from %.1f to %.1f MiB", mib(before), mib(after))
	}
}

// each calls a function for each number of a range from several goroutines.
func (s *scene) each(from, to int, do func(ctx context.Context, i int) error) {
	s.t.Helper()
	const workers = 16
	numbers, failed := make(chan int), make(chan error, workers)
	for range workers {
		go func() {
			var err error
			for i := range numbers {
				if err == nil {
					err = do(s.t.Context(), i)
				}
			}
			failed <- err
		}()
	}
	for i := from; i < to; i++ {
		numbers <- i
	}
	close(numbers)
	for range workers {
		if err := <-failed; err != nil {
			s.t.Fatal(err)
		}
	}
}

// cost returns the least time that the emulator takes to find the pod of an address, over several trials.
func (s *scene) cost(address string) time.Duration {
	s.t.Helper()
	peer := parse(s.t, address)
	const trials, times = 20, 1000
	least := time.Duration(math.MaxInt64)
	for range trials {
		begin := time.Now()
		for range times {
			if name, refusal := s.watcher.At(s.t.Context(), peer); name == "" {
				s.t.Fatal(refusal)
			}
		}
		least = min(least, time.Since(begin)/times)
	}
	return least
}

// settle returns when a condition holds.
func (s *scene) settle(is func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			s.t.Fatal("the condition does not come to hold")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var statistics runtime.MemStats
	runtime.ReadMemStats(&statistics)
	return statistics.HeapAlloc
}

func mib(bytes uint64) float64 { return float64(bytes) / (1 << 20) }
