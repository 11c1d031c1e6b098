package keys

import (
	"context"
	"slices"
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

// Rotate rotates the keys for ID tokens, and Google's other own sets if they have keys already. See
// [Set.Rotate].
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
	if err := s.load(); err != nil { // another process must find the keys that the marks are for
		return err
	}
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
