package keys

import (
	"crypto/rand"
	"crypto/rsa"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// pool makes RSA private keys. The time to find two primes varies more than tenfold. Up to two
// processors therefore search at once, and the first result serves the longest wait. If a key
// is found too late, it serves the next request.
type pool struct {
	generate func() (private, error)
	// isForeign reports whether the keys cannot leave their signers, so that no file can keep them.
	isForeign bool
	bind      Bind                                // nil: Go's own cryptography signs
	waited    atomic.Pointer[func(time.Duration)] // see Ring.ReportWaits; nil: nobody asks
	workers   int                                 // the number of goroutines that search at once

	mu      sync.Mutex
	waiting []chan<- made
	running int
	spares  []private
	busy    int        // the number of running goroutines of the pool and of the sets that use it
	idle    *sync.Cond // signalled when busy is 0
}

type made struct {
	key private
	err error
}

func newPool() *pool {
	p := &pool{workers: min(2, runtime.GOMAXPROCS(0))}
	p.generate = func() (private, error) { return p.generated(Bits) }
	p.idle = sync.NewCond(&p.mu)
	return p
}

// start runs work in a goroutine that wait waits for.
func (p *pool) start(work func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.startLocked(work)
}

// startLocked is start; the caller must hold mu.
func (p *pool) startLocked(work func()) {
	p.busy++
	go func() {
		work()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.busy--; p.busy == 0 {
			p.idle.Broadcast()
		}
	}()
}

// wait returns when all started goroutines have ended.
func (p *pool) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.busy > 0 {
		p.idle.Wait()
	}
}

// reportWait reports the time since a caller began to wait for a key, which is zero if it did not.
func (p *pool) reportWait(begun time.Time) {
	if report := p.waited.Load(); report != nil && !begun.IsZero() {
		(*report)(time.Since(begun))
	}
}

// generated returns a new private key that Go has made.
func (p *pool) generated(bits int) (private, error) {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return private{}, err
	}
	return p.bound(key)
}

// make returns a new private key of the given size.
func (p *pool) make(bits int) (private, error) {
	if bits == Bits {
		return p.take()
	}
	return p.generated(bits)
}

// take returns a private key for the caller alone. All workers search for it.
func (p *pool) take() (private, error) { return p.takeFrom(p.workers) }

// takeCalmly is take for a set that can sign already. Only one worker searches, because searches on
// every processor would delay the requests that the set can serve by now.
func (p *pool) takeCalmly() (private, error) { return p.takeFrom(1) }

// takeFrom is take with at most the given number of workers, or with the running ones if they are more.
func (p *pool) takeFrom(workers int) (private, error) {
	p.mu.Lock()
	if n := len(p.spares); n > 0 {
		key := p.spares[n-1]
		p.spares = p.spares[:n-1]
		p.mu.Unlock()
		return key, nil
	}
	result := make(chan made, 1)
	p.waiting = append(p.waiting, result)
	for p.running < workers {
		p.running++
		p.startLocked(p.work)
	}
	p.mu.Unlock()
	got := <-result
	return got.key, got.err
}

// give returns an unused key to the pool.
func (p *pool) give(key private) {
	if key.public.N.BitLen() != Bits {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spares = append(p.spares, key)
}

// work makes keys until no caller waits for a key.
func (p *pool) work() {
	for {
		key, err := p.generate()
		p.mu.Lock()
		switch {
		case len(p.waiting) > 0:
			p.waiting[0] <- made{key, err}
			p.waiting = p.waiting[1:]
		case err == nil:
			p.spares = append(p.spares, key) // at most one per worker
		}
		if len(p.waiting) == 0 {
			p.running--
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}
