package keys

import (
	"cmp"
	"io/fs"
	"slices"
	"time"
)

// Files keeps the files of a ring outside of this process and its disk, under slash-separated names, for
// several processes. Reading does not wait.
type Files interface {
	// List returns the names of the files in a folder, without the folder's name.
	List(folder string) []string
	// Version returns a number that is larger after every change in a folder, or 0 if nothing has ever
	// been there.
	Version(folder string) int64
	// Read returns the content of a file, and a number that is larger for files that were created
	// later. ok is false if there is no such file.
	Read(name string) (data []byte, created int64, ok bool)
	// Create stores data under a new name, for all processes. If the name is taken, it stores nothing
	// and returns the existing content.
	Create(name string, data []byte) ([]byte, error)
	// Remove removes files that exist.
	Remove(names []string) error
}

// NewSharedRing returns a ring like NewRing that keeps its keys in files for several processes.
func NewSharedRing(files Files, now func() time.Time) *Ring {
	return newRing(shared{files}, newPool(), now)
}

// shared is a vault of Files.
type shared struct{ files Files }

func (s shared) names(folder string) ([]string, error) { return s.files.List(folder), nil }

func (s shared) stamp(folder string) int64 {
	if version := s.files.Version(folder); version > 0 {
		return version
	}
	return absent
}

func (s shared) read(name string) ([]byte, error) {
	if data, _, ok := s.files.Read(name); ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

func (s shared) create(name string, data []byte) ([]byte, error) { return s.files.Create(name, data) }

func (s shared) prune(folder string, most int) error {
	names := s.files.List(folder)
	if len(names) <= most {
		return nil
	}
	age := func(name string) int64 {
		_, created, _ := s.files.Read(folder + "/" + name)
		return created
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(age(a), age(b)) })
	oldest := names[:len(names)-most]
	for i, name := range oldest {
		oldest[i] = folder + "/" + name
	}
	return s.files.Remove(oldest)
}

func (s shared) path(name string) string { return name }
