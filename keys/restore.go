package keys

import (
	"cmp"
	"errors"
	"path"
	"slices"

	"gcp-metadata-emulator/keys/disk"
)

// restore writes the files of known keys again if somebody has removed them. names lists the folder's
// files. It reports missing and unknown files. If one file fails, it continues with the others, and
// returns the first error. The caller must hold mu.
func (s *Set) restore(names []string) error {
	var failed error
	restored := false
	for _, key := range s.all() {
		if key.number >= passing {
			continue
		}
		done, err := s.restoreKey(key)
		if errors.Is(err, errReplaced) {
			s.vault.tell(err)
			s.displace(key)
			continue
		}
		if err == nil {
			var marked bool
			marked, err = s.restoreMarks(key, names)
			done = done || marked
		}
		if errors.Is(err, errClosed) {
			return nil
		}
		failed = cmp.Or(failed, err)
		restored = restored || done
	}
	if restored {
		s.vault.tellRestored(s.folder)
	} else {
		s.tellMissing(names)
	}
	return failed
}

// restoreKey writes a key's file if it is missing. The error is errReplaced if another process has
// given the key's number to another key.
func (s *Set) restoreKey(key numbered) (restored bool, err error) {
	name := fileName(s.folder, key.number, keySuffix)
	modified := s.vault.modified(name)
	if modified == key.modified && modified != 0 {
		return false, nil
	}
	data, err := key.encode()
	if err != nil {
		return false, err
	}
	restored, err = s.vault.restore(name, data)
	if err == nil {
		key.modified = modified
		s.put(key)
	}
	return restored, err
}

// restoreMarks writes the files of a key's marks that names lacks.
func (s *Set) restoreMarks(key numbered, names []string) (restored bool, err error) {
	for _, suffix := range key.marks {
		name := fileName(s.folder, key.number, suffix)
		if slices.Contains(names, path.Base(name)) {
			continue
		}
		done, err := s.vault.restore(name, []byte(key.markText(suffix)))
		if err != nil {
			return restored, err
		}
		restored = restored || done
	}
	return restored, nil
}

// displace moves a key to the numbers of keys that are only in memory, and retires it, because the
// processes with the same folder do not know it now.
func (s *Set) displace(key numbered) {
	next := slices.Clone(s.all())
	next = slices.DeleteFunc(next, func(k numbered) bool { return k.number == key.number })
	key.number, key.marks, key.retired = passing, nil, s.now()
	if n := len(next); n > 0 {
		key.number = max(passing, next[n-1].number+1)
	}
	next = append(next, key)
	s.keys.Store(&next)
}

// tellMissing tells of keys that must have been removed while no process used them.
func (s *Set) tellMissing(names []string) {
	for number, by := range s.referred(names) {
		name := fileName(s.folder, number, keySuffix)
		if number > 0 && !slices.Contains(names, path.Base(name)) && s.find(number) < 0 {
			s.vault.tell(&MissingError{Path: s.vault.path(name), By: s.vault.path(by)})
		}
	}
}

// referred returns the numbers of keys that must have existed, and the files that prove it.
func (s *Set) referred(names []string) map[int]string {
	by, last := map[int]string{}, 0
	for _, name := range names {
		for _, suffix := range []string{retiredSuffix, withdrawnSuffix} {
			if number, ok := numberOf(name, suffix); ok {
				by[number] = s.folder + "/" + name
			}
		}
		number, _ := numberOf(name, keySuffix)
		last = max(last, number)
	}
	for number := range last {
		by[number] = fileName(s.folder, last, keySuffix)
	}
	if stamp := s.vault.stamp(s.folder); len(names) == 0 && stamp != disk.Absent && stamp != disk.Changing {
		by[1] = s.folder // it was made for a key, some time ago
	}
	return by
}
