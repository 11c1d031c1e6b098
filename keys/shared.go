package keys

import (
	"cmp"
	"io/fs"
	"slices"
	"time"

	"gcp-metadata-emulator/keys/disk"
)

// Files keeps the files of a ring outside of this process and its disk, under slash-separated names, for
// several processes. Reading does not wait.
type Files interface {
	// List returns the names of the files in a folder, without the folder's name.
	List(folder string) []string
	// Version returns a number that is larger after every change in a folder, or 0 if nothing has ever
	// been there.
	Version(folder string) int64
	// Read returns the content of a file, and a number that is larger for files that were written
	// later. ok is false if there is no such file.
	Read(name string) (data []byte, written int64, ok bool)
	// Create stores data under a new name, for all processes. ok is false if the name is taken.
	Create(name string, data []byte) (ok bool, err error)
	// Write stores data under a name that is taken already.
	Write(name string, data []byte) error
	// Remove removes files that exist.
	Remove(names []string) error
}

// NewSharedRing returns a ring like NewRing that keeps its keys in files for several processes.
func NewSharedRing(files Files, now func() time.Time) *Ring {
	return newRing(shared{files}, newPool(), now)
}

// shared is a vault of Files.
type shared struct{ files Files }

func (s shared) names(folder string) ([]string, error)  { return s.files.List(folder), nil }
func (s shared) path(name string) string                { return name }
func (s shared) replace(name string, data []byte) error { return s.files.Write(name, data) }

// sweep and exposure are about other users of a disk.
func (s shared) sweep()           {}
func (s shared) exposure() string { return "" }

func (s shared) stamp(folder string) int64 {
	if version := s.files.Version(folder); version > 0 {
		return version
	}
	return disk.Absent
}

func (s shared) modified(name string) int64 {
	_, written, _ := s.files.Read(name)
	return written
}

func (s shared) read(name string) (data []byte, exposure string, err error) {
	data, _, ok := s.files.Read(name)
	if !ok {
		return nil, "", fs.ErrNotExist
	}
	return data, "", nil
}

func (s shared) create(name string, data []byte) error {
	ok, err := s.files.Create(name, data)
	if err == nil && !ok {
		return fs.ErrExist
	}
	return err
}

func (s shared) touch(name string) error {
	data, _, ok := s.files.Read(name)
	if !ok {
		return fs.ErrNotExist
	}
	return s.files.Write(name, data)
}

func (s shared) prune(folder string, most int) error {
	names := s.files.List(folder)
	if len(names) <= most {
		return nil
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(s.modified(folder+"/"+a), s.modified(folder+"/"+b)) })
	oldest := names[:len(names)-most]
	for i, name := range oldest {
		oldest[i] = folder + "/" + name
	}
	return s.files.Remove(oldest)
}
