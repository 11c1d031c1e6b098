package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// step is one name on the way of a path to its file: a folder, a link, or the file. If the path leads
// nowhere, its last step is the missing name.
type step struct {
	name   string
	info   os.FileInfo // nil if the name is missing
	target string      // of a link
}

func (s step) isFolder() bool { return s.info != nil && s.info.IsDir() }

// equal reports whether two steps at one place of a way are the same, and so lead to the same file with
// the same content, as far as the system tells.
func (s step) equal(other step) bool {
	if s.name != other.name || s.target != other.target || (s.info == nil) != (other.info == nil) {
		return false
	}
	if s.info == nil {
		return true
	}
	if !os.SameFile(s.info, other.info) || s.info.Mode() != other.info.Mode() {
		return false
	}
	return s.isFolder() || s.info.Size() == other.info.Size() && s.info.ModTime().Equal(other.info.ModTime())
}

// walkAll returns the steps of all paths.
func walkAll(paths []string) []step {
	var steps []step
	for _, path := range paths {
		steps = append(steps, walk(path)...)
	}
	return steps
}

// walk returns the steps of an absolute path.
func walk(path string) []step {
	const separator = string(filepath.Separator)
	const mostLinks = 40
	var steps []step
	volume := filepath.VolumeName(path)
	at, rest := volume+separator, strings.Split(strings.TrimPrefix(path, volume), separator)
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		if next == at {
			continue
		}
		info, err := os.Lstat(next)
		if err != nil {
			return append(steps, step{name: next})
		}
		if info.Mode()&os.ModeSymlink == 0 || links == mostLinks {
			steps, at = append(steps, step{name: next, info: info}), next
			continue
		}
		links++
		target, _ := os.Readlink(next) // it was a link a moment ago
		steps = append(steps, step{name: next, info: info, target: target})
		if filepath.IsAbs(target) {
			at = filepath.VolumeName(target) + separator
			target = strings.TrimPrefix(target, filepath.VolumeName(target))
		}
		rest = append(strings.Split(target, separator), rest...)
	}
	return steps
}

// cause returns err without the name of the file.
func cause(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}
