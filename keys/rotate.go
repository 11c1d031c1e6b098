package keys

import (
	"context"
	"slices"
	"strings"
	"time"
)

// State is the present state of a key in its set.
type State string

// The states of published keys. Google publishes the next key some time before it becomes
// active.
const (
	StateActive  State = "active"
	StateNext    State = "next"
	StateRetired State = "retired"
)

// Stated is a published key and its state.
type Stated struct {
	*Key

	State State
}

// States returns the published keys with their states, oldest first. It makes no keys.
func (s *Set) States() ([]Stated, error) {
	if err := s.reread(); err != nil {
		return nil, err
	}
	now, usable := s.now(), s.usable()
	var stated []Stated
	for _, key := range s.all() {
		if !s.isPublished(key, now) {
			continue
		}
		state := StateRetired
		if i := slices.IndexFunc(usable, func(k numbered) bool { return k.number == key.number }); i == 0 {
			state = StateActive
		} else if i > 0 {
			state = StateNext
		}
		stated = append(stated, Stated{Key: key.Key, State: state})
	}
	return stated, nil
}

// KeepAll makes [Set.Rotate] publish every retired key until its normal end.
const KeepAll = -1

// Rotate rotates the keys for ID tokens, and those of Google's other own sets that have keys
// already. See [Set.Rotate].
func (r *Ring) Rotate(ctx context.Context, keep int) error {
	for _, set := range r.Own() {
		known, err := set.Known()
		if err != nil {
			return err
		}
		if len(known) == 0 && set != r.google {
			continue
		}
		if err := set.Rotate(ctx, keep); err != nil {
			return err
		}
	}
	return nil
}

// Rotate retires the active key at once. The next key signs from now on, and Rotate makes a new
// next key. It keeps publishing the newest retired keys, as many as keep says, and withdraws
// the others at once. Other processes with the same directory follow.
func (s *Set) Rotate(ctx context.Context, keep int) error {
	if _, err := s.await(ctx, s.use.wanted()); err != nil {
		return err
	}
	if err := s.retire(keep); err != nil {
		return err
	}
	_, err := s.await(ctx, s.use.wanted())
	return err
}

func (s *Set) retire(keep int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if usable := s.usable(); len(usable) > 0 {
		if err := s.mark(usable[0], retiredSuffix, s.now().UTC().Format(time.RFC3339Nano)); err != nil {
			return err
		}
	}
	if keep < 0 {
		return nil
	}
	retired := slices.DeleteFunc(slices.Clone(s.all()), func(k numbered) bool { return k.retired.IsZero() || k.withdrawn })
	for _, key := range retired[:max(0, len(retired)-keep)] {
		if err := s.mark(key, withdrawnSuffix, ""); err != nil {
			return err
		}
	}
	return nil
}

// mark records the retirement or the withdrawal of a key. It writes a file unless the key or
// the change is only in memory. The caller must hold mu.
func (s *Set) mark(key numbered, suffix, text string) error {
	name := fileName(s.folder, key.number, suffix)
	if key.number >= passing || !s.vault.lasts() {
		return s.apply(key, name, text)
	}
	kept, err := s.vault.create(name, []byte(text))
	if err != nil {
		return err
	}
	return s.apply(key, name, string(kept))
}

// loadMark reads the file of a retirement or a withdrawal. The caller must hold mu.
func (s *Set) loadMark(name string) error {
	for _, suffix := range []string{retiredSuffix, withdrawnSuffix} {
		number, ok := numberOf(name, suffix)
		at := s.find(number)
		if !ok || at < 0 {
			continue
		}
		key := s.all()[at]
		if suffix == retiredSuffix && !key.retired.IsZero() || suffix == withdrawnSuffix && key.withdrawn {
			continue
		}
		path := fileName(s.folder, number, suffix)
		text, err := s.vault.read(path)
		if err != nil {
			return err
		}
		if err := s.apply(key, path, string(text)); err != nil {
			return err
		}
	}
	return nil
}

// apply changes a key according to a mark's file. The caller must hold mu.
func (s *Set) apply(key numbered, name, text string) error {
	if strings.HasSuffix(name, withdrawnSuffix) {
		key.withdrawn = true
		s.put(key)
		return nil
	}
	retired, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return &FileError{Path: s.vault.path(name), Problem: "cannot be used", Err: err}
	}
	key.retired = retired
	s.put(key)
	return nil
}
