// Package store keeps one value in immutable versions.
//
// A change never edits the value that readers hold: it puts a new one in its place and
// closes a channel, so that whoever waits for a change needs no registration and misses
// none. The package knows nothing of what it keeps.
package store

import (
	"sync"
	"sync/atomic"
)

// Store holds the current version of a value. It is safe for concurrent use; reading
// takes no lock.
type Store[T any] struct {
	mu      sync.Mutex // held while a new version is made
	current atomic.Pointer[version[T]]
}

type version[T any] struct {
	Snapshot[T]

	changed chan struct{}
}

// Snapshot is one version of the value.
type Snapshot[T any] struct {
	State    T
	Revision uint64          // 1 for the first version, one more for each that follows
	Changed  <-chan struct{} // closed as soon as there is a newer version
}

// New is a store with a first version.
func New[T any](state T) *Store[T] {
	s := &Store[T]{}
	s.replace(state, 1)
	return s
}

// Load returns the current version.
func (s *Store[T]) Load() Snapshot[T] { return s.current.Load().Snapshot }

// Update makes the next version of the current one. The function must not change what it
// is given; where it returns an error, nothing changes.
func (s *Store[T]) Update(change func(T) (T, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.current.Load()
	next, err := change(current.State)
	if err != nil {
		return err
	}
	s.replace(next, current.Revision+1)
	close(current.changed)
	return nil
}

func (s *Store[T]) replace(state T, revision uint64) {
	changed := make(chan struct{})
	s.current.Store(&version[T]{Snapshot: Snapshot[T]{State: state, Revision: revision, Changed: changed}, changed: changed})
}
