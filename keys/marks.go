package keys

import (
	"slices"
	"time"
)

// mark records the retirement or the withdrawal of a key. It writes a file unless the key or
// the change is only in memory. The caller must hold mu.
func (s *Set) mark(key numbered, suffix, text string) error {
	if key.number >= passing || !s.vault.lasts() {
		return s.apply(key, suffix, text)
	}
	name := fileName(s.folder, key.number, suffix)
	text, err := loadOrCreate(s.vault, name, markForm(suffix), func() ([]byte, error) { return []byte(text), nil })
	if err != nil {
		return err
	}
	key.marks = append(slices.Clone(key.marks), suffix)
	return s.apply(key, suffix, text)
}

// loadMark reads the file of a retirement or a withdrawal. The caller must hold mu.
func (s *Set) loadMark(name string) error {
	for _, suffix := range []string{retiredSuffix, withdrawnSuffix} {
		number, ok := numberOf(name, suffix)
		at := s.find(number)
		if !ok || at < 0 || slices.Contains(s.all()[at].marks, suffix) {
			continue
		}
		text, err := load(s.vault, fileName(s.folder, number, suffix), markForm(suffix))
		if err != nil {
			return err
		}
		key := s.all()[at]
		key.marks = append(slices.Clone(key.marks), suffix)
		if err := s.apply(key, suffix, text); err != nil {
			return err
		}
	}
	return nil
}

// apply changes a key according to the text of a mark. The caller must hold mu.
func (s *Set) apply(key numbered, suffix, text string) error {
	if suffix == withdrawnSuffix {
		key.withdrawn = true
		s.put(key)
		return nil
	}
	retired, err := time.Parse(time.RFC3339Nano, text)
	key.retired = retired
	s.put(key)
	return err
}

// markText returns the text of a mark.
func (k numbered) markText(suffix string) string {
	if suffix == withdrawnSuffix {
		return ""
	}
	return k.retired.UTC().Format(time.RFC3339Nano)
}

// markForm returns the form of a mark's file: a time in RFC 3339, or nothing.
func markForm(suffix string) form[string] {
	return form[string]{
		decode: func(data []byte) (string, error) {
			var err error
			if suffix == retiredSuffix {
				_, err = time.Parse(time.RFC3339Nano, string(data))
			} else if len(data) > 0 {
				err = errUnlike
			}
			return string(data), err
		},
		encode: func(text string) ([]byte, error) {
			if suffix == withdrawnSuffix {
				return nil, nil
			}
			at, err := time.Parse(time.RFC3339Nano, text)
			return []byte(at.UTC().Format(time.RFC3339Nano)), err
		},
	}
}
