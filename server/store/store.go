// Package store keeps one value in immutable versions.
//
// A change never edits a value that readers hold. It stores a new value and closes a channel,
// so readers can wait for changes without registering and miss none. The package knows nothing
// about the value.
package store

import (
	"sync"
	"sync/atomic"
)

// Store holds the current version of a value. It is safe for concurrent use, and reading takes
// no lock.
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
	Revision uint64          // 1 for the first version, then counting up
	Changed  <-chan struct{} // closed when there is a newer version
}

// New returns a store whose first version is state.
func New[T any](state T) *Store[T] {
	s := &Store[T]{}
	s.replace(state, 1)
	return s
}

// Load returns the current version.
func (s *Store[T]) Load() Snapshot[T] { return s.current.Load().Snapshot }

// Update replaces the current version. change must not modify its argument. If it returns an
// error, the version stays.
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
