// Package store keeps one value in immutable versions.
//
// A change never edits a value that readers hold. It stores a new value and closes a channel, so
// readers can wait for changes without registering and miss none. A [Keeper] may keep the versions
// outside of the process too; several processes then have the same value. The package knows nothing
// about the value.
package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// Store holds the current version of a value. It is safe for concurrent use, and reading takes
// no lock.
type Store[T any] struct {
	keeper Keeper[T]        // nil: the versions are only in this process
	carry  func(from, to T) // see Carry; nil: nothing

	updating chan struct{} // has an element while an update makes a new version
	mu       sync.Mutex    // held while a version is replaced
	current  atomic.Pointer[version[T]]
}

// Keeper keeps the versions of a value that several processes share.
type Keeper[T any] interface {
	// Bound returns the context of an update, which begins now. If the context ends the update, the
	// error of the update is the cause of the end, even if it has only waited for other updates.
	Bound() (context.Context, context.CancelFunc)
	// Replace makes next the newest version, if no process has replaced current before. It calls
	// Follow of the process's own store before it returns. The error is ErrOutdated if another version
	// has replaced current, of which the store gets to know as well.
	Replace(ctx context.Context, current, next T) error
}

// ErrOutdated means that an update used an older version than the newest.
var ErrOutdated = errors.New("the version has been replaced meanwhile")

type version[T any] struct {
	Snapshot[T]

	changed chan struct{}
}

// Snapshot is a version of the value.
type Snapshot[T any] struct {
	State    T
	Revision uint64          // 1 for the first version, then counting up
	Changed  <-chan struct{} // closed when there is a newer version
}

// New returns a store with state as its first version.
func New[T any](state T) *Store[T] {
	s := &Store[T]{updating: make(chan struct{}, 1)}
	s.replace(state, 1)
	return s
}

// NewKept returns a store with a keeper, which decides about updates. The keeper calls Follow.
func NewKept[T any](state T, keeper Keeper[T]) *Store[T] {
	s := New(state)
	s.keeper = keeper
	return s
}

// Carry sets a function that copies a part of the previous version into each new version: the part that
// only this process knows. The store calls it before a reader can load the new version. Call Carry
// before the store is shared.
func (s *Store[T]) Carry(carry func(from, to T)) { s.carry = carry }

// Wake closes the channel of the current version, and counts a version with the same value. Waiting
// readers look at the value again, because a shared part of its versions has changed.
func (s *Store[T]) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.current.Load()
	s.replace(current.State, current.Revision+1)
	close(current.changed)
}

// Load returns the current version.
func (s *Store[T]) Load() Snapshot[T] { return s.current.Load().Snapshot }

// Update replaces the current version. change must not modify its argument, and is called again if
// another process was faster. If it returns an error, the version stays.
func (s *Store[T]) Update(change func(T) (T, error)) error { return s.UpdateBy(s.keeper, change) }

// UpdateBy is Update for a keeper that changes more than the value, in the same step.
func (s *Store[T]) UpdateBy(keeper Keeper[T], change func(T) (T, error)) error {
	ctx, cancel := s.bound()
	defer cancel()
	select {
	case s.updating <- struct{}{}:
		defer func() { <-s.updating }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for ctx.Err() == nil {
		current := s.Load().State
		next, err := change(current)
		if err != nil {
			return err
		}
		if keeper == nil {
			s.Follow(next)
			return nil
		}
		if err := keeper.Replace(ctx, current, next); !errors.Is(err, ErrOutdated) {
			return err
		}
	}
	return context.Cause(ctx)
}

// bound returns the context of an update. Without a keeper, updates take no time.
func (s *Store[T]) bound() (context.Context, context.CancelFunc) {
	if s.keeper == nil {
		return context.Background(), func() {}
	}
	return s.keeper.Bound()
}

// Follow replaces the current version by a decided version.
func (s *Store[T]) Follow(next T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.current.Load()
	if s.carry != nil {
		s.carry(current.State, next)
	}
	s.replace(next, current.Revision+1)
	close(current.changed)
}

func (s *Store[T]) replace(state T, revision uint64) {
	changed := make(chan struct{})
	s.current.Store(&version[T]{Snapshot: Snapshot[T]{State: state, Revision: revision, Changed: changed}, changed: changed})
}
