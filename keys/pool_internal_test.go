package keys

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Wait waits for all keys in the making: a next key, a key for a cancelled request, and the
// keys of a stranger, but not for another ring's.
func TestWait(t *testing.T) {
	t.Parallel()
	stock := NewStock()
	ring := stock.NewRing(time.Now)
	var begun, ended atomic.Int64
	generate := ring.pool.generate
	ring.pool.generate = func() (private, error) {
		begun.Add(1)
		defer ended.Add(1)
		return generate()
	}
	if _, err := ring.Google().Active(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ring.System("a@b.c").Active(gone); err == nil {
		t.Error("a key was ready at once")
	}
	strange, err := ring.Stranger().System("a@b.c").Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ring.Wait()
	if ended.Load() != begun.Load() || begun.Load() != 4 {
		t.Errorf("%d keys have been begun, want 4; %d are done", begun.Load(), ended.Load())
	}
	known, err := ring.System("a@b.c").Known()
	if err != nil || len(known) != 1 || known[0].Public().Equal(strange.Public()) {
		t.Errorf("the ring has %d keys, %v; want one key, different from the stranger's", len(known), err)
	}
}

// A first key is found by all workers. While requests can use it, only one of them searches for the next key.
func TestFirstKeyDoesNotWaitForTheNext(t *testing.T) {
	t.Parallel()
	stock := NewStock()
	synctest.Test(t, func(t *testing.T) {
		ring := stock.NewRing(time.Now)
		var begun atomic.Int64
		found := make(chan struct{})
		generate := ring.pool.generate
		ring.pool.workers = 2
		ring.pool.generate = func() (private, error) {
			begun.Add(1)
			<-found
			return generate()
		}
		searches := func(when string, want int64) {
			t.Helper()
			synctest.Wait()
			if got := begun.Load(); got != want {
				t.Errorf("%s: %d searches have begun, want %d", when, got, want)
			}
		}
		go func() { _ = ring.Warm(t.Context()) }()
		searches("no key", 2)
		found <- struct{}{}
		if _, err := ring.Google().Active(t.Context()); err != nil {
			t.Fatal(err)
		}
		searches("one key", 2)
		found <- struct{}{}
		searches("two keys", 2)
		ring.Wait()
		if known, err := ring.Google().Known(); err != nil || len(known) != 2 {
			t.Errorf("the ring has %d keys, %v; want 2", len(known), err)
		}
	})
}
