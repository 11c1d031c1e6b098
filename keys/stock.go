package keys

import (
	"crypto/rsa"
	"sync"
	"sync/atomic"
	"time"
)

// Stock is private keys for any number of rings of one process, such as a test's. Each ring
// takes them in the same order, from the first on, so that only the one that needs most waits
// for some to be made. What the rings make of them is their own: certificates, and with them
// key IDs, are not the same in any two. It is safe for concurrent use.
type Stock struct {
	mu   sync.Mutex
	keys []func() (*rsa.PrivateKey, error)
}

// NewStock is an empty stock. Keys are made as they are needed.
func NewStock() *Stock { return &Stock{} }

// NewRing is a ring that keeps nothing on disk, and takes its keys from the stock.
func (s *Stock) NewRing(now func() time.Time) *Ring {
	r := NewRing("", now)
	var taken atomic.Int64
	r.pool.generate = func() (*rsa.PrivateKey, error) { return s.key(int(taken.Add(1)) - 1) }
	r.pool.workers = 1 // for none to be left looking when everybody has a key
	return r
}

// key is the nth key.
func (s *Stock) key(n int) (*rsa.PrivateKey, error) {
	s.mu.Lock()
	for len(s.keys) <= n {
		s.keys = append(s.keys, sync.OnceValues(generate))
	}
	key := s.keys[n]
	s.mu.Unlock()
	return key()
}
