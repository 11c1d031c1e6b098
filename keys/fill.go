package keys

import (
	"context"
	"time"
)

// fill is one run to make a set's missing keys.
type fill struct {
	progress chan struct{} // closed, and replaced, with each key; closed at the end
	done     bool
	err      error
}

// await waits for at least count usable keys and returns them.
func (s *Set) await(ctx context.Context, count int) ([]numbered, error) {
	if err := s.refresh(); err != nil {
		return nil, err
	}
	var begun time.Time // of the waiting
	for {
		usable := s.usable()
		if len(usable) >= s.use.wanted() {
			s.pool.reportWait(begun)
			return usable, nil
		}
		progress, run := s.ensure()
		if usable := s.usable(); len(usable) >= count {
			s.pool.reportWait(begun)
			return usable, nil // the rest is made in the background
		}
		if begun.IsZero() {
			begun = time.Now() //nolint:forbidigo // keys take real time
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if err := s.failure(run); err != nil {
			return nil, err
		}
	}
}

// ensure starts a run unless one is under way. The returned channel is closed at the run's next
// progress.
func (s *Set) ensure() (<-chan struct{}, *fill) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fill == nil || s.fill.done {
		run := &fill{progress: make(chan struct{})}
		s.fill = run
		s.pool.start(func() { s.complete(run) })
	}
	return s.fill.progress, s.fill
}

func (s *Set) failure(run *fill) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return run.err
}

// complete loads the keys on disk and makes the missing ones. It belongs to no request, so the
// cancellation of one request does not fail the others.
func (s *Set) complete(run *fill) {
	s.mu.Lock()
	err := s.load()
	for err == nil && len(s.usable()) < s.use.wanted() {
		close(run.progress)
		run.progress = make(chan struct{})
		s.mu.Unlock()
		private, makeErr := s.take()
		s.mu.Lock()
		if err = makeErr; err == nil {
			_, _, err = s.keep(private)
		}
	}
	run.done, run.err = true, err
	close(run.progress)
	s.mu.Unlock()
}

func (s *Set) take() (private, error) {
	if len(s.usable()) > 0 {
		return s.pool.takeCalmly()
	}
	return s.pool.take()
}

// keep certifies a private key under the next number. If another process has used that number,
// keep loads that process's key and returns private to the pool. If keys must not last, the key
// stays in memory. The caller must hold mu.
func (s *Set) keep(private private) (key *Key, kept bool, err error) {
	notBefore := s.use.notBefore(s.now(), len(s.usable()))
	number := s.next()
	key, err = newKey(private, s.use, notBefore)
	if err != nil {
		return nil, false, err
	}
	taken := false
	if number < passing {
		taken, err = s.write(key, number)
	}
	if err != nil {
		s.pool.give(private) // the key took long to find, and the error may be temporary
		return nil, false, err
	}
	if taken {
		s.pool.give(private)
		return nil, false, s.loadKey(number)
	}
	s.put(numbered{Key: key, number: number, modified: s.vault.modified(fileName(s.folder, number, keySuffix))})
	return key, true, nil
}

// write writes the file of a key. taken reports that another process has used its number.
func (s *Set) write(key *Key, number int) (taken bool, err error) {
	data, err := key.encode()
	if err != nil {
		return false, err
	}
	return s.vault.create(fileName(s.folder, number, keySuffix), data)
}
