package keys

import (
	"crypto/rand"
	"crypto/rsa"
	"runtime"
	"sync"
)

// pool makes RSA private keys. The time it takes to find two primes varies more than
// tenfold, so that every processor (of two at the most) looks for a key at once and the
// first to find one serves the longest wait; a key found too late is the next one's.
type pool struct {
	generate func() (*rsa.PrivateKey, error)
	workers  int // how many look at once

	mu      sync.Mutex
	waiting []chan<- made
	running int
	spares  []*rsa.PrivateKey
	busy    int        // goroutines of this one, and of the sets that it makes keys for
	idle    *sync.Cond // of busy being none
}

type made struct {
	key *rsa.PrivateKey
	err error
}

func newPool() *pool {
	p := &pool{generate: generate, workers: min(2, runtime.GOMAXPROCS(0))}
	p.idle = sync.NewCond(&p.mu)
	return p
}

// start does something in a goroutine for which wait waits.
func (p *pool) start(work func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.startLocked(work)
}

// startLocked is start for a caller who holds mu.
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

// wait returns when nothing that was started goes on.
func (p *pool) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.busy > 0 {
		p.idle.Wait()
	}
}

func generate() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, Bits) }

// make returns a private key of a size that nobody else gets.
func (p *pool) make(bits int) (*rsa.PrivateKey, error) {
	if bits == Bits {
		return p.take()
	}
	return rsa.GenerateKey(rand.Reader, bits)
}

// take returns a private key that nobody else gets.
func (p *pool) take() (*rsa.PrivateKey, error) {
	p.mu.Lock()
	if n := len(p.spares); n > 0 {
		key := p.spares[n-1]
		p.spares = p.spares[:n-1]
		p.mu.Unlock()
		return key, nil
	}
	result := make(chan made, 1)
	p.waiting = append(p.waiting, result)
	for p.running < p.workers {
		p.running++
		p.startLocked(p.work)
	}
	p.mu.Unlock()
	got := <-result
	return got.key, got.err
}

// give returns a key that was not used.
func (p *pool) give(key *rsa.PrivateKey) {
	if key.N.BitLen() != Bits {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spares = append(p.spares, key)
}

// work makes keys until nobody waits for one.
func (p *pool) work() {
	for {
		key, err := p.generate()
		p.mu.Lock()
		switch {
		case len(p.waiting) > 0:
			p.waiting[0] <- made{key, err}
			p.waiting = p.waiting[1:]
		case err == nil:
			p.spares = append(p.spares, key) // at most one a worker
		}
		if len(p.waiting) == 0 {
			p.running--
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}
