package keys

import (
	"cmp"
	"errors"
	"time"

	"gcp-metadata-emulator/keys/disk"
)

// unlooked is the time for which refresh does not look at a folder again. A look costs as much
// as a small request.
const unlooked = 10 * time.Millisecond

// refresh loads new keys of other processes. It may be late by unlooked.
func (s *Set) refresh() error {
	now := time.Since(s.begun) // other processes go by no emulator's clock
	if now < time.Duration(s.look.Load()) {
		return nil
	}
	if err := s.reread(); err != nil {
		return err
	}
	s.look.Store(int64(now + unlooked))
	return nil
}

// reread loads new keys of other processes.
func (s *Set) reread() error {
	stamp := s.vault.stamp(s.folder)
	if stamp != disk.Changing && stamp == s.seen.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.load()
	if err == nil {
		s.seen.Store(stamp) // after an error, the next look reads the folder again
		return nil
	}
	if s.canDoWithout(err) {
		return nil
	}
	return err
}

// canDoWithout reports whether the keys in memory suffice although the folder cannot be read or
// written. If they do, it tells of the error.
func (s *Set) canDoWithout(err error) bool {
	_, isFile := errors.AsType[*FileError](err)
	can := isFile && s.loaded.Load() && len(s.usable()) > 0
	if can {
		s.vault.tell(err)
	}
	return can
}

// load reads the files of unknown keys, and writes the files of known keys that somebody has
// removed. One file in trouble does not keep it from the others; the error is the first one. The
// caller must hold mu.
func (s *Set) load() error {
	names, err := s.vault.names(s.folder)
	if err != nil {
		return err
	}
	err = s.restore(names)
	for _, name := range names {
		if number, ok := numberOf(name, keySuffix); ok && s.find(number) < 0 {
			err = cmp.Or(err, s.loadKey(number))
		}
	}
	for _, name := range names {
		err = cmp.Or(err, s.loadMark(name))
	}
	if err == nil {
		s.loaded.Store(true)
	}
	return err
}

func (s *Set) loadKey(number int) error {
	name := fileName(s.folder, number, keySuffix)
	modified := s.vault.modified(name)
	key, err := load(s.vault, name, pairForm(s.use, s.pool))
	if err == nil {
		s.put(numbered{Key: key, number: number, modified: modified})
	}
	return err
}
