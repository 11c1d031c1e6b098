// Package retired remembers which tokens and codes must not be accepted any more: the revoked tokens,
// and the codes that were exchanged.
//
// A [Set] remembers a bounded number of IDs, but never accepts an ID again because it forgot the ID. The
// IDs of [NewID] carry the time at which they were made. When a set forgets an ID, it counts all IDs of
// the same age or older as retired.
//
// The package does not decide what an ID stands for, or when to retire it: packages token and oauth2 do.
package retired

import (
	"container/heap"
	"context"
	"sync"

	"github.com/google/uuid"
)

// Set is a set of retired IDs. It is safe for concurrent use.
type Set interface {
	// Retire adds an ID. again reports whether the set had the ID, in the sense of Has. If several
	// concurrent calls have the same ID, again is false for one of them.
	Retire(ctx context.Context, id string) (again bool, err error)
	// Has reports whether the ID was retired, or may have been retired. Every use of a token asks this,
	// so that the answer must not take long.
	Has(id string) bool
	// Reset makes every ID good again.
	Reset()
}

// NewID returns a unique ID for a token or code: the 16 bytes of a UUID of version 7 (RFC 9562,
// section 5.7). IDs sort in the order in which a process makes them.
func NewID() string {
	id := uuid.Must(uuid.NewV7()) // the source of random numbers never fails
	return string(id[:])
}

// Age returns the part of an ID by which IDs sort. If NewID did not make an ID, as in tokens of
// earlier versions of the emulator, it is older than all others.
func Age(id string) string {
	const unknown = "\x00"
	if len(id) != len(uuid.UUID{}) {
		return unknown
	}
	return id
}

// memory is a set in this process.
type memory struct {
	size int

	mu        sync.RWMutex
	known     map[string]struct{}
	byAge     byAge  // of known
	forgotten string // the newest age that was forgotten; empty: none
}

// NewSet returns an empty set in this process, which remembers the newest IDs, size of them.
func NewSet(size int) Set { return &memory{size: size, known: map[string]struct{}{}} }

func (m *memory) Retire(_ context.Context, id string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.has(id) {
		return true, nil
	}
	m.known[id] = struct{}{}
	heap.Push(&m.byAge, id)
	if len(m.byAge) > m.size {
		oldest, _ := heap.Pop(&m.byAge).(string)
		delete(m.known, oldest)
		m.forgotten = Age(oldest) // no ID that is older is added, so that this never falls
	}
	return false, nil
}

func (m *memory) Has(id string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.has(id)
}

// has is Has; the caller must hold mu.
func (m *memory) has(id string) bool {
	if _, ok := m.known[id]; ok {
		return true
	}
	return Age(id) <= m.forgotten
}

func (m *memory) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.known)
	m.byAge, m.forgotten = nil, ""
}

// byAge is a heap of IDs, with the oldest first.
type byAge []string

func (b *byAge) Len() int           { return len(*b) }
func (b *byAge) Less(i, j int) bool { return Age((*b)[i]) < Age((*b)[j]) }
func (b *byAge) Swap(i, j int)      { (*b)[i], (*b)[j] = (*b)[j], (*b)[i] }

func (b *byAge) Push(id any) { *b = append(*b, id.(string)) } //nolint:forcetypeassert // only strings are pushed

func (b *byAge) Pop() any {
	last := len(*b) - 1
	id := (*b)[last]
	*b = (*b)[:last]
	return id
}
