package keys

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Set is the keys of one signer, oldest first. Looking one up takes no lock; making one
// blocks nobody but those who need it. A Set is safe for concurrent use.
type Set struct {
	use    Use
	folder string
	vault  vault
	pool   *pool
	now    func() time.Time

	keys atomic.Pointer[[]numbered]

	mu   sync.Mutex // guards what follows, and every change of keys
	fill *fill
}

// numbered is a key with the number of its file.
type numbered struct {
	*Key
	number int
}

// fill is one run that brings a set to the keys it wants.
type fill struct {
	progress chan struct{} // closed, and replaced, with each key; closed at the end
	done     bool
	err      error
}

func newSet(use Use, folder string, vault vault, pool *pool, now func() time.Time) *Set {
	return &Set{use: use, folder: folder, vault: vault, pool: pool, now: now}
}

// Active is the key that signs. Where there is none yet, Active waits until it is made or
// the context ends. A key whose certificate is about to expire gives way to the next.
func (s *Set) Active(ctx context.Context) (*Key, error) {
	usable, err := s.await(ctx, 1)
	if err != nil {
		return nil, err
	}
	return usable[0].Key, nil
}

// Published is every key whose public half is to be known: the active one, the next one
// where the set's use has one, and older ones that have not expired; oldest first. It
// waits like Active.
func (s *Set) Published(ctx context.Context) ([]*Key, error) {
	if _, err := s.await(ctx, s.use.wanted()); err != nil {
		return nil, err
	}
	return s.valid(), nil
}

// Known is every unexpired key that exists already, oldest first, with those that other
// processes have put into the same directory. It makes none.
func (s *Set) Known() ([]*Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return nil, err
	}
	return s.valid(), nil
}

func (s *Set) all() []numbered {
	if keys := s.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// valid are the keys whose certificates have not expired.
func (s *Set) valid() []*Key {
	now := s.now()
	var valid []*Key
	for _, key := range s.all() {
		if key.NotAfter().After(now) {
			valid = append(valid, key.Key)
		}
	}
	return valid
}

// usable are the keys that may still sign.
func (s *Set) usable() []numbered {
	limit := s.now().Add(spare)
	all := s.all()
	for i, key := range all { // oldest first, so that those which expire come first
		if key.NotAfter().After(limit) {
			return all[i:]
		}
	}
	return nil
}

// await returns the usable keys once there are at least so many.
func (s *Set) await(ctx context.Context, count int) ([]numbered, error) {
	for {
		usable := s.usable()
		if len(usable) >= s.use.wanted() {
			return usable, nil
		}
		progress, run := s.ensure()
		if usable := s.usable(); len(usable) >= count {
			return usable, nil // the rest is made in the background
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

// ensure starts a run where none is under way and returns the channel that its next
// progress closes.
func (s *Set) ensure() (<-chan struct{}, *fill) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fill == nil || s.fill.done {
		s.fill = &fill{progress: make(chan struct{})}
		go s.complete(s.fill)
	}
	return s.fill.progress, s.fill
}

func (s *Set) failure(run *fill) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return run.err
}

// complete loads what is kept and makes what is missing. It belongs to no request, so
// that one which gives up does not fail the others.
func (s *Set) complete(run *fill) {
	s.mu.Lock()
	err := s.load()
	for err == nil && len(s.usable()) < s.use.wanted() {
		close(run.progress)
		run.progress = make(chan struct{})
		s.mu.Unlock()
		key, makeErr := s.create()
		s.mu.Lock()
		if err = makeErr; err == nil {
			s.add(key)
		}
	}
	run.done, run.err = true, err
	close(run.progress)
	s.mu.Unlock()
}

// load reads the files that the set does not hold yet. The caller holds mu.
func (s *Set) load() error {
	numbers, err := s.vault.numbers(s.folder)
	if err != nil {
		return err
	}
	for _, number := range numbers {
		if slices.ContainsFunc(s.all(), func(k numbered) bool { return k.number == number }) {
			continue
		}
		name := fileName(s.folder, number)
		data, err := s.vault.read(name)
		if err != nil {
			return err
		}
		key, err := s.decode(name, data)
		if err != nil {
			return err
		}
		s.add(numbered{key, number})
	}
	return nil
}

func (s *Set) decode(name string, data []byte) (*Key, error) {
	key, err := decode(data)
	if err != nil {
		return nil, &FileError{Path: s.vault.path(name), Problem: "cannot be used", Err: err}
	}
	return key, nil
}

// create makes the key that follows the last one, or takes the one that another process
// has made in the meantime.
func (s *Set) create() (numbered, error) {
	private, err := s.pool.take()
	if err != nil {
		return numbered{}, err
	}
	number := 1
	if all := s.all(); len(all) > 0 {
		number = all[len(all)-1].number + 1
	}
	key, err := newKey(private, s.use, s.use.notBefore(s.now(), len(s.usable())))
	if err != nil {
		return numbered{}, err
	}
	data, err := key.encode()
	if err != nil {
		return numbered{}, err
	}
	name := fileName(s.folder, number)
	kept, err := s.vault.create(name, data)
	if err != nil {
		s.pool.give(private) // it took long to find, and the trouble may pass
		return numbered{}, err
	}
	if string(kept) != string(data) {
		if key, err = s.decode(name, kept); err != nil {
			return numbered{}, err
		}
	}
	return numbered{key, number}, nil
}

// add publishes a new list of keys; lists that readers hold stay as they are. The caller
// holds mu.
func (s *Set) add(key numbered) {
	next := append(slices.Clone(s.all()), key)
	slices.SortFunc(next, func(a, b numbered) int { return a.number - b.number })
	s.keys.Store(&next)
}
