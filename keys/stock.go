package keys

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stock shares private keys among any number of rings in one process, such as a test's. Each ring
// takes the same keys in the same order, so only the ring with the most keys has to wait. The rings
// make their own certificates, so their key IDs differ. A Stock is safe for concurrent use.
type Stock struct {
	mu   sync.Mutex
	keys []func() (private, error)
}

// NewStock returns an empty stock. It makes keys when they are needed.
func NewStock() *Stock { return &Stock{} }

// NewRing returns a ring without a directory. It takes its keys from the stock.
func (s *Stock) NewRing(now func() time.Time) *Ring {
	r := NewRing("", now)
	s.supply(r)
	return r
}

// supply makes a ring take its keys from the stock.
func (s *Stock) supply(r *Ring) {
	var taken atomic.Int64
	r.pool.generate = func() (private, error) { return s.key(int(taken.Add(1)) - 1) }
	r.pool.workers = 1 // a second worker would go on searching after every caller has a key
}

// key returns the key with index n.
func (s *Stock) key(n int) (private, error) {
	s.mu.Lock()
	for len(s.keys) <= n {
		s.keys = append(s.keys, sync.OnceValues(newPool().generate))
	}
	key := s.keys[n]
	s.mu.Unlock()
	return key()
}
